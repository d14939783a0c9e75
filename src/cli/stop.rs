//! `stop`: ends a running drain from another terminal, as Ctrl-C does.

use super::{Context, open_database};
use crate::drain::looks_dead;
use crate::failure::{Exit, Failure};
use crate::phase::RunId;
use crate::progress::shown_id;
use crate::store::StopRequest;

/// Stop a running drain, as Ctrl-C does
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only drains of this run [default: all of this database]
    #[arg(long = "run-id", value_name = "RUN")]
    run_id: Option<String>,

    /// Kill what runs instead of asking it to end
    #[arg(long)]
    now: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = open_database::open_existing(context).await?;
    let runs: Vec<RunId> = args.run_id.iter().map(RunId::new).collect();
    store.require_runs(&runs).await?;
    let how = if args.now { StopRequest::Now } else { StopRequest::Graceful };
    let asked = store.request_stop(&runs, how).await?;
    // A dead drain is still listed until the next one recovers its work.
    let (dead, alive): (Vec<_>, Vec<_>) = asked.iter().partition(|owner| looks_dead(owner));
    for owner in &alive {
        let runs: Vec<String> = owner.runs.iter().map(|run| shown_id(run.as_str())).collect();
        let line =
            format!("asked the drain of {} (process {}) to stop", runs.join(", "), owner.place.pid);
        context.out.line(line)?;
    }
    if alive.is_empty() {
        let more =
            if dead.is_empty() { "" } else { "; one died, the next drain picks its work up" };
        context.out.line(format!("no drain is running{more}"))?;
    }
    Ok(Exit::Done)
}
