//! The batch loop: recover -> repair -> claim -> execute -> finish, batch after batch.
//!
//! It decides when to go on and when to end. Who works meanwhile is `crew`'s, the next thing to happen `turn`'s, what
//! is waited for `waiting`'s; what one attempt does is `execute`'s, and what a dead drain left behind `recover`'s.

mod drain_summary;
mod dry_run;
mod final_test;
mod heap;
mod idle_wait;
mod limits;
mod liveness;
mod memory_upkeep;
mod old_slot_removal;
mod owner;
mod recover;
mod run_upkeep;
mod sampling;
mod scheduler;
mod stop_reason;
mod telemetry_check;
mod unproven_phases;
mod workers;

use std::collections::HashSet;
use std::sync::Arc;

use crate::attempt::{Site, Trouble};
use crate::failure::Exit;
use crate::memory::Backend;
use crate::phase::{PhaseId, PhaseState, RunId};
use crate::process::{Stop, StopLevel};
use crate::progress::Event;
use crate::store::Fixer;

use limits::admission::Limits;
use liveness::Looks;
use scheduler::Turn;
use stop_reason::Halt;
use workers::Crew;

pub use drain_summary::Tallies;
pub use dry_run::{Planned, plan};
pub use final_test::lines as clean_test_lines;
pub use liveness::looks_dead;
pub use owner::{Registered, Signals};

#[derive(Clone, Debug)]
pub struct Request {
    pub runs: Vec<RunId>,
    /// Attempts between two summaries.
    pub batch_size: u32,
    pub max_batches: Option<u32>,
    /// Phases at a time; at least 1.
    pub jobs: u32,
    pub stop_on_first_failure: bool,
    /// So many phases are tried first; the rest only if one of them passes.
    pub sample: Option<u32>,
}

