//! Landing: copies a commit's objects into the user's repository; a single transaction then moves
//! the run's branch and checks the fence.

use std::path::PathBuf;
use std::time::Duration;

use super::Slot;
use super::made_objects::MANY;
use crate::git::error::Result;
use crate::git::refs::ref_error;
use crate::phase::RunId;
use crate::workspace::repo::claim_ref::ClaimRef;
use crate::workspace::repo::queue_refs::QueueRef;
use crate::workspace::repo::run_branch::Tip;
use crate::workspace::repo::run_refs::{Refs, RunRefNames};

/// Maximum number of rounds, each with git's own wait of seconds for a lock. A `git gc` may interfere several times
/// in a row.
const ROUNDS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// Result of landing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The commit is the run's tip.
    Landed {
        /// Worktree with the branch checked out: the branch could not move.
        held_by: Option<PathBuf>,
    },
    /// Another attempt landed first; rebase onto this new tip.
    TipMoved(String),
    /// The attempt was reclaimed: the claim is no longer ours.
    Fenced,
}

impl Slot {
    /// Makes `commit` the run's tip, if the tip is still `old_tip` and the claim is still valid.
    ///
    /// # Errors
    /// If git fails.
    pub async fn land(
        &self,
        claim: &ClaimRef,
        run: &RunId,
        old_tip: &str,
        commit: &str,
    ) -> Result<Landing> {
        self.land_member(claim, run, old_tip, commit, None).await
    }

    /// Like [`Slot::land`]; deletes the ref of a member of the merge queue in the same transaction.
    ///
    /// # Errors
    /// If git fails.
    pub async fn land_member(
        &self,
        claim: &ClaimRef,
        run: &RunId,
        old_tip: &str,
        commit: &str,
        queued: Option<&QueueRef>,
    ) -> Result<Landing> {
        let names = RunRefNames::of(run);
        let mut round = 1;
        loop {
            let refs = self.repo.run_refs(&names).await?;
            let tip = self.repo.tip_of(&names, &refs).await?;
            // A previous round moved the branch, though git died before reporting success; another landing may have
            // followed.
            let there = round > 1 && self.repo.contains(&tip.commit, commit).await?;
            if there || tip.commit == commit {
                self.copy_objects(commit, old_tip).await?;
                return Ok(Landing::Landed { held_by: tip.held_by });
            }
            let moved = tip.commit != old_tip;
            // The transaction verifies the claim; only a failed transaction is explained here.
            if (moved || round > 1) && !self.repo.holds_claim(claim).await? {
                return Ok(Landing::Fenced);
            }
            if moved {
                return Ok(Landing::TipMoved(tip.commit));
            }
            let mut orders = orders(&names, &refs, &tip, claim, commit, &self.repo.zero());
            if let Some(QueueRef { name, commit }) = queued {
                orders.push_str(&format!("delete {name} {commit}\n"));
            }
            match self.hand_over_and_move(commit, old_tip, &orders).await {
                Ok(()) => return Ok(Landing::Landed { held_by: refs.held_by }),
                Err(error) if round == ROUNDS => return Err(error),
                // A ref changed, to be told apart in the next round; or there is a lock; or a `git gc` of the user's
                // removed objects not yet named by a ref.
                Err(_) => {
                    self.forget_handing_over();
                    tokio::time::sleep(PAUSE).await;
                }
            }
            round += 1;
        }
    }

    async fn hand_over_and_move(&self, commit: &str, old_tip: &str, orders: &str) -> Result<()> {
        if self.repo.wait_for_gc().await {
            self.forget_handing_over();
        }
        self.copy_objects(commit, old_tip).await?;
        let answer = self.repo.transact("move the run's branch", orders).await?;
        if !answer.ok() {
            return Err(ref_error(answer));
        }
        if self.repo.wait_for_gc().await {
            self.forget_handing_over();
            self.copy_objects(commit, old_tip).await?;
        }
        Ok(())
    }

    /// Writes the objects of a commit missing in the user's repository, once.
    ///
    /// # Errors
    /// If git fails.
    pub async fn copy_objects(&self, commit: &str, known: &str) -> Result<()> {
        if self.is_handed_over(commit) {
            return Ok(());
        }
        if !self.copy_new_objects(commit, known).await? {
            self.send(commit, known).await?;
        }
        self.remember_handing_over(commit);
        Ok(())
    }

    async fn send(&self, commit: &str, known: &str) -> Result<()> {
        let args = ["pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset"];
        // The other parents of a merge are in the user's repository, too.
        let wanted = format!("{commit}\n^{known}\n^{commit}^@\n");
        let pack = self.top.store.call("pack the commit", args).stdin(wanted).bytes().await?;
        let args: &[&str] = match object_count(&pack) {
            n if (n as usize) < MANY => &["unpack-objects", "-q"],
            _ => &["index-pack", "--stdin"],
        };
        self.repo.git.call("write the commit", args).stdin(pack).bytes().await.map(drop)
    }
}

/// Builds the transaction of a landing. The claim is deleted in the same transaction: a ref for each phase ever
/// landed would make git slow for everybody.
fn orders(
    names: &RunRefNames,
    refs: &Refs,
    tip: &Tip,
    claim: &ClaimRef,
    commit: &str,
    zero: &str,
) -> String {
    let mut orders = format!("delete {} {}\n", claim.name, claim.id);
    let branch = refs.branch.as_ref().filter(|_| refs.held_by.is_none() && !tip.diverged);
    match (branch, &refs.beside) {
        (Some(branch), beside) => {
            orders.push_str(&format!("update {} {commit} {branch}\n", names.branch));
            if let Some(beside) = beside {
                orders.push_str(&format!("delete {} {beside}\n", names.beside));
            }
        }
        (None, beside) => {
            let old = beside.as_deref().unwrap_or(zero);
            orders.push_str(&format!("update {} {commit} {old}\n", names.beside));
            // Meanwhile the user may commit to the branch; this commit is then the tip.
            if let Some(branch) = &refs.branch {
                orders.push_str(&format!("verify {} {branch}\n", names.branch));
            }
        }
    }
    orders
}

/// Reads the number of objects in a pack's header.
fn object_count(pack: &[u8]) -> u32 {
    match pack.get(8..12).and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => u32::from_be_bytes(bytes),
        None => 0,
    }
}
