//! Errors of the import. Each error names the place and the expected content.

use std::io;

use crate::phase::plan::PlanRun;
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
    #[error("{name} {}", no_items(.format))]
    Empty {
        /// Name of the input.
        name: String,
        /// Name of the format.
        format: &'static str,
        /// Runs of an input that lists no phases, such as `phases: []`; none for an input without a list.
        runs: Vec<PlanRun>,
    },
    /// No format has this name.
    #[error("no format is called `{format}`; {suggestion}")]
    UnknownFormat {
        /// The name.
        format: String,
        /// Suggestion, or all names.
        suggestion: String,
    },
    /// No format recognizes the input.
    #[error("{name} has no known format; nearest: {}", .nearest.join("; "))]
    Unrecognized {
        /// Name of the input.
        name: String,
        /// The nearest formats, each with the reason for not being recognized.
        nearest: Vec<String>,
        /// Whether the input is a text in sentences.
        is_prose: bool,
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
    /// Dependencies form cycles.
    #[error(
        "{source_name}: the phases of run `{run}` wait for each other: {}; break the cycle in `depends_on`",
        first_few_cycles(.cycles)
    )]
    Cycle {
        /// Id of the run.
        run: RunId,
        /// Name of the input.
        source_name: String,
        /// Phases of each cycle, joined by arrows.
        cycles: Vec<String>,
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

    /// Returns whether dependencies form a cycle.
    pub fn has_cycle(&self) -> bool {
        matches!(self, Self::Cycle { .. }) || self.several().iter().any(Self::has_cycle)
    }

    pub(super) fn malformed(place: impl ToString, message: impl Into<String>) -> Self {
        Self::Malformed { place: place.to_string(), message: message.into() }
    }
}

fn lines(errors: &[ImportError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn no_items(format: &str) -> String {
    match format {
        "plan" => "holds no phases; expected an object with `phases`, a list of phases, or one phase per line".to_owned(),
        other => format!("has no items of the format {other}"),
    }
}

/// Cycles named in an error.
const CYCLES: usize = 10;

fn first_few_cycles(cycles: &[String]) -> String {
    match cycles.len().checked_sub(CYCLES).filter(|more| *more > 0) {
        None => cycles.join("; "),
        Some(more) => format!("{}; and {more} more cycles", cycles[..CYCLES].join("; ")),
    }
}

fn list(runs: &[RunId]) -> String {
    let names: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
