//! Batch loop: recover -> repair -> claim -> execute -> finish, batch after batch.
//!
//! Decides when to continue and when to stop. `workers` holds the running attempts, `scheduler` picks the next step,
//! `idle_wait` waits, `attempt` executes one attempt, `recover` reclaims the work of dead drains.

mod admission;
mod claim_end;
mod drain_overview;
mod drain_summary;
mod dry_run;
mod final_test;
mod forecast;
mod idle_wait;
mod liveness;
mod memory_upkeep;
mod notifications;
mod old_slot_removal;
mod owner;
mod persons_work;
mod phase_stops;
mod plan_waves;
mod propose_scopes;
mod recover;
mod remote_upkeep;
mod run_upkeep;
mod sampling;
mod scheduler;
mod stop_reason;
mod telemetry_check;
mod undo;
mod undo_recovery;
mod unproven_phases;
mod update;
mod workers;

use std::collections::HashSet;
use std::sync::Arc;

use crate::attempt::{AttemptError, DrainContext, RemoteEnd};
use crate::failure::Exit;
use crate::memory::Backend;
use crate::phase::{PhaseId, RunId};
use crate::process::{StopLevel, StopReceiver};
use crate::progress::Event;
use crate::store::{ChangeKind, Fixer};

use admission::Limits;
use claim_end::ClaimEndWatch;
use liveness::HeartbeatChecks;
use scheduler::SchedulerStep;
use stop_reason::StopReason;
use workers::WorkerPool;

pub use claim_end::TimeLimit;
pub use drain_summary::Tallies;
pub use dry_run::{PlannedDrain, PlannedPhase, plan};
pub use final_test::describe_tip_test;
pub use forecast::{Forecast, Range, forecast};
pub use liveness::{appears_dead, executes_here};
pub use owner::{RegisteredDrain, Signals};
pub use persons_work::{PersonsLanding, land_persons_work};
pub use plan_waves::{Waves, plan_waves};
pub use propose_scopes::{ProposalTargets, Proposals, ProposalsEnd, propose_scopes};
pub use recover::phases_left_behind;
pub use remote_upkeep::{count_remote_refs, remove_remote_refs};
pub use undo::{UndoResult, reclaim_dead, undo};
pub use update::{UpdateResult, update};

/// Scope and limits of a drain, as given on the command line.
#[derive(Clone, Debug)]
pub struct Request {
    /// Runs to drain.
    pub runs: Vec<RunId>,
    /// Attempts between two summaries.
    pub batch_size: u32,
    /// Batches until the drain stops; unlimited if `None`.
    pub max_batches: Option<u32>,
    /// Phases in parallel; at least 1.
    pub jobs: u32,
    /// Labels of this machine.
    pub labels: Vec<String>,
    /// Stop at the first failed phase.
    pub stop_on_first_failure: bool,
    /// Phases to try first; the rest run only if at least one of the sample passes.
    pub sample: Option<u32>,
    /// Time from which no phase starts.
    pub time_limit: Option<TimeLimit>,
    /// Whether only one phase runs.
    pub is_trial: bool,
}

/// Batch loop over one request.
pub struct Drain<'a> {
    /// Context shared by all workers.
    pub context: Arc<DrainContext>,
    /// Registration of this drain in the store.
    pub owner: RegisteredDrain,
    /// Scope and limits.
    pub request: &'a Request,
    /// Repairs specs before a claim.
    pub fix: &'a Fixer<'a>,
    /// Stop level requested by the operator.
    pub stop: StopReceiver,
    /// Signals received by this process.
    pub signals: &'a Signals,
    claim_end: ClaimEndWatch,
    workers: WorkerPool,
    tallies: Tallies,
    limits: Limits,
    /// Only these phases are claimed while the list is not empty.
    only: Vec<(RunId, PhaseId)>,
    /// Whether the sample has ended.
    sampled: bool,
    /// Claims left in this drain under `--max-batches`; unlimited if `None`.
    claims_left: Option<u64>,
    batches_begun: u32,
    /// Whether another drain fenced this owner: running attempts no longer count, and the next claim needs a new
    /// owner.
    lost: bool,
    /// Whether a phase ended as FAILED in this drain.
    had_failure: bool,
    /// Whether the stop reason was notified.
    has_notified_stop: bool,
    /// Whether the final test found no CI.
    has_no_ci: bool,
    /// Heartbeat checks of drains possibly gone.
    heartbeat_checks: HeartbeatChecks,
    /// Whether idle workers were reported.
    has_reported_idle_workers: bool,
    /// Phases already reported as lost from the branch.
    reported_lost: HashSet<(RunId, PhaseId)>,
    /// How the memory was opened, reported once.
    memory_line: Option<String>,
    /// Backend recorded in the store.
    recorded_backend: Option<Backend>,
    telemetry_warnings: telemetry_check::TelemetryWarnings,
}

