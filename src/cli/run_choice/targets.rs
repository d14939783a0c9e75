//! Runs or phases as named by commands that act on either: `RUN`, `PHASE` and `RUN/PHASE`. A run's id wins.

use super::{RunUse, choose_phase, find_id, find_run};
use crate::cli::Context;
use crate::config::suggestion::nearest;
use crate::failure::{Exit, Failure};
use crate::phase::words::first_few;
use crate::phase::{PhaseId, RunId};
use crate::progress::shown_id;
use crate::store::Store;

/// Runs named in an error.
const NAMED: usize = 8;

/// Runs or phases of a command, with `--run-id RUN` as the run of phases.
#[derive(Debug, clap::Args)]
pub struct TargetsArg {
    /// Runs, or phases as in `phases list` or RUN/PHASE
    #[arg(value_name = "RUN | PHASE")]
    names: Vec<String>,

    /// A run, or the run of the phases
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
}

/// The runs and phases named on a command line; both empty if none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Runs, each once.
    pub runs: Vec<RunId>,
    /// Phases with their run, each once.
    pub phases: Vec<(RunId, PhaseId)>,
}

impl TargetsArg {
    /// Returns the named runs and phases.
    ///
    /// # Errors
    /// A name is neither, phases are named together with runs, or the database cannot be read.
    pub async fn choose(&self, store: &Store, context: &Context) -> Result<Targets, Failure> {
        let run_name = self.run_id.as_deref();
        let mut targets = Targets::default();
        let runs = store.run_ids_by_use().await?;
        for name in &self.names {
            let same = run_name.is_none_or(|run| run == name);
            match find_id(&runs, RunId::as_str, name).filter(|_| same) {
                Some(run) => push(&mut targets.runs, run.clone()),
                None => match choose_phase(store, context, run_name, name, RunUse::Act).await {
                    Ok(phase) => push(&mut targets.phases, phase),
                    Err(failure) => {
                        let of = PhaseId::new(name);
                        let is_phase = run_name.is_some()
                            || name.contains('/')
                            || !store.runs_with_phase(&of).await?.is_empty();
                        return Err(if is_phase { failure } else { neither(name, &runs) });
                    }
                },
            }
        }
        if let (Some(run), true) = (run_name, self.names.is_empty()) {
            targets.runs.push(find_run(store, run).await?);
        }
        if !targets.runs.is_empty() && !targets.phases.is_empty() {
            return Err(Failure::new("the command names runs and phases")
                .hint("name either runs or phases")
                .exit(Exit::Usage));
        }
        Ok(targets)
    }
}

fn neither(name: &str, runs: &[RunId]) -> Failure {
    let ids: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    let shown: Vec<String> = ids.iter().map(|id| shown_id(id)).collect();
    let known = match shown.is_empty() {
        true => "there are no runs".to_owned(),
        false => format!("runs: {}", first_few(&shown, NAMED)),
    };
    let hint = match nearest(name, &ids) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "`autopack phases list RUN` lists the phases of a run".to_owned(),
    };
    Failure::new(format!("{name:?} is neither a run nor a phase; {known}")).hint(hint)
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
