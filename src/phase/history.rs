//! History of a phase: its attempts in order, figures only.

use super::outcome::AttemptOutcome;
use super::{PhaseId, PhaseState, RunId, Tokens, UnixMs};

/// A phase and all its attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseHistory {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Current state.
    pub state: PhaseState,
    /// Kind of the last failure; for a phase refused without an attempt, the reason.
    pub failure_kind: Option<String>,
    /// Oldest first; a running attempt is the last.
    pub attempts: Vec<AttemptFacts>,
}

/// Figures of an attempt. `ended_at` and `outcome` are set after it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptFacts {
    /// Attempt number, from 1.
    pub attempt: u32,
    /// Start of the attempt.
    pub started_at: UnixMs,
    /// End of the attempt.
    pub ended_at: Option<UnixMs>,
    /// Outcome of the attempt.
    pub outcome: Option<AttemptOutcome>,
    /// Kind of the failure, if any.
    pub failure_kind: Option<String>,
    /// As claimed; the phase's category may have been edited since.
    pub category: String,
    /// Complexity as claimed.
    pub complexity: String,
    /// `None` if no agent was started.
    pub agent: Option<String>,
    /// Model reported by the agent.
    pub model: Option<String>,
    /// Estimated output tokens at the start.
    pub estimated_output: Option<u64>,
    /// Tokens used.
    pub tokens: Tokens,
    /// Cost in US dollars, if known.
    pub cost_usd: Option<f64>,
    /// The output was cut, so the usage is a lower bound.
    pub truncated: bool,
    /// Time the agent ran, in milliseconds.
    pub agent_ms: Option<u64>,
    /// Time CI ran, in milliseconds; `None` if CI did not run.
    pub ci_ms: Option<u64>,
}
