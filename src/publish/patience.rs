//! Trying again while a remote or a forge does not answer: with doubling pauses, each said, for a limited time.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::forge::ForgeError;
use crate::store::StoreError;
use crate::workspace::{RemoteFailure, WorkspaceError};

/// Pauses double from a 128th of the time: seven of them fill it.
const FIRST_PART: u32 = 128;
const RETRIES: u32 = 7;
const LATER: &str = "run `autopack publish` again later: it goes on where it stopped";

/// Longest wait for a request that began when the time was nearly over.
const REQUEST: Duration = Duration::from_secs(60);

/// Time for trying again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    whole: Duration,
    request: Duration,
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(super) enum StepError {
    /// The same step may succeed a little later.
    Passing(Failure),
    /// It will not.
    Final(Failure),
}

impl Patience {
    pub fn new(whole: Duration) -> Self {
        Self { whole, request: REQUEST }
    }

    /// Repeats a step, which must be safe to repeat, until it succeeds, fails for good, or the time is over. The last
    /// try begins within the time, and has a limit of its own.
    ///
    /// # Errors
    /// The last failure.
    pub async fn keep_trying<T>(
        self,
        mut step: impl AsyncFnMut() -> Result<T, StepError>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        for retry in 0.. {
            let failure = match step().await {
                Ok(done) => return Ok(done),
                Err(StepError::Final(failure)) => return Err(failure),
                Err(StepError::Passing(failure)) => failure,
            };
            let left = self.whole.saturating_sub(started.elapsed());
            if retry == RETRIES || left.is_zero() {
                return Err(given_up(&failure.text(), started));
            }
            let pause = left.min(self.whole / FIRST_PART * 2_u32.pow(retry));
            let when = match pause.as_secs() {
                0 => "now".to_owned(),
                seconds => format!("in {seconds} s"),
            };
            tracing::warn!("{}; trying again {when}", failure.text());
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop returns at the last retry")
    }

    /// Repeats requests to a forge, as [`Self::keep_trying`]. Their own retries end with the time.
    ///
    /// # Errors
    /// The last failure, or no answer.
    pub async fn keep_asking<T>(
        self,
        step: impl AsyncFnMut() -> Result<T, StepError>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let asked = tokio::time::timeout(self.whole + self.request, self.keep_trying(step)).await;
        asked.unwrap_or_else(|_| Err(given_up("the forge does not answer", started)))
    }
}

fn given_up(why: &str, started: Instant) -> Failure {
    let seconds = started.elapsed().as_secs_f64().round();
    Failure::new(format!("{why}; tried for {seconds} s")).hint(LATER)
}

impl From<ForgeError> for StepError {
    fn from(error: ForgeError) -> Self {
        let (is_passing, hint) = (error.is_passing(), hint_for_publishing(&error));
        let failure = Failure::from(error).maybe_hint(hint);
        if is_passing { Self::Passing(failure) } else { Self::Final(failure) }
    }
}

impl From<RemoteFailure> for StepError {
    fn from(failure: RemoteFailure) -> Self {
        let hint = match &failure {
            RemoteFailure::Refused { .. } => Some(
                "the branch stays as it was there; change what the server refuses, or ask its owner, then publish again",
            ),
            _ => None,
        };
        let is_passing = failure.is_passing();
        let failure = Failure::from(failure).maybe_hint(hint);
        if is_passing { Self::Passing(failure) } else { Self::Final(failure) }
    }
}

impl From<WorkspaceError> for StepError {
    fn from(error: WorkspaceError) -> Self {
        Self::Final(error.into())
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Final(error.into())
    }
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

/// Returns what the user can do. The hints of the error itself are about reading issues.
fn hint_for_publishing(error: &ForgeError) -> Option<String> {
    match error {
        ForgeError::Refused { status: 403 | 404, .. } | ForgeError::NotFound { .. } => Some(
            "check that the token may write pull requests and comments: GitHub `repo`, or Contents, Pull requests and \
             Issues read and write; GitLab `api`; Gitea `write:repository` and `write:issue`"
                .to_owned(),
        ),
        ForgeError::Refused { message, .. } if message.contains("raft") => {
            Some("publish without --draft, or without publish.draft".to_owned())
        }
        ForgeError::Refused { .. } => Some("change what the forge refuses, then publish again".to_owned()),
        ForgeError::RateLimited { had_token: false, .. } => {
            Some("set a token for a higher limit, or publish again then".to_owned())
        }
        ForgeError::RateLimited { .. }
        | ForgeError::Server { .. }
        | ForgeError::Unreachable { .. } => Some(LATER.to_owned()),
        error => error.hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(whole: u64, request: u64) -> Patience {
        let [whole, request] = [whole, request].map(Duration::from_millis);
        Patience { whole, request }
    }

    #[tokio::test]
    async fn no_try_begins_after_the_time() {
        let mut tries = 0;
        let step = async || {
            tries += 1;
            tokio::time::sleep(Duration::from_millis(40)).await;
            Err::<(), _>(StepError::Passing(Failure::new("slow")))
        };
        let failure = patience(20, 0).keep_trying(step).await.unwrap_err();
        assert!(failure.text().starts_with("slow; tried for "), "{failure:?}");
        assert_eq!(tries, 1);
    }

    #[tokio::test]
    async fn a_silent_forge_is_given_up() {
        let step = async || std::future::pending::<Result<(), StepError>>().await;
        let failure = patience(10, 10).keep_asking(step).await.unwrap_err();
        assert_eq!(failure.text(), "the forge does not answer; tried for 0 s");
    }
}
