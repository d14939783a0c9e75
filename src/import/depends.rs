//! `depends_on`: what gates, whether it names phases of the run, and whether phases wait for each other.
//!
//! Names gate ([`Needs`] tells them from notes). Under `depends_on` each must name a phase of the run.
//! `dependencies`, which authors use for packages and notes as well, gates by those that do. What gates nothing
//! stays text in the spec, and under `depends_on` that is said.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::phase::needs::Needs;
use crate::phase::{PhaseId, RunId, cycle};

use super::draft::DraftRun;
use super::error::ImportError;

/// Phases that the store holds already, with what they depend on.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    pub runs: HashMap<RunId, HashMap<PhaseId, Vec<PhaseId>>>,
}

/// What a phase waits for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) ids: Vec<PhaseId>,
    /// What stands under `depends_on` and is waited for by nobody.
    pub(super) note: Option<String>,
}

/// The dependencies of each phase of `run`, in its order.
pub(super) fn resolve(run: &DraftRun, existing: &Existing) -> Result<Vec<Wanted>, ImportError> {
    let stored = existing.runs.get(&run.run_id);
    let own = run.phases.iter().map(|draft| draft.phase.phase_id.as_str());
    let known: HashSet<&str> =
        own.chain(stored.iter().flat_map(|s| s.keys().map(PhaseId::as_str))).collect();
    let mut all = Vec::with_capacity(run.phases.len());
    for draft in &run.phases {
        let Some(spec) = draft.phase.spec.0.as_object() else {
            all.push(Wanted::default());
            continue;
        };
        all.push(wanted(spec, &known).map_err(|dependency| ImportError::UnknownDependency {
            place: draft.place.to_string(),
            run: run.run_id.clone(),
            phase: draft.phase.phase_id.clone(),
            hint: hint(&dependency, &known),
            dependency,
        })?);
    }
    refuse_cycles(run, &all, stored)?;
    Ok(all)
}

/// What a spec waits for; `Err` is the name that no phase has.
fn wanted(spec: &Map<String, Value>, known: &HashSet<&str>) -> Result<Wanted, String> {
    let needs = spec.get("depends_on").map(|given| needs(given, known)).unwrap_or_default();
    if let Some(unknown) = needs.names.iter().find(|name| !known.contains(name.as_str())) {
        return Err(unknown.clone());
    }
    let nested = spec.get("scope").and_then(|scope| scope.get("dependencies"));
    let loose = [spec.get("dependencies"), nested].into_iter().flatten();
    let loose = loose.flat_map(|given| Needs::of(given).names);
    let loose = loose.filter(|name| known.contains(name.as_str()));
    let mut seen = HashSet::new();
    let mut ids: Vec<PhaseId> = needs.names.into_iter().chain(loose).map(PhaseId::new).collect();
    ids.retain(|id| seen.insert(id.clone()));
    let note = (!needs.notes.is_empty())
        .then(|| format!("`depends_on` waits for no phase with {}", needs.notes.join(", ")));
    Ok(Wanted { ids, note })
}

/// A phase's id may have spaces and commas in it.
fn needs(given: &Value, known: &HashSet<&str>) -> Needs {
    match given.as_str().map(str::trim).filter(|text| known.contains(text)) {
        Some(id) => Needs { names: vec![id.to_owned()], notes: Vec::new() },
        None => Needs::of(given),
    }
}

fn hint(dependency: &str, known: &HashSet<&str>) -> String {
    let near = known.iter().map(|id| (strsim::osa_distance(id, dependency), *id));
    match near.min() {
        Some((distance, id)) if distance * 3 <= dependency.chars().count() => {
            format!("; did you mean `{id}`?")
        }
        _ => "; `depends_on` takes ids of phases of the same run".to_owned(),
    }
}

