//! Scheduler step: assigns phases to idle workers, then processes the first attempt to finish.

use std::collections::HashSet;

use super::idle_wait::Waits;
use super::{Drain, RegisteredDrain, StopReason};
use crate::attempt::{AttemptError, AttemptResult, Finished, NextStep};
use crate::clock::now;
use crate::phase::PhaseState;
use crate::phase::budget::ExhaustedBudget;
use crate::process::StopLevel;
use crate::progress::{Event, PhaseFinished};
use crate::store::{Candidate, Claim, Claimer, Next, StoreError};

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
        let mut said = false;
        loop {
            if !self.may_claim() {
                match self.crew.next().await {
                    Some(ended) => return self.ended(ended),
                    None if self.lost && self.stop.level() == StopLevel::Run => {
                        self.register_again().await?;
                    }
                    None => return Ok(SchedulerStep::NothingLeft),
                }
                continue;
            }
            let waits = match self.claim().await? {
                Next::Claimed(claim) => {
                    self.start(*claim);
                    continue;
                }
                Next::Unfixable { run_id, phase_id, failure } => {
                    self.count_claim();
                    return Ok(self.finished(PhaseFinished::refused(run_id, phase_id, failure)));
                }
                Next::Stopped(budget) if self.crew.is_empty() => return Ok(spent(budget)),
                // Running attempts are expected to use up the rest, but may use less.
                Next::Stopped(_) => Waits::for_a_line(),
                Next::Waiting { until } => Waits { until: Some(until), ..Waits::default() },
                Next::Held { by_another, until, overlapping } => {
                    self.say_idle(overlapping);
                    Waits { another: by_another, until }
                }
                Next::Nothing => Waits::for_a_line(),
            };
            if self.crew.is_empty() {
                if let Some(budget) = self.limits.over(&self.site) {
                    return Ok(spent(budget));
                }
                if waits.is_for_a_line() {
                    return Ok(SchedulerStep::NothingLeft);
                }
            }
            if let Some(ended) = self.wait(&waits, &mut said).await? {
                return self.ended(ended);
            }
        }
    }

    /// Reports idle workers, once per drain.
    fn say_idle(&mut self, overlapping: bool) {
        if overlapping && !self.said_idle && !self.crew.is_empty() {
            self.said_idle = true;
            let (busy, jobs) = (self.crew.len(), self.request.jobs);
            self.site.progress.note(&format!(
                "{busy} of {jobs} workers busy: the other queued phases touch the same paths"
            ));
        }
    }

    fn may_claim(&self) -> bool {
        self.stop.level() == StopLevel::Run
            && !self.lost
            && self.claims_left != Some(0)
            && self.crew.len() < self.request.jobs as usize
    }

    async fn claim(&mut self) -> Result<Next, AttemptError> {
        self.site.memory.may_claim().map_err(anyhow::Error::new)?;
        let at = now();
        let executor = &self.site.settings.executor;
        let spent = self.crew.and(self.limits.spent());
        let admit =
            |candidate: &Candidate<'_>| self.limits.admit(&self.site, candidate, &spent, at);
        let claimer = Claimer {
            owner: self.owner.id(),
            runs: &self.request.runs,
            max_attempts: executor.max_attempts,
            fix: self.fix,
            only: &self.only,
            admit: &admit,
            spending: executor.budgets.needs_past_usage(),
        };
        match self.site.store.claim_next(&claimer, at).await {
            Err(StoreError::Fenced { .. }) => {
                self.lose();
                Ok(Next::Waiting { until: at })
            }
            next => Ok(next?),
        }
    }

    fn start(&mut self, claim: Claim) {
        self.count_claim();
        let spent = self.crew.and(self.limits.spent());
        self.crew.start(&self.site, claim, spent, self.owner.stop());
    }

    fn count_claim(&mut self) {
        self.claims_left = self.claims_left.map(|left| left.saturating_sub(1));
    }

    fn give_claim_back(&mut self) {
        self.claims_left = self.claims_left.map(|left| left.saturating_add(1));
    }

    fn ended(&mut self, ended: AttemptResult) -> Result<SchedulerStep, AttemptError> {
        let step = match ended.finished {
            Some(Finished { phase, used }) => {
                self.limits.add(&used);
                self.finished(phase)
            }
            None => SchedulerStep::PhaseEnded,
        };
        match ended.next {
            Ok(NextStep::GoOn) => self.site.disk.note_success(),
            // It was no try of the phase, and none of the drain.
            Ok(NextStep::MadeRoom) => self.give_claim_back(),
            Ok(NextStep::AvoidAgent { agent, until }) => self.limits.send_away(agent, until),
            Ok(NextStep::OverBudget(budget)) => return Ok(spent(budget)),
            Err(AttemptError::LeaseLost) => {
                self.site
                    .progress
                    .note("another drain reclaimed this phase; its result is discarded");
                self.lose();
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

    fn finished(&mut self, ended: PhaseFinished) -> SchedulerStep {
        let failed = ended.state == PhaseState::Failed;
        self.had_failure |= failed;
        self.tallies.add(&ended);
        self.site.progress.emit(&Event::PhaseFinished(Box::new(ended)));
        match failed && self.request.stop_on_first_failure {
            true => SchedulerStep::Stop(StopReason::FirstFailure),
            false => SchedulerStep::PhaseEnded,
        }
    }

    /// Handles a lost lease: this drain was suspended for longer than the lease. All workers share the lease: their
    /// results no longer count, and they are stopped before the drain registers as a new owner.
    fn lose(&mut self) {
        self.lost = true;
        self.owner.end_lines();
    }

    async fn register_again(&mut self) -> Result<(), AttemptError> {
        self.owner = RegisteredDrain::register(
            &self.site.store,
            &self.site.repo,
            &self.request.runs,
            &self.site.settings.executor,
            self.signals,
        )
        .await?;
        self.lost = false;
        Ok(())
    }

    /// Stops claiming; finishes and counts the running attempts.
    pub(super) async fn wind_down(&mut self, reason: &StopReason) {
        if !self.crew.is_empty() && self.stop.level() == StopLevel::Run {
            // Errors for the user to fix are reported at the end of the drain.
            let why = reason.why().filter(|_| !reason.is_told_at_the_end());
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            let (under_way, meets) = match self.crew.len() {
                1 => ("1 running phase".to_owned(), "it reaches"),
                n => (format!("{n} running phases"), "they reach"),
            };
            // The rest of the budget limits the running attempts.
            let unless = match reason.budget() {
                Some(level) => format!(", unless {meets} the {level}'s budget too"),
                None => String::new(),
            };
            let first = format!("waiting for {under_way}{unless}");
            self.site.progress.note(&format!("not starting new phases{why}; {first}"));
        }
        // Each error is reported once, even if several attempts meet the same.
        let mut told: HashSet<String> = reason.why().into_iter().collect();
        while let Some(ended) = self.crew.next().await {
            if let Err(error) = self.ended(ended) {
                let met = self.stop_after(error).await;
                if let Some(why) = met.why().filter(|why| told.insert(why.clone())) {
                    self.site.progress.note(&why);
                }
            }
        }
    }
}

fn spent(budget: ExhaustedBudget) -> SchedulerStep {
    SchedulerStep::Stop(StopReason::Budget(budget))
}
