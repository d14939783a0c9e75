//! A plan as read, before dependencies are checked against each other and the store.

use crate::phase::RunId;
use crate::phase::plan::{ImportedSample, Plan, PlanPhase, PlanRun};

use super::depends::{self, Existing};
use super::error::ImportError;
use super::source_place::Place;

/// A plan with unchecked dependencies.
#[derive(Debug, Default)]
pub struct Draft {
    pub(super) runs: Vec<DraftRun>,
    /// Warnings for the author.
    pub warnings: Vec<String>,
    /// Errors of single phases, reported together with errors of dependencies.
    pub(super) errors: Vec<ImportError>,
}

#[derive(Debug)]
pub(super) struct DraftRun {
    pub(super) run_id: RunId,
    pub(super) source: String,
    pub(super) phases: Vec<DraftPhase>,
    pub(super) samples: Vec<ImportedSample>,
}

#[derive(Debug)]
pub(super) struct DraftPhase {
    pub(super) place: Place,
    /// The phase, with `depends_on` still empty.
    pub(super) phase: PlanPhase,
}

impl Draft {
    /// Returns the ids of the runs in the plan.
    pub fn run_ids(&self) -> impl Iterator<Item = &RunId> {
        self.runs.iter().map(|run| &run.run_id)
    }

    /// Checks that every dependency names a phase of its run, here or in `existing`, and that dependencies form no
    /// cycle.
    ///
    /// # Errors
    /// All errors of the plan.
    pub fn resolve(self, existing: &Existing) -> Result<Plan, ImportError> {
        let Self { runs, mut errors, .. } = self;
        let resolve = |run: DraftRun| {
            let (dependencies, wrong) = depends::resolve(&run, existing);
            errors.extend(wrong);
            let phases = run.phases.into_iter().zip(dependencies);
            PlanRun {
                run_id: run.run_id,
                source: run.source,
                phases: phases
                    .map(|(draft, wanted)| {
                        let notes: Vec<String> =
                            draft.phase.note.into_iter().chain(wanted.notes).collect();
                        let note = (!notes.is_empty()).then(|| notes.join("; "));
                        PlanPhase { depends_on: wanted.ids, note, ..draft.phase }
                    })
                    .collect(),
                samples: run.samples,
            }
        };
        let runs: Vec<PlanRun> = runs.into_iter().map(resolve).collect();
        ImportError::all(errors)?;
        Ok(Plan { runs })
    }
}
