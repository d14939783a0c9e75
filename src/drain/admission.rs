//! Admission of the next phase to a claim: budgets and rate-limited agents.

use std::collections::HashMap;
use std::time::Instant;

use crate::attempt::DrainContext;
use crate::phase::budget::{Budget, BudgetUsage, ExhaustedBudget, Level};
use crate::phase::{Failure, FailureKind, UnixMs};
use crate::store::{Admission, Candidate};

/// Limits known to this drain and not recorded in the store.
#[derive(Debug)]
pub struct Limits {
    started: Instant,
    spent: BudgetUsage,
    /// Per agent: end of the rate limit.
    deferred_agents: HashMap<String, UnixMs>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            spent: BudgetUsage::default(),
            deferred_agents: HashMap::new(),
        }
    }
}

impl Limits {
    /// Adds the usage of an ended attempt of this drain.
    pub fn add(&mut self, used: &BudgetUsage) {
        // A rate-limited attempt uses no tokens and is no measure for the next attempt.
        self.spent.attempts += used.attempts.min(used.tokens);
        self.spent.tokens += used.tokens;
        self.spent.cost_usd += used.cost_usd;
    }

    /// Defers all phases of an agent until the given time. Returns whether the agent was ready before.
    pub fn defer_agent(&mut self, agent: String, until: UnixMs, now: UnixMs) -> bool {
        self.deferred_agents.insert(agent, until).is_none_or(|before| before.0 <= now.0)
    }

    /// Returns the usage of this drain so far.
    pub fn spent(&self) -> BudgetUsage {
        BudgetUsage { wall: self.started.elapsed(), ..self.spent }
    }

    /// Returns the exhausted drain budget if waiting cannot help: the drain's own time runs on meanwhile.
    pub fn exhausted_budget(&self, context: &DrainContext) -> Option<ExhaustedBudget> {
        let drain = context.settings.executor.budgets.drain;
        drain.refuses(Level::Drain, &self.spent(), &BudgetUsage::default())
    }

    /// Returns the end of an agent's rate limit, met by this drain or by another with the same key, and the key's fingerprint.
    fn limit_of(
        &self,
        agent: &str,
        context: &DrainContext,
        candidate: &Candidate<'_>,
    ) -> (UnixMs, Option<String>) {
        let ours = self.deferred_agents.get(agent).copied().unwrap_or_default();
        let key = context.provider_keys.get(agent);
        match key.and_then(|key| candidate.limits.of(key)) {
            Some((fingerprint, until)) => (until.max(ours), Some(fingerprint)),
            None => (ours, None),
        }
    }

    /// Decides whether a phase may be claimed. `drain`: usage of this drain plus the estimates for running attempts.
    pub fn admit(
        &self,
        context: &DrainContext,
        candidate: &Candidate<'_>,
        drain: &BudgetUsage,
        now: UnixMs,
    ) -> Admission {
        let agents = match context.agents_for(candidate.phase, candidate.counted_attempts) {
            Ok(agents) => agents,
            // `--agent`, the ladder and the default agent are checked earlier: only the agent named by the phase can
            // be wrong.
            Err(error) => {
                let why = format!("agent: {error}");
                return Admission::Refuse(Failure::new(FailureKind::Unfixable, why));
            }
        };
        let limit = |name: &str| self.limit_of(name, context, candidate);
        let is_ready = |name: &str| limit(name).0.0 <= now.0;
        let Some(agent) = agents.iter().copied().find(|(name, _)| is_ready(name)) else {
            let limits = agents.iter().map(|(name, _)| limit(name));
            let (until, key) = limits.min_by_key(|(until, _)| *until).unwrap_or((now, None));
            return Admission::Later { until, key };
        };
        let go = match agents[0].0 == agent.0 {
            true => Admission::Go,
            false => Admission::GoWith { agent: agent.0.to_owned() },
        };
        let budgets = &context.settings.executor.budgets;
        if !budgets.needs_past_usage() {
            return go;
        }
        let predicted = context.estimator.early(candidate.phase, agent).output_tokens;
        let (phase, run) = (&candidate.spent.phase, &candidate.spent.run);
        let of_drain = budgets.drain.refuses(Level::Drain, drain, &drain.next_attempt(predicted));
        let of_run = || budgets.run.refuses(Level::Run, run, &run.next_attempt(predicted));
        if let Some(exhausted) = of_drain.or_else(of_run) {
            return Admission::Stop(exhausted);
        }
        // Until a first attempt reports usage, estimates are all there is, and several attempts at once could exceed
        // the budget several times over.
        let blind = |budget: &Budget, spent: &BudgetUsage| {
            budget.has_usage_limit() && spent.is_only_expected()
        };
        if blind(&budgets.drain, drain) || blind(&budgets.run, run) {
            return Admission::Hold;
        }
        match budgets.phase.refuses(Level::Phase, phase, &phase.next_attempt(predicted)) {
            Some(exhausted) => {
                Admission::Refuse(Failure::new(FailureKind::OverBudget, exhausted.why))
            }
            None => go,
        }
    }
}
