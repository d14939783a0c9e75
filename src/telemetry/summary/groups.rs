//! The same figures for each category, complexity, agent and model.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rate::Rate;
use super::used::Used;
use crate::phase::{AttemptFacts, AttemptOutcome, PhaseHistory, PhaseState};

/// A phase counts in each group that one of its attempts is in. Its landing counts where the attempt that landed is;
/// the first try where the first try is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// `null`: it is not known.
    pub name: Option<String>,
    pub success: Rate,
    pub first_try: Rate,
    pub attempts: u64,
    #[serde(flatten)]
    pub used: Used,
}

#[derive(Debug, Default)]
struct Count {
    decided: u64,
    landed: u64,
    began: u64,
    first_try: u64,
    attempts: u64,
    used: Used,
}

type Key = fn(&AttemptFacts) -> Option<&str>;

/// One way of telling attempts apart.
#[derive(Debug)]
pub(super) struct Groups {
    key: Key,
    /// Whether attempts without an agent are left out.
    reached: bool,
    counts: BTreeMap<Option<String>, Count>,
}

impl Groups {
    pub fn by(key: Key) -> Self {
        Self { key, reached: false, counts: BTreeMap::new() }
    }

    /// Of attempts that reached an agent.
    pub fn by_reached(key: Key) -> Self {
        Self { reached: true, ..Self::by(key) }
    }

    /// `counted` are those of the phase's ended attempts that the summary is about.
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

    /// The largest first.
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

/// The attempt that completed it.
fn landing(phase: &PhaseHistory) -> Option<&AttemptFacts> {
    if phase.state != PhaseState::Complete {
        return None;
    }
    phase.attempts.iter().rfind(|attempt| attempt.outcome.is_some_and(AttemptOutcome::passed))
}

/// The first attempt that charged a try; where none did, the first that ended.
fn first_try(phase: &PhaseHistory) -> Option<&AttemptFacts> {
    let charged = |a: &&AttemptFacts| a.outcome.is_some_and(AttemptOutcome::is_charged);
    let ended = |a: &&AttemptFacts| a.outcome.is_some();
    phase.attempts.iter().find(charged).or_else(|| phase.attempts.iter().find(ended))
}

/// It is COMPLETE, and its first try was the only one it needed.
pub(super) fn landed_at_once(phase: &PhaseHistory) -> bool {
    let passed = |attempt: &AttemptFacts| attempt.outcome.is_some_and(AttemptOutcome::passed);
    phase.state == PhaseState::Complete && first_try(phase).is_some_and(passed)
}
