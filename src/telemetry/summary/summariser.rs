//! Accumulation of phases and samples into a summary.

use std::collections::BTreeMap;

use super::accuracy::{Pair, Pairs};
use super::groups::{self, Groups};
use super::time::Clock;
use super::{
    Attempts, FailureCount, MeasuredUsage, PerLanded, PerPhase, Phases, Rate, Retries, Spread,
    Summary,
};
use crate::phase::{AttemptFacts, AttemptOutcome, PhaseHistory, PhaseState, RunId, Sample, UnixMs};

/// Accumulator of phases and samples.
#[derive(Debug)]
pub struct Summariser {
    since: Option<UnixMs>,
    runs: Vec<RunId>,
    phases: Phases,
    first_try: u64,
    attempts: Attempts,
    used: MeasuredUsage,
    phase_tokens: Vec<f64>,
    phase_costs: Vec<f64>,
    groups: [Groups; 4],
    pairs: Pairs,
    failures: BTreeMap<String, (u64, u64)>,
    retries: Retries,
    retry_clock: Clock,
    clock: Clock,
}

impl Summariser {
    /// Creates an empty accumulator; with `since`, only attempts ended at or after this time count.
    pub fn new(since: Option<UnixMs>) -> Self {
        Self {
            since,
            runs: Vec::new(),
            phases: Phases {
                counts: PhaseState::ALL.map(|state| (state.as_str(), 0)).into(),
                ..Phases::default()
            },
            first_try: 0,
            attempts: Attempts::default(),
            used: MeasuredUsage::default(),
            phase_tokens: Vec::new(),
            phase_costs: Vec::new(),
            groups: [
                Groups::by(|attempt| named(&attempt.category)),
                Groups::by(|attempt| named(&attempt.complexity)),
                Groups::by_reached(|attempt| attempt.agent.as_deref()),
                Groups::by_reached(|attempt| attempt.model.as_deref()),
            ],
            pairs: Pairs::default(),
            failures: BTreeMap::new(),
            retries: Retries::default(),
            retry_clock: Clock::default(),
            clock: Clock::default(),
        }
    }

    /// Adds a run to the summary, with or without phases.
    pub fn run(&mut self, run: &RunId) {
        self.runs.push(run.clone());
    }

    /// Adds a phase with all attempts.
    pub fn phase(&mut self, phase: &PhaseHistory) {
        *self.phases.counts.entry(phase.state.as_str()).or_default() += 1;
        let is_wanted = |at: UnixMs| self.since.is_none_or(|since| at >= since);
        let ended = |attempt: &&AttemptFacts| attempt.ended_at.is_some_and(is_wanted);
        let counted: Vec<&AttemptFacts> = phase.attempts.iter().filter(ended).collect();
        let running = phase.attempts.iter().filter(|attempt| attempt.ended_at.is_none());
        self.attempts.running += running.count() as u64;
        if counted.is_empty() {
            // Refused before the first attempt.
            let untried = phase.attempts.is_empty() && phase.state == PhaseState::Failed;
            if let Some(kind) = phase.failure_kind.as_ref().filter(|_| untried) {
                self.failures.entry(kind.clone()).or_default().1 += 1;
            }
            return;
        }
        self.judge(phase, &counted);
        let mut used = MeasuredUsage::default();
        for attempt in &counted {
            self.attempt(phase, attempt);
            used.add(attempt);
        }
        self.phase_tokens.extend(used.tokens.billed.map(|tokens| tokens as f64));
        self.phase_costs.extend(used.cost_usd);
        for groups in &mut self.groups {
            groups.add(phase, &counted);
        }
    }

    /// Adds a sample without an attempt: counts only towards the accuracy of estimates.
    pub fn sample(&mut self, sample: &Sample) {
        if self.since.is_some_and(|since| sample.timestamp < since) {
            return;
        }
        self.pairs.add(Pair {
            predicted: sample.predicted_output_tokens,
            actual: sample.actual_output_tokens,
            landed: sample.success,
            truncated: sample.truncated,
            imported: true,
        });
    }

