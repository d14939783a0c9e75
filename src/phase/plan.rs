//! A backlog ready to be stored, from any source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{PhaseId, RunId, UnixMs};
use super::spec::RawSpec;
use super::state::PhaseState;
use super::usage::Usage;
use super::verdict::Failure;

/// A backlog of one or more runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Runs in order.
    pub runs: Vec<PlanRun>,
}

/// A run of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRun {
    /// Id of the run.
    pub run_id: RunId,
    /// Source, for people: a file name, `stdin` or a database.
    pub source: String,
    /// Source, as compared between imports: a path relative to the workspace if inside, else as `source`. Empty for
    /// standard input, which differs from import to import.
    pub origin: String,
    /// Part of the source that the run has.
    pub part: SourcePart,
    /// Phases in order of execution.
    pub phases: Vec<PlanPhase>,
    /// Telemetry samples of another system.
    pub samples: Vec<ImportedSample>,
    /// Items of the source by status.
    pub counts: SourceCounts,
    /// Items that the source has put away, and that are no phases of the plan.
    pub left_out: Vec<LeftOutItem>,
}

impl PlanRun {
    /// A run of which the source has nothing.
    pub fn empty(
        run_id: RunId,
        source: impl Into<String>,
        origin: impl Into<String>,
        part: SourcePart,
    ) -> Self {
        Self {
            run_id,
            source: source.into(),
            origin: origin.into(),
            part,
            phases: Vec::new(),
            samples: Vec::new(),
            counts: SourceCounts::default(),
            left_out: Vec::new(),
        }
    }

    /// Returns whether there is anything to add to the store.
    pub fn has_items(&self) -> bool {
        !self.phases.is_empty() || !self.samples.is_empty()
    }
}

/// A part of a source, such as a tag or a directory, and the run that was asked for: together they name a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePart {
    /// The run given by `--run-id`.
    pub given_run: Option<RunId>,
    /// Name of the part; empty for the whole source.
    pub name: String,
}

/// A part of a source as stored: later imports of the part go into the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// Origin of the source, see [`PlanRun::origin`].
    pub origin: String,
    /// The part.
    pub part: SourcePart,
    /// Its run.
    pub run_id: RunId,
}

/// An item that its source deleted or archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutItem {
    /// Id of the phase, if the item was imported before.
    pub phase_id: PhaseId,
    /// State of the phase after an update: COMPLETE or SKIPPED.
    pub state: PhaseState,
    /// Reason, for people.
    pub note: String,
}

/// Items of a source by status, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Format of the source; empty without one.
    pub format: &'static str,
    /// Items to do.
    pub queued: u64,
    /// Items done in the source.
    pub done: u64,
    /// Items given up in the source, by the source's word, including items left out of the plan.
    pub dropped: BTreeMap<String, u64>,
}

/// A phase of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanPhase {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Name of the phase.
    pub name: String,
    /// Spec as written, with the run's defaults merged in.
    pub spec: RawSpec,
    /// Ids of phases of the same run; verified to exist and to be free of cycles.
    pub depends_on: Vec<PhaseId>,
    /// Maximum number of counted attempts, if given.
    pub max_attempts: Option<u32>,
    /// State of the phase.
    pub state: PhaseState,
    /// Attempts counted by the other system.
    pub attempts: u32,
    /// Last failure of the phase, if any.
    pub last_failure: Option<Failure>,
    /// Decision made by the import, such as a mapped state.
    pub note: Option<String>,
}

/// A telemetry sample of another system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportedSample {
    /// Unique id within its source, so that a repeated import adds nothing.
    pub origin: String,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Time of the sample.
    pub timestamp: UnixMs,
    /// Category of the phase.
    pub category: String,
    /// Complexity of the phase.
    pub complexity: String,
    /// Deliverables of the phase.
    pub deliverables: Vec<String>,
    /// Predicted output tokens.
    pub predicted_output_tokens: Option<u64>,
    /// Whether the attempt passed.
    pub success: bool,
    /// Usage of the attempt.
    pub usage: Usage,
}
