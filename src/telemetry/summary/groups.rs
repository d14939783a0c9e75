//! Figures for each category, complexity, agent and model.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rate::Rate;
use super::used::MeasuredUsage;
use crate::phase::{AttemptFacts, AttemptOutcome, PhaseHistory, PhaseState};

/// Figures of a group. A phase counts in each group with an attempt of the phase; the landing counts in the group of
/// the landed attempt, the first attempt in the group of the first counted attempt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Name of the group; `null` when unknown.
    pub name: Option<String>,
    /// Share of phases landed.
    pub success: Rate,
    /// Share of phases landed by the first counted attempt.
    pub first_try: Rate,
    /// Number of ended attempts.
    pub attempts: u64,
    /// Tokens and cost.
    #[serde(flatten)]
    pub used: MeasuredUsage,
}

#[derive(Debug, Default)]
struct Count {
    decided: u64,
    landed: u64,
    began: u64,
    first_try: u64,
    attempts: u64,
    used: MeasuredUsage,
}

type Key = fn(&AttemptFacts) -> Option<&str>;

/// Grouping of attempts by a key.
#[derive(Debug)]
pub(super) struct Groups {
    key: Key,
    /// Whether attempts without an agent are excluded.
    reached: bool,
    counts: BTreeMap<Option<String>, Count>,
}

impl Groups {
    pub fn by(key: Key) -> Self {
        Self { key, reached: false, counts: BTreeMap::new() }
    }

    /// Groups only attempts with an agent.
    pub fn by_reached(key: Key) -> Self {
        Self { reached: true, ..Self::by(key) }
    }

    /// Adds a phase; `counted` are the ended attempts covered by the summary.
    pub fn add(&mut self, phase: &PhaseHistory, counted: &[&AttemptFacts]) {
        let (key, reached) = (self.key, self.reached);
        let belongs = |attempt: &&&AttemptFacts| !reached || attempt.agent.is_some();
        let mut keys: Vec<Option<&str>> = Vec::new();
        for attempt in counted.iter().filter(belongs) {
            let name = key(attempt);
            let count = self.counts.entry(name.map(str::to_owned)).or_default();
            count.attempts += 1;
            count.used.add(attempt);
            if !keys.contains(&name) {
                keys.push(name);
            }
        }
        if !is_decided(phase) {
            return;
        }
        let landing = landing(phase).map(key);
        let first = first_try(phase);
        for name in keys {
            let Some(count) = self.counts.get_mut(&name.map(str::to_owned)) else { continue };
            count.decided += 1;
            count.landed += u64::from(landing == Some(name));
            if first.map(key) == Some(name) {
                count.began += 1;
                count.first_try += u64::from(landed_at_once(phase));
            }
        }
    }

    /// Returns the groups, largest first.
    pub fn list(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self
            .counts
            .into_iter()
            .map(|(name, count)| Group {
                name,
                success: Rate::new(count.landed, count.decided),
                first_try: Rate::new(count.first_try, count.began),
                attempts: count.attempts,
                used: count.used,
            })
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse((group.success.of, group.attempts)));
        groups
    }
}

pub(super) fn is_decided(phase: &PhaseHistory) -> bool {
    matches!(phase.state, PhaseState::Complete | PhaseState::Failed)
}

/// Returns the attempt with the landing.
fn landing(phase: &PhaseHistory) -> Option<&AttemptFacts> {
    if phase.state != PhaseState::Complete {
        return None;
    }
    phase.attempts.iter().rfind(|attempt| attempt.outcome.is_some_and(AttemptOutcome::passed))
}

/// Returns the first attempt counted towards `max_attempts`; without any, the first ended attempt.
fn first_try(phase: &PhaseHistory) -> Option<&AttemptFacts> {
    let counted = |a: &&AttemptFacts| a.outcome.is_some_and(AttemptOutcome::is_counted);
    let ended = |a: &&AttemptFacts| a.outcome.is_some();
    phase.attempts.iter().find(counted).or_else(|| phase.attempts.iter().find(ended))
}

/// Checks whether a phase is COMPLETE after a single counted attempt.
pub(super) fn landed_at_once(phase: &PhaseHistory) -> bool {
    let passed = |attempt: &AttemptFacts| attempt.outcome.is_some_and(AttemptOutcome::passed);
    phase.state == PhaseState::Complete && first_try(phase).is_some_and(passed)
}
