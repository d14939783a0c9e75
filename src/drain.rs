//! The batch loop: recover -> repair -> claim -> execute -> finish, batch after batch.
//!
//! It decides when to go on, when to wait and when to end. What one attempt does is `execute`'s; what a
//! dead drain left behind is `recover`'s.

mod admission;
mod memory;
mod owner;
mod plan;
mod recover;
mod report;
mod sample;

use std::time::Duration;

use crate::clock::now;
use crate::execute::{After, Executed, Site, Trouble, execute};
use crate::failure::Exit;
use crate::memory::Backend;
use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::process::{Stop, StopLevel};
use crate::progress::{Event, PhaseFinished};
use crate::store::{Candidate, Claimer, Fixer, Next, StoreError};

use admission::Limits;

pub use owner::{Registered, Signals};
pub use plan::{Planned, plan};
pub use report::Tallies;

/// How often a drain that waits for another one looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub struct Request {
    pub runs: Vec<RunId>,
    pub batch_size: u32,
    pub max_batches: Option<u32>,
    pub stop_on_first_failure: bool,
    /// So many phases are tried first; the rest only if one of them passes.
    pub sample: Option<u32>,
}

/// Why the loop ends.
enum Halt {
    Drained,
    FirstFailure,
    Systemic(String),
    /// A budget is spent.
    Budget(String),
    /// Something is wrong with us.
    Failed(String),
    MaxBatches,
    Interrupted,
}

/// What came of looking for the next phase.
enum Turn {
    Done(PhaseState),
    NothingLeft,
    /// A budget is spent.
    Spent(String),
}

/// The loop over one request.
pub struct Drain<'a> {
    pub site: Site,
    pub owner: Registered,
    pub request: &'a Request,
    pub fix: &'a Fixer<'a>,
    pub stop: Stop,
    pub signals: &'a Signals,
    tallies: Tallies,
    limits: Limits,
    /// Only these are claimed, while there are any.
    only: Vec<(RunId, PhaseId)>,
    /// How the memory was opened, to be said once.
    memory_line: Option<String>,
    /// What the store knows of what serves the memory.
    memory_noted: Option<Backend>,
}

impl<'a> Drain<'a> {
    pub fn new(
        site: Site,
        owner: Registered,
        request: &'a Request,
        fix: &'a Fixer<'a>,
        stop: Stop,
        signals: &'a Signals,
    ) -> Self {
        Self {
            site,
            owner,
            request,
            fix,
            stop,
            signals,
            tallies: Tallies::default(),
            limits: Limits::default(),
            only: Vec::new(),
            memory_line: None,
            memory_noted: None,
        }
    }

    pub fn saying(mut self, memory_line: Option<String>) -> Self {
        self.memory_line = memory_line;
        self
    }

    pub async fn run(mut self) -> anyhow::Result<Exit> {
        self.announce().await?;
        let ended = self.batches().await;
        // Also after a stop: what landed is to be found on the branch.
        let followed = self.follow().await;
        let halt = match ended.and_then(|halt| followed.map(|()| halt)) {
            Ok(halt) => halt,
            Err(Trouble::Systemic(why)) => Halt::Systemic(why),
            Err(trouble) => Halt::Failed(trouble.to_string()),
        };
        self.conclude(halt).await
    }

    async fn batches(&mut self) -> Result<Halt, Trouble> {
        recover::recover(&self.site, self.owner.id()).await?;
        self.follow().await?;
        self.repair().await?;
        let plans = memory::Plans::remember(&self.site, &self.request.runs).await;
        let ended = self.batch_after_batch().await;
        if let Some(plans) = plans {
            plans.end().await;
        }
        ended
    }

    async fn batch_after_batch(&mut self) -> Result<Halt, Trouble> {
        if let Some(halt) = self.sample().await? {
            return Ok(halt);
        }
        for number in 1.. {
            if self.request.max_batches.is_some_and(|max| number > max) {
                return Ok(Halt::MaxBatches);
            }
            self.site
                .progress
                .emit(&Event::BatchStarted { batch: number, batch_size: self.request.batch_size });
            self.tallies.start_batch();
            self.tend_memory().await?;
            if number > 1 {
                recover::recover(&self.site, self.owner.id()).await?;
            }
            let halt = self.batch().await;
            self.batch_finished(number).await?;
            if let Some(halt) = halt? {
                return Ok(halt);
            }
        }
        Ok(Halt::MaxBatches)
    }

    /// One batch; `None` when there may be more to do.
    async fn batch(&mut self) -> Result<Option<Halt>, Trouble> {
        for _ in 0..self.request.batch_size {
            match self.turn().await? {
                _ if self.stop.level() > StopLevel::Run => return Ok(Some(Halt::Interrupted)),
                Turn::NothingLeft => return Ok(Some(Halt::Drained)),
                Turn::Spent(why) => return Ok(Some(Halt::Budget(why))),
                Turn::Done(PhaseState::Failed) if self.request.stop_on_first_failure => {
                    return Ok(Some(Halt::FirstFailure));
                }
                Turn::Done(_) => {}
            }
        }
        // A batch that was the last one says so, instead of starting an empty one.
        Ok(self.is_empty().await?.then_some(Halt::Drained))
    }

