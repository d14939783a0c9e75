//! Dry run: lists the phases of a drain in order, assuming every phase passes at the first attempt. Writes nothing.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use crate::attempt::Estimator;
use crate::config::Settings;
use crate::phase::footprint::Footprint;
use crate::phase::proposal::proposed_by;
use crate::phase::protected::ProtectedPaths;
use crate::phase::{FixedSpec, PhaseId, PhaseState, RunId, UnixMs};
use crate::store::{Fixer, PhaseRow, QueuePlace};

/// What decides in a drain which phases run, and how.
pub struct PlannedDrain<'a> {
    /// The auto-fixer.
    pub fix: &'a Fixer<'a>,
    /// Settings of the workspace.
    pub settings: &'a Settings,
    /// Agent given on the command line.
    pub agent: Option<&'a str>,
    /// Labels of the machine.
    pub labels: &'a [String],
    /// Estimates of tokens.
    pub estimator: &'a Estimator,
}

/// Queued phase in a dry run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedPhase {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Name in the plan.
    pub name: String,
    /// Position in the drain, counted from 1; `None` for a phase unable to run.
    pub order: Option<usize>,
    /// Name of the agent; `None` if no configured agent matches.
    pub agent: Option<String>,
    /// Estimated output tokens of the next attempt.
    pub estimated_output_tokens: Option<u64>,
    /// Repairs by the auto-fixer, in words.
    pub fixes: Vec<String>,
    /// Reason why the auto-fixer cannot repair the spec.
    pub unfixable: Option<String>,
    /// Whether a scope is proposed before the phase runs.
    pub needs_scope: bool,
    /// Author of the proposed scope, if the scope is a proposal.
    pub scope_proposed_by: Option<String>,
    /// Dependencies not met by the end of this drain.
    pub waits_for: Vec<PhaseId>,
    /// Time until which the phase is deferred.
    pub not_before: Option<UnixMs>,
    /// Whether the operator stopped the phase.
    pub held: bool,
    /// Label that the phase asks for, and the machine lacks.
    pub missing_label: Option<String>,
    /// Protected paths that the phase may change, because it sets `allow_protected`.
    pub protected_paths: Vec<String>,
    /// Dependencies, met or not.
    pub depends_on: Vec<PhaseId>,
    /// Areas that the phase may write; all of the repository for a spec that cannot be repaired.
    #[serde(skip)]
    pub footprint: Footprint,
}

#[cfg(test)]
impl PlannedPhase {
    /// A phase that would not run, for tests.
    pub(crate) fn sample(id: &str) -> Self {
        Self {
            run_id: RunId::new("r"),
            phase_id: PhaseId::new(id),
            name: String::new(),
            order: None,
            agent: None,
            estimated_output_tokens: None,
            fixes: Vec::new(),
            unfixable: None,
            needs_scope: false,
            scope_proposed_by: None,
            waits_for: Vec::new(),
            not_before: None,
            held: false,
            missing_label: None,
            protected_paths: Vec::new(),
            depends_on: Vec::new(),
            footprint: Footprint::everything(),
        }
    }
}

/// Plans the drain of one run: phases able to run in drain order, then the blocked phases. `rows`: all phases of the
/// run, in the order of the plan.
pub fn plan(rows: &[PhaseRow], drain: &PlannedDrain<'_>) -> Vec<PlannedPhase> {
    let at: HashMap<&PhaseId, usize> =
        rows.iter().enumerate().map(|(n, row)| (&row.phase_id, n)).collect();
    let waits = |state: PhaseState| matches!(state, PhaseState::Queued | PhaseState::Failed);
    let mut unmet: Vec<usize> = Vec::with_capacity(rows.len());
    let mut dependents: HashMap<usize, Vec<usize>> = HashMap::new();
    for (n, row) in rows.iter().enumerate() {
        let needs = row.depends_on.iter().filter_map(|need| at.get(need));
        let open: Vec<usize> = needs.copied().filter(|need| waits(rows[*need].state)).collect();
        unmet.push(open.len());
        open.iter().for_each(|need| dependents.entry(*need).or_default().push(n));
    }
    let queued = |n: &usize| rows[*n].state == PhaseState::Queued;
    let in_queue = |n: usize| (rows[n].place, n);
    let mut ready: BTreeSet<(QueuePlace, usize)> =
        (0..rows.len()).filter(queued).filter(|n| unmet[*n] == 0).map(in_queue).collect();
    let mut planned = Vec::new();
    let mut passed = BTreeSet::new();
    let mut order = 0;
    while let Some((_, n)) = ready.pop_first() {
        let mut phase = one(&rows[n], drain);
        if phase.unfixable.is_none() && !phase.held && phase.missing_label.is_none() {
            order += 1;
            phase.order = Some(order);
            passed.insert(n);
            for dependent in dependents.get(&n).into_iter().flatten() {
                unmet[*dependent] -= 1;
                if unmet[*dependent] == 0 {
                    ready.insert(in_queue(*dependent));
                }
            }
        }
        planned.push(phase);
    }
    for n in (0..rows.len()).filter(queued).filter(|n| unmet[*n] > 0) {
        let missing = |need: &&PhaseId| {
            at.get(*need).is_some_and(|need| waits(rows[*need].state) && !passed.contains(need))
        };
        let mut phase = one(&rows[n], drain);
        phase.waits_for = rows[n].depends_on.iter().filter(missing).cloned().collect();
        planned.push(phase);
    }
    planned
}

