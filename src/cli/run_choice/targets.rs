//! Runs or phases as named by commands that act on either: `RUN`, `PHASE` and `RUN/PHASE`. A run's id wins.

use super::{RunUse, choose_phase, find_id, find_run};
use crate::cli::Context;
use crate::failure::{Exit, Failure};
use crate::phase::{PhaseId, RunId};
use crate::store::Store;

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
                None => {
                    let phase = choose_phase(store, context, run_name, name, RunUse::Act).await?;
                    push(&mut targets.phases, phase);
                }
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

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
