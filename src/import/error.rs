//! Errors of the import. Each error names the place and the expected content.

use std::io;

use crate::phase::{PhaseId, RunId};

/// Reason for refusing an input.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read {name}: {source}")]
    Unreadable {
        /// Name of the input.
        name: String,
        /// Underlying error.
        #[source]
        source: io::Error,
    },
    /// The text does not have the expected form at this place.
    #[error("{place}: {message}")]
    Malformed {
        /// Position in the input.
        place: String,
        /// Description of the error.
        message: String,
    },
    /// The input has no phases.
    #[error(
        "{name} holds no phases; expected an object with `phases`, a list of phases, or one phase per line"
    )]
    Empty {
        /// Name of the input.
        name: String,
    },
    /// Two phases of a run have the same id.
    #[error(
        "phase `{phase}` appears twice in run `{run}`: {first} and {second}; give one of them another `phase_id`"
    )]
    Duplicate {
        /// Id of the run.
        run: RunId,
        /// Id of the phase.
        phase: PhaseId,
        /// Position of the first phase.
        first: String,
        /// Position of the second phase.
        second: String,
    },
    /// A dependency is no phase of the run.
    #[error(
        "{place}: phase `{phase}` depends on `{dependency}`, which run `{run}` does not have{hint}"
    )]
    UnknownDependency {
        /// Position in the input.
        place: String,
        /// Id of the run.
        run: RunId,
        /// Id of the phase.
        phase: PhaseId,
        /// The unknown name.
        dependency: String,
        /// Suggestion, starting with `; `, or empty.
        hint: String,
    },
    /// Dependencies form a cycle.
    #[error(
        "the phases of run `{run}` wait for each other: {cycle}; break the cycle in `depends_on`"
    )]
    Cycle {
        /// Id of the run.
        run: RunId,
        /// Phases of the cycle, joined by arrows.
        cycle: String,
    },
    /// The input has no run with the requested id.
    #[error("{name} has no run `{run}`; existing runs: {}", list(.runs))]
    UnknownRun {
        /// Name of the input.
        name: String,
        /// Id of the run.
        run: RunId,
        /// Existing runs.
        runs: Vec<RunId>,
    },
    /// The Python Autopack's database cannot be imported.
    #[error("cannot import the database {name}: {why}")]
    Database {
        /// Name of the input.
        name: String,
        /// Reason.
        why: String,
    },
    /// All errors of a plan in order; at least two.
    #[error("{}\n{} errors: nothing was imported", lines(.0), .0.len())]
    Several(Vec<ImportError>),
}

impl ImportError {
    /// Combines errors; `Ok` if there are none.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// Returns the single errors if there are several.
    pub fn several(&self) -> &[Self] {
        match self {
            Self::Several(errors) => errors,
            _ => &[],
        }
    }

    pub(super) fn malformed(place: impl ToString, message: impl Into<String>) -> Self {
        Self::Malformed { place: place.to_string(), message: message.into() }
    }
}

fn lines(errors: &[ImportError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn list(runs: &[RunId]) -> String {
    let names: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
