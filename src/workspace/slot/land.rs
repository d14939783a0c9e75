//! Landing: a commit's objects go into the user's repository, then one transaction moves the run's
//! branch and verifies the fence.

use std::path::PathBuf;
use std::time::Duration;

use super::Slot;
use super::made_objects::MANY;
use crate::git::command::Answer;
use crate::git::error::{Result, WorkspaceError};
use crate::phase::RunId;
use crate::workspace::repo::claim_ref::ClaimRef;
use crate::workspace::repo::run_branch::Tip;
use crate::workspace::repo::run_refs::{Names, Refs};

/// Beyond the seconds that git itself waits for a lock. A `git gc` may get in the way several times in a row.
const ROUNDS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// What came of landing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// `held_by`: the user has the branch checked out there, and it could not move.
    Landed { held_by: Option<PathBuf> },
    /// Somebody else landed before; rebase on the new tip.
    TipMoved(String),
    /// The attempt was rescued: it is no longer ours.
    Fenced,
}

impl Slot {
    /// Makes `commit` the run's tip, if the tip is still `old_tip` and the claim still ours.
    pub async fn land(
        &self,
        claim: &ClaimRef,
        run: &RunId,
        old_tip: &str,
        commit: &str,
    ) -> Result<Landing> {
        let names = Names::of(run);
        let mut round = 1;
        loop {
            let refs = self.repo.run_refs(&names).await?;
            let tip = self.repo.tip_of(&names, &refs).await?;
            // A round before moved it, though git died before it could say so; somebody may have built on it since.
            let there = round > 1 && self.repo.contains(&tip.commit, commit).await?;
            if there || tip.commit == commit {
                self.hand_over(commit, old_tip).await?;
                return Ok(Landing::Landed { held_by: tip.held_by });
            }
            let moved = tip.commit != old_tip;
            // That the claim is ours is the transaction's to see; what failed at it is seen here.
            if (moved || round > 1) && !self.repo.holds(claim).await? {
                return Ok(Landing::Fenced);
            }
            if moved {
                return Ok(Landing::TipMoved(tip.commit));
            }
            let orders = orders(&names, &refs, &tip, claim, commit, &self.repo.zero());
            match self.hand_over_and_move(commit, old_tip, &orders).await {
                Ok(()) => return Ok(Landing::Landed { held_by: refs.held_by }),
                Err(error) if round == ROUNDS => return Err(error),
                // A value moved, which the next look tells apart; a lock is in the way; or a `git gc` of the user's
                // took objects that no ref had named yet.
                Err(_) => {
                    self.forget_handing_over();
                    tokio::time::sleep(PAUSE).await;
                }
            }
            round += 1;
        }
    }

    async fn hand_over_and_move(&self, commit: &str, old_tip: &str, orders: &str) -> Result<()> {
        if self.repo.until_gc_is_over().await {
            self.forget_handing_over();
        }
        self.hand_over(commit, old_tip).await?;
        let answer = self.repo.transact("move the run's branch", orders).await?;
        if !answer.ok() {
            return Err(ref_error(answer));
        }
        if self.repo.until_gc_is_over().await {
            self.forget_handing_over();
            self.hand_over(commit, old_tip).await?;
        }
        Ok(())
    }

    /// Writes what the user's repository lacks of a commit, once.
    pub async fn hand_over(&self, commit: &str, known: &str) -> Result<()> {
        if self.is_handed_over(commit) {
            return Ok(());
        }
        if !self.carry_over(commit, known).await? {
            self.send(commit, known).await?;
        }
        self.remember_handing_over(commit);
        Ok(())
    }

    async fn send(&self, commit: &str, known: &str) -> Result<()> {
        let args = ["pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset"];
        let wanted = format!("{commit}\n^{known}\n");
        let pack = self.top.store.call("pack the commit", args).stdin(wanted).bytes().await?;
        let args: &[&str] = match object_count(&pack) {
            n if (n as usize) < MANY => &["unpack-objects", "-q"],
            _ => &["index-pack", "--stdin"],
        };
        self.repo.git.call("write the commit", args).stdin(pack).bytes().await.map(drop)
    }
}

/// The one transaction of a landing. The claim goes with it: a ref for each phase that ever landed would make git slow
/// for everybody.
fn orders(
    names: &Names,
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
            // The user may commit to the branch meanwhile; then it is the tip.
            if let Some(branch) = &refs.branch {
                orders.push_str(&format!("verify {} {branch}\n", names.branch));
            }
        }
    }
    orders
}

/// From a pack's header.
fn object_count(pack: &[u8]) -> u32 {
    match pack.get(8..12).and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => u32::from_be_bytes(bytes),
        None => 0,
    }
}

/// Why a ref could not be moved: a lock is worth a word of its own.
pub(crate) fn ref_error(answer: Answer) -> WorkspaceError {
    let said = String::from_utf8_lossy(&answer.output.stderr).into_owned();
    let lock = said.split('\'').find(|part| part.ends_with(".lock"));
    match lock.filter(|_| said.contains("File exists")) {
        Some(lock) => WorkspaceError::RefLocked { doing: answer.doing, lock: lock.into() },
        None => answer.error(),
    }
}