    /// Computes the summary.
    pub fn summary(mut self) -> Summary {
        let decided = self.phases.landed + self.phases.failed;
        self.phases.success = Rate::new(self.phases.landed, decided);
        self.phases.first_try = Rate::new(self.first_try, decided);
        let landed = (self.phases.landed > 0).then_some(self.phases.landed as f64);
        let billed = self.used.tokens.billed.map(|tokens| tokens as f64);
        let ratio =
            |a: Option<f64>, b: Option<f64>| a.zip(b.filter(|b| *b > 0.0)).map(|(a, b)| a / b);
        self.retries.share_of_tokens =
            ratio(self.retries.used.tokens.billed.map(|n| n as f64), billed);
        self.retries.wall_ms = self.retry_clock.time().attempts_ms;
        let [by_category, by_complexity, by_agent, by_model] = self.groups.map(Groups::list);
        Summary {
            runs: self.runs,
            per_landed_phase: PerLanded {
                tokens: ratio(billed, landed),
                cost_usd: ratio(self.used.cost_usd, landed),
            },
            per_phase: PerPhase {
                tokens: Spread::of(self.phase_tokens),
                cost_usd: Spread::of(self.phase_costs),
            },
            phases: self.phases,
            attempts: self.attempts,
            used: self.used,
            by_category,
            by_complexity,
            by_agent,
            by_model,
            estimate: self.pairs.accuracy(),
            failures: failure_counts(self.failures),
            retries: self.retries,
            time: self.clock.time(),
        }
    }

    /// Counts the result of a tried phase.
    fn judge(&mut self, phase: &PhaseHistory, counted: &[&AttemptFacts]) {
        self.phases.tried += 1;
        match phase.state {
            PhaseState::Complete => self.phases.landed += 1,
            PhaseState::Failed => self.phases.failed += 1,
            _ => self.phases.open += 1,
        }
        self.first_try += u64::from(groups::landed_at_once(phase));
        if phase.state == PhaseState::Failed {
            let last = counted.last().and_then(|attempt| failure_kind(attempt));
            if let Some(kind) = phase.failure_kind.as_deref().or(last) {
                self.failures.entry(kind.to_owned()).or_default().1 += 1;
            }
        }
    }

    fn attempt(&mut self, phase: &PhaseHistory, attempt: &AttemptFacts) {
        self.attempts.ended += 1;
        if let Some(outcome) = attempt.outcome {
            *self.attempts.by_outcome.entry(outcome).or_default() += 1;
        }
        self.used.add(attempt);
        self.clock.add(&phase.run_id, attempt);
        if let Some(kind) = failure_kind(attempt) {
            self.failures.entry(kind.to_owned()).or_default().0 += 1;
            self.retries.attempts += 1;
            self.retries.used.add(attempt);
            self.retry_clock.add(&phase.run_id, attempt);
        }
        if attempt.agent.is_some() {
            self.pairs.add(Pair {
                predicted: attempt.estimated_output,
                actual: attempt.tokens.output,
                landed: attempt.outcome == Some(AttemptOutcome::Landed),
                truncated: attempt.truncated,
                imported: false,
            });
        }
    }
}

/// Returns a category or complexity; `None` for an empty text, because plans may omit both.
fn named(text: &str) -> Option<&str> {
    (!text.trim().is_empty()).then_some(text)
}

/// Returns the reason why an attempt did not complete the phase: the failure kind, else the outcome. `None` for a kept
/// scope proposal, which comes before the first attempt at the work.
fn failure_kind(attempt: &AttemptFacts) -> Option<&str> {
    let is_failure =
        |outcome: &AttemptOutcome| !outcome.passed() && *outcome != AttemptOutcome::ScopeProposed;
    let outcome = attempt.outcome.filter(is_failure)?;
    Some(attempt.failure_kind.as_deref().unwrap_or(outcome.as_str()))
}

fn failure_counts(counts: BTreeMap<String, (u64, u64)>) -> Vec<FailureCount> {
    let mut failures: Vec<FailureCount> = counts
        .into_iter()
        .map(|(kind, (attempts, phases))| FailureCount { kind, attempts, phases })
        .collect();
    failures.sort_by_key(|failure| std::cmp::Reverse((failure.attempts, failure.phases)));
    failures
}
