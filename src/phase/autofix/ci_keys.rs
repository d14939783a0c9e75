//! Keys of `ci`: aliases of known keys, and unknown keys.

use serde_json::{Map, Value};

use super::ci::{PER_TEST_TIMEOUT, TIMEOUT};
use super::commands::{self, COMMAND, TEST_CMD};
use super::draft::SpecDraft;
use super::{criteria, field};
use crate::phase::words::find_similar;

const PYTEST: &str = "pytest";
/// Known keys.
pub(super) const KNOWN: [&str; 6] = [COMMAND, TEST_CMD, "args", PYTEST, TIMEOUT, PER_TEST_TIMEOUT];
/// Aliases of keys. If several names for the same key are used, the first in this list has precedence.
pub(super) const OTHER_NAMES: [(&str, &str); 7] = [
    ("cmd", COMMAND),
    ("run", COMMAND),
    ("commands", COMMAND),
    ("script", COMMAND),
    ("test_command", TEST_CMD),
    ("ci_args", "args"),
    ("timeout", TIMEOUT),
];
/// Names whose list contains command lines instead of arguments.
const OF_LINES: [&str; 2] = ["commands", "script"];

#[derive(Default)]
struct RepairNotes {
    fixes: Vec<String>,
    prose: Vec<String>,
}

/// Moves aliased keys to their canonical names. An unknown key is moved to the acceptance criteria with a
/// note, since a misspelled check would otherwise be skipped silently.
pub(super) fn settle(draft: &mut SpecDraft) {
    let mut notes = RepairNotes::default();
    for (object, name) in [(&mut draft.json, "ci"), (&mut draft.scope, "scope.ci")] {
        let Some(Value::Object(ci)) = field::get_mut(object, "ci") else { continue };
        apply_aliases(ci, name, &OTHER_NAMES, &mut notes);
        drop_unknown(ci, name, &KNOWN, &mut notes);
        if let Some(Value::Object(pytest)) = field::get_mut(ci, PYTEST) {
            let (name, known) = (format!("{name}.{PYTEST}"), [TIMEOUT, PER_TEST_TIMEOUT]);
            apply_aliases(pytest, &name, &[("timeout", TIMEOUT)], &mut notes);
            drop_unknown(pytest, &name, &known, &mut notes);
        }
    }
    draft.fixes.extend(notes.fixes);
    draft.prose.extend(notes.prose);
}

fn apply_aliases(
    object: &mut Map<String, Value>,
    name: &str,
    others: &[(&str, &str)],
    notes: &mut RepairNotes,
) {
    for (other, key) in others {
        let taken = field::get(object, key).is_some_and(|value| !commands::is_empty(value));
        if taken || field::get(object, other).is_none_or(commands::is_empty) {
            continue;
        }
        let Some(value) = object.shift_remove(*other) else { continue };
        let value = if OF_LINES.contains(other) { commands::lines(value) } else { value };
        field::put(object, key, value);
        notes.fixes.push(format!("{name}.{key}: taken from `{other}`"));
    }
}

fn drop_unknown(
    object: &mut Map<String, Value>,
    name: &str,
    known: &[&str],
    notes: &mut RepairNotes,
) {
    let is_unknown = |key: &&String| !known.contains(&key.as_str());
    let unknown: Vec<String> = object.keys().filter(is_unknown).cloned().collect();
    for key in unknown {
        let Some(value) = object.shift_remove(&key) else { continue };
        let near = find_similar(&key, known);
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        notes.fixes.push(format!("{name}: `{key}` is not a known setting and has no effect{hint}"));
        notes.prose.push(format!("{name}: {}", criteria::describe(&key, &value)));
    }
}
