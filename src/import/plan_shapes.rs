//! Shapes of a plan file: an object with `phases`, a bare list, or phases in sequence.

use serde_json::{Map, Value};

use crate::phase::autofix::aliases::written;
use crate::phase::json::kind;
use crate::phase::words::find_similar;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::field_remarks::FieldRemarks;
use super::plan_document::{Document, PHASES};
use super::plan_source::Source;
use super::source_place::SourcePosition;
use super::spec_keys;

const DEFAULTS: &str = "defaults";
/// Keys beside `phases` with a meaning to autopack or to people.
pub(super) const RUN_KEYS: [&str; 11] = [
    PHASES,
    DEFAULTS,
    "run_id",
    "id",
    "run",
    "name",
    "title",
    "description",
    "goal",
    "version",
    "notes",
];
/// Names used by other tools for `phases`.
const NEAR_PHASES: [&str; 5] = ["tasks", "tiers", "runs", "backlog", "items"];

/// Whether a value has phases, or an object that could be a phase.
pub(super) fn resembles_phases(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() || items.iter().any(Value::is_object),
        Value::Object(object) => {
            let is_near = |key: &&str| object.get(*key).is_some_and(Value::is_array);
            let names = ["phase_id", "name"].into_iter();
            let is_phase = names.flat_map(|field| written(object, field)).next().is_some();
            object.contains_key(PHASES)
                || is_header(object)
                || is_phase
                || NEAR_PHASES.iter().any(is_near)
        }
        _ => true,
    }
}

/// Adds the phases of all documents.
pub(super) fn draft(name: &str, source: Source, drafting: &mut PlanDraftBuilder) {
    source.warnings.into_iter().for_each(|warning| drafting.warn(warning));
    let mut reader = Reader { drafting, items: 0, remarks: FieldRemarks::default() };
    let mut common = RunKeys::default();
    for (index, document) in source.documents.into_iter().enumerate() {
        let Document { value, place, lines } = document;
        let read = match value {
            Value::Null => Ok(()),
            Value::Array(items) => {
                reader.list(&place, items, &lines, &common);
                Ok(())
            }
            Value::Object(object) if object.contains_key(PHASES) => {
                reader.run(&place, object, &lines, &common)
            }
            // `{"run_id": "x", "defaults": {..}}` before the phases applies to all of them.
            Value::Object(object) if index == 0 && is_header(&object) => {
                RunKeys::of(&place, &object, &RunKeys::default()).map(|keys| common = keys)
            }
            Value::Object(object) => reader.lone(place, object, &common),
            other => Err(unexpected(&place, &other)),
        };
        read.unwrap_or_else(|error| reader.drafting.fail(error));
    }
    let Reader { drafting, remarks, .. } = reader;
    remarks.warnings(name).into_iter().for_each(|warning| drafting.warn(warning));
}

fn is_header(object: &Map<String, Value>) -> bool {
    !object.is_empty() && object.keys().all(|key| key == "run_id" || key == DEFAULTS)
}

fn unexpected(place: &SourcePosition, found: &Value) -> ImportError {
    ImportError::malformed(
        place,
        format!(
            "expected an object with `phases`, a list of phases or a phase, found {}",
            kind(found)
        ),
    )
}

/// Settings for all phases of a plan.
#[derive(Clone, Default)]
struct RunKeys {
    run_id: Option<String>,
    defaults: Map<String, Value>,
}

impl RunKeys {
    fn of(
        place: &SourcePosition,
        object: &Map<String, Value>,
        outer: &Self,
    ) -> Result<Self, ImportError> {
        let malformed = |message| ImportError::malformed(place, message);
        let mut run_id = spec_keys::label(object, "run_id").map_err(malformed)?;
        if run_id.is_none() {
            run_id = spec_keys::label(object, "id").map_err(malformed)?;
        }
        // Shape used by the Python Autopack's API: {"run": {"run_id": ..}, "phases": [..]}.
        if let (None, Some(Value::Object(run))) = (&run_id, object.get("run")) {
            run_id = spec_keys::label(run, "run_id").map_err(malformed)?;
        }
        let mut defaults = match object.get(DEFAULTS) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(defaults)) => defaults.clone(),
            Some(other) => {
                let message = format!("`{DEFAULTS}` must be an object, found {}", kind(other));
                return Err(malformed(message));
            }
        };
        merge(&mut defaults, &outer.defaults);
        Ok(Self { run_id: run_id.or_else(|| outer.run_id.clone()), defaults })
    }
}

