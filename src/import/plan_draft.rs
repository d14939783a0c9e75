//! A plan as read, before dependencies are checked against each other and the store.

use std::collections::HashMap;
use std::path::Path;

use crate::phase::plan::{ImportedSample, Plan, PlanPhase, PlanRun};
use crate::phase::{PhaseId, RunId};

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

/// Sorts phases into runs in order of appearance, and refuses duplicate ids.
pub(super) struct Drafting {
    source: String,
    draft: Draft,
    runs: HashMap<RunId, usize>,
    seen: HashMap<(usize, PhaseId), Place>,
}

impl Drafting {
    pub(super) fn new(source: &str) -> Self {
        let source = source.to_owned();
        Self { source, draft: Draft::default(), runs: HashMap::new(), seen: HashMap::new() }
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.draft.warnings.push(warning);
    }

    pub(super) fn fail(&mut self, error: ImportError) {
        match error {
            ImportError::Several(errors) => self.draft.errors.extend(errors),
            error => self.draft.errors.push(error),
        }
    }

    /// Returns the file name without directories.
    pub(super) fn source(&self) -> String {
        let name = Path::new(&self.source).file_name();
        name.map_or_else(|| self.source.clone(), |name| name.to_string_lossy().into_owned())
    }

    pub(super) fn add(&mut self, run_id: &RunId, place: Place, phase: PlanPhase) {
        let run = self.run(run_id);
        let key = (run, phase.phase_id.clone());
        if let Some(first) = self.seen.get(&key) {
            return self.draft.errors.push(ImportError::Duplicate {
                run: run_id.clone(),
                phase: phase.phase_id,
                first: first.to_string(),
                second: place.to_string(),
            });
        }
        self.seen.insert(key, place.clone());
        self.draft.runs[run].phases.push(DraftPhase { place, phase });
    }

    pub(super) fn add_sample(&mut self, run_id: &RunId, sample: ImportedSample) {
        let run = self.run(run_id);
        self.draft.runs[run].samples.push(sample);
    }

    /// Returns the draft; an input without phases is an error, because an empty import is never intended.
    pub(super) fn finish(self) -> Result<Draft, ImportError> {
        if self.draft.runs.is_empty() && self.draft.errors.is_empty() {
            return Err(ImportError::Empty { name: self.source });
        }
        Ok(self.draft)
    }

    fn run(&mut self, run_id: &RunId) -> usize {
        if let Some(index) = self.runs.get(run_id) {
            return *index;
        }
        self.runs.insert(run_id.clone(), self.draft.runs.len());
        self.draft.runs.push(DraftRun {
            run_id: run_id.clone(),
            source: self.source.clone(),
            phases: Vec::new(),
            samples: Vec::new(),
        });
        self.draft.runs.len() - 1
    }
}
