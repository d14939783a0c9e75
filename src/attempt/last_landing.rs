//! What a branch that is gone held: the store knows the commit that landed last, and git does not.

use super::{Site, Trouble};
use crate::workspace::WorkspaceError;

impl Site {
    /// The same; where a run's branch is gone, with the commit that landed last.
    pub async fn with_last_landing(&self, trouble: Trouble) -> Trouble {
        let Trouble::Ours(mut error) = trouble else { return trouble };
        let gone = match error.downcast_ref() {
            Some(WorkspaceError::BranchGone { branch, .. }) => branch.clone(),
            _ => return Trouble::Ours(error),
        };
        // What is wrong stays what it was, also where this cannot be told.
        let last = self.last_landing(&gone).await.unwrap_or_default();
        if let Some(WorkspaceError::BranchGone { last_landed, .. }) = error.downcast_mut() {
            *last_landed = last;
        }
        Trouble::Ours(error)
    }

    async fn last_landing(&self, branch: &str) -> Result<Option<String>, Trouble> {
        let here = self.repo.identity();
        for run in self.store.runs().await? {
            let facts = run.facts.filter(|facts| facts.branch == branch && facts.repo == here);
            if let Some(facts) = facts {
                let landings = self.store.landings(&run.run_id).await?;
                let last = self.repo.last_of(&facts.base_commit, &landings).await;
                // Where git has pruned them, the store still knows which was the last.
                return Ok(last.unwrap_or_default().or_else(|| landings.first().cloned()));
            }
        }
        Ok(None)
    }
}
