//! FAILED phases grouped by reason: the same kind with the same failing tests, else with the same message.

use std::collections::HashMap;

use crate::phase::words::first_few;
use crate::phase::{Failure, FailureKind, PhaseId, RunId};
use crate::store::{CommonFailure, PhaseRow, PhaseUsage};

/// Most groups of different reasons; more are joined by kind.
const DISTINCT_GROUPS: usize = 4;
/// Failing tests named in a reason.
const NAMED_TESTS: usize = 2;

/// FAILED phases with the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// Run of the phases.
    pub run_id: RunId,
    /// Kind of the failure; `None` if not recorded.
    pub kind: Option<FailureKind>,
    /// Reason: the failing tests, else the message.
    pub reason: String,
    /// Phases in the order of the run.
    pub phases: Vec<PhaseId>,
    /// Agent of the first phase.
    pub agent: Option<String>,
    /// Whether a failure of several phases ended a drain, and explains these.
    pub has_common_cause: bool,
}

/// Groups FAILED phases, the largest group first. `common`: the failure that ended a drain.
pub(super) fn group_failures(
    failed: &[PhaseRow],
    usages: &HashMap<PhaseId, PhaseUsage>,
    common: Option<&CommonFailure>,
) -> Vec<FailureGroup> {
    let mut groups: Vec<FailureGroup> = Vec::new();
    let mut places: HashMap<(Option<FailureKind>, String), usize> = HashMap::new();
    for row in failed {
        let kind = row.last_failure.as_ref().map(|failure| failure.kind);
        let reason = row.last_failure.as_ref().map_or_else(|| row.name.clone(), describe);
        let place = *places.entry((kind, reason.clone())).or_insert_with(|| {
            groups.push(FailureGroup {
                run_id: row.run_id.clone(),
                agent: usages.get(&row.phase_id).and_then(|usage| usage.agent.clone()),
                phases: Vec::new(),
                has_common_cause: false,
                kind,
                reason,
            });
            groups.len() - 1
        });
        groups[place].phases.push(row.phase_id.clone());
    }
    if groups.len() > DISTINCT_GROUPS {
        groups = fold_by_kind(groups);
    }
    for group in &mut groups {
        group.has_common_cause =
            common.is_some_and(|common| common.explains(group.kind, &group.phases));
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.phases.len()));
    groups
}

/// Joins the groups of each kind, such as phases that each fail in a test of their own.
fn fold_by_kind(groups: Vec<FailureGroup>) -> Vec<FailureGroup> {
    let mut folded: Vec<(FailureGroup, u64)> = Vec::new();
    for group in groups {
        match folded.iter_mut().find(|(first, _)| first.kind == group.kind) {
            Some((first, reasons)) => {
                first.phases.extend(group.phases);
                *reasons += 1;
            }
            None => folded.push((group, 1)),
        }
    }
    let name = |(mut group, reasons): (FailureGroup, u64)| {
        if reasons > 1 {
            group.reason = format!("{reasons} different reasons");
        }
        group
    };
    folded.into_iter().map(name).collect()
}

/// Names the failing tests, else repeats the message.
fn describe(failure: &Failure) -> String {
    let tests = &failure.detail.failing_tests;
    if tests.is_empty() {
        return failure.message.trim().to_owned();
    }
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    first_few(&names, NAMED_TESTS)
}
