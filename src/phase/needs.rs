//! `depends_on` as authors write it: phase names and notes.

use serde_json::Value;

/// Contents of `depends_on`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Phase ids, in order.
    pub names: Vec<String>,
    /// Entries without a phase id, as plain text.
    pub notes: Vec<String>,
}

/// Keys under which an object may hold a phase id.
const ID_KEYS: [&str; 2] = ["phase_id", "id"];

impl Needs {
    /// Reads a list of ids or a single id. An object with a `phase_id` or an `id` stands for this phase.
    /// Numbers are accepted, since YAML converts ids such as `1.2`. A single text is an id or several ids
    /// separated by commas; with spaces inside, a note.
    pub fn of(value: &Value) -> Self {
        let mut needs = Self::default();
        match value {
            Value::Array(items) => items.iter().for_each(|item| needs.entry(item)),
            Value::String(text) if !is_ids(text) => needs.notes.push(text.trim().to_owned()),
            Value::String(text) => {
                let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty());
                needs.names.extend(ids.map(str::to_owned));
            }
            single => needs.entry(single),
        }
        needs
    }

    fn entry(&mut self, item: &Value) {
        let name = match item {
            Value::Object(fields) => ID_KEYS.iter().find_map(|key| name(fields.get(*key)?)),
            item => name(item),
        };
        match (name, item) {
            (Some(name), _) => self.names.push(name),
            (None, Value::Null | Value::String(_)) => {}
            (None, Value::Array(items)) if items.is_empty() => {}
            (None, Value::Object(fields)) if fields.is_empty() => {}
            (None, item) => self.notes.push(item.to_string()),
        }
    }
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|name| !name.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Checks for single words separated by commas.
fn is_ids(text: &str) -> bool {
    text.split(',').all(|part| !part.trim().contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_and_notes_are_distinguished() {
        for (given, names, notes) in [
            (json!(["a", " b "]), vec!["a", "b"], vec![]),
            (json!("a"), vec!["a"], vec![]),
            (json!("b, c"), vec!["b", "c"], vec![]),
            (json!(5), vec!["5"], vec![]),
            (json!([1.5]), vec!["1.5"], vec![]),
            (json!([{"phase_id": "a"}, {"id": 7}, null, ""]), vec!["a", "7"], vec![]),
            (json!({"id": "a", "why": "x"}), vec!["a"], vec![]),
            (json!("needs network, see README"), vec![], vec!["needs network, see README"]),
            (json!(["a", {"phase": "b"}]), vec!["a"], vec![r#"{"phase":"b"}"#]),
            (json!({"python": ["a"]}), vec![], vec![r#"{"python":["a"]}"#]),
            (json!(true), vec![], vec!["true"]),
            (json!(null), vec![], vec![]),
            (json!([]), vec![], vec![]),
        ] {
            let needs = Needs::of(&given);
            assert_eq!(
                (
                    needs.names.iter().map(String::as_str).collect(),
                    needs.notes.iter().map(String::as_str).collect()
                ),
                (names, notes),
                "{given}"
            );
        }
    }
}
