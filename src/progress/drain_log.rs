//! Events of a drain as log lines on stderr.

use serde::{Serialize, Serializer};

use super::{DrainFinished, Event, PhaseFinished, Reason};
use crate::phase::budget::Level;

/// Log target of notes to the operator; shown at every level except `-q`.
pub const NOTES: &str = "autopack.note";
/// Log target of the reason for an early end. With `--log-format text`, the reason is on stdout already.
pub const ENDS: &str = "autopack.end";

pub(super) fn log(event: &Event) {
    match event {
        Event::DrainStarted(start) => {
            let runs: Vec<&str> = start.runs.iter().map(|run| run.as_str()).collect();
            let (agent, database) = (&start.agent, &start.database);
            let memory = start.memory_backend;
            tracing::info!(
                runs = runs.join(", "),
                queued = start.queued,
                agent,
                database,
                memory,
                "drain started"
            );
        }
        Event::BatchStarted { batch, .. } => tracing::debug!(batch, "batch started"),
        Event::PhaseStarted(phase) => {
            let (r#try, agent) = (phase.try_number, &phase.agent);
            tracing::info!(r#try, max_attempts = phase.max_attempts, agent, "phase started");
        }
        Event::PhaseFinished(phase) => phase_finished(phase),
        Event::BatchFinished(batch) => {
            let (number, done, failed, left) = (batch.batch, batch.done, batch.failed, batch.left);
            tracing::info!(
                batch = number,
                done,
                failed,
                left,
                tokens = batch.tokens,
                "batch finished"
            );
        }
        Event::DrainFinished(end) => drain_finished(end),
    }
}

fn phase_finished(phase: &PhaseFinished) {
    let (run, id, attempt) = (phase.run_id.as_str(), phase.phase_id.as_str(), phase.attempt);
    let (state, verdict, duration_ms) = (phase.state.as_str(), phase.verdict, phase.duration_ms);
    let kind = phase.failure.as_ref().map(|failure| failure.kind.as_str());
    let failure = phase.failure.as_ref().map(|failure| failure.message.as_str());
    let commit = phase.commit.as_deref();
    tracing::info!(
        run,
        phase = id,
        attempt,
        state,
        verdict,
        duration_ms,
        commit,
        kind,
        failure,
        "phase finished"
    );
}

fn drain_finished(end: &DrainFinished) {
    let (reason, exit_code, duration_ms) = (end.reason.as_str(), end.exit_code, end.duration_ms);
    if let Some(message) = &end.message {
        // Always present, so that scripts find the field in each line.
        let hint = end.hint().unwrap_or_default();
        tracing::error!(target: ENDS, kind = reason, hint, exit_code, "{message}");
    }
    tracing::info!(reason, exit_code, duration_ms, "drain finished");
}

impl Reason {
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

impl DrainFinished {
    /// Returns the action to take after an early end.
    pub fn hint(&self) -> Option<&'static str> {
        match self.reason {
            // The budget of a run is permanent; a drain's budget is not.
            Reason::Budget if self.budget == Some(Level::Drain) => Some(
                "start another drain with a fresh budget, or raise executor.budgets.drain in autopack.yaml first",
            ),
            Reason::Budget => Some(
                "raise the budget under executor.budgets in autopack.yaml, then start the drain again",
            ),
            Reason::Trial => Some(
                "set a budget (executor.budgets in autopack.yaml), or run the others with --yes",
            ),
            Reason::Systemic => Some("fix the cause, then start the drain again"),
            Reason::Failed if self.names_cure => None,
            Reason::Failed => Some("run `autopack health` to find the cause"),
            _ => None,
        }
    }
}
