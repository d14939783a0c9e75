//! Last landed commit of a deleted branch: known to the store, not to git.

use super::{AttemptError, DrainContext};
use crate::workspace::WorkspaceError;

impl DrainContext {
    /// Adds the last landed commit to an error about a deleted branch; returns other errors unchanged.
    pub async fn with_last_landing(&self, error: AttemptError) -> AttemptError {
        let AttemptError::Internal(mut error) = error else { return error };
        let gone = match error.downcast_ref() {
            Some(WorkspaceError::BranchGone { branch, .. }) => branch.clone(),
            _ => return AttemptError::Internal(error),
        };
        // The error stays the same if the commit is unknown.
        let last = self.last_landing(&gone).await.unwrap_or_default();
        if let Some(WorkspaceError::BranchGone { last_landed, .. }) = error.downcast_mut() {
            *last_landed = last;
        }
        AttemptError::Internal(error)
    }

    async fn last_landing(&self, branch: &str) -> Result<Option<String>, AttemptError> {
        let here = self.repo.identity();
        for run in self.store.runs().await? {
            let facts = run.facts.filter(|facts| facts.branch == branch && facts.repo == here);
            if let Some(facts) = facts {
                let landings = self.store.landed_commits(&run.run_id).await?;
                let last = self.repo.find_last(&facts.base_commit, &landings).await;
                // If git has pruned the commits, the store still knows the last landing.
                return Ok(last.unwrap_or_default().or_else(|| landings.first().cloned()));
            }
        }
        Ok(None)
    }
}
