//! Trying again while a remote or a forge does not answer: with doubling pauses, each said, for a limited time.

use std::time::Duration;

use crate::failure::Failure;
use crate::forge::ForgeError;
use crate::store::StoreError;
use crate::workspace::{RemoteFailure, WorkspaceError};

/// Pauses double from a 128th of the time: seven of them fill it.
const FIRST_PART: u32 = 128;
const RETRIES: u32 = 7;

/// Time for trying again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    whole: Duration,
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
        Self { whole }
    }

    /// Repeats a step, which must be safe to repeat, until it succeeds, fails for good, or the time is over.
    ///
    /// # Errors
    /// The last failure.
    pub async fn keep_trying<T>(
        self,
        mut step: impl AsyncFnMut() -> Result<T, StepError>,
    ) -> Result<T, Failure> {
        for retry in 0.. {
            let failure = match step().await {
                Ok(done) => return Ok(done),
                Err(StepError::Final(failure)) => return Err(failure),
                Err(StepError::Passing(failure)) => failure,
            };
            if retry == RETRIES || self.whole.is_zero() {
                let seconds = self.whole.as_secs();
                return Err(Failure::new(format!("{}; tried for {seconds} s", failure.text()))
                    .hint("run `autopack publish` again later: it goes on where it stopped"));
            }
            let pause = self.whole / FIRST_PART * 2_u32.pow(retry);
            let seconds = pause.as_secs_f64().ceil();
            tracing::warn!("{}; trying again in {seconds} s", failure.text());
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop returns at the last retry")
    }
}

impl From<ForgeError> for StepError {
    fn from(error: ForgeError) -> Self {
        let (is_passing, hint) = (error.is_passing(), hint_for_writes(&error));
        let failure = match hint {
            Some(hint) => Failure::from(error).hint(hint),
            None => Failure::from(error),
        };
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
        let failure = match hint {
            Some(hint) => Failure::from(failure).hint(hint),
            None => Failure::from(failure),
        };
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

/// Returns what the user can do about a refused write. The hints of the error itself are about reading issues.
fn hint_for_writes(error: &ForgeError) -> Option<String> {
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
        error => error.hint(),
    }
}
