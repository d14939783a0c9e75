//! Dependencies of phases under all spellings of the key; checks that they name phases of the run and form no cycle.
//!
//! [`Needs`] tells names from notes. Each name under a [`STRICT`] key must be a phase of the run. [`LOOSE`] keys also hold packages and notes: names of phases become dependencies, and a note reports the rest.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::parallel;
use crate::phase::needs::Needs;
use crate::phase::plan::{Plan, PlanPhase, PlanRun};
use crate::phase::{PhaseId, PhaseState, RawSpec, RunId};

use super::dependency_cycles::{PhaseDependencies, break_all_cycles};
use super::error::ImportError;
use super::plan_draft::{DraftPhase, DraftRun, PlanDraft};
use super::standing::plain_key;

// Keys in their plain form, see `plain_key`.
/// Key under which items of other tools have their dependencies.
const DEPENDS_ON: &str = "depends_on";
/// Keys whose names must be phases of the run.
const STRICT: [&str; 6] =
    ["dependson", "depends", "blockedby", "after", "predecessors", "predecessor"];
/// Keys that may also hold packages, tools and notes.
const LOOSE: [&str; 12] = [
    "requires",
    "needs",
    "prerequisites",
    "prerequisite",
    DEPENDENCIES,
    "deps",
    "dependency",
    "waitsfor",
    "waitfor",
    "waitingfor",
    "waitingon",
    "blockedon",
];
/// The loose key under which names of packages beside names of phases are no mistake.
const DEPENDENCIES: &str = "dependencies";
/// Objects of a phase that may contain these keys, except those with another meaning there.
const WITHIN: [&str; 4] = ["scope", "metadata", "fields", "meta"];
const OUTSIDE_ONLY: [&str; 4] = ["after", "depends", "needs", "deps"];
/// Parts of keys that look like dependencies.
const LIKE_DEPENDENCIES: [&str; 11] = [
    "depend",
    "block",
    "prereq",
    "predecessor",
    "successor",
    "wait",
    "requir",
    "upstream",
    "downstream",
    "runafter",
    "runsafter",
];
/// Fewest phases for a thread, which takes as long to start as some phases take to read.
const FEW: usize = 64;
/// Length of a reported note, in characters.
const SHOWN_CHARS: usize = 120;

/// Whether a plain key is read for dependencies.
pub(super) fn is_key(plain: &str) -> bool {
    plain == "dependson" || STRICT.contains(&plain) || LOOSE.contains(&plain)
}

/// Phases already stored, with their dependencies.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    /// Dependencies of the stored phases, by run and phase.
    pub runs: HashMap<RunId, HashMap<PhaseId, Vec<PhaseId>>>,
}

/// Checks whether a key may hold dependencies.
pub(super) fn is_spelling(key: &str) -> bool {
    is_one_of(&plain_key(key), &[&STRICT, &LOOSE])
}

fn is_one_of(plain: &str, lists: &[&[&str]]) -> bool {
    lists.iter().any(|list| list.contains(&plain))
}

impl PlanDraft {
    /// Checks that every dependency names a phase of its run, here or in `existing`, and that dependencies form no
    /// cycle.
    ///
    /// # Errors
    /// All errors of the plan.
    pub fn resolve(self, existing: &Existing) -> Result<Plan, ImportError> {
        let Self { runs, mut errors, break_cycles, .. } = self;
        let resolve_run = |run: DraftRun| {
            let (dependencies, wrong) = resolve(&run, existing, break_cycles);
            errors.extend(wrong);
            let phases = run.phases.into_iter().zip(dependencies);
            PlanRun {
                run_id: run.run_id,
                source: run.source,
                origin: run.origin,
                part: run.part,
                left_out: run.left_out,
                phases: phases
                    .map(|(mut draft, wanted)| {
                        if draft.rank.is_some() {
                            write_dependencies(&mut draft.phase.spec, &wanted.ids);
                        }
                        let notes: Vec<String> =
                            draft.phase.note.into_iter().chain(wanted.notes).collect();
                        let note = (!notes.is_empty()).then(|| notes.join("; "));
                        PlanPhase { depends_on: wanted.ids, note, ..draft.phase }
                    })
                    .collect(),
                samples: run.samples,
                counts: run.counts,
            }
        };
        let runs: Vec<PlanRun> = runs.into_iter().map(resolve_run).collect();
        ImportError::all(errors)?;
        Ok(Plan { runs })
    }
}

