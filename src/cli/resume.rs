//! `resume`: ends the pause of runs, and releases phases held by `stop PHASE`.

use serde_json::{Value, json};

use super::pause::time_since;
use super::run_choice::{RunUse, Targets, TargetsArg, choose_run};
use super::{Context, open_database};
use crate::drain::appears_dead;
use crate::failure::{Exit, Failure};
use crate::phase::words::quoted;
use crate::phase::{PhaseId, RunId};
use crate::progress::shown_id;
use crate::store::Store;

/// Continue a paused run, or release phases held by `stop PHASE`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    targets: TargetsArg,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = open_database::open_existing(context).await?;
    let Targets { mut runs, phases } = args.targets.choose(&store, context).await?;
    if runs.is_empty() && phases.is_empty() {
        runs.push(choose_run(&store, context, None, RunUse::Act).await?);
    }
    if args.json {
        let mut resumed = Vec::new();
        for run in &runs {
            let since = store.operator().resume_run(run).await?.map(open_database::time);
            resumed.push(json!({"run_id": run, "was_paused_since": since}));
        }
        let released = match phases.is_empty() {
            true => Vec::new(),
            false => store.operator().release(&phases).await?,
        };
        let phase = |phase: &(RunId, PhaseId)| json!({"run_id": phase.0, "phase_id": phase.1, "released": released.contains(phase)});
        let phases: Vec<Value> = phases.iter().map(phase).collect();
        store.close().await;
        return context.out.json(&json!({"runs": resumed, "phases": phases})).map(|()| Exit::Done);
    }
    let changed = match phases.as_slice() {
        [] => resume_runs(&runs, &store, context).await?,
        phases => release_phases(phases, &store, context).await?,
    };
    if let Some(run) = changed {
        suggest_drain(&run, &store, context).await?;
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Returns a run whose pause ended.
async fn resume_runs(
    runs: &[RunId],
    store: &Store,
    context: &Context,
) -> Result<Option<RunId>, Failure> {
    let mut resumed = None;
    for run in runs {
        let name = shown_id(run.as_str());
        context.out.line(match store.operator().resume_run(run).await? {
            Some(at) => {
                resumed = Some(run.clone());
                format!("run {name} continues after a pause of {}", time_since(at))
            }
            None => format!("run {name} is not paused"),
        })?;
    }
    Ok(resumed)
}

/// Returns the run of a released phase.
async fn release_phases(
    phases: &[(RunId, PhaseId)],
    store: &Store,
    context: &Context,
) -> Result<Option<RunId>, Failure> {
    let released = store.operator().release(phases).await?;
    for phase in phases {
        let (run, id) = (shown_id(phase.0.as_str()), shown_id(phase.1.as_str()));
        let what = if released.contains(phase) { "released" } else { "is not held" };
        context.out.line(format!("{run}/{id}: {what}"))?;
    }
    Ok(released.into_iter().next().map(|(run, _)| run))
}

/// Names the next command if no drain works on the run.
async fn suggest_drain(run: &RunId, store: &Store, context: &Context) -> Result<(), Failure> {
    let owners = store.owners().await?;
    if owners.iter().any(|row| row.owner.runs.contains(run) && !appears_dead(&row.owner)) {
        return Ok(());
    }
    let name = shown_id(run.as_str());
    context.out.line(format!("no drain is running; start: autopack drain {}", quoted(&name)))
}
