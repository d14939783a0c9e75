//! Alternative field names accepted in specs: one table, printed in `docs/plan-format.md`.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::draft::{SpecDraft, is_blank, words};
use super::{commands, field, lists};

/// How the value of an alias is merged into the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Used only if the field is missing or empty, and only if the value is a text (for `test_cmd`: any
    /// value). Otherwise left in place.
    Fill,
    /// Entries are appended to the field's list.
    Add,
}

/// An alternative field name. A dot separates the object from the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Name as written by authors.
    pub name: &'static str,
    /// Field that receives the value.
    pub field: &'static str,
    /// How the value is merged.
    pub merge: Merge,
}

const fn fill(field: &'static str, name: &'static str) -> Alias {
    Alias { name, field, merge: Merge::Fill }
}

const fn add(field: &'static str, name: &'static str) -> Alias {
    Alias { name, field, merge: Merge::Add }
}

/// All aliases. If a spec uses several names for the same field, the first in this table has precedence.
pub const ALIASES: [Alias; 75] = [
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
    add("depends_on", "dependsOn"),
    add("depends_on", "depends-on"),
    add("depends_on", "depends"),
    add("depends_on", "blocked_by"),
    add("depends_on", "blockedBy"),
    add("depends_on", "blocked-by"),
    add("depends_on", "after"),
    add("depends_on", "scope.depends_on"),
    add("depends_on", "metadata.depends_on"),
    fill("test_cmd", "test_command"),
    fill("test_cmd", "scope.test_cmd"),
    fill("test_cmd", "scope.test_command"),
    add("ci_args", "scope.ci_args"),
];

/// Returns all values in an unrepaired spec for a field, each with the name used: the field's own name first,
/// then its aliases.
pub fn written<'a>(
    spec: &'a Map<String, Value>,
    field: &'a str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let others = ALIASES.iter().filter(move |alias| alias.field == field).map(|alias| alias.name);
    std::iter::once(field).chain(others).filter_map(|name| {
        let value = match name.split_once('.') {
            None => spec.get(name),
            Some((object, key)) => spec.get(object)?.get(key),
        };
        Some((name, value?))
    })
}

/// A row of the table, indexed by the object in front of the dot.
struct Name {
    object: &'static str,
    key: &'static str,
    row: usize,
}

/// Rows by the first letter of the key. Most specs use no alias, and this index shows so after a glance at
/// the keys.
static NAMES: LazyLock<[Vec<Name>; 128]> = LazyLock::new(|| {
    let mut names = [const { Vec::new() }; 128];
    for (row, alias) in ALIASES.iter().enumerate() {
        let (object, key) = alias.name.split_once('.').unwrap_or(("", alias.name));
        names[usize::from(key.as_bytes()[0])].push(Name { object, key, row });
    }
    names
});

/// Moves every aliased field to its canonical name. No canonical name is also an alias, so a move never
/// causes another.
pub(super) fn apply(draft: &mut SpecDraft) {
    let mut rows = Vec::new();
    find_names("", &draft.json, &mut rows);
    find_names("scope", &draft.scope, &mut rows);
    for (key, value) in &draft.json {
        value.as_object().into_iter().for_each(|object| find_names(key, object, &mut rows));
    }
    rows.sort_unstable();
    for row in rows {
        let alias = &ALIASES[row];
        match alias.merge {
            _ if find(draft, alias.name).is_none_or(is_blank) => {}
            Merge::Fill => fill_in(draft, alias),
            Merge::Add => add_to(draft, alias),
        }
    }
}

/// Adds the table rows whose names occur in the object.
fn find_names(object: &str, fields: &Map<String, Value>, rows: &mut Vec<usize>) {
    for key in fields.keys() {
        let first = key.bytes().next().map_or(0, usize::from);
        let names = NAMES.get(first).into_iter().flatten();
        rows.extend(names.filter(|n| n.key == key && n.object == object).map(|n| n.row));
    }
}

fn find<'a>(draft: &'a SpecDraft, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => field::get(&draft.json, path),
        Some(("scope", key)) => field::get(&draft.scope, key),
        Some((object, key)) => field::of(field::get(&draft.json, object)?, key),
    }
}

fn fill_in(draft: &mut SpecDraft, alias: &Alias) {
    let is_command = alias.field == commands::TEST_CMD;
    let empty =
        |value: &Value| if is_command { commands::is_empty(value) } else { is_blank(value) };
    let taken = field::get(&draft.json, alias.field).is_some_and(|value| !empty(value));
    let fits = |value: &Value| match alias.field {
        "phase_id" => value.is_string() || value.is_number(),
        // Any shape is accepted: a check left under the other name would be ignored.
        commands::TEST_CMD => !empty(value),
        _ => value.is_string(),
    };
    if taken || !find(draft, alias.name).is_some_and(fits) {
        return;
    }
    if !alias.name.contains('.') && !draft.json.contains_key(alias.field) {
        rename(&mut draft.json, alias.name, alias.field);
    } else if let Some(value) = remove(draft, alias.name) {
        draft.json.insert(alias.field.to_owned(), value);
    }
    draft.fixed(format!("{}: taken from `{}`", alias.field, alias.name));
}

fn add_to(draft: &mut SpecDraft, alias: &Alias) {
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

fn remove(draft: &mut SpecDraft, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => draft.json.shift_remove(path),
        Some(("scope", key)) => draft.scope.shift_remove(key),
        Some((object, key)) => draft.json.get_mut(object)?.as_object_mut()?.shift_remove(key),
    }
}

/// Renames a key in place.
fn rename(map: &mut Map<String, Value>, from: &str, to: &str) {
    let fields = std::mem::take(map);
    *map = fields
        .into_iter()
        .map(|(key, value)| if key == from { (to.to_owned(), value) } else { (key, value) })
        .collect();
}

/// Returns the text of a value used as a text.
pub(super) fn as_text(value: Option<&Value>) -> String {
    value.map(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_goes_by_another_names_name() {
        for alias in &ALIASES {
            assert!(ALIASES.iter().all(|other| other.name != alias.field), "{alias:?}");
        }
    }
}
