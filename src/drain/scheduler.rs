//! Scheduler step: assigns phases to idle workers, then processes the first attempt to finish.

use std::collections::HashSet;

use super::idle_wait::WakeConditions;
use super::{Drain, RegisteredDrain, StopReason};
use crate::attempt::{AttemptError, AttemptResult, Finished, NextStep};
use crate::clock::now;
use crate::config::OnLimit;
use crate::phase::budget::ExhaustedBudget;
use crate::phase::words::quoted;
use crate::phase::{PhaseState, UnixMs};
use crate::process::StopLevel;
use crate::progress::{Event, PhaseFinished, duration, shown_id};
use crate::store::{Admission, Candidate, Claim, ClaimOutcome, Claimer, StoreError};

/// Time until the next claim is considered, in milliseconds, while a worker waits for the remote.
const REMOTE_POLL_MS: i64 = 500;

/// Outcome of a scheduler step.
pub(super) enum SchedulerStep {
    /// An attempt ended, or a phase was refused at its claim.
    PhaseEnded,
    /// No worker is busy, and no phase can be claimed.
    NothingLeft,
    /// A budget is exhausted.
    Stop(StopReason),
}

impl Drain<'_> {
    /// Keeps all workers busy until an attempt ends; waits for work if waiting can help.
    pub(super) async fn step(&mut self) -> Result<SchedulerStep, AttemptError> {
        let step = self.assign_and_wait().await?;
        Ok(match self.stop.level() > StopLevel::Run {
            true => SchedulerStep::Stop(StopReason::Interrupted),
            false => step,
        })
    }
    async fn assign_and_wait(&mut self) -> Result<SchedulerStep, AttemptError> {
        let mut is_reported = false;
        loop {
            if let Some(end) = self.claim_end.reached() {
                let is_done = self.workers.is_empty() && self.is_empty().await?;
                return Ok(match is_done {
                    true => SchedulerStep::NothingLeft,
                    false => SchedulerStep::Stop(StopReason::ClaimsEnded(end)),
                });
            }
            if !self.may_claim() {
                let ended = tokio::select! {
                    ended = self.workers.next() => ended,
                    () = self.claim_end.wait() => continue,
                    () = self.context.merge_queue.changes.check_for_gone_drain() => {
                        self.recover().await?;
                        continue;
                    }
                };
                match ended {
                    Some(result) => return self.process_end(result),
                    None if self.lost && self.stop.level() == StopLevel::Run => {
                        self.register_again().await?;
                    }
                    None => return Ok(SchedulerStep::NothingLeft),
                }
                continue;
            }
            let waits = match self.claim().await? {
                ClaimOutcome::Claimed(claim) => {
                    self.start(*claim);
                    continue;
                }
                ClaimOutcome::Unfixable { run_id, phase_id, failure } => {
                    self.count_claim();
                    return Ok(self.process_finished_phase(PhaseFinished::refused(
                        run_id, phase_id, failure,
                    )));
                }
                ClaimOutcome::Stopped(budget) if self.workers.is_empty() => {
                    return Ok(spent(budget));
                }
                // Running attempts are expected to use up the rest, but may use less.
                ClaimOutcome::Stopped(_) => WakeConditions::for_worker(),
                ClaimOutcome::Waiting { until } => {
                    WakeConditions { until: Some(until), ..WakeConditions::default() }
                }
                ClaimOutcome::Paused { runs: paused, until } => {
                    WakeConditions { until, paused, ..WakeConditions::default() }
                }
                ClaimOutcome::Held { by_another, until, overlapping, paused } => {
                    self.report_idle_workers(overlapping);
                    WakeConditions { another: by_another, until, paused }
                }
                ClaimOutcome::Nothing => WakeConditions::for_worker(),
            };
            if self.workers.is_empty() {
                if let Some(budget) = self.limits.exhausted_budget(&self.context) {
                    return Ok(spent(budget));
                }
                if waits.is_for_worker() {
                    return Ok(SchedulerStep::NothingLeft);
                }
            }
            if let Some(result) = self.wait(&waits, &mut is_reported).await? {
                return self.process_end(result);
            }
        }
    }

    /// Reports idle workers, once per drain.
    fn report_idle_workers(&mut self, overlapping: bool) {
        if overlapping && !self.has_reported_idle_workers && !self.workers.is_empty() {
            self.has_reported_idle_workers = true;
            let (busy, jobs) = (self.workers.len(), self.request.jobs);
            self.context.progress.note(&format!(
                "{busy} of {jobs} workers busy: the other queued phases touch the same paths"
            ));
        }
    }

    fn may_claim(&self) -> bool {
        self.stop.level() == StopLevel::Run
            && !self.lost
            && self.claims_left != Some(0)
            && self.workers.len() < self.request.jobs as usize
    }

    async fn claim(&mut self) -> Result<ClaimOutcome, AttemptError> {
        self.context.memory.may_claim().map_err(anyhow::Error::new)?;
        let at = now();
        if self.context.remote_outage.is_under_way() {
            return Ok(ClaimOutcome::Waiting { until: UnixMs(at.0 + REMOTE_POLL_MS) });
        }
        let executor = &self.context.settings.executor;
        let spent = self.workers.with_estimates(self.limits.spent());
        let labels = &self.request.labels;
        let admit = |candidate: &Candidate<'_>| match candidate.phase.missing_label(labels) {
            Some(label) => {
                self.report_missing_label(&label);
                Admission::Elsewhere
            }
            None => self.limits.admit(&self.context, candidate, &spent, at),
        };
        let keys: Vec<_> = self.context.provider_keys.values().cloned().collect();
        let claimer = Claimer {
            owner: self.owner.id(),
            runs: &self.request.runs,
            max_attempts: executor.max_attempts,
            fix: self.fix,
            only: &self.only,
            admit: &admit,
            spending: executor.budgets.needs_past_usage(),
            keys: &keys,
        };
        match self.context.store.claim_next(&claimer, at).await {
            Err(StoreError::Fenced { .. }) => {
                self.handle_lost_lease();
                Ok(ClaimOutcome::Waiting { until: at })
            }
            next => Ok(next?),
        }
    }

    /// Says once for each label that phases wait for another machine.
    fn report_missing_label(&self, label: &str) {
        let label = shown_id(label);
        self.context.note_once(&format!(
            "phases need a machine with the label {label}; start a drain there with --label {}",
            quoted(&label)
        ));
    }

    fn start(&mut self, claim: Claim) {
        self.count_claim();
        let spent = self.workers.with_estimates(self.limits.spent());
        let stop = self.owner.attempt_stop(&claim.run_id, &claim.phase_id);
        self.workers.start(&self.context, claim, spent, stop);
    }

    fn count_claim(&mut self) {
        self.claims_left = self.claims_left.map(|left| left.saturating_sub(1));
    }

    fn give_claim_back(&mut self) {
        self.claims_left = self.claims_left.map(|left| left.saturating_add(1));
    }

    fn process_end(&mut self, result: AttemptResult) -> Result<SchedulerStep, AttemptError> {
        let step = match result.finished {
            Some(Finished { phase, used }) => {
                self.limits.add(&used);
                self.process_finished_phase(phase)
            }
            None => SchedulerStep::PhaseEnded,
        };
        match result.next {
            Ok(NextStep::Continue) => self.context.disk.note_success(),
            // The phase is claimed again at once: only the work counts as an attempt of the drain.
            Ok(NextStep::ScopeStep) => {
                self.context.disk.note_success();
                self.give_claim_back();
            }
            // Counts neither for the phase nor for the drain.
            Ok(NextStep::FreedSpace) => self.give_claim_back(),
            Ok(NextStep::DeferAgent { agent, until }) => self.defer_agent(agent, until),
            Ok(NextStep::OverBudget(budget)) => return Ok(spent(budget)),
            Err(AttemptError::LeaseLost) => {
                self.context
                    .progress
                    .note("another drain reclaimed this phase; its result is discarded");
                self.handle_lost_lease();
            }
            Err(error) => {
                if matches!(error, AttemptError::Full(_)) {
                    self.give_claim_back();
                }
                return Err(error);
            }
        }
        Ok(step)
    }

    /// Defers the phases of an agent; reports that other agents take them.
    fn defer_agent(&mut self, agent: String, until: UnixMs) {
        let at = now();
        let left = until.since(at);
        let hands_on = self.context.settings.executor.on_limit == OnLimit::NextAgent;
        if self.limits.defer_agent(agent.clone(), until, at) && hands_on {
            self.context.progress.note(&format!(
                "agent {agent} is rate limited for {}; other agents of the ladder take its phases",
                duration(left)
            ));
        }
    }

    fn process_finished_phase(&mut self, phase: PhaseFinished) -> SchedulerStep {
        let failed = phase.state == PhaseState::Failed;
        self.had_failure |= failed;
        self.tallies.add(&phase);
        if failed {
            self.notify_failed_phase(&phase);
        }
        self.context.progress.emit(&Event::PhaseFinished(Box::new(phase)));
        match failed && self.request.stop_on_first_failure {
            true => SchedulerStep::Stop(StopReason::FirstFailure),
            false => SchedulerStep::PhaseEnded,
        }
    }

    /// Handles a lost lease: this drain was suspended for longer than the lease. All workers share the lease: their
    /// results no longer count, and they are stopped before the drain registers as a new owner.
    fn handle_lost_lease(&mut self) {
        self.lost = true;
        self.owner.stop_attempts();
    }

    async fn register_again(&mut self) -> Result<(), AttemptError> {
        self.owner = RegisteredDrain::register(
            &self.context.store,
            &self.context.repo,
            &self.request.runs,
            &self.context.settings.executor,
            self.signals,
        )
        .await?;
        self.record_machine().await?;
        self.lost = false;
        Ok(())
    }

    /// Stops claiming; finishes and counts the running attempts.
    pub(super) async fn wind_down(&mut self, reason: &StopReason) {
        if !self.workers.is_empty() && self.stop.level() == StopLevel::Run {
            let why = reason.why_no_claims();
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            let (under_way, meets) = match self.workers.len() {
                1 => ("1 running phase".to_owned(), "it reaches"),
                n => (format!("{n} running phases"), "they reach"),
            };
            // The rest of the budget limits the running attempts.
            let unless = match reason.budget() {
                Some(budget) => {
                    format!(", unless {meets} the {}'s budget too", budget.level)
                }
                None => String::new(),
            };
            let first = format!("waiting for {under_way}{unless}");
            self.context.progress.note(&format!("not starting new phases{why}; {first}"));
        }
        // Each error is reported once, even if several attempts meet the same.
        let mut reported: HashSet<String> = reason.why().into_iter().collect();
        loop {
            let ended = tokio::select! {
                ended = self.workers.next() => ended.map(|result| self.process_end(result).err()),
                () = self.context.merge_queue.changes.check_for_gone_drain() => {
                    Some(self.recover().await.err())
                }
            };
            let Some(error) = ended else { break };
            if let Some(error) = error {
                let met = self.stop_after(error).await;
                if let Some(why) = met.why().filter(|why| reported.insert(why.clone())) {
                    self.context.progress.note(&why);
                }
            }
        }
    }
}

fn spent(budget: ExhaustedBudget) -> SchedulerStep {
    SchedulerStep::Stop(StopReason::Budget(budget))
}
