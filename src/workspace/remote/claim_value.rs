//! Values of claims: commits without files. The message names run, phase, attempt and owner.
//!
//! A value depends on nothing else. So the next owner of an attempt knows the value to delete, and a claim pushed twice
//! is the same claim. Servers accepting only branches require commits.

use serde::{Deserialize, Serialize};

use super::{ClaimedWork, RemoteFence};
use crate::git::error::{Context as _, Result};
use crate::git::loose_objects::LooseObjects;
use crate::workspace::blocking_work::blocking;

/// Author and committer, at a constant time.
const IDENTITY: &str = "autopack <autopack@localhost> 1 +0000";

/// Content of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ClaimContent {
    pub run: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    pub attempt: u32,
    pub owner: String,
}

impl ClaimContent {
    pub fn of(work: &ClaimedWork) -> Self {
        Self {
            run: work.run.to_string(),
            phase: work.phase.as_ref().map(ToString::to_string),
            attempt: work.number,
            owner: work.owner.clone(),
        }
    }

    /// Reads the message of a claim; an unreadable message counts as attempt 0.
    pub fn parse(commit: &str) -> Self {
        let last = commit.trim_end().rsplit('\n').next().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_default()
    }
}

impl RemoteFence {
    /// Returns the id of a claim's value, without writing the value.
    pub(super) fn value_of(&self, work: &ClaimedWork) -> Result<String> {
        let repo = &self.repo;
        let objects = repo.objects_dir();
        let loose = LooseObjects { objects: &objects, sha256: repo.sha256, durable: true };
        let cannot = "create an object for";
        let tree = loose.make("tree", b"").doing(cannot, &objects)?;
        let commit = loose.make("commit", &commit_text(tree.id(), &ClaimContent::of(work)));
        Ok(commit.doing(cannot, &objects)?.id().to_owned())
    }

    /// Writes a claim's value, to be pushed, and returns the id.
    pub(super) async fn write_value(&self, work: &ClaimedWork) -> Result<String> {
        let repo = &self.repo;
        let content = ClaimContent::of(work);
        if let Some(users) = repo.users_objects() {
            return blocking(move || {
                let loose = users.loose();
                let cannot = "write an object to";
                let tree = loose.make("tree", b"").doing(cannot, loose.objects)?;
                let commit = loose.make("commit", &commit_text(tree.id(), &content));
                let commit = commit.doing(cannot, loose.objects)?;
                let id = commit.id().to_owned();
                loose.put(&[tree, commit]).doing(cannot, loose.objects)?;
                Ok(id)
            })
            .await;
        }
        let tree = repo.empty_tree().await?;
        let args = ["hash-object", "-t", "commit", "-w", "--stdin"];
        repo.git.call("write the claim", args).stdin(commit_text(&tree, &content)).text().await
    }
}

fn commit_text(tree: &str, content: &ClaimContent) -> Vec<u8> {
    let content = serde_json::json!(content);
    format!("tree {tree}\nauthor {IDENTITY}\ncommitter {IDENTITY}\n\nautopack claim\n\n{content}\n")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::{PhaseId, RunId};

    #[test]
    fn a_claim_is_read_as_written() {
        let work = ClaimedWork {
            run: RunId::new("r"),
            phase: Some(PhaseId::new("p\n\"x")),
            number: 3,
            owner: "1-2".to_owned(),
        };
        let content = ClaimContent::of(&work);
        let text = String::from_utf8(commit_text("0", &content)).unwrap();
        assert_eq!(ClaimContent::parse(&text), content);
        assert_eq!(ClaimContent::parse("tree 0\n\nsomething else\n").attempt, 0);
    }
}
