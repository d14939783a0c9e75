//! What is done for the runs as a whole: their specs are repaired, their branches catch up.

use super::Drain;
use crate::execute::Trouble;
use crate::phase::RunId;
use crate::store::RunFacts;

impl Drain<'_> {
    /// Branches that the user had checked out catch up.
    pub(super) async fn follow(&self) -> Result<(), Trouble> {
        for run in &self.request.runs {
            if let Some(facts) = self.site.store.run_facts(run).await? {
                self.site.follow(run, &facts.branch).await?;
                self.say_lost(run, &facts).await?;
            }
        }
        Ok(())
    }

    /// A branch that somebody moved back has lost what landed, and nothing else would say so.
    async fn say_lost(&self, run: &RunId, facts: &RunFacts) -> Result<(), Trouble> {
        let landed = self.site.store.landed(run).await?;
        let commits: Vec<String> = landed.iter().map(|(_, commit)| commit.clone()).collect();
        let missing = self.site.repo.missing(run, &facts.base_commit, &commits).await?;
        let mut lost = landed.iter().filter(|(_, commit)| missing.contains(commit));
        let Some((first, commit)) = lost.next() else { return Ok(()) };
        let (branch, short) = (&facts.branch, commit.get(..10).unwrap_or(commit));
        let more = match lost.count() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        self.site.progress.note(&format!(
            "{branch} no longer holds what {first} landed as {short}{more}: somebody moved it; `git reflog {branch}` shows \
             from where, and `autopack phases retry --run-id {run} --redo` does a phase again"
        ));
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
