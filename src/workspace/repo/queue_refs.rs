//! Refs of the merge queue, `refs/autopack/queue/<run>/<position>`: they keep the commits of members of a drain with several
//! workers. A landing deletes the ref in the transaction that moves the branch, so a member whose ref was dropped can no
//! longer land.

use std::fs;

use super::Repo;
use super::run_refs::RunRefNames;
use crate::git::error::Result;
use crate::git::refs::ref_error;
use crate::phase::RunId;

/// Ref of a member, and its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRef {
    pub(crate) name: String,
    pub(crate) commit: String,
}

impl QueueRef {
    /// Returns the name of the ref.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Repo {
    /// Points the ref of a member at its commit. The member owns its position, so an older value does not matter.
    ///
    /// # Errors
    /// If git cannot write the ref.
    pub async fn put_queue_ref(
        &self,
        run: &RunId,
        position: i64,
        commit: &str,
    ) -> Result<QueueRef> {
        let name = name_of(run, position);
        let call = self.git.call("keep the queued commit", ["update-ref", &name, commit]);
        let answer = call.answer().await?;
        match answer.ok() {
            true => Ok(QueueRef { name, commit: commit.to_owned() }),
            false => Err(ref_error(answer)),
        }
    }

    /// Deletes the ref of a member that left or was reclaimed.
    ///
    /// # Errors
    /// If git fails.
    pub async fn drop_queue_ref(&self, run: &RunId, position: i64) -> Result<()> {
        let name = name_of(run, position);
        self.git.call("drop the queued commit", ["update-ref", "-d", &name]).bytes().await?;
        Ok(())
    }

    /// Returns the positions with a ref in a run's queue, as far as files of refs tell.
    pub fn queue_ref_positions(&self, run: &RunId) -> Vec<i64> {
        let directory = format!("refs/autopack/queue/{}", run.file_name());
        let entries = fs::read_dir(self.common_dir().join(directory)).into_iter().flatten();
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// Checks whether the run's tip is this commit, as far as files of refs tell. `false` if they do not tell: another ref
    /// format, or a branch checked out somewhere.
    pub fn is_tip_in_files(&self, run: &RunId, commit: &str) -> bool {
        let names = RunRefNames::of(run);
        let refs = self.run_refs_in_files(&names);
        refs.is_some_and(|refs| refs.beside.is_none() && refs.branch.as_deref() == Some(commit))
    }
}

fn name_of(run: &RunId, position: i64) -> String {
    format!("refs/autopack/queue/{}/{position}", run.file_name())
}
