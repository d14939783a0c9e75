//! `stop`: stops a running drain from another terminal, like Ctrl-C.

use super::run_choice::RunFilter;
use super::{Context, open_database};
use crate::drain::appears_dead;
use crate::failure::{Exit, Failure};
use crate::phase::RunId;
use crate::progress::shown_id;
use crate::store::StopRequest;

/// Stop a running drain, like Ctrl-C
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunFilter,

    /// Kill running agents and CI instead of asking them to stop
    #[arg(long)]
    now: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = open_database::open_existing(context).await?;
    let runs: Vec<RunId> = args.run.named(&store).await?.into_iter().collect();
    let how = if args.now { StopRequest::Now } else { StopRequest::Graceful };
    let asked = store.request_stop(&runs, how).await?;
    // A dead drain stays listed until the next drain reclaims its work.
    let (dead, alive): (Vec<_>, Vec<_>) = asked.iter().partition(|owner| appears_dead(owner));
    for owner in &alive {
        let runs: Vec<String> = owner.runs.iter().map(|run| shown_id(run.as_str())).collect();
        let line = format!(
            "asked the drain of {} (process {}) to stop",
            runs.join(", "),
            owner.process.pid
        );
        context.out.line(line)?;
    }
    if alive.is_empty() {
        let more =
            if dead.is_empty() { "" } else { "; a drain died, the next drain reclaims its work" };
        context.out.line(format!("no drain is running{more}"))?;
    }
    Ok(Exit::Done)
}
