//! Runs at a remote, for drains of several clones: the branch, the right to land, and who has landed. Without
//! `workspace.remote`, all of it is in the user's repository.

use super::remote_waits::RemoteEnd;
use super::{AttemptError, DrainContext};
use crate::phase::{PhaseId, RunId};
use crate::process::StopReceiver;
use crate::store::{Claim, InFlight, RunFacts};
use crate::workspace::{
    BranchUpdate, ClaimRef, ClaimedWork, FenceOutcome, RemoteAnswer, RemoteFailure, RemoteFence,
    RemoteTip, RunBranch, WorkspaceError,
};

/// The right to land, as far as it is claimed before an attempt is prepared.
pub(super) enum EarlyFence {
    /// Claimed in this repository, while the attempt is prepared.
    Later,
    /// Claimed at the remote.
    Claimed(ClaimRef),
    /// The operator stopped the attempt before.
    Stopped,
}

impl From<&Claim> for ClaimedWork {
    fn from(claim: &Claim) -> Self {
        Self {
            run: claim.run_id.clone(),
            phase: Some(claim.phase_id.clone()),
            number: claim.attempt,
            owner: claim.owner.to_string(),
        }
    }
}

impl From<&InFlight> for ClaimedWork {
    fn from(work: &InFlight) -> Self {
        Self {
            run: work.run_id.clone(),
            phase: Some(work.phase_id.clone()),
            number: work.attempt,
            owner: work.owner.to_string(),
        }
    }
}

impl DrainContext {
    /// Finds out where the server takes refs, at the start of a drain; waits for a remote out of reach.
    ///
    /// # Errors
    ///
    /// The remote refuses access, is no repository, or lacks what a run needs.
    pub(crate) async fn open_remote(
        &self,
        stop: &StopReceiver,
    ) -> Result<Option<RemoteEnd<()>>, AttemptError> {
        let Some(remote) = &self.remote else { return Ok(None) };
        let prepare = || async {
            match remote.prepare().await? {
                Ok(layout) => {
                    let (name, claims) = (remote.name(), layout.claims());
                    self.note_once(&format!(
                        "the branches and claims of the runs are at {name}: {claims}"
                    ));
                    Ok(Ok(()))
                }
                // Waiting would not help.
                Err(failure @ (RemoteFailure::NoAccess { .. } | RemoteFailure::Other { .. })) => {
                    Err(AttemptError::Internal(failure.into()))
                }
                Err(failure) => Ok::<_, AttemptError>(Err(failure)),
            }
        };
        Ok(Some(self.ask_remote(stop, prepare).await?))
    }

    /// Fetches the tip of the run, and creates its branch at the first claim. Waits for the remote.
    ///
    /// # Errors
    ///
    /// As for [`DrainContext::ensure_branch`].
    pub(crate) async fn sync_branch(
        &self,
        run: &RunId,
        stop: &StopReceiver,
    ) -> Result<Option<RemoteEnd<()>>, AttemptError> {
        let Some(remote) = &self.remote else { return Ok(None) };
        let sync = || async { Ok::<_, AttemptError>(self.sync_once(remote, run).await?.map(drop)) };
        Ok(Some(self.ask_remote(stop, sync).await?))
    }

