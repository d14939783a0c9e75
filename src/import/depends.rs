//! What phases wait for, under whatever name their author wrote it; whether it names phases of the run, and whether phases
//! wait for each other.
//!
//! Names gate ([`Needs`] tells them from notes). Under `depends_on` and its other names each must name a phase of the run.
//! [`LOOSE`] names are used for packages and notes as well: those gate that name phases, and what is left is said.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::phase::autofix::aliases::{ALIASES, written};
use crate::phase::needs::Needs;
use crate::phase::{PhaseId, PhaseState, RunId, cycle};

use super::error::ImportError;
use super::plan_draft::{DraftPhase, DraftRun};

const DEPENDS_ON: &str = "depends_on";
/// Packages, tools and notes may stand here.
const LOOSE: [&str; 6] =
    ["requires", "needs", "prerequisites", "prerequisite", DEPENDENCIES, "deps"];
/// Of these, the one where names of packages beside names of phases are no slip.
const DEPENDENCIES: &str = "dependencies";
/// Objects of a phase that may hold it.
const WITHIN: [&str; 2] = ["scope", "metadata"];
/// Of a note, for people.
const SHOWN_CHARS: usize = 120;

/// Phases that the store holds already, with what they depend on.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    pub runs: HashMap<RunId, HashMap<PhaseId, Vec<PhaseId>>>,
}

/// What a phase waits for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) ids: Vec<PhaseId>,
    /// What stands there and is waited for by nobody.
    pub(super) notes: Vec<String>,
}

/// Whether dependencies may stand under this key.
pub(super) fn is_spelling(key: &str) -> bool {
    let alias = |name: &str| name.rsplit('.').next() == Some(key);
    key == DEPENDS_ON
        || LOOSE.contains(&key)
        || ALIASES.iter().any(|other| other.field == DEPENDS_ON && alias(other.name))
}

/// The dependencies of each phase of `run`, in its order, and everything that is wrong with them.
pub(super) fn resolve(run: &DraftRun, existing: &Existing) -> (Vec<Wanted>, Vec<ImportError>) {
    let stored = existing.runs.get(&run.run_id);
    let own = run.phases.iter().map(|draft| draft.phase.phase_id.as_str());
    let known: HashSet<&str> =
        own.chain(stored.iter().flat_map(|s| s.keys().map(PhaseId::as_str))).collect();
    let mut errors = Vec::new();
    let all: Vec<Wanted> =
        run.phases.iter().map(|draft| wanted(run, draft, &known, &mut errors)).collect();
    errors.extend(refuse_cycles(run, &all, stored).err());
    (all, errors)
}

/// What a phase waits for.
fn wanted(
    run: &DraftRun,
    draft: &DraftPhase,
    known: &HashSet<&str>,
    errors: &mut Vec<ImportError>,
) -> Wanted {
    let mut wanted = Wanted::default();
    let Some(spec) = draft.phase.spec.0.as_object() else { return wanted };
    // Whatever it waited for is over.
    let is_over = matches!(draft.phase.state, PhaseState::Complete | PhaseState::Skipped);
    for (key, given) in fields(spec) {
        let needs = needs(given, known);
        let (names, unknown): (Vec<String>, Vec<String>) = needs
            .names
            .into_iter()
            .map(|name| found(name, known))
            .partition(|name| known.contains(name.as_str()));
        let last = key.rsplit('.').next().unwrap_or(key);
        let (wrong, idle): (Vec<String>, Vec<String>) = unknown.into_iter().partition(|name| {
            !is_over && (!LOOSE.contains(&last) || is_slip(last, name, !names.is_empty(), known))
        });
        errors.extend(wrong.into_iter().map(|dependency| ImportError::UnknownDependency {
            place: draft.place.to_string(),
            run: run.run_id.clone(),
            phase: draft.phase.phase_id.clone(),
            hint: hint(key, &dependency, known),
            dependency,
        }));
        let idle: Vec<String> =
            idle.into_iter().chain(needs.notes).map(|note| shortened(&note)).collect();
        if !idle.is_empty() {
            wanted.notes.push(format!("`{key}` waits for no phase with {}", idle.join(", ")));
        }
        for id in names.into_iter().map(PhaseId::new) {
            if !wanted.ids.contains(&id) {
                wanted.ids.push(id);
            }
        }
    }
    wanted
}

/// Every field under which dependencies stand, with its name.
fn fields(spec: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    const NESTED: [(&str, &str); 4] = [
        ("scope.dependencies", DEPENDENCIES),
        ("scope.requires", "requires"),
        ("metadata.dependencies", DEPENDENCIES),
        ("metadata.requires", "requires"),
    ];
    let loose = LOOSE.iter().filter_map(|key| Some((*key, spec.get(*key)?)));
    let nested = WITHIN.iter().flat_map(move |object| {
        let of = NESTED.iter().filter(move |(name, _)| name.starts_with(object));
        of.filter_map(move |(name, key)| Some((*name, spec.get(*object)?.get(*key)?)))
    });
    written(spec, DEPENDS_ON).chain(loose).chain(nested)
}

