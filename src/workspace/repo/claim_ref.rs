//! The fence: a ref for each phase that names who may land it.
//!
//! A claimer of attempt n replaces only what a lower attempt left. A rescuer of attempt n always
//! replaces it, before the phase is queued again. Landing deletes it, if it has this value, in the same transaction
//! that moves the branch, so that whoever was rescued can no longer land, however late it wakes up. What is claimed
//! after that, by somebody who has slept since before, the store refuses before an agent is asked.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Repo;
use crate::git::error::{Result, WorkspaceError};
use crate::phase::{PhaseId, RunId};

/// Losing the race this often is no race any more.
const ROUNDS: u32 = 20;

/// The right to land one attempt, as git knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRef {
    pub(crate) name: String,
    pub(crate) id: String,
}

/// What came of asking for the right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fence {
    Ours(ClaimRef),
    /// This attempt, or a later one, is somebody else's.
    Fenced {
        attempt: u32,
        holder: String,
    },
}

/// What a claim's blob says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Holder {
    run: String,
    phase: String,
    attempt: u32,
    owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rescued_by: Option<String>,
    /// Makes two values of one holder differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Repo {
    /// Claims the right to land this attempt. `owner` is unique among drains.
    pub async fn fence(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
        owner: &str,
    ) -> Result<Fence> {
        let ours = Holder { owner: owner.to_owned(), ..holder(run, phase, attempt) };
        self.put(run, phase, &ours, |there| there.attempt < attempt || *there == ours).await
    }

    /// Takes the right from whoever has it for this attempt or an earlier one. `Fenced`: the phase
    /// has moved on to a later attempt, and there is nothing to rescue.
    pub async fn rescue_fence(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
        rescuer: &str,
    ) -> Result<Fence> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ours = Holder {
            rescued_by: Some(rescuer.to_owned()),
            token: Some(format!("{}-{}", std::process::id(), now.as_nanos())),
            ..holder(run, phase, attempt)
        };
        self.put(run, phase, &ours, |there| there.attempt <= attempt).await
    }

    /// Whether the right is still there, which only the transaction of a landing can rely on.
    pub(crate) async fn holds(&self, claim: &ClaimRef) -> Result<bool> {
        Ok(self.claim_at(&claim.name).await?.is_some_and(|(id, _)| id == claim.id))
    }

    async fn put(
        &self,
        run: &RunId,
        phase: &PhaseId,
        ours: &Holder,
        may_replace: impl Fn(&Holder) -> bool,
    ) -> Result<Fence> {
        let name = claim_name(run, phase);
        let mut last = None;
        // Nobody was there before a first attempt, as a rule; being wrong costs a round.
        let mut guessed = ours.attempt == 1 && ours.rescued_by.is_none();
        for _ in 0..ROUNDS {
            let there = if guessed { None } else { self.claim_at(&name).await? };
            guessed = false;
            if let Some((_, there)) = there.as_ref().filter(|(_, there)| !may_replace(there)) {
                let holder = there.rescued_by.clone().unwrap_or_else(|| there.owner.clone());
                return Ok(Fence::Fenced { attempt: there.attempt, holder });
            }
            self.until_gc_is_over().await;
            let new = self.write_claim(ours).await?;
            let old = there.map_or_else(|| self.zero(), |(id, _)| id);
            let answer = self.git.call("claim the phase", ["update-ref", &name, &new, &old]);
            let answer = answer.answer().await?;
            if answer.ok() {
                if self.until_gc_is_over().await {
                    self.write_claim(ours).await?;
                }
                return Ok(Fence::Ours(ClaimRef { name, id: new }));
            }
            last = Some(answer);
        }
        Err(match last {
            Some(answer) => crate::workspace::slot::land::ref_error(answer),
            None => WorkspaceError::OddAnswer { doing: "claim the phase".into(), answer: name },
        })
    }

    async fn write_claim(&self, holder: &Holder) -> Result<String> {
        let text = serde_json::json!(holder).to_string();
        if let Some(id) = self.write_blob(text.clone().into_bytes()).await {
            return Ok(id);
        }
        let args = ["hash-object", "-w", "--stdin"];
        self.git.call("write the claim", args).stdin(text).text().await
    }

    /// Id and content of the claim that is there. What is not ours to read counts as attempt 0.
    async fn claim_at(&self, name: &str) -> Result<Option<(String, Holder)>> {
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

fn holder(run: &RunId, phase: &PhaseId, attempt: u32) -> Holder {
    let (run, phase) = (run.as_str().to_owned(), phase.as_str().to_owned());
    Holder { run, phase, attempt, ..Holder::default() }
}

pub(crate) fn claim_name(run: &RunId, phase: &PhaseId) -> String {
    format!("refs/autopack/claims/{}/{}", run.file_name(), phase.file_name())
}
