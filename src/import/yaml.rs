//! YAML text to JSON values, document by document: anchors, merge keys, non-string keys.
//!
//! Constructs without an equivalent in JSON are refused by name (custom tags, lists as keys), never guessed.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value};
use serde_yaml::Value as Yaml;

use super::ImportError;
use super::plan_document::{Document, PHASES};
use super::source_place::SourcePosition;
use super::written_numbers::{Position, ScalarTextSeed, ScalarTexts, is_another};

const MERGE_KEY: &str = "<<";

pub(super) fn documents(name: &str, text: &str) -> Result<Vec<Document>, ImportError> {
    let file: Arc<str> = name.into();
    let mut documents = Vec::new();
    let mut again = serde_yaml::Deserializer::from_str(text);
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Yaml::deserialize(document).map_err(|error| broken(name, &error))?;
        // Anything this second reading cannot follow was refused by the first reading, or will be.
        let written =
            again.next().and_then(|document| ScalarTextSeed(&value).deserialize(document).ok());
        let value = to_json(value, written.as_ref(), Position::Plain).map_err(|refused| {
            ImportError::malformed(name, format!("at `{}`: {}", refused.at(), refused.why))
        })?;
        documents.push(Document {
            value,
            place: SourcePosition::File(file.clone()),
            lines: Vec::new(),
        });
    }
    if let [only] = documents.as_mut_slice() {
        only.lines = item_lines(text, PHASES);
    }
    Ok(documents)
}

/// Returns the line of each item of the list: either the whole document, or under `key` at the top. Counts lines
/// starting with a dash at the indentation of the first item, up to a line with less indentation. Block style only.
fn item_lines(text: &str, key: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    // Indentation of the items; before the first item, whether the list has started.
    let (mut indent, mut begun) = (None, true);
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim_start();
        let depth = line.len() - bare.len();
        let is_item = bare == "-" || bare.starts_with("- ");
        if bare.is_empty() || bare.starts_with('#') || bare == "---" {
            continue;
        }
        match indent {
            None if depth == 0
                && bare
                    .split_once(':')
                    .is_some_and(|(name, rest)| name == key && rest.trim().is_empty()) =>
            {
                begun = true;
            }
            // Other keys precede the list.
            None if !is_item => begun = begun && depth > 0,
            None if begun => {
                indent = Some(depth);
                lines.push(number);
            }
            None => {}
            Some(at) if depth == at && is_item => lines.push(number),
            Some(at) if depth <= at => return lines,
            Some(_) => {}
        }
    }
    lines
}

fn broken(name: &str, error: &serde_yaml::Error) -> ImportError {
    let text = error.to_string();
    let Some(at) = error.location() else {
        return ImportError::malformed(name, format!("not valid YAML: {text}"));
    };
    let (line, column) = (at.line(), at.column());
    let message = text.replacen(&format!(" at line {line} column {column}"), "", 1);
    ImportError::malformed(format!("{name}:{line}:{column}"), format!("not valid YAML: {message}"))
}

/// A value without an equivalent in JSON, and the path of keys, innermost first.
struct Refused {
    why: String,
    keys: Vec<String>,
}

impl Refused {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), keys: Vec::new() }
    }

    fn under(mut self, key: impl ToString) -> Self {
        self.keys.push(key.to_string());
        self
    }

    fn at(&self) -> String {
        let keys: Vec<&str> = self.keys.iter().rev().map(String::as_str).collect();
        if keys.is_empty() { ".".to_owned() } else { keys.join(".") }
    }
}

/// Converts a value. `written` holds the original spelling of the scalars, if known.
fn to_json(
    value: Yaml,
    written: Option<&ScalarTexts>,
    position: Position,
) -> Result<Value, Refused> {
    let text = written.and_then(ScalarTexts::text).filter(|_| position != Position::Plain);
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) if position == Position::Within => value.into(),
        Yaml::Bool(value) => text.map_or_else(|| value.into(), Value::from),
        Yaml::Number(number) => match (number_to_json(&number), text) {
            (json, Some(text)) if is_another(&json.to_string(), text) => text.into(),
            (json, _) => json,
        },
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => {
            let written = match written {
                Some(ScalarTexts::List(list)) => list.as_slice(),
                _ => &[],
            };
            // Items of a list have the role of the list.
            let items = items.into_iter().enumerate();
            let item =
                |(n, item)| to_json(item, written.get(n), position).map_err(|r| r.under(n + 1));
            Value::Array(items.map(item).collect::<Result<Vec<Value>, Refused>>()?)
        }
        Yaml::Mapping(mapping) => {
            let written = match written {
                Some(ScalarTexts::Object(fields)) => fields.as_slice(),
                _ => &[],
            };
            Value::Object(object(mapping, written, position.inside())?)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            return Err(Refused::new(format!("the tag {tag} is not supported; remove it")));
        }
    })
}

/// Infinity and NaN are kept as text.
fn number_to_json(number: &serde_yaml::Number) -> Value {
    let float = || number.as_f64().and_then(serde_json::Number::from_f64).map(Value::Number);
    match (number.as_u64(), number.as_i64()) {
        (Some(value), _) => value.into(),
        (_, Some(value)) => value.into(),
        _ => float().unwrap_or_else(|| number.to_string().into()),
    }
}