    /// Fetches the tip of the run, or creates its branch.
    pub(super) async fn sync_once(
        &self,
        remote: &RemoteFence,
        run: &RunId,
    ) -> Result<RemoteAnswer<RunFacts>, AttemptError> {
        let _making = self.branch_creation.lock().await;
        let facts = match self.store.run_facts(run).await? {
            Some(facts) => facts,
            None => {
                let is_taken = match remote.has_branch(run).await? {
                    Ok(is_taken) => is_taken,
                    Err(failure) => return Ok(Err(failure)),
                };
                // Another drain may have created it just now.
                match self.store.run_facts(run).await? {
                    Some(facts) => facts,
                    None if is_taken => {
                        let branch = RunBranch::name_of(run);
                        let remote = remote.name().to_owned();
                        return Err(WorkspaceError::RemoteBranchNotOurs { remote, branch }.into());
                    }
                    None => self.settle_facts(run).await?,
                }
            }
        };
        if let Some(refusal) = facts.explain_foreign_repository(run, &self.repo.identity()) {
            return Err(anyhow::Error::msg(refusal).into());
        }
        let branch =
            RunBranch { branch: facts.branch.clone(), base_commit: facts.base_commit.clone() };
        let start = match self.repo.remote_tip(run).await? {
            Some(_) => None,
            None => self.start_of(run, &facts).await?,
        };
        match remote.sync(run, &branch, start.as_deref()).await? {
            Ok(RemoteTip { update, .. }) => {
                self.note_update(run, &facts.branch, &update);
                Ok(Ok(facts))
            }
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// Returns the commit at which to create the branch at the remote: the base, or the tip of a run that began without a
    /// remote. `None` if landings would be lost.
    async fn start_of(
        &self,
        run: &RunId,
        facts: &RunFacts,
    ) -> Result<Option<String>, AttemptError> {
        let landed = self.store.landed_phases(run).await?;
        if landed.is_empty() {
            return Ok(Some(facts.base_commit.clone()));
        }
        let repo = &self.repo;
        if repo.base_of(run).await?.as_ref() != Some(&facts.base_commit)
            || !repo.missing(run, &facts.base_commit, &landed).await?.is_empty()
        {
            return Ok(None);
        }
        Ok(repo.tip(run).await.ok().map(|tip| tip.commit))
    }

    /// Notes, once, why the run's branch in this clone is not where the remote's is.
    pub(super) fn note_update(&self, run: &RunId, branch: &str, update: &BranchUpdate) {
        let run = run.file_name();
        match update {
            BranchUpdate::UpToDate | BranchUpdate::Moved => {}
            BranchUpdate::Held(path) => self.note_held_branch(branch, Some(path)),
            BranchUpdate::Diverged => self.note_once(&format!(
                "{branch} in this clone has commits of its own, and stays; landings are on refs/autopack/runs/{run}"
            )),
            BranchUpdate::NotOurs => self.note_once(&format!(
                "{branch} in this clone was not made by autopack, and stays; the run's tip is at {}",
                self.remote.as_ref().map_or("the remote", RemoteFence::name)
            )),
        }
    }

    /// Claims the right to land at the remote, before anything else of the attempt happens. Waits for the remote.
    ///
    /// # Errors
    ///
    /// [`AttemptError::LeaseLost`] if a later attempt has the claim, or the remote does not answer for a long time.
    pub(super) async fn fence_early(
        &self,
        claim: &Claim,
        stop: &StopReceiver,
    ) -> Result<EarlyFence, AttemptError> {
        let Some(remote) = &self.remote else { return Ok(EarlyFence::Later) };
        // A scope proposal creates no branch.
        if !claim.phase.needs_scope() || self.store.run_facts(&claim.run_id).await?.is_some() {
            match self.sync_branch(&claim.run_id, stop).await? {
                Some(RemoteEnd::Stopped(_)) => return Ok(EarlyFence::Stopped),
                end => drop(end.map(RemoteEnd::answer).transpose()?),
            }
        }
        let work = ClaimedWork::from(claim);
        match self.ask_remote(stop, || remote.claim(&work)).await? {
            RemoteEnd::Stopped(_) => Ok(EarlyFence::Stopped),
            end => match end.answer()? {
                FenceOutcome::Ours(fence) => Ok(EarlyFence::Claimed(fence)),
                FenceOutcome::Fenced { .. } => Err(AttemptError::LeaseLost),
            },
        }
    }

    /// Claims the right to land an undo or an update.
    pub(super) async fn fence_change(
        &self,
        run: &RunId,
        phase: &PhaseId,
        number: i64,
        owner: &str,
        stop: &StopReceiver,
    ) -> Result<ClaimRef, AttemptError> {
        let outcome = match &self.remote {
            None => self.repo.fence_undo(run, phase, number, owner).await?,
            Some(remote) => {
                let work = ClaimedWork::of_change(run, number, owner);
                self.ask_remote(stop, || remote.claim(&work)).await?.answer()?
            }
        };
        match outcome {
            FenceOutcome::Ours(fence) => Ok(fence),
            FenceOutcome::Fenced { .. } => Err(AttemptError::LeaseLost),
        }
    }

    /// Takes away the right to land from an undo or an update.
    ///
    /// # Errors
    ///
    /// The fence cannot be removed.
    pub(crate) async fn drop_change_fence(
        &self,
        run: &RunId,
        number: i64,
        owner: &str,
    ) -> Result<(), AttemptError> {
        drop_change_fence(&self.repo, self.remote.as_ref(), run, number, owner).await
    }

    /// Whether the run's branch has a commit now. `work` can no longer land it: its claim is deleted first. `None` without
    /// an answer of the remote, for which it waits until `stop`; without `stop`, it asks once.
    ///
    /// # Errors
    ///
    /// Git fails.
    pub(crate) async fn has_landed_for_good(
        &self,
        work: &ClaimedWork,
        commit: &str,
        stop: Option<&StopReceiver>,
    ) -> Result<Option<bool>, AttemptError> {
        let Some(remote) = &self.remote else {
            return Ok(Some(self.repo.has_landed(&work.run, commit).await?));
        };
        let ask = || async {
            match remote.revoke(work).await? {
                Ok(()) => remote.has_landed(&work.run, commit).await,
                Err(failure) => Ok(Err(failure)),
            }
        };
        let Some(stop) = stop else { return Ok(Box::pin(ask()).await?.ok()) };
        Ok(match self.ask_remote(stop, ask).await? {
            RemoteEnd::Answered(has_landed) => Some(has_landed),
            RemoteEnd::Stopped(_) | RemoteEnd::Silent(_) => None,
        })
    }

    /// Deletes the claim of an attempt that ended. Not waited for: a later attempt, the end of the drain or `gc` delete it
    /// otherwise.
    pub(super) async fn release_claim(&self, work: &ClaimedWork) {
        let Some(remote) = &self.remote else { return };
        match remote.revoke(work).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::debug!("a claim stays: {failure}"),
            Err(error) => tracing::debug!("a claim stays: {error}"),
        }
    }

    /// Fetches the tip of the run once, if it is at a remote. Without an answer, the last known tip stays.
    ///
    /// # Errors
    ///
    /// Git fails.
    pub async fn fetch_tip(&self, run: &RunId) -> Result<(), AttemptError> {
        let Some(remote) = &self.remote else { return Ok(()) };
        if let Err(failure) = remote.refresh(run).await? {
            self.note_once(&format!("the tip may be an older one: {failure}"));
        }
        Ok(())
    }

    /// Returns the tip of the run now; `None` without an answer of the remote.
    ///
    /// # Errors
    ///
    /// The branch is gone, or git fails.
    pub(super) async fn current_tip(&self, run: &RunId) -> Result<Option<String>, AttemptError> {
        let Some(remote) = &self.remote else {
            return Ok(Some(self.repo.tip(run).await?.commit));
        };
        match remote.refresh(run).await? {
            Ok(Some(tip)) => Ok(Some(tip.commit)),
            Ok(None) => {
                let branch = RunBranch::name_of(run);
                let remote = remote.name().to_owned();
                Err(WorkspaceError::RemoteBranchGone { remote, branch }.into())
            }
            Err(failure) => {
                tracing::debug!("{failure}");
                Ok(None)
            }
        }
    }
}

/// Takes away the right to land from an undo or an update of a repository.
///
/// # Errors
///
/// The fence cannot be removed.
pub(crate) async fn drop_change_fence(
    repo: &crate::workspace::Repo,
    remote: Option<&RemoteFence>,
    run: &RunId,
    number: i64,
    owner: &str,
) -> Result<(), AttemptError> {
    match remote {
        None => Ok(repo.drop_undo_fence(run).await?),
        Some(remote) => match remote.revoke(&ClaimedWork::of_change(run, number, owner)).await? {
            Ok(()) => Ok(()),
            Err(failure) => Err(AttemptError::Internal(failure.into())),
        },
    }
}
