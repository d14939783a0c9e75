//! What is done for the runs as a whole: their specs are repaired, their branches catch up.

use super::Drain;
use super::stop_reason::Halt;
use crate::attempt::Trouble;
use crate::phase::words::{first_few, quoted, short_commit};
use crate::phase::{PhaseId, RunId};
use crate::store::RunFacts;

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

    /// Why the drain ends after this.
    pub(super) async fn halt_after(&self, trouble: Trouble) -> Halt {
        self.site.with_last_landing(trouble).await.into()
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
