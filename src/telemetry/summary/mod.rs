//! What attempts came to, in figures: how many phases landed, what they used, how good the estimates were, where time
//! went. Pure: it is fed phase by phase, in any number, and keeps counts alone.
//!
//! The serialised shape is what `telemetry summary --json` prints; `docs/telemetry.md` names its fields.

mod accuracy;
mod groups;
mod rate;
mod spread;
mod summariser;
#[cfg(test)]
mod tests;
mod time;
mod used;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::phase::{AttemptOutcome, RunId};

pub use accuracy::{Accuracy, LeftOut};
pub use groups::Group;
pub use rate::Rate;
pub use spread::{Figure, Spread};
pub use summariser::Summariser;
pub use time::Time;
pub use used::{TokenSums, Used};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub runs: Vec<RunId>,
    pub phases: Phases,
    pub attempts: Attempts,
    #[serde(flatten)]
    pub used: Used,
    /// Of each phase that was tried and of which something is known, over all its attempts.
    pub per_phase: PerPhase,
    /// All that was used, for each phase that landed.
    pub per_landed_phase: PerLanded,
    pub by_category: Vec<Group>,
    pub by_complexity: Vec<Group>,
    pub by_agent: Vec<Group>,
    pub by_model: Vec<Group>,
    pub estimate: Accuracy,
    /// The most frequent first.
    pub failures: Vec<FailureCount>,
    pub retries: Retries,
    pub time: Time,
}

/// Phases that were tried: at least one attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Phases {
    /// All phases of these runs, by their state now.
    pub counts: BTreeMap<&'static str, u64>,
    pub tried: u64,
    pub landed: u64,
    pub failed: u64,
    /// Tried, and not over.
    pub open: u64,
    pub success: Rate,
    pub first_try: Rate,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Attempts {
    pub ended: u64,
    pub running: u64,
    /// Of those that ended.
    pub by_outcome: BTreeMap<AttemptOutcome, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PerPhase {
    /// Those that were billed.
    pub tokens: Spread,
    pub cost_usd: Spread,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PerLanded {
    pub tokens: Option<f64>,
    pub cost_usd: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureCount {
    pub kind: String,
    pub attempts: u64,
    /// Phases that are FAILED with it now.
    pub phases: u64,
}

/// What attempts used that did not complete their phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Retries {
    pub attempts: u64,
    #[serde(flatten)]
    pub used: Used,
    pub wall_ms: u64,
    /// Of all billed tokens.
    pub share_of_tokens: Option<f64>,
}
