//! What is done for the runs as a whole: their specs are repaired, their branches catch up.

use super::Drain;
use crate::execute::Trouble;

impl Drain<'_> {
    /// Branches that the user had checked out catch up.
    pub(super) async fn follow(&self) -> Result<(), Trouble> {
        for run in &self.request.runs {
            if let Some(facts) = self.site.store.run_facts(run).await? {
                self.site.follow(run, &facts.branch).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn repair(&self) -> Result<(), Trouble> {
        for run in &self.request.runs {
            let counts =
                self.site.store.repair_queued(Some(run), self.fix, false, &mut |_| {}).await?;
            if counts.changed > 0 {
                let what = if counts.changed == 1 { "spec" } else { "specs" };
                self.site.progress.note(&format!("repaired {} {what} of {run}", counts.changed));
            }
        }
        Ok(())
    }
}
