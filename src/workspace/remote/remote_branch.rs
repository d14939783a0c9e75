//! The branch of a run at the remote: its first commit, and its tip as fetched into a ref of ours.

use super::{RemoteFence, ref_layout};
use crate::git::error::{Result, WorkspaceError};
use crate::git::remote_access::RemoteAnswer;
use crate::git::remote_refs::RefChange;
use crate::phase::RunId;
use crate::workspace::repo::run_branch::{BranchUpdate, RunBranch};

/// Most objects of a partial clone asked for at once.
const MOST_OBJECTS: usize = 10_000;
/// Rounds for a clone that lacks directories, too: each round finds what the one before has brought.
const MOST_ROUNDS: u32 = 50;

/// Tip of a run's branch at the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTip {
    /// Id of the commit.
    pub commit: String,
    /// What became of the run's branch in this clone.
    pub update: BranchUpdate,
}

impl RemoteFence {
    /// Whether the remote has a branch with the name of the run's branch.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn has_branch(&self, run: &RunId) -> Result<RemoteAnswer<bool>> {
        let name = ref_layout::branch(run);
        let refs = self.access().await?.refs(&[&name]).await?;
        Ok(refs.map(|refs| refs.contains_key(&name)))
    }

    /// Fetches the run's branch, and creates it if it never was at the remote: `start` is the commit to create it at,
    /// `None` if landings would be lost.
    ///
    /// # Errors
    /// [`WorkspaceError::RemoteBranchGone`], or git fails.
    pub async fn sync(
        &self,
        run: &RunId,
        branch: &RunBranch,
        start: Option<&str>,
    ) -> Result<RemoteAnswer<RemoteTip>> {
        let name = ref_layout::branch(run);
        let mut access = self.access().await?;
        let _reading = self.reading_tip.lock().await;
        let there = match access.refs(&[&name]).await? {
            Ok(mut refs) => refs.remove(&name),
            Err(failure) => return Ok(Err(failure)),
        };
        let base = Some(branch.base_commit.as_str());
        match there {
            Some(tip) => self.take_in(run, base, &tip).await,
            None => {
                let is_known = self.repo.remote_tip(run).await?.is_some();
                let Some(start) = start.filter(|_| !is_known) else {
                    let (remote, branch) = (self.name().to_owned(), branch.branch.clone());
                    return Err(WorkspaceError::RemoteBranchGone { remote, branch });
                };
                let create = [RefChange::create(&name, start)];
                match access.change_refs("create the run's branch", &create).await? {
                    Ok(()) => self.take_in(run, base, start).await,
                    // Another drain may have created it; the next call finds out.
                    Err(failure) => Ok(Err(failure)),
                }
            }
        }
    }

    /// Fetches the tip of the run's branch. `None`: there is no branch.
    ///
    /// # Errors
    /// If git fails.
    pub async fn refresh(&self, run: &RunId) -> Result<RemoteAnswer<Option<RemoteTip>>> {
        let name = ref_layout::branch(run);
        let mut access = self.access().await?;
        let _reading = self.reading_tip.lock().await;
        let there = match access.refs(&[&name]).await? {
            Ok(mut refs) => refs.remove(&name),
            Err(failure) => return Ok(Err(failure)),
        };
        match there {
            Some(tip) => Ok(self.take_in(run, None, &tip).await?.map(Some)),
            None => Ok(Ok(None)),
        }
    }

    /// Whether the run's branch has a commit now.
    ///
    /// # Errors
    /// If git fails.
    pub async fn has_landed(&self, run: &RunId, commit: &str) -> Result<RemoteAnswer<bool>> {
        match self.refresh(run).await? {
            Ok(Some(tip)) => Ok(Ok(self.repo.contains(&tip.commit, commit).await?)),
            Ok(None) => Ok(Ok(false)),
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// Fetches the branch, unless its commit is known here, and moves the refs of this clone.
    async fn take_in(
        &self,
        run: &RunId,
        base: Option<&str>,
        tip: &str,
    ) -> Result<RemoteAnswer<RemoteTip>> {
        let repo = &self.repo;
        let mut tip = tip.to_owned();
        let before = repo.remote_tip(run).await?;
        let is_known = before.as_ref() == Some(&tip);
        if !is_known && let Some(mirror) = repo.mirror_of(run) {
            let mut access = self.access().await?;
            let _fetching = self.fetching.lock().await;
            if let Err(failure) = access.fetch_ref(&ref_layout::branch(run), &mirror).await? {
                return Ok(Err(failure));
            }
            // It may have moved again.
            tip = repo.remote_tip(run).await?.unwrap_or(tip);
        }
        if before.is_none()
            && let Some(base) = base
        {
            self.check_history(run, base, &tip).await?;
        }
        if let Err(failure) = self.complete(&tip).await? {
            return Ok(Err(failure));
        }
        let update = repo.follow_remote(run, base, &tip, None).await?;
        Ok(Ok(RemoteTip { commit: tip, update }))
    }

    /// Checks that the branch is of this repository: it has a commit in common with the run's base. A shallow clone may not
    /// have this commit.
    async fn check_history(&self, run: &RunId, base: &str, tip: &str) -> Result<()> {
        let repo = &self.repo;
        let is_shallow = repo.common_dir.join("shallow").exists();
        if is_shallow || base == tip || repo.resolve(base).await?.is_none() {
            return Ok(());
        }
        if repo.has_common_commit(base, tip).await? {
            return Ok(());
        }
        let branch = ref_layout::branch(run);
        let why = format!("its {branch} has no commit in common with the run's base {base}");
        Err(WorkspaceError::UnfitRemote { remote: self.name().to_owned(), why })
    }

    /// Fetches the files of a commit that a partial clone lacks: a slot has no way to the remote.
    pub(super) async fn complete(&self, commit: &str) -> Result<RemoteAnswer<()>> {
        let repo = &self.repo;
        if !repo.config.partial {
            return Ok(Ok(()));
        }
        for _ in 0..MOST_ROUNDS {
            let args = ["rev-list", "--objects", "--no-walk", "--missing=print", commit];
            let listed = repo.git.call("list the files of the commit", args).text().await?;
            let missing = listed.lines().filter_map(|line| line.strip_prefix('?'));
            let missing: Vec<String> = missing.map(str::to_owned).collect();
            if missing.is_empty() {
                break;
            }
            let mut access = self.access().await?;
            let _fetching = self.fetching.lock().await;
            for some in missing.chunks(MOST_OBJECTS) {
                if let Err(failure) = access.fetch_missing(some).await? {
                    return Ok(Err(failure));
                }
            }
        }
        Ok(Ok(()))
    }
}
