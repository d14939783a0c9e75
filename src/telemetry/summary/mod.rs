//! Summary of attempts: phases landed, usage, accuracy of estimates, and time. Pure: reads phase by phase, in any
//! number, and keeps only counts.
//!
//! `telemetry summary --json` prints the serialized form; `docs/telemetry.md` names the fields.

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

pub use accuracy::{Accuracy, ExcludedSamples};
pub use groups::Group;
pub use rate::Rate;
pub use spread::{Figure, Spread};
pub use summariser::Summariser;
pub use time::Time;
pub use used::{MeasuredUsage, TokenSums};

/// Figures of the selected runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Runs covered by the summary.
    pub runs: Vec<RunId>,
    /// Phases by state and result.
    pub phases: Phases,
    /// Attempts by outcome.
    pub attempts: Attempts,
    /// Tokens and cost of all attempts.
    #[serde(flatten)]
    pub used: MeasuredUsage,
    /// Usage per phase over all attempts, for phases with attempts and known usage.
    pub per_phase: PerPhase,
    /// All usage divided by the number of landed phases.
    pub per_landed_phase: PerLanded,
    /// Figures for each category.
    pub by_category: Vec<Group>,
    /// Figures for each complexity.
    pub by_complexity: Vec<Group>,
    /// Figures for each agent.
    pub by_agent: Vec<Group>,
    /// Figures for each model.
    pub by_model: Vec<Group>,
    /// Accuracy of the estimates.
    pub estimate: Accuracy,
    /// Failures, most frequent first.
    pub failures: Vec<FailureCount>,
    /// Attempts without a landing.
    pub retries: Retries,
    /// Wall time by activity.
    pub time: Time,
}

/// Phases with at least one ended attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Phases {
    /// All phases of these runs, by current state.
    pub counts: BTreeMap<&'static str, u64>,
    /// Phases with at least one ended attempt.
    pub tried: u64,
    /// Tried phases in state COMPLETE.
    pub landed: u64,
    /// Tried phases in state FAILED.
    pub failed: u64,
    /// Tried phases in any other state.
    pub open: u64,
    /// Share of phases landed.
    pub success: Rate,
    /// Share of phases landed by the first counted attempt.
    pub first_try: Rate,
}

/// Attempts by outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Attempts {
    /// Number of ended attempts.
    pub ended: u64,
    /// Number of running attempts.
    pub running: u64,
    /// Ended attempts by outcome.
    pub by_outcome: BTreeMap<AttemptOutcome, u64>,
}

/// Usage per phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PerPhase {
    /// Billed tokens.
    pub tokens: Spread,
    /// Cost in US dollars.
    pub cost_usd: Spread,
}

/// Usage per landed phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PerLanded {
    /// Billed tokens; `null` when unknown.
    pub tokens: Option<f64>,
    /// Cost in US dollars; `null` when unknown.
    pub cost_usd: Option<f64>,
}

/// Number of failures of a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureCount {
    /// Failure kind.
    pub kind: String,
    /// Attempts with this failure.
    pub attempts: u64,
    /// Phases FAILED with this kind now.
    pub phases: u64,
}

/// Usage of attempts without a landing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Retries {
    /// Number of attempts.
    pub attempts: u64,
    /// Tokens and cost.
    #[serde(flatten)]
    pub used: MeasuredUsage,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
    /// Share of all billed tokens.
    pub share_of_tokens: Option<f64>,
}
