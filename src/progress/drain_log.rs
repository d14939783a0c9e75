//! Events of a drain as log lines on stderr.

use super::{DrainFinished, Event, PhaseFinished, Reason, shown_id};
use crate::phase::RunId;
use crate::phase::words::quoted;

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

impl DrainFinished {
    /// Returns the action to take after an early end.
    pub fn hint(&self) -> Option<String> {
        let text = match self.reason {
            Reason::Budget => {
                let budget = self.budget.as_ref()?;
                return Some(match self.is_budget_lasting {
                    true => format!("raise {}, then start the drain again", budget.key()),
                    false => format!(
                        "this was the budget of one drain: the next drain goes on with a fresh one; raise {} for longer \
                         drains",
                        budget.key()
                    ),
                });
            }
            Reason::Trial => {
                "set a budget (executor.budgets in autopack.yaml), or run the others with --yes"
            }
            // A drain leaves FAILED phases alone.
            Reason::Systemic if !self.to_retry.is_empty() => {
                let retry = |run: &RunId| {
                    format!("`autopack phases retry --failed {}`", quoted(&shown_id(run.as_str())))
                };
                let commands: Vec<String> = self.to_retry.iter().map(retry).collect();
                return Some(format!(
                    "fix the cause, then run {} and start the drain again",
                    commands.join(", ")
                ));
            }
            Reason::Systemic => "fix the cause, then start the drain again",
            Reason::Failed if !self.names_cure => "run `autopack health` to find the cause",
            _ => return None,
        };
        Some(text.to_owned())
    }
}
