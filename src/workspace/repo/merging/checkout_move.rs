//! The move of a branch together with the files of its worktree.
//!
//! Order: (1) the log records branch, old and new commit (`locked_checkout`); (2) `git read-tree -m -u` updates files and
//! index, or changes nothing; (3) the branch moves by compare-and-swap; (4) the log is removed. Git does the same in a
//! fast-forward, without a log.
//!
//! After a kill between two steps the branch is at the old or at the new commit, and the log tells the next
//! `autopack merge` what to do (`interrupted_move`).

use super::locked_checkout::{BranchMove, LockedCheckout};
use super::refusal::{Answer, refuse};
use super::target::MergeTarget;
use crate::git::error::Result;
use crate::phase::words::short_commit;
use crate::workspace::repo::Repo;

impl Repo {
    /// Moves the target branch to a new commit, with the files of its worktree. Refused, with nothing changed, if the
    /// worktree has uncommitted changes or files in the way, or the branch moved meanwhile.
    ///
    /// # Errors
    /// If git fails, or the disk.
    pub async fn move_target(
        &self,
        target: &mut MergeTarget,
        new: &str,
        reason: &str,
    ) -> Result<Answer<()>> {
        let old = target.commit.clone().unwrap_or_else(|| self.zero());
        let wanted = BranchMove { branch: target.branch.clone(), old, new: new.to_owned() };
        match &mut target.checkout {
            Some(checkout) => self.move_with_files(checkout, &wanted, reason).await,
            None => match self.swap_branch(&self.git, &wanted, reason).await? {
                true => Ok(Ok(())),
                false => refuse_moved(&wanted),
            },
        }
    }

    async fn move_with_files(
        &self,
        checkout: &mut LockedCheckout,
        wanted: &BranchMove,
        reason: &str,
    ) -> Result<Answer<()>> {
        if let Err(refusal) = checkout.require_clean().await? {
            return Ok(Err(refusal));
        }
        let old = self.tree_before(wanted).await?;
        let changes = checkout.path_changes(&old, &wanted.new).await?;
        if let Err(refusal) = checkout.require_room(&changes)? {
            return Ok(Err(refusal));
        }
        // Git takes a file for changed if its time differs from the index; other programs change times.
        checkout.refresh_index().await?;
        checkout.begin_move(wanted)?;
        let args = ["read-tree", "-m", "-u", &old, &wanted.new];
        let answer = checkout.git.call("update the files", args).answer().await?;
        if !answer.ok() {
            let why = answer.stderr_summary();
            self.give_up(checkout, wanted).await?;
            return refuse(
                format!("git cannot update the files of {}: {why}", checkout.path.display()),
                "resolve this, then merge again",
            );
        }
        match self.swap_branch(&checkout.git, wanted, reason).await {
            Ok(true) => {
                checkout.end_move()?;
                Ok(Ok(()))
            }
            Ok(false) => {
                self.give_up(checkout, wanted).await?;
                refuse_moved(wanted)
            }
            Err(error) => {
                // The user needs to know the first error; what is not undone stays in the log.
                if let Err(later) = self.give_up(checkout, wanted).await {
                    tracing::warn!("{later}");
                }
                Err(error)
            }
        }
    }

    /// Undoes a move that could not be completed. What cannot be undone without loss stays in the log, for the next merge.
    async fn give_up(&self, checkout: &mut LockedCheckout, begun: &BranchMove) -> Result<()> {
        match self.undo_move(checkout, begun).await? {
            Ok(()) => checkout.end_move(),
            Err(_) => Ok(()),
        }
    }
}

fn refuse_moved<T>(wanted: &BranchMove) -> Result<Answer<T>> {
    let short = wanted.branch.trim_start_matches("refs/heads/");
    refuse(
        format!("{short} moved from {} during the merge", short_commit(&wanted.old)),
        "merge again",
    )
}
