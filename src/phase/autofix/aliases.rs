//! Other people's names for our fields: one table, printed in `docs/plan-format.md`.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::draft::{Draft, is_blank, words};
use super::lists;

/// How a field under another name is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Only where the field itself is missing or empty, and only a text; else it stays as it is.
    Fill,
    /// What it lists is added to the field.
    Add,
}

/// One other name. A dot goes into the object before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    pub name: &'static str,
    pub field: &'static str,
    pub merge: Merge,
}

const fn fill(field: &'static str, name: &'static str) -> Alias {
    Alias { name, field, merge: Merge::Fill }
}

const fn add(field: &'static str, name: &'static str) -> Alias {
    Alias { name, field, merge: Merge::Add }
}

/// Of several names for one field, the one that stands first in this table goes first.
pub const ALIASES: [Alias; 66] = [
    fill("phase_id", "id"),
    fill("phase_id", "task_id"),
    fill("phase_id", "scope.phase_id"),
    fill("name", "task_name"),
    fill("name", "phase_name"),
    fill("name", "display_name"),
    fill("name", "title"),
    fill("description", "desc"),
    fill("description", "goal"),
    fill("description", "objective"),
    fill("description", "task"),
    fill("description", "instructions"),
    fill("description", "summary"),
    fill("description", "details"),
    fill("description", "scope.description"),
    fill("description", "scope.goal"),
    fill("category", "task_category"),
    fill("category", "task_type"),
    fill("category", "phase_type"),
    fill("category", "metadata.category"),
    fill("complexity", "difficulty"),
    fill("complexity", "metadata.complexity"),
    add("acceptance_criteria", "acceptance"),
    add("acceptance_criteria", "success_criteria"),
    add("acceptance_criteria", "definition_of_done"),
    add("acceptance_criteria", "scope.acceptance_criteria"),
    add("deliverables", "scope.deliverables"),
    add("deliverables", "deliverable"),
    add("deliverables", "output_file"),
    add("deliverables", "output_files"),
    add("deliverables", "outputs"),
    add("deliverables", "files_to_create"),
    add("deliverables", "files_to_modify"),
    add("deliverables", "target_files"),
    add("deliverables", "implementation_module"),
    add("deliverables", "metadata.deliverables"),
    add("deliverables", "metadata.output_file"),
    add("deliverables", "metadata.output_files"),
    add("deliverables", "metadata.files_to_create"),
    add("deliverables", "metadata.files_to_modify"),
    add("scope.paths", "allowed_paths"),
    add("scope.paths", "scope_paths"),
    add("scope.paths", "paths"),
    add("scope.paths", "files"),
    add("scope.paths", "integration_points"),
    add("scope.paths", "scope.allowed_paths"),
    add("scope.paths", "scope.scope_paths"),
    add("scope.paths", "scope.files"),
    add("scope.paths", "scope.directories"),
    add("scope.paths", "scope.include"),
    add("scope.read_only_context", "read_only_context"),
    add("scope.read_only_context", "read_only"),
    add("scope.read_only_context", "read_only_paths"),
    add("scope.read_only_context", "context_files"),
    add("scope.read_only_context", "scope.read_only"),
    add("scope.read_only_context", "scope.read_only_paths"),
    add("scope.read_only_context", "scope.context_files"),
    add("scope.protected_paths", "protected_paths"),
    add("scope.protected_paths", "forbidden_paths"),
    add("scope.protected_paths", "scope.protected"),
    add("scope.protected_paths", "scope.forbidden_paths"),
    add("scope.protected_paths", "scope.exclude"),
    fill("test_cmd", "test_command"),
    fill("test_cmd", "scope.test_cmd"),
    fill("test_cmd", "scope.test_command"),
    add("ci_args", "scope.ci_args"),
];

/// The other names, each with the object it stands in: most specs have none, and a look at their keys tells.
static NAMES: LazyLock<HashSet<(&str, &str)>> =
    LazyLock::new(|| ALIASES.iter().map(|alias| split(alias.name)).collect());

fn split(name: &'static str) -> (&'static str, &'static str) {
    name.split_once('.').unwrap_or(("", name))
}

/// Moves every field under another name to its own.
pub(super) fn apply(draft: &mut Draft) {
    let known = |object: &str, map: &Map<String, Value>| {
        map.keys().any(|key| NAMES.contains(&(object, key.as_str())))
    };
    let inner =
        |(key, value): (&String, &Value)| value.as_object().is_some_and(|map| known(key, map));
    if !known("", &draft.json) && !known("scope", &draft.scope) && !draft.json.iter().any(inner) {
        return;
    }
    for alias in &ALIASES {
        let Some(found) = find(draft, alias.name) else { continue };
        if is_blank(found) {
            continue;
        }
        match alias.merge {
            Merge::Fill => fill_in(draft, alias),
            Merge::Add => add_to(draft, alias),
        }
    }
}

fn find<'a>(draft: &'a Draft, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => draft.json.get(path),
        Some(("scope", key)) => draft.scope.get(key),
        Some((object, key)) => draft.json.get(object)?.get(key),
    }
}

fn fill_in(draft: &mut Draft, alias: &Alias) {
    let taken = draft.json.get(alias.field).is_some_and(|value| !is_blank(value));
    let text = |value: &Value| value.is_string() || alias.field == "phase_id" && value.is_number();
    if taken || !find(draft, alias.name).is_some_and(text) {
        return;
    }
    if !alias.name.contains('.') && !draft.json.contains_key(alias.field) {
        rename(&mut draft.json, alias.name, alias.field);
    } else if let Some(value) = remove(draft, alias.name) {
        draft.json.insert(alias.field.to_owned(), value);
    }
    draft.fixed(format!("{}: taken from `{}`", alias.field, alias.name));
}

fn add_to(draft: &mut Draft, alias: &Alias) {
    let there = find(draft, alias.field).is_some_and(|value| !is_blank(value));
    if !there && !alias.name.contains('.') && !alias.field.contains('.') {
        draft.json.shift_remove(alias.field);
        rename(&mut draft.json, alias.name, alias.field);
    } else if let Some(value) = remove(draft, alias.name) {
        let (object, key) = match alias.field.split_once('.') {
            Some((_, key)) => (&mut draft.scope, key),
            None => (&mut draft.json, alias.field),
        };
        let merged = match object.get_mut(key).map(Value::take) {
            Some(first) if !is_blank(&first) => lists::concat(first, value),
            _ => value,
        };
        object.insert(key.to_owned(), merged);
    }
    draft.fixed(format!("{}: taken from `{}`", alias.field, alias.name));
}

fn remove(draft: &mut Draft, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => draft.json.shift_remove(path),
        Some(("scope", key)) => draft.scope.shift_remove(key),
        Some((object, key)) => draft.json.get_mut(object)?.as_object_mut()?.shift_remove(key),
    }
}

/// Renames a key where it stands.
fn rename(map: &mut Map<String, Value>, from: &str, to: &str) {
    let fields = std::mem::take(map);
    *map = fields
        .into_iter()
        .map(|(key, value)| if key == from { (to.to_owned(), value) } else { (key, value) })
        .collect();
}

/// The text of a value that stands for a text.
pub(super) fn as_text(value: Option<&Value>) -> String {
    value.map(words).unwrap_or_default()
}
