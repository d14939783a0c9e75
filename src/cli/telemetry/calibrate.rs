//! `telemetry calibrate`: what the estimate would learn, how good that is, and putting it in force or taking it back.

use serde_json::json;

use super::calibration_text as view;
use crate::cli::{Context, calibration_in_force, open_database};
use crate::clock::now;
use crate::failure::Failure;
use crate::phase::{RunId, UnixMs};
use crate::store::{NewCalibration, Store};
use crate::telemetry::{Calibration, Example, Proposal, held_out};

/// Agents and models change: older samples than these say little, and take time.
const LATEST: u32 = 2_000;

/// Learn the estimate from samples; nothing changes without --apply
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only from samples of this run; may repeat
    #[arg(long = "run-id", value_name = "RUN")]
    run_ids: Vec<String>,

    /// Put what was learnt in force, for drains from now on
    #[arg(long)]
    apply: bool,

    /// Go back to the version before; before the first one is the shipped estimate
    #[arg(long, conflicts_with_all = ["apply", "run_ids"])]
    undo: bool,

    /// Print {samples, errors, before, after, refused, applied}; with --undo, {undone, active}
    #[arg(long)]
    json: bool,
}

/// What is in force, and under which number.
pub(super) struct InForce {
    /// And since when; `None`: the shipped numbers.
    pub version: Option<(u32, UnixMs)>,
    pub calibration: Calibration,
}

impl InForce {
    pub(super) fn number(&self) -> Option<u32> {
        self.version.map(|(number, _)| number)
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let store = open_database::open_existing(context).await?;
    let done = match args.undo {
        true => undo(&args, context, &store).await,
        false => propose(&args, context, &store).await,
    };
    store.close().await;
    done
}

async fn undo(args: &Args, context: &Context, store: &Store) -> Result<(), Failure> {
    let undone = store.undo_calibration().await?;
    if args.json {
        let (was, now) = undone.map_or((None, None), |(was, now)| (Some(was), now));
        return context.out.json(&json!({ "undone": was, "active": now }));
    }
    context.out.line(match undone {
        None => "the shipped estimate is in force already; there is nothing to undo".to_owned(),
        Some((was, None)) => {
            format!("calibration {was} is undone; the shipped estimate is in force")
        }
        Some((was, Some(now))) => {
            format!("calibration {was} is undone; calibration {now} is in force")
        }
    })
}

async fn propose(args: &Args, context: &Context, store: &Store) -> Result<(), Failure> {
    let runs: Vec<RunId> = args.run_ids.iter().map(RunId::new).collect();
    store.require_sampled_runs(&runs).await?;
    let samples = store.latest_outputs(&runs, LATEST).await?;
    let examples: Vec<Example> = samples.iter().filter_map(Example::of).collect();
    let before = in_force(store).await?;
    let calibration = &before.calibration;
    let own = before.version.map(|(_, since)| held_out::InForce { calibration, since });
    let proposal = Proposal::of(&examples, own.as_ref());
    let refused = refusal(&proposal, &before);
    let applied = match (args.apply, &refused) {
        (true, None) => Some(apply(store, &proposal).await?),
        _ => None,
    };
    match args.json {
        true => context.out.json(&view::json(&proposal, &before, refused.as_deref(), applied))?,
        false => context.out.text(&view::text(&proposal, &before, refused.as_deref(), applied))?,
    }
    match refused {
        Some(why) if args.apply => Err(Failure::new(format!("nothing was applied: {why}"))
            .hint("more samples of different phases help; docs/telemetry.md says how to get them")),
        _ => Ok(()),
    }
}

fn refusal(proposal: &Proposal, before: &InForce) -> Option<String> {
    let same = before.number().filter(|_| before.calibration.is_like(&proposal.calibration));
    let same =
        same.map(|version| format!("it is what calibration {version}, in force, says already"));
    same.or_else(|| proposal.refusal())
}

async fn in_force(store: &Store) -> Result<InForce, Failure> {
    let row = store.active_calibration().await?;
    let calibration = row.as_ref().map(calibration_in_force::read).transpose()?.unwrap_or_default();
    Ok(InForce { version: row.map(|row| (row.version, row.created_at)), calibration })
}

async fn apply(store: &Store, proposal: &Proposal) -> Result<u32, Failure> {
    let coefficients = serde_json::to_string(&proposal.calibration)?;
    let samples = (proposal.known + proposal.bounds) as u64;
    let new = NewCalibration { created_at: now(), samples, coefficients: &coefficients };
    Ok(store.add_calibration(&new).await?)
}
