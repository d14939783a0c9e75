//! `phases list`: the phases of a run, in their order.

use std::collections::HashSet;

use super::phase_json::PhaseView;
use super::{RunArg, ids};
use crate::cli::Context;
use crate::cli::output::table::table;
use crate::failure::Failure;
use crate::phase::words::short_commit;
use crate::phase::{PhaseId, PhaseState};
use crate::store::PhaseRow;

/// List the phases of a run
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArg,
    /// Only these
    #[arg(value_name = "PHASE")]
    phases: Vec<String>,
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<PhaseState>,
    /// Only those that are FAILED
    #[arg(long, conflicts_with = "state")]
    failed: bool,
    /// Print a list of objects
    #[arg(long)]
    json: bool,
}

fn state(text: &str) -> Result<PhaseState, String> {
    text.to_ascii_uppercase().parse().map_err(|_| {
        let names = PhaseState::ALL.map(PhaseState::as_str).join(", ");
        format!("expected one of {names}")
    })
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let max_attempts = context.config()?.settings.executor.max_attempts;
    let (store, run) = args.run.open(context).await?;
    let mut rows =
        store.phases(&run, args.failed.then_some(PhaseState::Failed).or(args.state)).await?;
    if !args.phases.is_empty() {
        let wanted = ids(&args.phases);
        for phase in &wanted {
            store.phase(&run, phase).await?;
        }
        let wanted: HashSet<&PhaseId> = wanted.iter().collect();
        rows.retain(|row| wanted.contains(&row.phase_id));
    }
    store.close().await;
    if args.json {
        let views: Vec<PhaseView> =
            rows.iter().map(|row| PhaseView::new(row, max_attempts)).collect();
        return context.out.json(&views);
    }
    context.out.text(&text(&rows, max_attempts))
}

fn text(rows: &[PhaseRow], max_attempts: u32) -> String {
    let cells = |row: &PhaseRow| {
        let tries = format!("{}/{}", row.attempts, row.max_attempts.unwrap_or(max_attempts));
        vec![row.phase_id.to_string(), row.state.to_string(), tries, remark(row)]
    };
    table(&["PHASE", "STATE", "TRIES", "REMARK"], &[2], rows.iter().map(cells).collect())
}

/// What a look at the phase would be for: why it failed or waits, else what it is.
fn remark(row: &PhaseRow) -> String {
    if row.state == PhaseState::Complete {
        let commit = row.commit.as_deref().map(short_commit);
        return commit.unwrap_or(&row.name).to_owned();
    }
    match (&row.unfixable, &row.last_failure) {
        (Some(why), _) => format!("cannot be repaired: {why}"),
        (None, Some(failure)) => format!("{}: {}", failure.kind.as_str(), failure.message),
        (None, None) => row.name.clone(),
    }
}
