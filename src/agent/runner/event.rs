//! What an agent does and how it ends, in the same few words for every kind of agent.

use std::time::Duration;

use crate::phase::{UnixMs, Usage};

/// Of an agent at work. Texts are redacted.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    Started,
    /// A line of its output, or of what it says.
    Line(String),
    /// It uses a tool: "editing src/foo.rs", "running cargo test".
    Tool(String),
    /// What this attempt has used so far.
    Usage(Usage),
    /// The provider holds it up; the agent may go on by itself.
    Limit(String),
    Error(String),
    Finished,
}

/// What the agent's own channel said at its end, as far as the drain acts on it. Never proof of success: the diff and
/// CI judge what is `Finished`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Outcome {
    #[default]
    Finished,
    /// The provider said to come back later. No try is charged.
    RateLimited { until: Option<Until>, message: String },
    /// The provider cannot be reached, or fails: try again later. No try is charged.
    Unavailable { until: Option<Until>, message: String },
    /// The next phase would meet it too: credentials, an unknown model, no credit. Says what to do.
    Systemic { message: String },
    /// The agent or its provider failed in this attempt.
    Failed { message: String },
    /// The same tool call with the same result, over and over.
    Looped { what: String },
    /// What the attempt may use is used up.
    OverBudget { what: String },
}

/// When a rate limit ends, as the provider said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    At(UnixMs),
    After(Duration),
}

/// What one attempt may use; `None` is no limit. Tokens are input + output + cache write.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttemptBudget {
    pub tokens: Option<u64>,
    pub cost_usd: Option<f64>,
    /// Over the agent's own `timeout_seconds` where it is shorter.
    pub wall_time: Option<Duration>,
}
