//! Why an input was refused. Each error names the place and what was expected there.

use std::io;

use crate::phase::{PhaseId, RunId};

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {name}: {source}")]
    Unreadable {
        name: String,
        #[source]
        source: io::Error,
    },
    /// Not the text, or not the shape, that was expected at this place.
    #[error("{place}: {message}")]
    Malformed { place: String, message: String },
    #[error(
        "{name} holds no phases; expected an object with `phases`, a list of phases, or one phase a line"
    )]
    Empty { name: String },
    #[error(
        "phase `{phase}` stands twice in run `{run}`: {first} and {second}; give one of them another `phase_id`"
    )]
    Duplicate { run: RunId, phase: PhaseId, first: String, second: String },
    #[error(
        "{place}: phase `{phase}` depends on `{dependency}`, which run `{run}` does not have{hint}"
    )]
    UnknownDependency {
        place: String,
        run: RunId,
        phase: PhaseId,
        dependency: String,
        hint: String,
    },
    #[error(
        "the phases of run `{run}` wait for each other: {cycle}; break the circle in `depends_on`"
    )]
    Cycle { run: RunId, cycle: String },
    #[error("{name} has no run `{run}`; it holds: {}", list(.runs))]
    UnknownRun { name: String, run: RunId, runs: Vec<RunId> },
    #[error("cannot import the database {name}: {why}")]
    Database { name: String, why: String },
    /// All that is wrong with a plan, in its order; at least two.
    #[error("{}\n{} errors: nothing is imported", lines(.0), .0.len())]
    Several(Vec<ImportError>),
}

impl ImportError {
    /// All of them as one; `Ok` where there is none.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
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
