//! What was done for one phase so far, as far as figures go: its attempts in their order, without their words.

use super::outcome::AttemptOutcome;
use super::{PhaseId, PhaseState, RunId, Tokens, UnixMs};

/// A phase and all its attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseHistory {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub state: PhaseState,
    /// What its last failure is called; of a phase that was refused untried, why.
    pub failure_kind: Option<String>,
    /// Oldest first; one that runs now is the last.
    pub attempts: Vec<AttemptFacts>,
}

/// One execution. `ended_at` and `outcome` are there once it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptFacts {
    pub attempt: u32,
    pub started_at: UnixMs,
    pub ended_at: Option<UnixMs>,
    pub outcome: Option<AttemptOutcome>,
    pub failure_kind: Option<String>,
    /// As claimed: the phase's may have been edited since.
    pub category: String,
    pub complexity: String,
    /// `None`: it never reached one.
    pub agent: Option<String>,
    pub model: Option<String>,
    pub estimated_output: Option<u64>,
    pub tokens: Tokens,
    pub cost_usd: Option<f64>,
    /// Its output was cut short: what it used is a lower bound.
    pub truncated: bool,
    pub agent_ms: Option<u64>,
    /// `None`: CI did not run.
    pub ci_ms: Option<u64>,
}
