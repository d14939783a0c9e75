//! Cycles among the dependencies of a run: each is named, and broken at its last dependency in source order.

use std::collections::HashMap;

use crate::phase::PhaseId;
use crate::phase::cycle::{CycleSearch, describe};

use super::plan_draft::DraftRun;

/// Dependencies of a phase.
#[derive(Default)]
pub(super) struct PhaseDependencies {
    pub(super) ids: Vec<PhaseId>,
    /// Entries that are not dependencies.
    pub(super) notes: Vec<String>,
}

/// Drops a dependency of each cycle, with a note, and returns the cycles. `dependencies` belong to the phases of the
/// run, in order. Dependencies of `stored` phases that the run does not have stay.
pub(super) fn break_all_cycles(
    run: &DraftRun,
    dependencies: &mut [PhaseDependencies],
    stored: Option<&HashMap<PhaseId, Vec<PhaseId>>>,
) -> Vec<String> {
    let ids: Vec<&PhaseId> = run.phases.iter().map(|draft| &draft.phase.phase_id).collect();
    let index: HashMap<&PhaseId, usize> = (0..).zip(&ids).map(|(at, id)| (*id, at)).collect();
    let mut graph: HashMap<&PhaseId, Vec<&PhaseId>> = HashMap::new();
    for (id, needs) in stored.into_iter().flatten() {
        graph.insert(id, needs.iter().collect());
    }
    let kept: Vec<Vec<PhaseId>> = dependencies.iter().map(|needs| needs.ids.clone()).collect();
    for (id, needs) in ids.iter().zip(&kept) {
        graph.insert(id, needs.iter().collect());
    }
    let mut cycles = Vec::new();
    let mut search = CycleSearch::default();
    for start in &ids {
        while let Some(cycle) = search.find(*start, |id, n| graph.get(id)?.get(n).copied()) {
            cycles.push(describe(cycle.iter().map(|id| id.as_str())));
            let own = cycle.windows(2).filter_map(|edge| {
                let at = *index.get(edge[0])?;
                let number = run.phases[at].number;
                let position = kept[at].iter().position(|need| need == edge[1])?;
                Some(((number, position), at, edge[0], edge[1]))
            });
            // A cycle has a phase of this import, because stored dependencies have no cycle.
            let Some((_, at, waiting, dropped)) = own.max_by_key(|(order, ..)| *order) else {
                return cycles;
            };
            graph.entry(waiting).or_default().retain(|need| *need != dropped);
            dependencies[at].ids.retain(|need| need != dropped);
            dependencies[at]
                .notes
                .push(format!("does not wait for {dropped}: they would wait for each other"));
        }
    }
    cycles
}