fn object(
    mapping: serde_yaml::Mapping,
    written: &[(ScalarTexts, ScalarTexts)],
    inside: Position,
) -> Result<Map<String, Value>, Refused> {
    let mut object = Map::new();
    let mut merged = Vec::new();
    for (at, (key, value)) in mapping.into_iter().enumerate() {
        let written = written.get(at);
        let key = key_text(&key, written.map(|(key, _)| key))?;
        let value = to_json(value, written.map(|(_, value)| value), inside.under(&key));
        let value = value.map_err(|refused| refused.under(&key))?;
        if key == MERGE_KEY {
            merged.extend(merge_sources(value)?);
        } else if object.contains_key(&key) {
            return Err(Refused::new(format!("the key `{key}` appears twice")));
        } else {
            object.insert(key, value);
        }
    }
    for (key, value) in merged.into_iter().flatten() {
        object.entry(key).or_insert(value);
    }
    Ok(object)
}

/// Converts a number, boolean or null used as a key to text, as in JSON.
fn key_text(key: &Yaml, written: Option<&ScalarTexts>) -> Result<String, Refused> {
    match key {
        Yaml::String(text) => Ok(text.clone()),
        Yaml::Number(number) => Ok(written
            .and_then(ScalarTexts::text)
            .map_or_else(|| number.to_string(), str::to_owned)),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Null => Ok("null".to_owned()),
        Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => {
            Err(Refused::new("a key must be text, found a list, an object or a tag"))
        }
    }
}

/// Returns the sources of `<<: *base` and `<<: [*a, *b]`; the first source takes precedence.
fn merge_sources(value: Value) -> Result<Vec<Map<String, Value>>, Refused> {
    let sources = match value {
        Value::Array(items) => items,
        value => vec![value],
    };
    let object = |source| match source {
        Value::Object(object) => Ok(object),
        _ => Err(Refused::new("expected an object or a list of objects").under(MERGE_KEY)),
    };
    sources.into_iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let documents = documents("f.yaml", text).map_err(|error| error.to_string())?;
        Ok(documents.iter().map(|document| document.value.to_string()).collect())
    }

    #[test]
    fn keys_that_are_no_strings_become_their_text() {
        assert_eq!(
            read("1: a\ntrue: b\n~: c\n2.5: d").unwrap(),
            [r#"{"1":"a","true":"b","null":"c","2.5":"d"}"#]
        );
        assert_eq!(read("1: a\n'1': b").unwrap_err(), "f.yaml: at `.`: the key `1` appears twice");
        assert_eq!(
            read("a:\n- ? [x]\n  : y").unwrap_err(),
            "f.yaml: at `a.1`: a key must be text, found a list, an object or a tag"
        );
    }

    #[test]
    fn numbers_that_name_something_keep_their_text() {
        for (text, expected) in [
            ("phase_id: 1.10\npriority: 1.10", r#"{"phase_id":"1.10","priority":1.1}"#),
            (
                "depends_on: [22.10, 1e3, 0x1F, 7, a]",
                r#"{"depends_on":["22.10","1e3","0x1F",7,"a"]}"#,
            ),
            (
                "id: 007\nrun_id: 1_000\nname: 2026-01-02",
                r#"{"id":"007","run_id":"1_000","name":"2026-01-02"}"#,
            ),
            (
                "id: yes\nname: no\ndependsOn: [true]\ntitle: ~",
                r#"{"id":"yes","name":"no","dependsOn":["true"],"title":null}"#,
            ),
            (
                "- &x {id: 1.50}\n- *x\n- {<<: *x, id: 1.60, 2.10: z}",
                r#"[{"id":"1.50"},{"id":"1.50"},{"id":"1.60","2.10":"z"}]"#,
            ),
            (
                "depends_on:\n- {id: 3.10, n: 3.10}\nid: +5",
                r#"{"depends_on":[{"id":"3.10","n":"3.10"}],"id":"+5"}"#,
            ),
        ] {
            assert_eq!(read(text).unwrap(), [expected], "{text}");
        }
    }

    #[test]
    fn items_in_block_style_have_lines() {
        let lines = |text: &str| item_lines(text, "phases");
        assert_eq!(
            lines(
                "run_id: r\nlist:\n- x\nphases:\n  - id: a\n    d: |\n      - no\n\n  # c\n  - id: b\nz: 1\n- q"
            ),
            [5, 10]
        );
        assert_eq!(lines("---\n- id: a\n- id: b\n  x:\n  - c\n"), [2, 3]);
        assert_eq!(lines("phases: [{id: a}]"), [0; 0]);
    }

    #[test]
    fn anchors_and_merge_keys_are_followed_and_order_stays() {
        let text = "base: &b {x: 1, y: 2}\nphase:\n  <<: *b\n  z: 0\n  y: 3\n  w: 4\n";
        assert_eq!(
            read(text).unwrap(),
            [r#"{"base":{"x":1,"y":2},"phase":{"z":0,"y":3,"w":4,"x":1}}"#]
        );
        assert!(read("a: {<<: 3}").unwrap_err().contains("at `a.<<`: expected an object"));
    }

    #[test]
    fn documents_follow_one_another() {
        assert_eq!(
            read("---\na: 1\n---\nb: .inf\n...\n").unwrap(),
            [r#"{"a":1}"#, r#"{"b":".inf"}"#]
        );
        assert_eq!(read("# nothing\n").unwrap(), ["null"]);
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, expected) in [
            ("a: 1\nb: [", "f.yaml:3:1: not valid YAML: did not find expected node content"),
            ("a: b: c", "f.yaml:1:5: not valid YAML: mapping values are not allowed"),
            ("a: 1\na: 2", "f.yaml:1:1: not valid YAML: duplicate entry with key \"a\""),
            ("a: *b", "f.yaml:1:4: not valid YAML: unknown anchor"),
            ("a: !secret b", "f.yaml: at `a`: the tag !secret is not supported; remove it"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn endless_alias_expansion_is_refused() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 9].join(",");
            text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
        }
        assert!(read(&text).unwrap_err().contains("repetition limit"));
        assert!(read(&"[".repeat(10_000)).is_err());
    }
}