/// The loop over one request.
pub struct Drain<'a> {
    pub site: Arc<Site>,
    pub owner: Registered,
    pub request: &'a Request,
    pub fix: &'a Fixer<'a>,
    pub stop: Stop,
    pub signals: &'a Signals,
    crew: Crew,
    tallies: Tallies,
    limits: Limits,
    /// Only these are claimed, while there are any.
    only: Vec<(RunId, PhaseId)>,
    /// Whether the sample is over.
    sampled: bool,
    /// So many phases may still be claimed; without a limit, all.
    claims_left: Option<u64>,
    batches_begun: u32,
    /// So many times in a row a disk was said to be full that had room.
    full_in_vain: u32,
    /// Another drain took us for dead: what runs is nobody's any more, and the next claim is a new owner's.
    lost: bool,
    /// Whether a phase ended FAILED in this drain.
    had_failure: bool,
    /// At drains that may be gone.
    looks: Looks,
    /// Whether it was said that lines have nothing to do.
    said_idle: bool,
    /// Of which phases it was said that the branch no longer holds them.
    said_lost: HashSet<(RunId, PhaseId)>,
    /// How the memory was opened, to be said once.
    memory_line: Option<String>,
    /// What the store knows of what serves the memory.
    memory_noted: Option<Backend>,
    said: telemetry_check::Said,
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
            site: Arc::new(site),
            owner,
            request,
            fix,
            stop,
            signals,
            crew: Crew::default(),
            tallies: Tallies::default(),
            limits: Limits::default(),
            only: Vec::new(),
            sampled: false,
            claims_left: None,
            batches_begun: 0,
            full_in_vain: 0,
            lost: false,
            had_failure: false,
            looks: Looks::default(),
            said_idle: false,
            said_lost: HashSet::new(),
            memory_line: None,
            memory_noted: None,
            said: telemetry_check::Said::default(),
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
        let mut halt = match ended {
            Ok(halt) => halt,
            Err(trouble) => self.halt_after(trouble).await,
        };
        // What went wrong first is what the user has to know.
        if let Err(trouble) = followed
            && halt.why().is_none()
        {
            halt = self.halt_after(trouble).await;
        }
        if let Halt::Drained = halt
            && let Err(trouble) = self.test_tips().await
        {
            halt = self.halt_after(trouble).await;
        }
        self.conclude(halt).await
    }

    /// Over and over, where a disk fills: what was under way is queued again by then.
    async fn batches(&mut self) -> Result<Halt, Trouble> {
        loop {
            let halt = match self.batches_while_there_is_space().await {
                Ok(halt) => halt,
                Err(trouble) => self.halt_after(trouble).await,
            };
            match halt {
                Halt::Full(why) => match self.wait_for_space(why).await {
                    Some(halt) => return Ok(halt),
                    None => continue,
                },
                halt => return Ok(halt),
            }
        }
    }

    async fn batches_while_there_is_space(&mut self) -> Result<Halt, Trouble> {
        let in_slots = self.attempts_in_slots().await?;
        self.recover().await?;
        self.remove_old_slots(&in_slots).await?;
        self.follow().await?;
        self.repair().await?;
        heap::give_back();
        let plans = memory_upkeep::Plans::remember(&self.site, &self.request.runs).await;
        let ended = self.batch_after_batch().await;
        // A sample, or an error between two batches, leaves lines at work.
        let halt = self.wind_down_after(ended).await;
        if let Some(plans) = plans {
            plans.end().await;
        }
        Ok(halt)
    }

    async fn batch_after_batch(&mut self) -> Result<Halt, Trouble> {
        if let Some(sampled) = self.sample().await.transpose() {
            return sampled;
        }
        let Request { batch_size, max_batches, .. } = *self.request;
        if self.claims_left.is_none() {
            self.claims_left = max_batches.map(|max| u64::from(max) * u64::from(batch_size));
        }
        for number in self.batches_begun + 1.. {
            // Not by their number: one that a full disk ended goes on as another. What still runs belongs to the next.
            if self.claims_left == Some(0) && self.crew.is_empty() {
                return Ok(Halt::MaxBatches);
            }
            self.batches_begun = number;
            self.site.progress.emit(&Event::BatchStarted { batch: number, batch_size });
            self.tallies.start_batch();
            self.tend_memory().await?;
            if number > 1 {
                self.recover().await?;
            }
            let mark = self.mark().await?;
            let halt = match self.batch().await.transpose() {
                // What still runs belongs to the last batch.
                Some(ended) => Some(self.wind_down_after(ended).await),
                None => None,
            };
            self.look_at_yield(mark, halt.as_ref()).await?;
            self.batch_finished(number).await?;
            heap::give_back();
            if let Some(halt) = halt {
                return Ok(halt);
            }
        }
        Ok(Halt::MaxBatches)
    }

    /// So many attempts that end, whoever began them; `None` when there may be more to do. With several lines, those
    /// that are at work go on beyond the end of a batch: what they do counts where it ends.
    async fn batch(&mut self) -> Result<Option<Halt>, Trouble> {
        for _ in 0..self.request.batch_size {
            match self.turn().await? {
                _ if self.stop.level() > StopLevel::Run => return Ok(Some(Halt::Interrupted)),
                // Lines that ended after a disk had filled were claimed for this batch, too.
                Turn::NothingLeft if self.claims_left == Some(0) && !self.is_empty().await? => {
                    return Ok(Some(Halt::MaxBatches));
                }
                Turn::NothingLeft => return Ok(Some(Halt::Drained)),
                Turn::Spent(budget) => return Ok(Some(Halt::Budget(budget))),
                Turn::Done(PhaseState::Failed) if self.request.stop_on_first_failure => {
                    return Ok(Some(Halt::FirstFailure));
                }
                Turn::Done(_) => {}
            }
        }
        // A batch that was the last one says so, instead of starting an empty one.
        Ok(self.is_empty().await?.then_some(Halt::Drained))
    }

    /// Where there is a reason to end, nothing more is claimed; what runs is finished and counted first.
    async fn wind_down_after(&mut self, ended: Result<Halt, Trouble>) -> Halt {
        let halt = match ended {
            Ok(halt) => halt,
            Err(trouble) => self.halt_after(trouble).await,
        };
        self.wind_down(&halt).await;
        // Who asked for the first failure is told of it, whatever ended the drain in the same moment.
        match halt {
            Halt::Systemic(why) if self.request.stop_on_first_failure && self.had_failure => {
                self.site.progress.note(&why);
                Halt::FirstFailure
            }
            halt => halt,
        }
    }
}