impl<'a> Drain<'a> {
    /// Creates a drain over a request.
    pub fn new(
        context: DrainContext,
        owner: RegisteredDrain,
        request: &'a Request,
        fix: &'a Fixer<'a>,
        stop: StopReceiver,
        signals: &'a Signals,
    ) -> Self {
        let mut context = context;
        context.merge_queue.set_workers(request.jobs);
        context.merge_queue.changes.follow(context.store.changes().of(ChangeKind::Queue));
        Self {
            context: Arc::new(context),
            owner,
            request,
            fix,
            stop,
            signals,
            claim_end: ClaimEndWatch::new(request.time_limit.clone(), signals.winding_down()),
            workers: WorkerPool::default(),
            tallies: Tallies::default(),
            limits: Limits::default(),
            only: Vec::new(),
            sampled: false,
            claims_left: None,
            batches_begun: 0,
            lost: false,
            had_failure: false,
            has_notified_stop: false,
            has_no_ci: false,
            heartbeat_checks: HeartbeatChecks::default(),
            has_reported_idle_workers: false,
            reported_lost: HashSet::new(),
            memory_line: None,
            recorded_backend: None,
            telemetry_warnings: telemetry_check::TelemetryWarnings::default(),
        }
    }

    /// Sets the memory line of the start summary.
    pub fn with_memory_line(mut self, memory_line: Option<String>) -> Self {
        self.memory_line = memory_line;
        self
    }

    /// Records workers and labels with the registration.
    async fn record_machine(&self) -> Result<(), crate::store::StoreError> {
        let Request { jobs, labels, .. } = self.request;
        self.context.store.record_machine(self.owner.id(), *jobs, labels).await
    }

    /// Runs the drain to the end and returns the exit code.
    ///
    /// # Errors
    ///
    /// The database fails at the start or the end. Errors in between become the stop reason.
    pub async fn run(mut self) -> anyhow::Result<Exit> {
        self.record_machine().await?;
        self.announce().await?;
        let result = self.batches().await;
        // Also after a stop: landed work must be on the branch.
        let followed = self.update_branches().await;
        self.remove_remote_refs().await;
        let mut reason = match result {
            Ok(reason) => reason,
            Err(error) => self.stop_after(error).await,
        };
        // The user needs to know the first error.
        if let Err(error) = followed
            && reason.why().is_none()
        {
            reason = self.stop_after(error).await;
        }
        if let StopReason::Drained = reason
            && let Err(error) = self.test_tips().await
        {
            reason = self.stop_after(error).await;
        }
        self.conclude(reason).await
    }

    /// Runs batches, again after each full disk: interrupted phases are queued again by then.
    async fn batches(&mut self) -> Result<StopReason, AttemptError> {
        loop {
            let reason = match self.run_batches_while_space_lasts().await {
                Ok(reason) => reason,
                Err(error) => self.stop_after(error).await,
            };
            match reason {
                StopReason::Error(AttemptError::Full(why)) => {
                    self.notify_wait(&why);
                    if !self.context.disk.wait_until_free(why, &self.stop).await? {
                        return Ok(StopReason::Interrupted);
                    }
                }
                reason => return Ok(reason),
            }
        }
    }

    async fn run_batches_while_space_lasts(&mut self) -> Result<StopReason, AttemptError> {
        match Box::pin(self.context.open_remote(&self.stop)).await? {
            Some(RemoteEnd::Stopped(_)) => return Ok(StopReason::Interrupted),
            end => drop(end.map(RemoteEnd::answer).transpose()?),
        }
        let in_slots = self.attempts_in_slots().await?;
        self.recover().await?;
        self.context.artifacts.resume(&self.request.runs).await;
        self.remove_old_slots(&in_slots).await?;
        self.update_branches().await?;
        self.repair().await?;
        return_freed_memory();
        let plans = memory_upkeep::PlanWriter::remember(&self.context, &self.request.runs).await;
        let result = self.run_batches_in_order().await;
        // After a sample, or an error between two batches, workers may still be running.
        let reason = self.wind_down_after(result).await;
        if let Some(plans) = plans {
            plans.end().await;
        }
        Ok(reason)
    }