fn refuse_cycles(
    run: &DraftRun,
    dependencies: &[Wanted],
    stored: Option<&HashMap<PhaseId, Vec<PhaseId>>>,
) -> Result<(), ImportError> {
    let mut graph: HashMap<&PhaseId, &[PhaseId]> = HashMap::new();
    for (id, needs) in stored.into_iter().flatten() {
        graph.insert(id, needs);
    }
    for (draft, needs) in run.phases.iter().zip(dependencies) {
        graph.insert(&draft.phase.phase_id, &needs.ids);
    }
    let order = run.phases.iter().map(|draft| &draft.phase.phase_id);
    match cycle::find(order, |id| graph.get(id).copied().unwrap_or_default()) {
        None => Ok(()),
        Some(cycle) => {
            let names: Vec<&str> = cycle.iter().map(|id| id.as_str()).collect();
            Err(ImportError::Cycle { run: run.run_id.clone(), cycle: names.join(" -> ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn draft(phases: Value) -> super::super::Draft {
        let plan = json!({"run_id": "r", "phases": phases}).to_string();
        super::super::parse(Path::new("p.json"), plan.as_bytes(), None).unwrap()
    }

    fn depends_on(phases: Value) -> Result<Vec<Vec<String>>, String> {
        let plan = draft(phases).resolve(&Existing::default()).map_err(|e| e.to_string())?;
        let ids = |ids: &[PhaseId]| ids.iter().map(ToString::to_string).collect();
        Ok(plan.runs[0].phases.iter().map(|phase| ids(&phase.depends_on)).collect())
    }

    #[test]
    fn lists_of_strings_and_one_string_gate() {
        let phases = json!([{"id": "a"}, {"id": "b", "depends_on": "a"},
            {"id": "c", "depends_on": ["b", "a", "b"]}, {"id": 1.5, "depends_on": []},
            {"id": "d", "depends_on": [1.5]}]);
        assert_eq!(
            depends_on(phases).unwrap(),
            [vec![], vec!["a"], vec!["b", "a"], vec![], vec!["1.5"]]
        );
    }

    #[test]
    fn other_shapes_stay_text() {
        let phases = json!([{"id": "a"}, {"id": "b", "depends_on": {"python": ["a"]}},
            {"id": "c", "depends_on": [{"phase": "a"}]}, {"id": "d", "dependencies": ["requests>=2", "a"]},
            {"id": "e", "scope": {"dependencies": {"internal": ["a"]}}}]);
        assert_eq!(depends_on(phases).unwrap(), [vec![], vec![], vec![], vec!["a"], vec![]]);
    }

    #[test]
    fn what_waits_for_nothing_is_said() {
        let phases = json!([{"id": "a"}, {"id": "b", "depends_on": "needs network, see README"},
            {"id": "c", "depends_on": [{"phase_id": "a"}, null]}, {"id": "d", "depends_on": ["a", {"pkg": "x"}]},
            {"id": "e f", "depends_on": "a, c"}, {"id": "g", "depends_on": "e f"}]);
        let plan = draft(phases).resolve(&Existing::default()).unwrap();
        let told = plan.runs[0].phases.iter().map(|phase| {
            let ids: Vec<&str> = phase.depends_on.iter().map(PhaseId::as_str).collect();
            (ids.join(" "), phase.note.as_deref().unwrap_or_default())
        });
        let expected = [
            ("", ""),
            ("", "`depends_on` waits for no phase with needs network, see README"),
            ("a", ""),
            ("a", "`depends_on` waits for no phase with {\"pkg\":\"x\"}"),
            ("a c", ""),
            ("e f", ""),
        ];
        assert!(told.eq(expected.map(|(ids, note)| (ids.to_owned(), note))));
        let refused =
            |needs: Value| depends_on(json!([{"id": "b", "depends_on": needs}])).unwrap_err();
        assert!(refused(json!("x, y")).contains("depends on `x`"));
        assert!(refused(json!(5)).contains("depends on `5`"));
        assert!(refused(json!([{"phase_id": "x"}])).contains("depends on `x`"));
    }

    #[test]
    fn an_unknown_name_is_refused_with_both_names_and_the_nearest() {
        let error = depends_on(json!([{"id": "setup"}, {"id": "b", "depends_on": ["setpu"]}]));
        assert_eq!(
            error.unwrap_err(),
            "p.json, phase 2: phase `b` depends on `setpu`, which run `r` does not have; \
             did you mean `setup`?"
        );
    }

    #[test]
    fn a_cycle_is_shown() {
        let phases = json!([{"id": "x", "depends_on": "b"}, {"id": "a", "depends_on": "b"},
            {"id": "b", "depends_on": "c"}, {"id": "c", "depends_on": "a"}]);
        let error = depends_on(phases).unwrap_err();
        assert!(error.contains("b -> c -> a -> b"), "{error}");
        let error = depends_on(json!([{"id": "a", "depends_on": "a"}])).unwrap_err();
        assert!(error.contains("a -> a"), "{error}");
    }

    #[test]
    fn a_diamond_and_a_long_chain_are_no_cycle() {
        let diamond = json!([{"id": "a"}, {"id": "b", "depends_on": "a"},
            {"id": "c", "depends_on": "a"}, {"id": "d", "depends_on": ["b", "c"]}]);
        depends_on(diamond).unwrap();
        let chain =
            (0..5_000).map(|n| json!({"id": n, "depends_on": (n < 4_999).then_some(n + 1)}));
        depends_on(chain.collect()).unwrap();
    }

    #[test]
    fn phases_of_the_store_may_be_named_and_close_a_cycle() {
        let mut existing = Existing::default();
        let stored = HashMap::from([(PhaseId::new("old"), vec![PhaseId::new("new")])]);
        existing.runs.insert(RunId::new("r"), stored);
        let error = draft(json!([{"id": "new", "depends_on": "old"}])).resolve(&existing);
        assert!(error.unwrap_err().to_string().contains("new -> old -> new"));
        draft(json!([{"id": "other", "depends_on": "old"}])).resolve(&existing).unwrap();
    }
}
