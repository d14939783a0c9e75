//! A commit for the run's branch at the operator's request, made by an undo or an update: tested like a landing in CI's
//! checkout, then landed.
//!
//! The commit is recorded before the branch moves. If this process dies, the commit tells whether it landed.

use super::attempt::{Attempt, AttemptStart};
use super::attempt_record::Record;
use super::steps::ci_gate::Gate;
use super::{AttemptDirectory, AttemptError, DrainContext};
use crate::phase::{Failure, RunId};
use crate::process::StopReceiver;
use crate::progress::Step;
use crate::store::{Claim, OwnerId};
use crate::workspace::{ClaimedWork, Landing, Slot};

/// Commit to test and land.
pub(super) struct BranchChange<'a> {
    /// Number in the table of reverts.
    pub number: i64,
    /// A phase of the run as for an attempt, to run CI.
    pub claim: &'a Claim,
    /// Branch of the run.
    pub branch: String,
    /// Tip of the branch, first parent of the commit.
    pub tip: String,
    /// The commit.
    pub commit: String,
    /// Paths changed against the tip: their tests may be gone.
    pub changed: Vec<String>,
    /// Name of the directory for the logs of CI, below `.autopack/`.
    pub directory: &'static str,
}

/// End of a change.
pub(super) enum ChangeEnd {
    /// The commit is on the branch.
    Landed { commit: String },
    /// CI is red with the change.
    Red(Failure),
    /// The branch moved during the test.
    TipMoved,
    /// The operator stopped autopack.
    Stopped,
}

impl BranchChange<'_> {
    /// Tests and lands the commit.
    pub async fn test_and_land(
        self,
        context: &DrainContext,
        slot: Slot,
        stop: &StopReceiver,
        record: &mut Record,
    ) -> Result<ChangeEnd, AttemptError> {
        let claim = self.claim;
        let (run, owner) = (&claim.run_id, claim.owner.as_str());
        let fence = context.fence_change(run, &claim.phase_id, self.number, owner, stop).await?;
        let start = AttemptStart {
            context,
            claim,
            slot,
            fence,
            branch: self.branch.clone(),
            base: self.tip.clone(),
            directory: self.create_directory(context)?,
        };
        let mut attempt = Attempt::begin(start, stop, record);
        attempt.reverted = self.changed.iter().cloned().collect();
        match attempt.ci(&self.commit).await? {
            Gate::Green => attempt.land_tested_change(self.number, &self.tip, self.commit).await,
            Gate::Red(failure) => Ok(ChangeEnd::Red(failure)),
            Gate::Stopped => Ok(ChangeEnd::Stopped),
        }
    }

    /// Creates the directory for the logs of CI, such as `.autopack/undo/<run>/<number>/`.
    fn create_directory(&self, context: &DrainContext) -> Result<AttemptDirectory, AttemptError> {
        let of_run = context.repo.autopack_dir().join(self.directory);
        let of_run = of_run.join(self.claim.run_id.file_name());
        let directory = of_run.join(self.number.to_string());
        std::fs::create_dir_all(&directory).map_err(|error| AttemptError::io(&directory, error))?;
        Ok(AttemptDirectory::at(directory))
    }
}

impl Attempt<'_> {
    async fn land_tested_change(
        &mut self,
        number: i64,
        tip: &str,
        commit: String,
    ) -> Result<ChangeEnd, AttemptError> {
        self.step(Step::Landing);
        let (run, owner) = (&self.claim.run_id, &self.claim.owner);
        self.record.landing = Some(commit.clone());
        self.context.store.record_revert(number, owner, &commit).await?;
        let landed = match &self.context.remote {
            None => self.slot.land(&self.fence, run, tip, &commit).await?,
            Some(remote) => {
                let work = ClaimedWork::of_change(run, number, owner.as_str());
                match self.push_landing(remote, &work, (tip, &commit), None).await? {
                    Some(landed) => landed,
                    None => return Ok(ChangeEnd::Stopped),
                }
            }
        };
        match landed {
            Landing::Landed { held_by } => {
                self.context.note_held_branch(&self.branch, held_by.as_deref());
                self.note_green(&commit).await;
                self.keep_results().await;
                Ok(ChangeEnd::Landed { commit })
            }
            Landing::TipMoved(_) => Ok(ChangeEnd::TipMoved),
            Landing::Fenced => Err(AttemptError::LeaseLost),
        }
    }
}

/// Returns the commit of a change that ended with an error, if the branch has it. `None` if the error stands. `change` names
/// the change in messages: `revert`.
pub(super) async fn landed_anyway(
    context: &DrainContext,
    (run, number, owner): (&RunId, i64, &OwnerId),
    record: &Record,
    error: &AttemptError,
    change: &str,
) -> Result<Option<String>, AttemptError> {
    let Some(commit) = &record.landing else { return Ok(None) };
    // Without the fence, a git process still at work cannot land the commit after the check.
    let has_landed = match &context.remote {
        None => match context.repo.drop_undo_fence(run).await {
            Ok(()) => context.repo.has_landed(run, commit).await.map_err(AttemptError::from),
            Err(error) => Err(error.into()),
        },
        Some(_) => {
            let work = ClaimedWork::of_change(run, number, owner.as_str());
            let stop = StopReceiver::never();
            let landed = context.has_landed_for_good(&work, commit, Some(&stop)).await;
            landed.and_then(|landed| {
                let silent = || AttemptError::Unsettled("the remote does not answer".to_owned());
                landed.ok_or_else(silent)
            })
        }
    };
    match has_landed {
        Ok(true) => {
            tracing::warn!("{error}; the {change} had already landed");
            Ok(Some(commit.clone()))
        }
        Ok(false) => Ok(None),
        Err(unknown) => Err(AttemptError::Unsettled(format!(
            "{error}; the next drain, undo or update checks whether the {change} landed: {unknown}"
        ))),
    }
}
