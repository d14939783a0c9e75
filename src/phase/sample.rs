//! Usage of an attempt as stored by telemetry. Derived values are computed by the reader.

use super::{PhaseId, RunId, UnixMs};

/// A telemetry sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Attempt number; `None` for samples of another system.
    pub attempt: Option<u32>,
    /// End of the attempt.
    pub timestamp: UnixMs,
    /// Category of the phase.
    pub category: String,
    /// Complexity of the phase.
    pub complexity: String,
    /// Deliverables of the phase.
    pub deliverables: Vec<String>,
    /// Length of the phase's description in characters; `None` if not recorded.
    pub description_chars: Option<u64>,
    /// Size of each deliverable before the attempt in bytes, in order, with `None` for new files. `None` as a
    /// whole if not recorded.
    pub existing_bytes: Option<Vec<Option<u64>>>,
    /// Predicted output tokens.
    pub predicted_output_tokens: Option<u64>,
    /// Output tokens used.
    pub actual_output_tokens: Option<u64>,
    /// Input tokens without cache.
    pub input_tokens: Option<u64>,
    /// Tokens read from a cache.
    pub cache_read_tokens: Option<u64>,
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Name of the agent.
    pub agent: Option<String>,
    /// Model reported by the agent.
    pub model: Option<String>,
    /// Whether the attempt passed.
    pub success: bool,
    /// Whether the agent's output was cut short.
    pub truncated: bool,
    /// Stop reason reported by the agent.
    pub stop_reason: Option<String>,
    /// Kind of failure, if the attempt failed.
    pub failure_kind: Option<String>,
    /// Time the agent ran, in milliseconds.
    pub agent_ms: Option<u64>,
    /// Time CI ran, in milliseconds.
    pub ci_ms: Option<u64>,
    /// Sequence number, for samples with the same timestamp.
    pub number: i64,
}
