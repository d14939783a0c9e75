//! `telemetry calibrate`: fits the estimator to samples, shows the accuracy, and applies or reverts a calibration.

use serde_json::json;

use super::calibration_text as view;
use crate::cli::calibration_in_force::{VersionedCalibration, in_force};
use crate::cli::run_choice::RunsArg;
use crate::cli::{Context, open_database};
use crate::clock::now;
use crate::failure::Failure;
use crate::phase::RunId;
use crate::store::{NewCalibration, Store};
use crate::telemetry::{Example, Proposal, held_out};

/// Maximum number of samples. Older samples say little, because agents and models change.
const LATEST: u32 = 2_000;

/// Calibrate the estimator from samples; changes nothing without --apply
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    runs: RunsArg,

    /// Apply the calibration to future drains
    #[arg(long)]
    apply: bool,

    /// Return to the previous version, or to the shipped estimator
    #[arg(long, conflicts_with_all = ["apply", "runs", "run_ids"])]
    undo: bool,

    /// Print {samples, errors, before, after, refused, applied}; with --undo, {undone, active}
    #[arg(long)]
    json: bool,
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
        None => "nothing to undo: the shipped estimator is active".to_owned(),
        Some((was, None)) => {
            format!("reverted calibration {was}; the shipped estimator is active")
        }
        Some((was, Some(now))) => {
            format!("reverted calibration {was}; calibration {now} is active")
        }
    })
}

async fn propose(args: &Args, context: &Context, store: &Store) -> Result<(), Failure> {
    let runs: Vec<RunId> = args.runs.names().into_iter().map(RunId::new).collect();
    store.require_sampled_runs(&runs).await?;
    let samples = store.latest_outputs(&runs, LATEST).await?;
    let examples: Vec<Example> = samples.iter().filter_map(Example::of).collect();
    let before = in_force(store).await?;
    let calibration = &before.calibration;
    let own = before.version.map(|(_, since)| held_out::ActiveCalibration { calibration, since });
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
            .hint("collect more samples of different phases; see docs/telemetry.md")),
        _ => Ok(()),
    }
}

fn refusal(proposal: &Proposal, before: &VersionedCalibration) -> Option<String> {
    let same = before.number().filter(|_| before.calibration.is_like(&proposal.calibration));
    let same =
        same.map(|version| format!("the result is the same as the active calibration {version}"));
    same.or_else(|| proposal.refusal())
}

async fn apply(store: &Store, proposal: &Proposal) -> Result<u32, Failure> {
    let coefficients = serde_json::to_string(&proposal.calibration)?;
    let samples = (proposal.known + proposal.bounds) as u64;
    let new = NewCalibration { created_at: now(), samples, coefficients: &coefficients };
    Ok(store.add_calibration(&new).await?)
}
