//! A backlog on its way into the store, whatever it was read from.

use serde::{Deserialize, Serialize};

use super::ids::{PhaseId, RunId, UnixMs};
use super::spec::RawSpec;
use super::state::PhaseState;
use super::usage::Usage;
use super::verdict::Failure;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub runs: Vec<PlanRun>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlanRun {
    pub run_id: RunId,
    /// Where it came from, for people: a file name, `stdin`, a database.
    pub source: String,
    /// In the order of execution.
    pub phases: Vec<PlanPhase>,
    pub samples: Vec<ImportedSample>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlanPhase {
    pub phase_id: PhaseId,
    pub name: String,
    /// As written, the run's defaults merged in.
    pub spec: RawSpec,
    /// Ids of phases of the same run; checked: each exists, no cycle.
    pub depends_on: Vec<PhaseId>,
    pub max_attempts: Option<u32>,
    pub state: PhaseState,
    /// Tries that the other system had charged.
    pub attempts: u32,
    pub last_failure: Option<Failure>,
    /// What the import had to decide, such as a state that was mapped.
    pub note: Option<String>,
}

/// A telemetry sample of another system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportedSample {
    /// Unique within its source, so that importing twice adds nothing.
    pub origin: String,
    pub phase_id: PhaseId,
    pub timestamp: UnixMs,
    pub category: String,
    pub complexity: String,
    pub deliverables: Vec<String>,
    pub predicted_output_tokens: Option<u64>,
    pub success: bool,
    pub usage: Usage,
}
