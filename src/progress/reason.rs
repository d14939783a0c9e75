//! Why a drain ended: the name for scripts and the words for people.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::duration;

/// Why a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No phase is left to run.
    Drained,
    /// A phase failed under `--stop-on-first-failure`.
    StoppedOnFailure,
    /// The next phase would fail in the same way.
    Systemic,
    /// A budget is exhausted.
    Budget,
    /// Autopack could not continue.
    Failed,
    /// `--max-batches` was reached.
    MaxBatches,
    /// The one phase ended that runs without a sandbox and without a budget.
    Trial,
    /// The operator stopped the drain.
    Interrupted,
    /// The operator asked to finish the running phases only.
    AfterCurrent,
    /// The time limit was reached.
    TimeLimit,
}

impl Reason {
    const ALL: [Self; 10] = [
        Self::Drained,
        Self::StoppedOnFailure,
        Self::Systemic,
        Self::Budget,
        Self::Failed,
        Self::MaxBatches,
        Self::Trial,
        Self::Interrupted,
        Self::AfterCurrent,
        Self::TimeLimit,
    ];

    /// Returns the reason with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Describes the end of a drain and its duration: `drained after 12 s`.
    pub fn describe(self, took: Duration) -> String {
        let took = duration(took);
        let what = match self {
            Self::Drained => return format!("drained after {took}"),
            Self::StoppedOnFailure => "stopped at the first failure",
            Self::Systemic => "stopped: the next phase would fail in the same way",
            Self::Budget => "stopped by a budget",
            Self::Failed => "stopped: autopack could not continue",
            Self::MaxBatches => "stopped after the requested batches",
            Self::Trial => "stopped after one phase: there is neither a sandbox nor a budget",
            Self::Interrupted => "interrupted; running phases are queued again",
            Self::AfterCurrent => "stopped after the running phases, as requested",
            Self::TimeLimit => "stopped at the time limit",
        };
        format!("{what} ({took})")
    }

    /// Returns the name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::StoppedOnFailure => "stopped_on_failure",
            Self::Systemic => "systemic",
            Self::Budget => "budget",
            Self::Failed => "failed",
            Self::MaxBatches => "max_batches",
            Self::Trial => "trial",
            Self::Interrupted => "interrupted",
            Self::AfterCurrent => "after_current",
            Self::TimeLimit => "time_limit",
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_completed_drain_is_reported_with_after_and_its_time() {
        let line = |reason: Reason| reason.describe(Duration::from_millis(900));
        assert_eq!(line(Reason::Drained), "drained after 0.9 s");
        assert_eq!(line(Reason::Budget), "stopped by a budget (0.9 s)");
        assert_eq!(line(Reason::MaxBatches), "stopped after the requested batches (0.9 s)");
        assert_eq!(
            line(Reason::Interrupted),
            "interrupted; running phases are queued again (0.9 s)"
        );
    }

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in Reason::ALL {
            assert_eq!(Reason::of_name(reason.as_str()), Some(reason));
        }
    }
}