fn one(row: &PhaseRow, drain: &PlannedDrain<'_>) -> PlannedPhase {
    let PlannedDrain { fix, settings, agent, labels, estimator } = *drain;
    let repair = fix(&row.spec, row.last_failure.as_ref());
    let spec = repair.result.as_ref().ok();
    let own = spec.and_then(|spec| spec.agent());
    let wanted = settings.choose_agent(agent, own, row.attempts);
    let agent = settings.agent(wanted);
    let expected = spec.zip(agent).map(|(spec, agent)| estimator.early(spec, agent).output_tokens);
    let named = agent.map(|(name, _)| name.to_owned());
    let nobody = wanted
        .filter(|_| named.is_none())
        .map(|wanted| format!("agent: no agent is called {wanted:?}"));
    PlannedPhase {
        run_id: row.run_id.clone(),
        phase_id: row.phase_id.clone(),
        name: row.name.clone(),
        order: None,
        agent: named,
        estimated_output_tokens: expected,
        fixes: repair.fixes.clone(),
        unfixable: repair.result.as_ref().err().map(|why| why.0.clone()).or(nobody),
        needs_scope: spec.is_some_and(FixedSpec::needs_scope),
        scope_proposed_by: spec.and_then(proposed_by).map(str::to_owned),
        waits_for: Vec::new(),
        not_before: row.not_before,
        held: row.held,
        missing_label: spec.and_then(|spec| spec.missing_label(labels)),
        protected_paths: spec.map(|spec| opened_paths(spec, settings)).unwrap_or_default(),
        depends_on: row.depends_on.clone(),
        footprint: spec.map_or_else(Footprint::everything, |spec| match row.excludes_directories {
            true => Footprint::of(spec),
            false => Footprint::of_deliverables(spec),
        }),
    }
}

fn opened_paths(spec: &FixedSpec, settings: &Settings) -> Vec<String> {
    let protected = ProtectedPaths::new(&settings.workspace.protected_paths);
    protected.opened(spec).into_iter().map(|path| path.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::RawSpec;
    use crate::phase::autofix::{Limits, Unscoped, autofix};

    fn row(id: &str, place: QueuePlace, needs: &[&str]) -> PhaseRow {
        let spec = serde_json::json!({"phase_id": id, "name": id, "description": "do it"});
        PhaseRow {
            place,
            depends_on: needs.iter().map(|need| PhaseId::new(*need)).collect(),
            ..PhaseRow::sample(id, spec)
        }
    }

    #[test]
    fn dry_run_follows_the_queue_order() {
        let rows = [
            row("took drains down", QueuePlace::new(1, 0), &[]),
            row("needs the last", QueuePlace::new(0, 1), &["last"]),
            row("first", QueuePlace::new(0, 2), &[]),
            row("last", QueuePlace::new(0, 3), &[]),
        ];
        let limits =
            Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Allow };
        let fix = |raw: &RawSpec, last: Option<&_>| autofix(raw, last, &limits);
        let drain = PlannedDrain {
            fix: &fix,
            settings: &Settings::default(),
            agent: None,
            labels: &["gpu".to_owned()],
            estimator: &Estimator::default(),
        };
        let planned = plan(&rows, &drain);
        let order: Vec<&str> = planned.iter().map(|phase| phase.phase_id.as_str()).collect();
        assert_eq!(order, ["first", "last", "needs the last", "took drains down"]);
        assert!(planned.iter().all(|phase| phase.order.is_some()), "{planned:#?}");
        let labelled = |labels| {
            let spec = serde_json::json!({"phase_id": "a", "description": "do it", "machine_labels": labels});
            let [phase] = plan(&[PhaseRow::sample("a", spec)], &drain).try_into().unwrap();
            (phase.order, phase.missing_label)
        };
        for labels in
            [serde_json::json!("gpu"), serde_json::json!([" gpu "]), serde_json::json!([])]
        {
            assert_eq!(labelled(labels), (Some(1), None));
        }
        assert_eq!(labelled(serde_json::json!(["gpu", 3])), (None, Some("3".to_owned())));
        assert_eq!(labelled(serde_json::json!("GPU")), (None, Some("GPU".to_owned())));
    }
}
