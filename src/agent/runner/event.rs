//! Events and outcome of an agent, in a common form for every kind of agent.

use std::time::Duration;

use crate::phase::{UnixMs, Usage};

/// Event of a working agent. Texts are redacted.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// The program runs.
    Started,
    /// A line of output or of the agent's messages.
    Line(String),
    /// A tool use: "editing src/foo.rs", "running cargo test".
    Tool(String),
    /// Usage of this attempt so far.
    Usage(Usage),
    /// The provider delays the agent; the agent may continue by itself.
    Limit(String),
    /// An error of the agent or the provider.
    Error(String),
    /// The agent reported success.
    Finished,
}

/// Outcome reported by the agent, as far as the drain acts on it. Never proof of success: the diff and CI
/// decide on `Finished`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Outcome {
    /// The agent ended without a reported failure; the diff and CI decide.
    #[default]
    Finished,
    /// The provider asked to retry later. The attempt is not counted.
    RateLimited {
        /// End of the limit, if the provider names one.
        until: Option<RateLimitReset>,
        /// The provider's or the agent's message, redacted.
        message: String,
    },
    /// The provider is unreachable or failing: retry later. The attempt is not counted.
    Unavailable {
        /// Time to retry at, if the provider names one.
        until: Option<RateLimitReset>,
        /// The provider's or the agent's message, redacted.
        message: String,
    },
    /// The next phase would fail too: credentials, unknown model, no credit. The message names a fix.
    Systemic {
        /// The provider's or the agent's message, redacted.
        message: String,
    },
    /// The agent or the provider failed in this attempt.
    Failed {
        /// The provider's or the agent's message, redacted.
        message: String,
    },
    /// The same tool call with the same result, repeatedly.
    Looped {
        /// The repeated tool call and the number of repetitions.
        what: String,
    },
    /// The attempt's budget is used up.
    OverBudget {
        /// The budget and the amount used.
        what: String,
    },
}

/// End of a rate limit, as reported by the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitReset {
    /// At a point in time.
    At(UnixMs),
    /// After this long.
    After(Duration),
}

/// Limits of an attempt; `None` means unlimited. Tokens are input + output + cache write.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttemptBudget {
    /// Limit of tokens.
    pub tokens: Option<u64>,
    /// Limit of cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Overrides the agent's own `timeout_seconds` if shorter.
    pub wall_time: Option<Duration>,
}

impl AttemptBudget {
    /// Returns the rest of the budget after a call with this usage and run time in milliseconds.
    #[must_use]
    pub fn after(&self, usage: &Usage, agent_ms: Option<u64>) -> Self {
        let used = Duration::from_millis(agent_ms.unwrap_or_default());
        let tokens = usage.tokens.billed().unwrap_or_default();
        let cost_usd = usage.cost_usd.unwrap_or_default();
        Self {
            tokens: self.tokens.map(|limit| limit.saturating_sub(tokens)),
            cost_usd: self.cost_usd.map(|limit| (limit - cost_usd).max(0.0)),
            wall_time: self.wall_time.map(|limit| limit.saturating_sub(used)),
        }
    }
}
