//! `stop`: stops a running drain from another terminal, like Ctrl-C, or single phases.

use serde_json::{Value, json};

use super::run_choice::{Targets, TargetsArg};
use super::{Context, open_database};
use crate::drain::appears_dead;
use crate::failure::{Exit, Failure};
use crate::phase::PhaseState;
use crate::phase::words::{counted, quoted};
use crate::progress::{shown_id, shown_phase};
use crate::store::{HeldPhase, Hold, Owner, StopRequest};

/// Stop a running drain like Ctrl-C, or stop single phases
///
/// Without names, stops all drains of the database; with runs, their drains. A named phase is held: its running attempt
/// ends and does not count, and no drain starts the phase before `autopack resume PHASE` or `phases retry`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    targets: TargetsArg,

    /// Stop only the drains of this host, as `autopack hosts` names it
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// Finish running phases and start no others
    #[arg(long, conflicts_with = "now")]
    after_current: bool,

    /// Kill running agents and CI instead of asking them to stop
    #[arg(long)]
    now: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = open_database::open_existing(context).await?;
    let Targets { runs, phases } = args.targets.choose(&store, context).await?;
    if !phases.is_empty() {
        if args.host.is_some() {
            return Err(Failure::new("--host stops drains, and a phase is held on all machines")
                .hint("name a run instead of phases, or leave the option out")
                .exit(Exit::Usage));
        }
        if args.after_current {
            return Err(Failure::new("--after-current stops drains, not single phases")
                .hint("name a run instead of phases, or leave the option out")
                .exit(Exit::Usage));
        }
        let hold = if args.now { Hold::Now } else { Hold::Graceful };
        let held = store.operator().hold(&phases, hold).await?;
        match args.json {
            true => context
                .out
                .json(&json!({"held": held.iter().map(held_json).collect::<Vec<_>>()}))?,
            false => print_held(&held, context)?,
        }
        store.close().await;
        return Ok(Exit::Done);
    }
    let (request, what) = match (args.after_current, args.now) {
        (true, _) => (StopRequest::AfterCurrent, "to finish its running phases and stop"),
        (false, true) => (StopRequest::Now, "to stop"),
        (false, false) => (StopRequest::Graceful, "to stop"),
    };
    let asked = store.request_stop(&runs, args.host.as_deref(), request).await?;
    store.close().await;
    // A dead drain stays listed until the next drain reclaims its work.
    let (dead, alive): (Vec<_>, Vec<_>) = asked.iter().partition(|owner| appears_dead(owner));
    if args.json {
        let drain = |owner: &&Owner| json!({"runs": owner.runs, "pid": owner.process.pid});
        return context
            .out
            .json(&json!({
                "asked": alive.iter().map(drain).collect::<Vec<_>>(),
                "dead": dead.iter().map(drain).collect::<Vec<_>>(),
            }))
            .map(|()| Exit::Done);
    }
    for owner in &alive {
        let runs: Vec<String> = owner.runs.iter().map(|run| shown_id(run.as_str())).collect();
        let line = format!(
            "asked the drain of {} (process {}) {what}",
            runs.join(", "),
            owner.process.pid
        );
        context.out.line(line)?;
    }
    if alive.is_empty() {
        let more =
            if dead.is_empty() { "" } else { "; a drain died, the next drain reclaims its work" };
        let place = args.host.map_or(String::new(), |host| format!(" on {}", quoted(&host)));
        context.out.line(format!("no drain is running{place}{more}"))?;
    }
    Ok(Exit::Done)
}

fn held_json(held: &HeldPhase) -> Value {
    let is_running = held.state == PhaseState::Executing;
    json!({"run_id": held.run_id, "phase_id": held.phase_id, "running": is_running})
}

/// Reports the effect on each held phase.
fn print_held(held: &[HeldPhase], context: &Context) -> Result<(), Failure> {
    for HeldPhase { run_id, phase_id, state } in held {
        let name = shown_phase(run_id, phase_id, true);
        context.out.line(match state {
            PhaseState::Executing => {
                format!("{name}: held; its running attempt ends and does not count")
            }
            _ => format!("{name}: held"),
        })?;
    }
    let names: Vec<String> = held
        .iter()
        .map(|held| quoted(&format!("{}/{}", held.run_id, held.phase_id)).into_owned())
        .collect();
    context.out.line(match names.as_slice() {
        [name] => format!("release it with `autopack resume {}`", shown_id(name)),
        _ => format!(
            "release {} with `autopack resume PHASE ...`",
            counted(names.len() as u64, "phase")
        ),
    })
}