struct Reader<'a> {
    drafting: &'a mut PlanDraftBuilder,
    /// Number of phases without a line so far.
    items: usize,
    remarks: FieldRemarks,
}

impl Reader<'_> {
    fn run(
        &mut self,
        place: &SourcePosition,
        mut object: Map<String, Value>,
        lines: &[usize],
        common: &RunKeys,
    ) -> Result<(), ImportError> {
        let keys = RunKeys::of(place, &object, common)?;
        self.warn_of_unused(place, &object);
        match object.shift_remove(PHASES) {
            Some(Value::Array(items)) => {
                self.list(place, items, lines, &keys);
                Ok(())
            }
            None | Some(Value::Null) => {
                self.drafting.begin_run(keys.run_id.as_deref());
                Ok(())
            }
            Some(other) => {
                let message =
                    format!("`{PHASES}` must be a list of phases, found {}", kind(&other));
                Err(ImportError::malformed(place, message))
            }
        }
    }

    /// Reads each phase independently, to report all errors.
    fn list(&mut self, at: &SourcePosition, items: Vec<Value>, lines: &[usize], keys: &RunKeys) {
        // Ignore lines if their number differs from the number of phases, or if the whole text is a single line.
        if items.is_empty() {
            self.drafting.begin_run(keys.run_id.as_deref());
        }
        let known = lines.len() == items.len() && lines.last() > Some(&1);
        for (index, item) in items.into_iter().enumerate() {
            self.items += 1;
            let place = match (at, lines.get(index).filter(|_| known)) {
                (SourcePosition::File(file), Some(line)) => {
                    SourcePosition::ItemAt(file.clone(), *line, self.items)
                }
                (SourcePosition::File(file), None) => {
                    SourcePosition::Item(file.clone(), self.items)
                }
                (SourcePosition::Line(file, line), _) => {
                    SourcePosition::ItemAt(file.clone(), *line, index + 1)
                }
                (other, _) => other.clone(),
            };
            match item {
                Value::Object(spec) => self.phase(place, spec, keys),
                other => {
                    let message = format!("expected a phase (an object), found {}", kind(&other));
                    self.drafting.fail(ImportError::malformed(place, message));
                }
            }
        }
    }

    /// Reads an object standing alone: a phase, unless the keys resemble a plan.
    fn lone(
        &mut self,
        place: SourcePosition,
        spec: Map<String, Value>,
        keys: &RunKeys,
    ) -> Result<(), ImportError> {
        let of_objects =
            |value: &Value| value.as_array().is_some_and(|l| l.iter().any(Value::is_object));
        let near = |key: &&&str| spec.get(**key).is_some_and(of_objects);
        if let (None, Some(key)) = (spec.get("phase_id"), NEAR_PHASES.iter().find(near)) {
            let message =
                format!("expected a list `{PHASES}`, found `{key}`; rename it to `{PHASES}`");
            return Err(ImportError::malformed(place, message));
        }
        let place = match place {
            SourcePosition::File(file) => {
                self.items += 1;
                SourcePosition::Item(file, self.items)
            }
            place => place,
        };
        self.phase(place, spec, keys);
        Ok(())
    }

    fn phase(&mut self, place: SourcePosition, mut spec: Map<String, Value>, keys: &RunKeys) {
        merge(&mut spec, &keys.defaults);
        self.remarks.add(&place, &spec);
        self.drafting.phase_of_run(place, spec, keys.run_id.as_deref());
    }

    /// Warns of unknown keys beside `phases`; they may be typing errors.
    fn warn_of_unused(&mut self, place: &SourcePosition, object: &Map<String, Value>) {
        for key in object.keys().filter(|key| !RUN_KEYS.contains(&key.as_str())) {
            let hint = match find_similar(key, &RUN_KEYS) {
                Some(known) => format!("; did you mean `{known}`?"),
                None => format!("; put settings for every phase under `{DEFAULTS}`"),
            };
            self.drafting.warn(format!("{place}: `{key}` beside `{PHASES}` is not used{hint}"));
        }
    }
}

/// Adds missing keys from the defaults, in nested objects too. Null counts as missing.
fn merge(into: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    for (key, default) in defaults {
        match (into.get_mut(key), default) {
            (Some(Value::Object(own)), Value::Object(default)) => merge(own, default),
            (Some(Value::Null) | None, default) => {
                into.insert(key.clone(), default.clone());
            }
            (Some(_), _) => {}
        }
    }
}