    async fn run_batches_in_order(&mut self) -> Result<StopReason, AttemptError> {
        if let Some(sampled) = self.sample().await.transpose() {
            return sampled;
        }
        let Request { batch_size, max_batches, .. } = *self.request;
        if self.claims_left.is_none() {
            self.claims_left = max_batches.map(|max| u64::from(max) * u64::from(batch_size));
        }
        for number in self.batches_begun + 1.. {
            // Claims are counted, not batches: a batch interrupted by a full disk continues under another number.
            // Running attempts belong to the next batch.
            if self.claims_left == Some(0) && self.workers.is_empty() {
                return Ok(StopReason::MaxBatches);
            }
            self.batches_begun = number;
            self.context.progress.emit(&Event::BatchStarted { batch: number, batch_size });
            self.tallies.start_batch();
            self.update_memory().await?;
            if number > 1 {
                self.recover().await?;
            }
            let mark = self.mark().await?;
            let reason = match self.batch().await.transpose() {
                // Running attempts belong to the last batch.
                Some(result) => Some(self.wind_down_after(result).await),
                None => None,
            };
            self.check_telemetry(mark, reason.as_ref()).await?;
            self.batch_finished(number).await?;
            return_freed_memory();
            if let Some(reason) = reason {
                return Ok(reason);
            }
        }
        Ok(StopReason::MaxBatches)
    }

    /// Processes one batch of finished attempts, from this or an earlier batch; returns `None` if more work may
    /// exist. Workers continue beyond the end of a batch: an attempt counts in the batch where it ends.
    async fn batch(&mut self) -> Result<Option<StopReason>, AttemptError> {
        for _ in 0..self.request.batch_size {
            match self.step().await? {
                SchedulerStep::Stop(reason) => return Ok(Some(reason)),
                SchedulerStep::NothingLeft
                    if self.claims_left == Some(0) && !self.is_empty().await? =>
                {
                    return Ok(Some(StopReason::MaxBatches));
                }
                SchedulerStep::NothingLeft => return Ok(Some(StopReason::Drained)),
                SchedulerStep::PhaseEnded => {}
            }
        }
        // Reports the end with the last batch, instead of starting an empty batch.
        Ok(self.is_empty().await?.then_some(StopReason::Drained))
    }

    /// Once a stop reason exists, claims nothing more, then finishes and counts the running attempts.
    async fn wind_down_after(&mut self, result: Result<StopReason, AttemptError>) -> StopReason {
        let reason = match result {
            Ok(reason) => reason,
            Err(error) => self.stop_after(error).await,
        };
        if !matches!(reason, StopReason::Error(AttemptError::Full(_))) {
            self.notify_stop(&reason);
        }
        self.wind_down(&reason).await;
        match reason {
            // Interrupted while the running phases finished.
            StopReason::ClaimsEnded(_) if self.stop.level() > StopLevel::Run => {
                StopReason::Interrupted
            }
            StopReason::Error(AttemptError::Systemic(why))
                if self.request.stop_on_first_failure && self.had_failure =>
            {
                self.context.progress.note(&why);
                StopReason::FirstFailure
            }
            reason => reason,
        }
    }
}

/// Returns freed memory to the system; `false` if there was none. A drain runs for a night and needs many times more
/// memory at the start, while reading every spec, than later. The GNU C library keeps freed memory in several arenas if a
/// block still in use follows. Other C libraries return memory by themselves.
fn return_freed_memory() -> bool {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` locks the allocator's arenas and moves no block in use.
    let given = unsafe { libc::malloc_trim(0) } == 1;
    #[cfg(not(target_env = "gnu"))]
    let given = false;
    given
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn freed_memory_below_used_memory_is_returned() {
        let mut all: Vec<Vec<u8>> = (0..4_000).map(|_| vec![1; 2_048]).collect();
        let in_use = all.pop();
        drop(all);
        assert!(return_freed_memory());
        assert_eq!(in_use.map(|kept| kept.len()), Some(2_048));
    }
}
