//! Warnings after a batch with no telemetry, or with telemetry lacking token counts, and likely causes.

use super::{Drain, StopReason};
use crate::attempt::AttemptError;
use crate::store::{Mark, YieldChange};

const OFF: &str = "telemetry: switched off; this drain records no samples";

/// Warnings already given: an agent's habits are reported once.
#[derive(Debug, Default)]
pub struct Said {
    off: bool,
    uncounted: bool,
}

impl Drain<'_> {
    /// Records the state before a batch; `None` if telemetry is off.
    pub(super) async fn mark(&self) -> Result<Option<Mark>, AttemptError> {
        match self.site.settings.telemetry.enabled {
            true => Ok(Some(self.site.store.mark().await?)),
            false => Ok(None),
        }
    }

    /// Checks the telemetry of attempts since the mark.
    pub(super) async fn look_at_yield(
        &mut self,
        since: Option<Mark>,
        reason: Option<&StopReason>,
    ) -> Result<(), AttemptError> {
        let Some(mark) = since else {
            if !std::mem::replace(&mut self.said.off, true) {
                self.say(OFF);
            }
            return Ok(());
        };
        let found = self.site.store.yield_since(&mark, self.owner.id()).await?;
        // Errors before the agent started are reported where the drain ends.
        let tells = |reason: &StopReason| {
            reason.why().is_some() || matches!(reason, StopReason::Interrupted)
        };
        let explained = found.reached == 0 && reason.is_some_and(tells);
        if let Some(text) = none(&found).filter(|_| !explained) {
            self.say(&text);
        }
        if let Some(text) = uncounted(&found).filter(|_| !self.said.uncounted) {
            self.said.uncounted = true;
            self.say(&text);
        }
        Ok(())
    }

    /// Emits each line of a text as a note.
    fn say(&self, text: &str) {
        text.lines().for_each(|line| self.site.progress.note(line));
    }
}

/// Describes attempts without a sample.
fn none(found: &YieldChange) -> Option<String> {
    if found.attempts == 0 || found.samples > 0 {
        return None;
    }
    let why = match (found.reached, found.attempts) {
        (0, 1) => "it did not reach an agent; the lines above say why",
        (0, _) => "none of them reached an agent; the lines above say why",
        (_, 1) => "another drain reclaimed it",
        _ => "another drain reclaimed them",
    };
    let attempts = of(found.attempts, "attempt");
    Some(format!("telemetry: no samples from {attempts} of this batch:\n           {why}"))
}

/// Describes samples without any output token count.
fn uncounted(found: &YieldChange) -> Option<String> {
    (found.finished > 0 && found.counted == 0).then(|| {
        let samples = of(found.finished, "sample");
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
    fn only_what_is_missing_is_said() {
        let good = YieldChange { attempts: 5, reached: 5, samples: 5, finished: 4, counted: 4 };
        assert_eq!((none(&good), uncounted(&good)), (None, None));
        assert_eq!(
            (none(&YieldChange::default()), uncounted(&YieldChange::default())),
            (None, None)
        );
        // Rate limited: no usage, and no warning.
        let away = YieldChange { finished: 0, counted: 0, ..good };
        assert_eq!((none(&away), uncounted(&away)), (None, None));
        let silent = YieldChange { counted: 0, ..good };
        let text = uncounted(&YieldChange { finished: 1_000_000, ..silent }).unwrap();
        assert!(text.contains("in the 1000000 samples"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        let unreached = YieldChange { attempts: 1, ..YieldChange::default() };
        let text = none(&unreached).unwrap();
        assert!(text.contains("the one attempt of this batch:\n"), "{text}");
        assert!(text.contains("it did not reach"), "{text}");
        let text = none(&YieldChange { attempts: 2, ..YieldChange::default() }).unwrap();
        assert!(text.contains("the 2 attempts of this batch:\n"), "{text}");
        assert!(text.contains("none of them reached"), "{text}");
    }
}
