//! Warnings after a batch with no telemetry, or with telemetry lacking token counts, and likely causes.

use super::{Drain, StopReason};
use crate::attempt::AttemptError;
use crate::store::{Mark, YieldChange};

const OFF: &str = "telemetry: switched off; this drain records no samples";

/// Warnings already given: an agent's habits are reported once.
#[derive(Debug, Default)]
pub struct TelemetryWarnings {
    off: bool,
    uncounted: bool,
}

impl Drain<'_> {
    /// Records the state before a batch; `None` if telemetry is off.
    pub(super) async fn mark(&self) -> Result<Option<Mark>, AttemptError> {
        match self.context.settings.telemetry.enabled {
            true => Ok(Some(self.context.store.telemetry_mark().await?)),
            false => Ok(None),
        }
    }

    /// Checks the telemetry of attempts since the mark.
    pub(super) async fn check_telemetry(
        &mut self,
        since: Option<Mark>,
        reason: Option<&StopReason>,
    ) -> Result<(), AttemptError> {
        let Some(mark) = since else {
            if !std::mem::replace(&mut self.telemetry_warnings.off, true) {
                self.say(OFF);
            }
            return Ok(());
        };
        let change = self.context.store.yield_since(&mark, self.owner.id()).await?;
        // Errors before the agent started are reported where the drain ends.
        let explains = |reason: &StopReason| {
            reason.why().is_some() || matches!(reason, StopReason::Interrupted)
        };
        let explained = change.reached == 0 && reason.is_some_and(explains);
        if let Some(text) = describe_missing_samples(&change).filter(|_| !explained) {
            self.say(&text);
        }
        if let Some(text) =
            describe_missing_counts(&change).filter(|_| !self.telemetry_warnings.uncounted)
        {
            self.telemetry_warnings.uncounted = true;
            self.say(&text);
        }
        Ok(())
    }

    /// Emits each line of a text as a note.
    fn say(&self, text: &str) {
        text.lines().for_each(|line| self.context.progress.note(line));
    }
}

/// Describes attempts without a sample.
fn describe_missing_samples(change: &YieldChange) -> Option<String> {
    if change.attempts == 0 || change.samples > 0 {
        return None;
    }
    let why = match (change.reached, change.attempts) {
        (0, 1) => "it did not reach an agent; the lines above say why",
        (0, _) => "none of them reached an agent; the lines above say why",
        (_, 1) => "another drain reclaimed it",
        _ => "another drain reclaimed them",
    };
    let attempts = of(change.attempts, "attempt");
    Some(format!("telemetry: no samples from {attempts} of this batch:\n           {why}"))
}

/// Describes samples without any output token count.
fn describe_missing_counts(change: &YieldChange) -> Option<String> {
    (change.finished > 0 && change.counted == 0).then(|| {
        let samples = of(change.finished, "sample");
        format!(
            "telemetry: no token counts in {samples} of this batch:\n           \
             the agent reported none (a command agent writes them to\n           \
             AUTOPACK_RESULT_FILE; docs/telemetry.md)"
        )
    })
}

fn of(count: u64, what: &str) -> String {
    if count == 1 { format!("the one {what}") } else { format!("the {count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_telemetry_is_reported() {
        let good = YieldChange { attempts: 5, reached: 5, samples: 5, finished: 4, counted: 4 };
        assert_eq!((describe_missing_samples(&good), describe_missing_counts(&good)), (None, None));
        assert_eq!(
            (
                describe_missing_samples(&YieldChange::default()),
                describe_missing_counts(&YieldChange::default())
            ),
            (None, None)
        );
        // Rate limited: no usage, and no warning.
        let rate_limited = YieldChange { finished: 0, counted: 0, ..good };
        assert_eq!(
            (describe_missing_samples(&rate_limited), describe_missing_counts(&rate_limited)),
            (None, None)
        );
        let silent = YieldChange { counted: 0, ..good };
        let text = describe_missing_counts(&YieldChange { finished: 1_000_000, ..silent }).unwrap();
        assert!(text.contains("in the 1000000 samples"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        let unreached = YieldChange { attempts: 1, ..YieldChange::default() };
        let text = describe_missing_samples(&unreached).unwrap();
        assert!(text.contains("the one attempt of this batch:\n"), "{text}");
        assert!(text.contains("it did not reach"), "{text}");
        let text = describe_missing_samples(&YieldChange { attempts: 2, ..YieldChange::default() })
            .unwrap();
        assert!(text.contains("the 2 attempts of this batch:\n"), "{text}");
        assert!(text.contains("none of them reached"), "{text}");
    }
}
