//! Questions to the remote of the runs, repeated until they are answered: an outage counts no attempt.

use std::time::Duration;

use tokio::time::Instant;

use super::{AttemptError, DrainContext};
use crate::process::{StopLevel, StopReceiver};
use crate::progress::duration;
use crate::workspace::{RemoteAnswer, RemoteFailure};

/// First pause after a failure; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time after which a remote that never answered is given up.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// End of a repeated question.
#[derive(Debug)]
pub enum RemoteEnd<T> {
    /// The answer.
    Answered(T),
    /// The operator stopped the work; the last failure.
    Stopped(RemoteFailure),
    /// No answer for a long time; the last failure.
    Silent(RemoteFailure),
}

impl<T> RemoteEnd<T> {
    /// Returns the answer, or an error that stops the drain.
    pub fn answer(self) -> Result<T, AttemptError> {
        match self {
            Self::Answered(answer) => Ok(answer),
            Self::Stopped(failure) | Self::Silent(failure) => {
                Err(AttemptError::Systemic(failure.to_string()))
            }
        }
    }
}

impl DrainContext {
    /// Asks until there is an answer, with growing pauses. Notes the begin and the end of an outage once, for all workers.
    ///
    /// # Errors
    ///
    /// As for the question.
    pub(crate) async fn ask_remote<T, E, Answer>(
        &self,
        stop: &StopReceiver,
        ask: impl Fn() -> Answer,
    ) -> Result<RemoteEnd<T>, AttemptError>
    where
        AttemptError: From<E>,
        Answer: Future<Output = Result<RemoteAnswer<T>, E>>,
    {
        let mut failure = match Box::pin(ask()).await? {
            Ok(answer) => return Ok(RemoteEnd::Answered(answer)),
            Err(failure) => failure,
        };
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        let (_waiting, is_first) = self.remote_outage.wait();
        if is_first && stop.level() == StopLevel::Run {
            self.progress.note(&self.redactor.redact(&format!(
                "{failure}; autopack waits and asks again; no attempt is counted for it"
            )));
        }
        loop {
            if stop.level() > StopLevel::Run {
                return Ok(RemoteEnd::Stopped(failure));
            }
            if begun.elapsed() > PATIENCE {
                return Ok(RemoteEnd::Silent(failure));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.reached(StopLevel::Graceful) => continue,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            failure = match Box::pin(ask()).await? {
                Ok(answer) => {
                    if is_first {
                        let waited = duration(begun.elapsed());
                        self.progress.note(&format!("the remote answers again, after {waited}"));
                    }
                    return Ok(RemoteEnd::Answered(answer));
                }
                Err(failure) => failure,
            };
            tracing::debug!("{failure}");
        }
    }
}
