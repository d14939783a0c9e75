//! The phases to take back together, and the reasons to take none back.

use std::collections::BTreeSet;

use super::{PhaseId, PhaseState};

/// A phase as far as an undo asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoCandidate {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Present state.
    pub state: PhaseState,
    /// Whether a commit of the phase landed and was not taken back. A phase that is to be done again keeps its commit.
    pub has_landed: bool,
    /// Whether an attempt completed the phase; else an import or the operator did.
    pub is_by_attempt: bool,
    /// Indexes of the phases it depends on.
    pub needs: Vec<usize>,
}

/// Reason to undo nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoRefusal {
    /// The phase is not complete.
    NotComplete(PhaseState),
    /// The phase is complete without a commit.
    NothingLanded,
    /// These complete phases depend on the phase.
    NeededBy(Vec<PhaseId>),
    /// These complete phases depend on the phase, and no attempt of autopack completed them.
    CompletedElsewhere(Vec<PhaseId>),
}

/// Returns the indexes of the phases to undo, in ascending order: the target, and with `with_dependents` all complete or
/// landed phases that depend on it, directly or through others.
///
/// # Errors
/// If the target, or one of its dependents, cannot be undone.
pub fn choose_undone(
    phases: &[UndoCandidate],
    target: usize,
    with_dependents: bool,
) -> Result<Vec<usize>, UndoRefusal> {
    let named = &phases[target];
    if !named.has_landed {
        return Err(match named.state {
            PhaseState::Complete => UndoRefusal::NothingLanded,
            state => UndoRefusal::NotComplete(state),
        });
    }
    let complete: Vec<usize> = dependents(phases, target)
        .into_iter()
        .filter(|index| phases[*index].has_landed || phases[*index].state == PhaseState::Complete)
        .collect();
    let ids = |indexes: &[usize]| indexes.iter().map(|i| phases[*i].phase_id.clone()).collect();
    if !complete.is_empty() && !with_dependents {
        return Err(UndoRefusal::NeededBy(ids(&complete)));
    }
    let is_foreign = |index: &usize| !phases[*index].has_landed && !phases[*index].is_by_attempt;
    let foreign: Vec<usize> = complete.iter().copied().filter(is_foreign).collect();
    if !foreign.is_empty() {
        return Err(UndoRefusal::CompletedElsewhere(ids(&foreign)));
    }
    let mut undone = complete;
    undone.push(target);
    undone.sort_unstable();
    Ok(undone)
}

/// Returns the phases that depend on the target, directly or through others, whatever their state.
fn dependents(phases: &[UndoCandidate], target: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![target];
    while let Some(need) = open.pop() {
        for (index, phase) in phases.iter().enumerate() {
            if index != target && phase.needs.contains(&need) && found.insert(index) {
                open.push(index);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phase(id: &str, state: PhaseState, needs: &[usize]) -> UndoCandidate {
        UndoCandidate {
            phase_id: PhaseId::new(id),
            state,
            has_landed: state == PhaseState::Complete,
            is_by_attempt: state == PhaseState::Complete,
            needs: needs.to_vec(),
        }
    }

    #[test]
    fn a_phase_is_undone_alone_or_with_its_dependents() {
        use PhaseState::{Complete, Queued};
        let phases = [
            phase("a", Complete, &[]),
            phase("b", Complete, &[0]),
            phase("queued", Queued, &[1]),
            phase("c", Complete, &[2]),
            phase("other", Complete, &[]),
        ];
        let needed = vec![PhaseId::new("b"), PhaseId::new("c")];
        assert_eq!(choose_undone(&phases, 0, false), Err(UndoRefusal::NeededBy(needed)));
        assert_eq!(choose_undone(&phases, 0, true), Ok(vec![0, 1, 3]));
        assert_eq!(choose_undone(&phases, 3, false), Ok(vec![3]));
        assert_eq!(choose_undone(&phases, 2, true), Err(UndoRefusal::NotComplete(Queued)));
    }

    #[test]
    fn phases_completed_elsewhere_are_not_undone() {
        let mut phases = [
            phase("a", PhaseState::Complete, &[]),
            phase("no-change", PhaseState::Complete, &[0]),
            phase("imported", PhaseState::Complete, &[0]),
        ];
        phases[1].has_landed = false;
        assert_eq!(choose_undone(&phases, 1, true), Err(UndoRefusal::NothingLanded));
        assert_eq!(choose_undone(&phases, 0, true), Ok(vec![0, 1, 2]));
        (phases[2].has_landed, phases[2].is_by_attempt) = (false, false);
        let foreign = UndoRefusal::CompletedElsewhere(vec![PhaseId::new("imported")]);
        assert_eq!(choose_undone(&phases, 0, true), Err(foreign));
    }

    proptest! {
        /// After an undo, no complete phase depends on an undone one, and only complete phases were undone.
        #[test]
        fn no_complete_phase_is_left_on_an_undone_one(
            states in prop::collection::vec(0..5_usize, 1..12),
            edges in prop::collection::vec((0..12_usize, 0..12_usize), 0..30),
            target in 0..12_usize,
            with_dependents in any::<bool>(),
        ) {
            let mut phases: Vec<UndoCandidate> = states
                .iter()
                .enumerate()
                .map(|(index, state)| phase(&index.to_string(), PhaseState::ALL[*state], &[]))
                .collect();
            // A phase needs only earlier phases, so there is no cycle.
            for (phase, need) in edges {
                if need < phase && phase < phases.len() {
                    phases[phase].needs.push(need);
                }
            }
            let target = target % phases.len();
            if let Ok(undone) = choose_undone(&phases, target, with_dependents) {
                prop_assert!(undone.contains(&target));
                prop_assert!(undone.iter().all(|i| phases[*i].state == PhaseState::Complete));
                prop_assert!(with_dependents || undone == [target]);
                for (index, phase) in phases.iter().enumerate() {
                    let stays = phase.state == PhaseState::Complete && !undone.contains(&index);
                    prop_assert!(!stays || phase.needs.iter().all(|need| !undone.contains(need)));
                }
            }
        }
    }
}
