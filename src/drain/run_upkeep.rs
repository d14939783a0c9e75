//! Upkeep of whole runs: repairs specs and moves branches forward to landed work.

use super::Drain;
use super::remote_upkeep::remove_remote_refs;
use super::stop_reason::StopReason;
use crate::attempt::AttemptError;
use crate::phase::words::{first_few, quoted, short_commit};
use crate::phase::{PhaseId, RunId};
use crate::process::StopLevel;
use crate::store::RunFacts;

/// Phases named in a command; beyond this number a placeholder is shown.
const NAMED: usize = 8;

impl Drain<'_> {
    /// Moves branches forward to landed work if the user had them checked out before, and drops refs of dead queue members.
    pub(super) async fn update_branches(&mut self) -> Result<(), AttemptError> {
        let request = self.request;
        for run in &request.runs {
            if let Some(facts) = self.context.store.run_facts(run).await? {
                self.context.follow(run, &facts.branch).await?;
                self.drop_stale_queue_refs(run).await?;
                self.report_lost_phases(run, &facts).await?;
            }
        }
        Ok(())
    }

    /// Drops refs without a member in the merge queue: git calls of a killed drain may have come late.
    async fn drop_stale_queue_refs(&self, run: &RunId) -> Result<(), AttemptError> {
        // Read before the members: a member enters before its ref is made.
        let positions = self.context.repo.queue_ref_positions(run);
        if positions.is_empty() {
            return Ok(());
        }
        let members = self.context.store.merge_queue(run).await?;
        let is_stale = |position: &i64| members.iter().all(|member| member.position != *position);
        for position in positions.into_iter().filter(is_stale) {
            self.context.repo.drop_queue_ref(run, position).await?;
        }
        Ok(())
    }

    /// Deletes refs at the remote that no work needs, and fetched commits of members. What stays, `gc` or a later drain
    /// deletes.
    pub(super) async fn remove_remote_refs(&self) {
        let Some(remote) = &self.context.remote else { return };
        for run in &self.request.runs {
            match remove_remote_refs(&self.context.store, &self.context.repo, remote, run).await {
                Ok(Ok(_)) => {}
                Ok(Err(failure)) => tracing::debug!("refs stay: {failure}"),
                Err(error) => tracing::warn!("cannot remove refs at {}: {error:#}", remote.name()),
            }
        }
    }

    /// Warns about a branch moved back by somebody, which lost landed phases. Each phase is reported once.
    async fn report_lost_phases(
        &mut self,
        run: &RunId,
        facts: &RunFacts,
    ) -> Result<(), AttemptError> {
        let landed = self.context.store.landed_phases(run).await?;
        let mut lost = self.context.repo.missing(run, &facts.base_commit, &landed).await?;
        lost.retain(|(phase, _)| self.reported_lost.insert((run.clone(), phase.clone())));
        let Some((first, commit)) = lost.first() else { return Ok(()) };
        let (branch, short) = (&facts.branch, short_commit(commit));
        let more = match lost.len() - 1 {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        self.context.progress.note(&format!(
            "{branch} no longer contains {first} ({short}){more}: the branch was moved; `git reflog {branch}` shows the \
             previous tip. To execute lost phases again: {}",
            redo(run, &lost)
        ));
        Ok(())
    }

    /// Converts an error into the drain's stop reason.
    pub(super) async fn stop_after(&self, error: AttemptError) -> StopReason {
        // Ctrl-C during an outage of the remote.
        if let AttemptError::Unsettled(why) = &error
            && self.context.remote.is_some()
            && self.stop.level() > StopLevel::Run
        {
            self.context.progress.note(why);
            return StopReason::Interrupted;
        }
        StopReason::Error(self.context.with_last_landing(error).await)
    }

    /// Repairs the specs of all runs.
    pub(super) async fn repair(&self) -> Result<(), AttemptError> {
        for run in &self.request.runs {
            let counts =
                self.context.store.repair_queued(Some(run), self.fix, false, &mut |_| {}).await?;
            if counts.changed > 0 {
                let what = if counts.changed == 1 { "spec" } else { "specs" };
                self.context.progress.note(&format!("repaired {} {what} of {run}", counts.changed));
            }
        }
        Ok(())
    }
}

/// Returns the command to execute these phases again.
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
