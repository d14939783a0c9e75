//! YAML text to JSON values, document by document: anchors, merge keys, keys that are no strings.
//!
//! What JSON cannot say is refused by name (tags of one's own, lists as keys), never guessed at.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_yaml::Value as Yaml;

use super::ImportError;
use super::place::Place;
use super::plan::Document;

const MERGE_KEY: &str = "<<";

pub(super) fn documents(name: &str, text: &str) -> Result<Vec<Document>, ImportError> {
    let file: Arc<str> = name.into();
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Yaml::deserialize(document).map_err(|error| broken(name, &error))?;
        let value = to_json(value).map_err(|refused| {
            ImportError::malformed(name, format!("at `{}`: {}", refused.at(), refused.why))
        })?;
        documents.push(Document { value, place: Place::File(file.clone()) });
    }
    Ok(documents)
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

/// Something JSON has no word for, and the keys that lead to it, innermost first.
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

fn to_json(value: Yaml) -> Result<Value, Refused> {
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => number_to_json(&number),
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => {
            let items = items.into_iter().enumerate();
            let list: Result<Vec<Value>, Refused> =
                items.map(|(n, item)| to_json(item).map_err(|r| r.under(n + 1))).collect();
            Value::Array(list?)
        }
        Yaml::Mapping(mapping) => Value::Object(object(mapping)?),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            return Err(Refused::new(format!("the tag {tag} has no meaning here; leave it out")));
        }
    })
}

/// Infinity and NaN stay as they are written.
fn number_to_json(number: &serde_yaml::Number) -> Value {
    let float = || number.as_f64().and_then(serde_json::Number::from_f64).map(Value::Number);
    match (number.as_u64(), number.as_i64()) {
        (Some(value), _) => value.into(),
        (_, Some(value)) => value.into(),
        _ => float().unwrap_or_else(|| number.to_string().into()),
    }
}

fn object(mapping: serde_yaml::Mapping) -> Result<Map<String, Value>, Refused> {
    let mut object = Map::new();
    let mut merged = Vec::new();
    for (key, value) in mapping {
        let key = key_text(&key)?;
        let value = to_json(value).map_err(|refused| refused.under(&key))?;
        if key == MERGE_KEY {
            merged.extend(merge_sources(value)?);
        } else if object.contains_key(&key) {
            return Err(Refused::new(format!("the key `{key}` stands twice")));
        } else {
            object.insert(key, value);
        }
    }
    for (key, value) in merged.into_iter().flatten() {
        object.entry(key).or_insert(value);
    }
    Ok(object)
}

/// A key that is a number, a truth value or null is its text, as it would be in JSON.
fn key_text(key: &Yaml) -> Result<String, Refused> {
    match key {
        Yaml::String(text) => Ok(text.clone()),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Null => Ok("null".to_owned()),
        Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => {
            Err(Refused::new("a key must be text, found a list, an object or a tag"))
        }
    }
}

/// `<<: *base` and `<<: [*a, *b]`; the first of several wins.
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
        assert_eq!(read("1: a\n'1': b").unwrap_err(), "f.yaml: at `.`: the key `1` stands twice");
        assert_eq!(
            read("a:\n- ? [x]\n  : y").unwrap_err(),
            "f.yaml: at `a.1`: a key must be text, found a list, an object or a tag"
        );
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
            ("a: !secret b", "f.yaml: at `a`: the tag !secret has no meaning here; leave it out"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_unfolds_without_end_is_refused() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 9].join(",");
            text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
        }
        assert!(read(&text).unwrap_err().contains("repetition limit"));
        assert!(read(&"[".repeat(10_000)).is_err());
    }
}