/// Writes the resolved dependencies of an item into its spec, because a spec is read again alone: by `phases edit`, for
/// example.
fn write_dependencies(spec: &mut RawSpec, ids: &[PhaseId]) {
    let Some(fields) = spec.0.as_object_mut() else { return };
    match ids {
        [] => drop(fields.shift_remove(DEPENDS_ON)),
        ids => drop(fields.insert(DEPENDS_ON.to_owned(), json!(ids))),
    }
}

/// Returns the dependencies of each phase of `run`, in order, and all errors.
fn resolve(
    run: &DraftRun,
    existing: &Existing,
    break_cycles: bool,
) -> (Vec<PhaseDependencies>, Vec<ImportError>) {
    let stored = existing.runs.get(&run.run_id);
    let own = run.phases.iter().map(|draft| draft.phase.phase_id.as_str());
    let known: HashSet<&str> =
        own.chain(stored.iter().flat_map(|s| s.keys().map(PhaseId::as_str))).collect();
    let read = |phases: &[DraftPhase]| {
        let mut errors = Vec::new();
        let read = |draft| phase_dependencies(run, draft, &known, &mut errors);
        (phases.iter().map(read).collect::<Vec<_>>(), errors)
    };
    let (mut all, mut errors) = (Vec::with_capacity(run.phases.len()), Vec::new());
    for (read, wrong) in parallel::of_parts(&run.phases, FEW, read) {
        all.extend(read);
        errors.extend(wrong);
    }
    let cycles = break_all_cycles(run, &mut all, stored);
    if !cycles.is_empty() && !break_cycles {
        errors.push(ImportError::Cycle {
            run: run.run_id.clone(),
            source_name: run.source.clone(),
            cycles,
        });
    }
    (all, errors)
}

/// Returns the dependencies of a phase.
fn phase_dependencies(
    run: &DraftRun,
    draft: &DraftPhase,
    known: &HashSet<&str>,
    errors: &mut Vec<ImportError>,
) -> PhaseDependencies {
    let mut dependencies = PhaseDependencies::default();
    let Some(spec) = draft.phase.spec.0.as_object() else { return dependencies };
    // A settled phase waits for nothing any more.
    let is_over = matches!(draft.phase.state, PhaseState::Complete | PhaseState::Skipped);
    // Other tools delete and archive items on which others depend.
    let is_lenient = is_over || draft.rank.is_some();
    let mut seen = HashSet::new();
    for (key, given) in fields(spec) {
        let needs = needs(given, known);
        let (names, unknown): (Vec<String>, Vec<String>) = needs
            .names
            .into_iter()
            .map(|name| resolve_number(name, known))
            .partition(|name| known.contains(name.as_str()));
        let last = plain_key(key.rsplit('.').next().unwrap_or(&key));
        let (wrong, idle): (Vec<String>, Vec<String>) = unknown.into_iter().partition(|name| {
            !is_lenient
                && (STRICT.contains(&last.as_str())
                    || is_misspelled(&last, name, !names.is_empty(), known))
        });
        errors.extend(wrong.into_iter().map(|dependency| ImportError::UnknownDependency {
            place: draft.place.to_string(),
            run: run.run_id.clone(),
            phase: draft.phase.phase_id.clone(),
            hint: hint(&key, &dependency, known),
            dependency,
        }));
        let idle: Vec<String> =
            idle.into_iter().chain(needs.notes).map(|note| shortened(&note)).collect();
        if !idle.is_empty() {
            dependencies
                .notes
                .push(format!("`{key}` has entries that are not phases: {}", idle.join(", ")));
        }
        let new = names.into_iter().map(PhaseId::new).filter(|id| seen.insert(id.clone()));
        dependencies.ids.extend(new);
    }
    dependencies.notes.extend(unread(spec, draft.phase.phase_id.as_str(), known));
    dependencies
}

