//! Last landed commit of a deleted branch: known to the store, not to git.

use super::{AttemptError, Site};
use crate::workspace::WorkspaceError;

impl Site {
    /// Adds the last landed commit to an error about a deleted branch; returns other errors unchanged.
    pub async fn with_last_landing(&self, error: AttemptError) -> AttemptError {
        let AttemptError::Ours(mut error) = error else { return error };
        let gone = match error.downcast_ref() {
            Some(WorkspaceError::BranchGone { branch, .. }) => branch.clone(),
            _ => return AttemptError::Ours(error),
        };
        // The error stays the same if the commit is unknown.
        let last = self.last_landing(&gone).await.unwrap_or_default();
        if let Some(WorkspaceError::BranchGone { last_landed, .. }) = error.downcast_mut() {
            *last_landed = last;
        }
        AttemptError::Ours(error)
    }

    async fn last_landing(&self, branch: &str) -> Result<Option<String>, AttemptError> {
        let here = self.repo.identity();
        for run in self.store.runs().await? {
            let facts = run.facts.filter(|facts| facts.branch == branch && facts.repo == here);
            if let Some(facts) = facts {
                let landings = self.store.landings(&run.run_id).await?;
                let last = self.repo.last_of(&facts.base_commit, &landings).await;
                // If git has pruned the commits, the store still knows the last landing.
                return Ok(last.unwrap_or_default().or_else(|| landings.first().cloned()));
            }
        }
        Ok(None)
    }
}