/// A phase's id may have spaces and commas in it.
fn needs(given: &Value, known: &HashSet<&str>) -> Needs {
    match given.as_str().map(str::trim).filter(|text| known.contains(text)) {
        Some(id) => Needs { names: vec![id.to_owned()], notes: Vec::new() },
        None => Needs::of(given),
    }
}

/// `#12` is 12, where that is a phase.
fn found(name: String, known: &HashSet<&str>) -> String {
    match name
        .strip_prefix('#')
        .filter(|bare| known.contains(bare) && !known.contains(name.as_str()))
    {
        Some(bare) => bare.to_owned(),
        None => name,
    }
}

/// Whether a name that is no phase's was meant to be one, where it might be a package: it looks like an id, and others
/// beside it are phases, or one is called nearly so.
fn is_slip(key: &str, name: &str, beside_phases: bool, known: &HashSet<&str>) -> bool {
    let is_id = !name.contains(|c: char| c.is_whitespace() || "<>=~^@!/".contains(c));
    key != DEPENDENCIES && is_id && (beside_phases || near(name, known).is_some())
}

fn shortened(note: &str) -> String {
    match note.char_indices().nth(SHOWN_CHARS) {
        None => note.to_owned(),
        Some((at, _)) => format!("{}...", &note[..at]),
    }
}

fn hint(key: &str, dependency: &str, known: &HashSet<&str>) -> String {
    match near(dependency, known) {
        Some(id) => format!("; did you mean `{id}`?"),
        None => format!("; `{key}` takes ids of phases of the same run"),
    }
}

fn near<'k>(name: &str, known: &HashSet<&'k str>) -> Option<&'k str> {
    let near = known.iter().map(|id| (strsim::osa_distance(id, name), *id)).min();
    near.filter(|(distance, _)| distance * 3 <= name.chars().count()).map(|(_, id)| id)
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
    fn other_names_for_it_gate_too() {
        for key in [
            "dependsOn",
            "depends-on",
            "blocked_by",
            "blockedBy",
            "after",
            "requires",
            "needs",
            "prerequisites",
            "dependencies",
        ] {
            for given in [json!(["a"]), json!("a"), json!([{"id": "a"}])] {
                assert_eq!(
                    depends_on(json!([{"id": "a"}, {"id": "b", key: given}])).unwrap()[1],
                    ["a"],
                    "{key}"
                );
            }
        }
        let nested = json!([{"id": "a"}, {"id": "b", "scope": {"depends_on": ["a"]}}, {"id": 12}, {"id": "c", "blockedBy": ["#12"]}]);
        assert_eq!(depends_on(nested).unwrap(), [vec![], vec!["a"], vec![], vec!["12"]]);
        for key in ["dependsOn", "blockedBy", "after"] {
            let error = depends_on(json!([{"id": "b", key: ["nope-nope"]}])).unwrap_err();
            assert!(
                error.contains(&format!(
                    "depends on `nope-nope`, which run `r` does not have; `{key}` takes ids"
                )),
                "{error}"
            );
        }
        // Beside phases, or nearly one's name, it was meant to be a phase.
        for requires in [json!(["a", "postgres"]), json!(["first-phasse"])] {
            let phases =
                json!([{"id": "a"}, {"id": "first-phase"}, {"id": "b", "requires": requires}]);
            assert!(depends_on(phases).is_err());
        }
    }

    #[test]
    fn what_may_be_a_package_is_said_and_not_refused() {
        let phases = json!([{"id": "a"}, {"id": "b", "requires": ["docker", "node >= 20"], "dependencies": ["a", "postgres"]},
            {"id": "c", "dependencies": {"python": ["requests"]}}, {"id": "d", "status": "done", "depends_on": ["archived"]}]);
        let plan = draft(phases).resolve(&Existing::default()).unwrap();
        let notes: Vec<&str> = plan.runs[0]
            .phases
            .iter()
            .map(|phase| phase.note.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(
            notes,
            [
                "",
                "`requires` waits for no phase with docker, node >= 20; `dependencies` waits for no phase with postgres",
                r#"`dependencies` waits for no phase with {"python":["requests"]}"#,
                "done in p.json; `depends_on` waits for no phase with archived",
            ]
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let phases = json!([{"id": "a", "depends_on": ["x"]}, {"id": "b", "blockedBy": ["y", "z"]}, 3, {"id": "a"},
            {"id": "c", "depends_on": "d"}, {"id": "d", "depends_on": "c"}]);
        let error = depends_on(phases).unwrap_err();
        for part in [
            "phase 3: expected a phase",
            "`a` stands twice",
            "on `x`",
            "on `y`",
            "on `z`",
            "c -> d -> c",
            "6 errors: nothing is imported",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
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
