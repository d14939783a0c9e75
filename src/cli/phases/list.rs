//! `phases list`: lists the phases of a run in order.

use std::collections::HashSet;

use super::phase_json::PhaseView;
use crate::cli::output::table::table;
use crate::cli::run_choice::choose_run_or_phases;
use crate::cli::{Context, open_database};
use crate::failure::Failure;
use crate::phase::words::short_commit;
use crate::phase::{PhaseId, PhaseState};
use crate::store::PhaseRow;

/// List the phases of a run
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run, or only these phases [default: the run used last]
    #[arg(value_name = "RUN | PHASE")]
    names: Vec<String>,
    /// The run, or the run of the phases
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
    /// Only phases in this state: queued, running, complete, failed or skipped
    #[arg(long, value_name = "STATE")]
    state: Option<PhaseState>,
    /// Only failed phases
    #[arg(long, conflicts_with = "state")]
    failed: bool,
    /// Print a list of objects
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let max_attempts = context.config()?.settings.executor.max_attempts;
    let store = open_database::open_existing(context).await?;
    let named = args.run_id.as_deref();
    let (run, wanted) = choose_run_or_phases(&store, context, named, &args.names).await?;
    let mut rows =
        store.phases(&run, args.failed.then_some(PhaseState::Failed).or(args.state)).await?;
    if !wanted.is_empty() {
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
        let attempts = format!("{}/{}", row.attempts, row.max_attempts.unwrap_or(max_attempts));
        vec![row.phase_id.to_string(), row.state.to_string(), attempts, remark(row)]
    };
    table(&["PHASE", "STATE", "ATTEMPTS", "REMARK"], &[2], rows.iter().map(cells).collect())
}

/// Returns the reason why a phase failed or cannot run, else the commit or name.
fn remark(row: &PhaseRow) -> String {
    if row.state == PhaseState::Complete {
        let commit = row.commit.as_deref().map(short_commit);
        return commit.unwrap_or(&row.name).to_owned();
    }
    if row.held && row.state == PhaseState::Queued {
        return "held until `autopack resume`".to_owned();
    }
    match (&row.unfixable, &row.last_failure) {
        (Some(why), _) => format!("cannot be repaired: {why}"),
        (None, Some(failure)) => format!("{}: {}", failure.kind.as_str(), failure.message),
        (None, None) => row.name.clone(),
    }
}