/// Returns the fields that may hold dependencies, with their names: strict keys first, nested keys last.
fn fields(spec: &Map<String, Value>) -> impl Iterator<Item = (String, &Value)> {
    let own = |list: &'static [&'static str]| {
        spec.iter()
            .filter(move |(key, _)| list.contains(&plain_key(key).as_str()))
            .map(|(key, value)| (key.clone(), value))
    };
    let nested = spec
        .iter()
        .filter(|(object, _)| WITHIN.contains(&plain_key(object).as_str()))
        .flat_map(|(object, fields)| {
            fields.as_object().into_iter().flatten().map(move |f| (object, f))
        })
        .filter(|(_, (key, _))| {
            is_spelling(key) && !OUTSIDE_ONLY.contains(&plain_key(key).as_str())
        })
        .map(|(object, (key, value))| (format!("{object}.{key}"), value));
    own(&STRICT).chain(own(&LOOSE)).chain(nested)
}

/// Describes keys that look like dependencies, hold names of phases, and are not read.
fn unread(spec: &Map<String, Value>, id: &str, known: &HashSet<&str>) -> Vec<String> {
    let names_phases = |(key, value): (&String, &Value)| {
        let plain = plain_key(key);
        if is_spelling(key) || !LIKE_DEPENDENCIES.iter().any(|part| plain.contains(part)) {
            return None;
        }
        let names = needs(value, known).names.into_iter().map(|name| resolve_number(name, known));
        // `dependsUpon` can mean nothing else.
        let is_phase =
            |name: &String| known.contains(name.as_str()) || plain.starts_with("depends");
        let names: Vec<String> = names.filter(|name| name != id && is_phase(name)).collect();
        (!names.is_empty()).then(|| {
            let names = shortened(&names.join(", "));
            format!("`{key}` is not read as dependencies (use `depends_on`): {names}")
        })
    };
    spec.iter().filter_map(names_phases).collect()
}

/// Parses a field. A whole text equal to a phase id is an id, because ids may contain spaces and commas.
fn needs(given: &Value, known: &HashSet<&str>) -> Needs {
    match given.as_str().map(str::trim).filter(|text| known.contains(text)) {
        Some(id) => Needs { names: vec![id.to_owned()], notes: Vec::new() },
        None => Needs::of(given),
    }
}

/// Resolves `#12` to 12, if 12 is a phase.
fn resolve_number(name: String, known: &HashSet<&str>) -> String {
    match name
        .strip_prefix('#')
        .filter(|bare| known.contains(bare) && !known.contains(name.as_str()))
    {
        Some(bare) => bare.to_owned(),
        None => name,
    }
}

/// Checks whether an unknown name was meant as a phase, not a package: the name looks like an id, and either phases
/// stand beside the name, or the name resembles a phase id.
fn is_misspelled(key: &str, name: &str, beside_phases: bool, known: &HashSet<&str>) -> bool {
    let is_id = !name.contains(|c: char| c.is_whitespace() || "<>=~^@!/".contains(c));
    key != DEPENDENCIES && is_id && (beside_phases || find_similar(name, known).is_some())
}

fn shortened(note: &str) -> String {
    match note.char_indices().nth(SHOWN_CHARS) {
        None => note.to_owned(),
        Some((at, _)) => format!("{}...", &note[..at]),
    }
}

fn hint(key: &str, dependency: &str, known: &HashSet<&str>) -> String {
    match find_similar(dependency, known) {
        Some(id) => format!("; did you mean `{id}`?"),
        None => format!("; `{key}` takes ids of phases of the same run"),
    }
}

fn find_similar<'k>(name: &str, known: &HashSet<&'k str>) -> Option<&'k str> {
    let near = known.iter().map(|id| (strsim::osa_distance(id, name), *id)).min();
    near.filter(|(distance, _)| distance * 3 <= name.chars().count()).map(|(_, id)| id)
}

#[cfg(test)]
#[path = "depends_tests.rs"]
mod tests;
