//! The fence: a ref for each phase with the attempt allowed to land it.
//!
//! A claim of attempt n replaces only claims of lower attempts. A reclaim of attempt n always
//! replaces the claim, before the phase is queued again. Landing deletes the ref, if it still has
//! this value, in the same transaction as the branch update, so a drain whose phase was reclaimed
//! can no longer land, however late it wakes up. Any later claim, by a drain asleep since before,
//! is refused by the store before an agent is asked.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Repo;
use crate::git::error::{Result, WorkspaceError};
use crate::git::refs::ref_error;
use crate::phase::{PhaseId, RunId};

/// After losing this many rounds, claiming fails: a race does not last this long.
const ROUNDS: u32 = 20;

/// The right to land an attempt, as stored in git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRef {
    pub(crate) name: String,
    pub(crate) id: String,
}

/// Result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceOutcome {
    /// The right to land was claimed.
    Ours(ClaimRef),
    /// This attempt, or a later attempt, belongs to another drain.
    Fenced {
        /// Number of the other attempt.
        attempt: u32,
        /// Owner of the other claim.
        holder: String,
    },
}

/// Content of a claim's blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct ClaimContent {
    run: String,
    phase: String,
    attempt: u32,
    owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rescued_by: Option<String>,
    /// Random value, to make two claims of the same holder differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Repo {
    /// Claims the right to land this attempt. `owner` is unique among drains.
    ///
    /// # Errors
    /// If git fails.
    pub async fn fence(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
        owner: &str,
    ) -> Result<FenceOutcome> {
        let ours = ClaimContent { owner: owner.to_owned(), ..holder(run, phase, attempt) };
        let name = claim_name(run, phase);
        self.put(name, &ours, |there| there.attempt < attempt || *there == ours).await
    }

    /// Claims the right to land the undo or update with this number. Replaces any earlier claim: the store lets one process
    /// at a time undo landings of a run or update it, and lets nobody else record a commit.
    ///
    /// # Errors
    /// If git fails.
    pub async fn fence_undo(
        &self,
        run: &RunId,
        phase: &PhaseId,
        revert: i64,
        owner: &str,
    ) -> Result<FenceOutcome> {
        let number = u32::try_from(revert).unwrap_or(u32::MAX);
        let ours = ClaimContent { owner: owner.to_owned(), ..holder(run, phase, number) };
        self.put(undo_fence(run), &ours, |_| true).await
    }

    /// Reclaims the right from the holder of this attempt or an earlier attempt. `Fenced`: the phase has moved on to
    /// a later attempt, so there is nothing to reclaim.
    ///
    /// # Errors
    /// If git fails.
    pub async fn reclaim_fence(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
        rescuer: &str,
    ) -> Result<FenceOutcome> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ours = ClaimContent {
            rescued_by: Some(rescuer.to_owned()),
            token: Some(format!("{}-{}", std::process::id(), now.as_nanos())),
            ..holder(run, phase, attempt)
        };
        self.put(claim_name(run, phase), &ours, |there| there.attempt <= attempt).await
    }

    /// Whether the claim is still valid. Only the transaction of a landing can rely on the answer.
    pub(crate) async fn holds_claim(&self, claim: &ClaimRef) -> Result<bool> {
        Ok(self.claim_at(&claim.name).await?.is_some_and(|(id, _)| id == claim.id))
    }

    async fn put(
        &self,
        name: String,
        ours: &ClaimContent,
        may_replace: impl Fn(&ClaimContent) -> bool,
    ) -> Result<FenceOutcome> {
        let mut last = None;
        // A first attempt usually finds no claim; a wrong guess costs a round.
        let mut guessed = ours.attempt == 1 && ours.rescued_by.is_none();
        for _ in 0..ROUNDS {
            let there = if guessed { None } else { self.claim_at(&name).await? };
            guessed = false;
            if let Some((_, there)) = there.as_ref().filter(|(_, there)| !may_replace(there)) {
                let holder = there.rescued_by.clone().unwrap_or_else(|| there.owner.clone());
                return Ok(FenceOutcome::Fenced { attempt: there.attempt, holder });
            }
            self.wait_for_gc().await;
            let new = self.write_claim(ours).await?;
            let old = there.map_or_else(|| self.zero(), |(id, _)| id);
            let answer = self.git.call("claim the phase", ["update-ref", &name, &new, &old]);
            let answer = answer.answer().await?;
            if answer.ok() {
                if self.wait_for_gc().await {
                    self.write_claim(ours).await?;
                }
                return Ok(FenceOutcome::Ours(ClaimRef { name, id: new }));
            }
            last = Some(answer);
        }
        Err(match last {
            Some(answer) => ref_error(answer),
            None => WorkspaceError::OddAnswer { doing: "claim the phase".into(), answer: name },
        })
    }

    async fn write_claim(&self, holder: &ClaimContent) -> Result<String> {
        let text = serde_json::json!(holder).to_string();
        if let Some(id) = self.write_blob(text.clone().into_bytes()).await {
            return Ok(id);
        }
        let args = ["hash-object", "-w", "--stdin"];
        self.git.call("write the claim", args).stdin(text).text().await
    }

    /// Returns id and content of the current claim. An unreadable claim counts as attempt 0.
    async fn claim_at(&self, name: &str) -> Result<Option<(String, ClaimContent)>> {
        let call = self.git.call("read the claim", ["cat-file", "--batch"]);
        let answer = call.stdin(format!("{name}\n")).bytes().await?;
        let end = answer.iter().position(|b| *b == b'\n').unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        if head.ends_with(" missing") {
            return Ok(None);
        }
        let id = head.split(' ').next().unwrap_or_default().to_owned();
        let holder = serde_json::from_slice(&answer[end..]).unwrap_or_default();
        Ok(Some((id, holder)))
    }
}

fn holder(run: &RunId, phase: &PhaseId, attempt: u32) -> ClaimContent {
    let (run, phase) = (run.as_str().to_owned(), phase.as_str().to_owned());
    ClaimContent { run, phase, attempt, ..ClaimContent::default() }
}

/// Name of the fence of an undo or an update. Without it, the process that claimed it can no longer land.
pub(crate) fn undo_fence(run: &RunId) -> String {
    format!("refs/autopack/undos/{}", run.file_name())
}

pub(crate) fn claim_name(run: &RunId, phase: &PhaseId) -> String {
    format!("refs/autopack/claims/{}/{}", run.file_name(), phase.file_name())
}