    /// The next phase that can run, executed; waits for one where waiting helps.
    async fn turn(&mut self) -> Result<Turn, Trouble> {
        let mut said = None;
        loop {
            if self.stop.level() > StopLevel::Run {
                return Ok(Turn::NothingLeft);
            }
            match self.claim().await? {
                Next::Claimed(claim) => {
                    let spent = self.limits.spent();
                    let executed = execute(&self.site, *claim, spent, &self.stop).await;
                    return self.executed(executed).await;
                }
                Next::Unfixable { run_id, phase_id, failure } => {
                    let ended = PhaseFinished::refused(run_id, phase_id, failure);
                    self.finished(ended);
                    return Ok(Turn::Done(PhaseState::Failed));
                }
                Next::Stopped { why } => return Ok(Turn::Spent(why)),
                Next::Waiting { until } => match self.limits.over(&self.site) {
                    Some(why) => return Ok(Turn::Spent(why)),
                    None => self.wait_until(until, &mut said).await,
                },
                Next::Nothing => match self.others().await? {
                    Some(phase) => self.wait_for(&phase, &mut said).await?,
                    None => return Ok(Turn::NothingLeft),
                },
            }
        }
    }

    async fn claim(&mut self) -> Result<Next, Trouble> {
        self.site.memory.may_claim().map_err(anyhow::Error::new)?;
        let at = now();
        let executor = &self.site.settings.executor;
        let admit = |candidate: &Candidate<'_>| self.limits.admit(&self.site, candidate, at);
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
                // It was stopped for longer than its lease: it starts over as a new owner.
                self.register_again().await?;
                Ok(Next::Waiting { until: now() })
            }
            next => Ok(next?),
        }
    }

    async fn executed(&mut self, executed: Result<Executed, Trouble>) -> Result<Turn, Trouble> {
        match executed {
            Ok(executed) => {
                let state = executed.finished.state;
                self.finished(executed.finished);
                self.limits.add(&executed.used);
                match executed.after {
                    After::Nothing => {}
                    After::Systemic(why) => return Err(Trouble::Systemic(why)),
                    After::OverBudget(why) => return Ok(Turn::Spent(why)),
                    After::Away { agent, until } => self.limits.send_away(agent, until),
                }
                Ok(Turn::Done(state))
            }
            Err(Trouble::LeaseLost) => {
                self.site
                    .progress
                    .note("another drain took this phase over; its result is dropped");
                self.register_again().await?;
                Ok(Turn::Done(PhaseState::Queued))
            }
            Err(trouble) => Err(trouble),
        }
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
        Ok(())
    }

    fn finished(&mut self, ended: PhaseFinished) {
        self.tallies.add(&ended);
        self.site.progress.emit(&Event::PhaseFinished(Box::new(ended)));
    }

    /// A phase of these runs that another drain is working on, where there is one.
    async fn others(&self) -> Result<Option<PhaseId>, Trouble> {
        let owners = self.site.store.owners().await?;
        let theirs = owners.into_iter().flat_map(|owner| owner.executing);
        Ok(theirs
            .filter(|work| self.request.runs.contains(&work.run_id))
            .map(|w| w.phase_id)
            .next())
    }

    /// Should the other drain die, its phase is picked up here.
    async fn wait_for(&self, phase: &PhaseId, said: &mut Option<String>) -> Result<(), Trouble> {
        self.say_once(format!("waiting for {phase}, which another drain is working on"), said);
        self.pause(LOOK_AGAIN).await;
        recover::recover(&self.site, self.owner.id()).await
    }

    async fn wait_until(&self, until: UnixMs, said: &mut Option<String>) {
        let left = Duration::from_millis(u64::try_from(until.0 - now().0).unwrap_or_default());
        if !left.is_zero() {
            let text =
                format!("all that is left is rate limited; going on in {} s", left.as_secs());
            self.say_once(text, said);
        }
        // In short steps: a clock that was set meanwhile, or new work, is seen.
        self.pause(left.min(Duration::from_secs(5))).await;
    }

    fn say_once(&self, text: String, said: &mut Option<String>) {
        if said.is_none() {
            self.site.progress.note(&text);
            *said = Some(text);
        }
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.reached(StopLevel::Graceful) => {}
        }
    }

    /// Branches that the user had checked out catch up.
    async fn follow(&self) -> Result<(), Trouble> {
        for run in &self.request.runs {
            if let Some(facts) = self.site.store.run_facts(run).await? {
                self.site.follow(run, &facts.branch).await?;
            }
        }
        Ok(())
    }

    async fn repair(&self) -> Result<(), Trouble> {
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
