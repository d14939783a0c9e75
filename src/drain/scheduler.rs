//! Scheduler step: assigns phases to idle workers, then processes the first attempt to finish.

use std::collections::HashSet;

use super::idle_wait::Waits;
use super::{Drain, Halt, Registered};
use crate::attempt::{After, Executed, Trouble};
use crate::clock::now;
use crate::phase::PhaseState;
use crate::phase::budget::Exhausted;
use crate::process::StopLevel;
use crate::progress::{Event, PhaseFinished};
use crate::store::{Candidate, Claim, Claimer, Next, StoreError};

/// Outcome of a scheduler step.
pub(super) enum Turn {
    /// An attempt ended, or a phase was refused at its claim.
    Done(PhaseState),
    /// No worker is busy, and no phase can be claimed.
    NothingLeft,
    /// A budget is exhausted.
    Spent(Exhausted),
}

impl Drain<'_> {
    /// Keeps all workers busy until an attempt ends; waits for work if waiting can help.
    pub(super) async fn turn(&mut self) -> Result<Turn, Trouble> {
        let mut said = false;
        loop {
            if !self.may_claim() {
                match self.crew.next().await {
                    Some(ended) => return self.ended(ended),
                    None if self.lost && self.stop.level() == StopLevel::Run => {
                        self.register_again().await?;
                    }
                    None => return Ok(Turn::NothingLeft),
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
                    self.finished(PhaseFinished::refused(run_id, phase_id, failure));
                    return Ok(Turn::Done(PhaseState::Failed));
                }
                Next::Stopped(budget) if self.crew.is_empty() => return Ok(Turn::Spent(budget)),
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
                    return Ok(Turn::Spent(budget));
                }
                if waits.is_for_a_line() {
                    return Ok(Turn::NothingLeft);
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

    async fn claim(&mut self) -> Result<Next, Trouble> {
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
            spending: executor.budgets.look_back(),
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

    fn ended(&mut self, ended: Result<Executed, Trouble>) -> Result<Turn, Trouble> {
        match ended {
            Ok(executed) => {
                let state = executed.finished.state;
                self.finished(executed.finished);
                self.limits.add(&executed.used);
                match executed.after {
                    After::Nothing => self.space_found(),
                    After::Systemic(why) => return Err(Trouble::Systemic(why)),
                    // The attempt counts neither for the phase nor for the batch.
                    After::MadeRoom => self.give_claim_back(),
                    After::Full(why) => {
                        self.give_claim_back();
                        return Err(Trouble::Full(why));
                    }
                    After::Ours(error) => return Err(Trouble::Ours(error)),
                    After::OverBudget(budget) => return Ok(Turn::Spent(budget)),
                    After::Away { agent, until } => self.limits.send_away(agent, until),
                }
                Ok(Turn::Done(state))
            }
            Err(Trouble::LeaseLost) => {
                self.site
                    .progress
                    .note("another drain reclaimed this phase; its result is discarded");
                self.lose();
                Ok(Turn::Done(PhaseState::Queued))
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn finished(&mut self, ended: PhaseFinished) {
        self.had_failure |= ended.state == PhaseState::Failed;
        self.tallies.add(&ended);
        self.site.progress.emit(&Event::PhaseFinished(Box::new(ended)));
    }

    /// Handles a lost lease: this drain was suspended for longer than the lease. All workers share the lease: their
    /// results no longer count, and they are stopped before the drain registers as a new owner.
    fn lose(&mut self) {
        self.lost = true;
        self.owner.end_lines();
    }

    async fn register_again(&mut self) -> Result<(), Trouble> {
        self.owner = Registered::register(
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
    pub(super) async fn wind_down(&mut self, halt: &Halt) {
        if !self.crew.is_empty() && self.stop.level() == StopLevel::Run {
            // Errors for the user to fix are reported at the end of the drain.
            let why = halt.why().filter(|_| !halt.is_told_at_the_end());
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            let (under_way, meets) = match self.crew.len() {
                1 => ("1 running phase".to_owned(), "it reaches"),
                n => (format!("{n} running phases"), "they reach"),
            };
            // The rest of the budget limits the running attempts.
            let unless = match halt.budget() {
                Some(level) => format!(", unless {meets} the {level}'s budget too"),
                None => String::new(),
            };
            let first = format!("waiting for {under_way}{unless}");
            self.site.progress.note(&format!("not starting new phases{why}; {first}"));
        }
        // Each error is reported once, even if several attempts meet the same.
        let mut told: HashSet<String> = halt.why().map(str::to_owned).into_iter().collect();
        while let Some(ended) = self.crew.next().await {
            if let Err(trouble) = self.ended(ended) {
                let met = self.halt_after(trouble).await;
                if let Some(why) = met.why().filter(|why| told.insert((*why).to_owned())) {
                    self.site.progress.note(why);
                }
            }
        }
    }
}
