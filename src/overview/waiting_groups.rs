//! Waiting phases folded by reason. A phase behind a chain of dependencies counts for the start of the chain: the
//! phase that runs, can run or has failed.

use std::collections::HashMap;

use crate::phase::{PhaseId, PhaseState, UnixMs};
use crate::store::Waiting;

/// Reason why phases wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WaitReason {
    /// A dependency, direct or indirect, in this state.
    Dependency(PhaseId, PhaseState),
    /// Paths that other phases, running or ahead in the queue, touch as well.
    Overlap,
    /// A rate limit.
    RateLimit,
    /// The operator stopped the phase.
    Held,
    /// A spec that will be refused.
    Unfixable,
}

/// Waiting phases with the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingGroup {
    /// The reason.
    pub reason: WaitReason,
    /// Phases in the order of the run.
    pub phases: Vec<PhaseId>,
    /// Earliest end of a rate limit.
    pub until: Option<UnixMs>,
}

impl WaitingGroup {
    /// Checks whether only a person can help these phases.
    pub fn is_blocked(&self) -> bool {
        matches!(self.reason, WaitReason::Dependency(_, PhaseState::Failed))
    }
}

/// Folds waiting phases by reason, the largest group first. Input order: the order of the run.
pub fn fold_waiting(waiting: &[Waiting]) -> Vec<WaitingGroup> {
    let by_id: HashMap<&PhaseId, &Waiting> =
        waiting.iter().map(|phase| (&phase.phase_id, phase)).collect();
    let mut roots = HashMap::new();
    let mut groups: Vec<WaitingGroup> = Vec::new();
    let mut places: HashMap<WaitReason, usize> = HashMap::new();
    for phase in waiting {
        let reason = reason(phase, &by_id, &mut roots);
        let until = phase.not_before.filter(|_| reason == WaitReason::RateLimit);
        let place = *places.entry(reason.clone()).or_insert_with(|| {
            groups.push(WaitingGroup { reason, phases: Vec::new(), until });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.phases.push(phase.phase_id.clone());
        group.until = group.until.into_iter().chain(until).min();
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.phases.len()));
    groups
}

type Roots<'a> = HashMap<&'a PhaseId, (PhaseId, PhaseState)>;

fn reason<'a>(
    phase: &'a Waiting,
    by_id: &HashMap<&'a PhaseId, &'a Waiting>,
    roots: &mut Roots<'a>,
) -> WaitReason {
    if phase.held {
        return WaitReason::Held;
    }
    if phase.unfixable.is_some() && phase.needs.is_empty() {
        return WaitReason::Unfixable;
    }
    if !phase.needs.is_empty() {
        let (id, state) = find_root(phase, by_id, roots);
        return WaitReason::Dependency(id, state);
    }
    match phase.not_before {
        Some(_) => WaitReason::RateLimit,
        None => WaitReason::Overlap,
    }
}

/// Follows the first unmet dependency, a failed one before others, up to a phase without unmet dependencies. Walks
/// without recursion, because a chain may have thousands of phases; each phase is visited once.
fn find_root<'a>(
    phase: &'a Waiting,
    by_id: &HashMap<&'a PhaseId, &'a Waiting>,
    roots: &mut Roots<'a>,
) -> (PhaseId, PhaseState) {
    let mut path = Vec::new();
    let mut at = phase;
    let root = loop {
        if let Some(root) = roots.get(&at.phase_id) {
            break root.clone();
        }
        path.push(&at.phase_id);
        let blocked = |id: &PhaseId| by_id.get(id).is_some_and(|next| next.blocked);
        let failed = at.needs.iter().find(|(_, state)| *state == PhaseState::Failed);
        let behind = || at.needs.iter().find(|(id, _)| at.blocked && blocked(id));
        let Some((id, state)) = failed.or_else(behind).or(at.needs.first()) else {
            break (at.phase_id.clone(), PhaseState::Queued);
        };
        match by_id.get(id) {
            // Dependencies have no cycle, but a snapshot of odd rows must not hang.
            Some(next) if !next.needs.is_empty() && path.len() <= by_id.len() => at = next,
            _ => break (id.clone(), *state),
        }
    };
    path.into_iter().for_each(|id| {
        roots.insert(id, root.clone());
    });
    root
}
