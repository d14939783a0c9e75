//! What one attempt used, as telemetry keeps it. What can be derived from it is derived by whoever shows it.

use super::{PhaseId, RunId, UnixMs};

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    /// `None`: another system's.
    pub attempt: Option<u32>,
    pub timestamp: UnixMs,
    pub category: String,
    pub complexity: String,
    pub deliverables: Vec<String>,
    /// Of the phase's description; `None`: not recorded.
    pub description_chars: Option<u64>,
    /// For each deliverable in its turn, the size of what stood there before the attempt; `None` where nothing did.
    /// `None` as a whole: not recorded.
    pub existing_bytes: Option<Vec<Option<u64>>>,
    pub predicted_output_tokens: Option<u64>,
    pub actual_output_tokens: Option<u64>,
    pub input_tokens: Option<u64>,
    pub cache_read_tokens: Option<u64>,
    pub cost_usd: Option<f64>,
    pub agent: Option<String>,
    pub model: Option<String>,
    pub success: bool,
    pub truncated: bool,
    pub stop_reason: Option<String>,
    pub failure_kind: Option<String>,
    pub agent_ms: Option<u64>,
    pub ci_ms: Option<u64>,
    /// Which of several of one moment came first.
    pub number: i64,
}
