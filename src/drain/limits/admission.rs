//! Whether the phase whose turn it is may be claimed now: budgets, and agents that were told to come back later.

use std::collections::HashMap;
use std::time::Instant;

use crate::attempt::Site;
use crate::phase::budget::{Budget, Exhausted, Level, Spent};
use crate::phase::{Failure, FailureKind, UnixMs};
use crate::store::{Admission, Candidate};

/// What this drain knows and the store does not.
#[derive(Debug)]
pub struct Limits {
    started: Instant,
    spent: Spent,
    /// Until when an agent is not to be asked.
    away: HashMap<String, UnixMs>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { started: Instant::now(), spent: Spent::default(), away: HashMap::new() }
    }
}

impl Limits {
    /// An attempt of this drain has ended.
    pub fn add(&mut self, used: &Spent) {
        // One that was turned away says nothing of what the next will take.
        self.spent.attempts += used.attempts.min(used.tokens);
        self.spent.tokens += used.tokens;
        self.spent.cost_usd += used.cost_usd;
    }

    pub fn send_away(&mut self, agent: String, until: UnixMs) {
        self.away.insert(agent, until);
    }

    /// What this drain has used so far.
    pub fn spent(&self) -> Spent {
        Spent { wall: self.started.elapsed(), ..self.spent }
    }

    /// Why not even waiting helps: the drain's own time runs on meanwhile.
    pub fn over(&self, site: &Site) -> Option<Exhausted> {
        let drain = site.settings.executor.budgets.drain;
        drain.refuses(Level::Drain, &self.spent(), &Spent::default())
    }

    /// `drain` is what this drain has used, with what its lines are expected to.
    pub fn admit(
        &self,
        site: &Site,
        candidate: &Candidate<'_>,
        drain: &Spent,
        now: UnixMs,
    ) -> Admission {
        let agent = match site.agent_for(candidate.phase, candidate.tries) {
            Ok(agent) => agent,
            // `--agent`, the ladder and the default one were checked before: the phase alone is wrong.
            Err(trouble) => {
                let why = format!("agent: {trouble}");
                return Admission::Refuse(Failure::new(FailureKind::Unfixable, why));
            }
        };
        if let Some(until) = self.away.get(agent.0).filter(|until| until.0 > now.0) {
            return Admission::Later { until: *until };
        }
        let budgets = &site.settings.executor.budgets;
        if !budgets.look_back() {
            return Admission::Go;
        }
        let predicted = site.foresight.early(candidate.phase, agent).output_tokens;
        let (phase, run) = (&candidate.spent.phase, &candidate.spent.run);
        let of_drain = budgets.drain.refuses(Level::Drain, drain, &drain.next_attempt(predicted));
        let of_run = || budgets.run.refuses(Level::Run, run, &run.next_attempt(predicted));
        if let Some(exhausted) = of_drain.or_else(of_run) {
            return Admission::Stop(exhausted);
        }
        // Until one has told what it takes, predictions are all there is, and several at once could go over by several.
        let blind =
            |budget: &Budget, spent: &Spent| budget.limits_use() && spent.is_only_expected();
        if blind(&budgets.drain, drain) || blind(&budgets.run, run) {
            return Admission::Hold;
        }
        match budgets.phase.refuses(Level::Phase, phase, &phase.next_attempt(predicted)) {
            Some(exhausted) => {
                Admission::Refuse(Failure::new(FailureKind::OverBudget, exhausted.why))
            }
            None => Admission::Go,
        }
    }
}
