//! What is done for the runs as a whole: their specs are repaired, their branches catch up.

use super::Drain;
use crate::attempt::Trouble;
use crate::phase::words::{first_few, quoted, short_commit};
use crate::phase::{PhaseId, RunId};
use crate::store::RunFacts;
use crate::workspace::WorkspaceError;

/// More phases than these are not named in a command.
const NAMED: usize = 8;

impl Drain<'_> {
    /// Branches that the user had checked out catch up.
    pub(super) async fn follow(&mut self) -> Result<(), Trouble> {
        let request = self.request;
        for run in &request.runs {
            if let Some(facts) = self.site.store.run_facts(run).await? {
                self.site.follow(run, &facts.branch).await?;
                self.say_lost(run, &facts).await?;
            }
        }
        Ok(())
    }

    /// A branch that somebody moved back has lost what landed, and nothing else would say so. Each phase is said once.
    async fn say_lost(&mut self, run: &RunId, facts: &RunFacts) -> Result<(), Trouble> {
        let landed = self.site.store.landed(run).await?;
        let mut lost = self.site.repo.missing(run, &facts.base_commit, &landed).await?;
        lost.retain(|(phase, _)| self.said_lost.insert((run.clone(), phase.clone())));
        let Some((first, commit)) = lost.first() else { return Ok(()) };
        let (branch, short) = (&facts.branch, short_commit(commit));
        let more = match lost.len() - 1 {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        self.site.progress.note(&format!(
            "{branch} no longer holds what {first} landed as {short}{more}: somebody moved it; `git reflog {branch}` shows \
             from where. If the work is gone, too: {}",
            redo(run, &lost)
        ));
        Ok(())
    }

    /// Where a branch is gone, the user has to know what it held.
    pub(super) async fn with_last_landing(&self, trouble: Trouble) -> Trouble {
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
        for run in &self.request.runs {
            let facts = self.site.store.run_facts(run).await?;
            if let Some(facts) = facts.filter(|facts| facts.branch == branch) {
                let landings = self.site.store.landings(run).await?;
                let last = self.site.repo.last_of(&facts.base_commit, &landings).await;
                // Where git has pruned them, the store still knows which was the last.
                return Ok(last.unwrap_or_default().or_else(|| landings.first().cloned()));
            }
        }
        Ok(None)
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

/// The command that does these phases again.
fn redo(run: &RunId, lost: &[&(PhaseId, String)]) -> String {
    let phases: Vec<_> = lost.iter().map(|(phase, _)| quoted(phase.as_str())).collect();
    let run = quoted(run.as_str());
    match phases.len() <= NAMED {
        true => format!("`autopack phases retry --run-id {run} --redo {}`", phases.join(" ")),
        false => format!(
            "`autopack phases retry --run-id {run} --redo PHASE...` with {}",
            first_few(&phases, NAMED)
        ),
    }
}
