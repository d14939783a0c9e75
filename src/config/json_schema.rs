//! JSON Schemas of the configuration files, derived from the types.
//!
//! The defaults give the keys, as in the module `schema`. The types of a value are found by trying: a sample of each JSON
//! type is laid over the defaults, and the error for a wrong word names the allowed words. The comments of the shipped
//! file are the descriptions.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use serde_yaml::{Mapping, Value};

use super::schema::{Document, KeyPath, Leaf, SchemaEntry, lay_over, value_of};

/// A key that no mapping has, for the schema of any key.
const ANY: &str = "any-name";

/// Returns the schema of a file. `program_kinds` are the kinds of agents with an adapter.
pub fn schema<D: Document>(program_kinds: &[&str]) -> Json {
    let base = SchemaBuilder::<D> {
        program_kinds,
        before: Vec::new(),
        comments: comments(D::SHIPPED),
        document: std::marker::PhantomData,
    };
    let mut schema = base.value(&mut Vec::new(), &value_of(&D::default()));
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("autopack: {}", D::FILE),
    });
    let mut whole = head.as_object().cloned().unwrap_or_default();
    whole.append(schema.as_object_mut().unwrap_or(&mut Map::new()));
    Json::Object(whole)
}

struct SchemaBuilder<'a, D> {
    program_kinds: &'a [&'a str],
    /// Leaves laid over the defaults before a trial, such as the kind of an agent.
    before: Vec<Leaf>,
    comments: BTreeMap<String, String>,
    document: std::marker::PhantomData<D>,
}

impl<D: Document> SchemaBuilder<'_, D> {
    fn value(&self, path: &mut KeyPath, default: &Value) -> Json {
        let kinds = D::kinds(path, self.program_kinds);
        let mut schema = match (default, kinds.is_empty()) {
            (_, false) => self.kinds(path, kinds),
            (Value::Mapping(known), true) => self.mapping(path, known),
            (_, true) => self.leaf(path),
        };
        let comment = self.comments.get(&path.join("."));
        if let (Some(object), Some(comment)) = (schema.as_object_mut(), comment) {
            object.insert("description".to_owned(), json!(comment));
        }
        schema
    }

    /// Keys without a value are allowed everywhere.
    fn mapping(&self, path: &mut KeyPath, known: &Mapping) -> Json {
        let mut properties = Map::new();
        for (key, default) in known {
            let Some(key) = key.as_str() else { continue };
            path.push(key.to_owned());
            properties.insert(key.to_owned(), self.value(path, default));
            path.pop();
        }
        path.push(ANY.to_owned());
        let takes_any = known.is_empty() || !D::kinds(path, self.program_kinds).is_empty();
        let others = if takes_any { self.value(path, &Value::Null) } else { json!(false) };
        path.pop();
        json!({"type": ["object", "null"], "properties": properties, "additionalProperties": others})
    }

    fn kinds(&self, path: &mut KeyPath, kinds: Vec<Value>) -> Json {
        let one = |sample: &Value| {
            let leaf = Leaf { path: path.clone(), value: sample.clone() };
            let builder = SchemaBuilder::<D> {
                program_kinds: self.program_kinds,
                before: [self.before.as_slice(), &[leaf]].concat(),
                comments: BTreeMap::new(),
                document: std::marker::PhantomData,
            };
            let empty = Mapping::new();
            let known = sample.as_mapping().unwrap_or(&empty);
            let mut schema = builder.mapping(&mut path.clone(), known);
            let kind = known.get("kind").and_then(Value::as_str).unwrap_or_default();
            schema["type"] = json!("object");
            schema["properties"]["kind"] = json!({"const": kind});
            schema["required"] = json!(["kind"]);
            schema
        };
        json!({"oneOf": kinds.iter().map(one).collect::<Vec<_>>()})
    }

    /// Returns the schema of a single value.
    fn leaf(&self, path: &KeyPath) -> Json {
        let words = self.words(path);
        let is_allowed = |value: Value| self.refusal(path, value).is_none();
        let text = || Value::from("some words");
        let list = |item: Value| Value::Sequence(vec![item]);
        let mut choices: Vec<Json> = Vec::new();
        match (words.is_empty(), is_allowed(text())) {
            (false, is_text) => {
                choices.push(json!({"enum": words}));
                is_text.then(|| choices.push(json!({"type": "string"})));
            }
            (true, true) => choices.push(json!({"type": "string"})),
            // Words in another form, such as hosts.
            (true, false) if is_allowed(Value::from("a.example")) => {
                choices.push(json!({"type": "string"}));
            }
            (true, false) => {}
        }
        if is_allowed(Value::from(true)) {
            choices.push(json!({"type": "boolean"}));
        }
        match (is_allowed(Value::from(1)), is_allowed(Value::from(1.5))) {
            (_, true) => choices.push(json!({"type": "number"})),
            (true, false) if is_allowed(Value::from(-1)) => {
                choices.push(json!({"type": "integer"}))
            }
            (true, false) => choices.push(json!({"type": "integer", "minimum": 0})),
            (false, false) => {}
        }
        let is_list = is_allowed(Value::Sequence(Vec::new()));
        if is_allowed(list(Value::from("a.example"))) {
            choices.push(json!({"type": "array", "items": {"type": "string"}}));
        } else if is_allowed(list(Value::from(1))) {
            choices.push(json!({"type": "array", "items": {"type": "integer", "minimum": 0}}));
        } else if is_list {
            choices.push(json!({"type": "array"}));
        }
        if is_allowed(Value::Mapping(Mapping::new())) {
            choices.push(json!({"type": "object"}));
        }
        if is_allowed(Value::Null) {
            choices.push(json!({"type": "null"}));
        }
        if choices.len() == 1 { choices.remove(0) } else { json!({"anyOf": choices}) }
    }

    /// Returns the words of a choice, as the error for another word lists them.
    fn words(&self, path: &KeyPath) -> Vec<String> {
        let Some(why) = self.refusal(path, Value::from("no such word")) else { return Vec::new() };
        let Some((_, expected)) = why.split_once("expected ") else { return Vec::new() };
        let words = expected.split('"').skip(1).step_by(2).map(str::to_owned);
        words.collect()
    }

    /// Returns why a value is not allowed.
    fn refusal(&self, path: &KeyPath, value: Value) -> Option<String> {
        let leaf = Leaf { path: path.clone(), value };
        let leaves = [self.before.as_slice(), &[leaf]].concat();
        match lay_over(&D::default(), &leaves).err()?.what {
            SchemaEntry::BadValue(why) => Some(why),
            SchemaEntry::UnknownKey(_) => None,
        }
    }
}

/// Returns the comments beside the keys of a shipped file, by the path of the key.
fn comments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let Some((key, rest)) = line.trim_start().split_once(':') else { continue };
        if key.starts_with('#') || key.starts_with('-') || key.contains(' ') {
            continue;
        }
        path.retain(|(outer, _)| *outer < indent);
        path.push((indent, key));
        if let Some((_, comment)) = rest.split_once(" # ") {
            let keys: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
            found.insert(keys.join("."), comment.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::memory_settings::MemoryFile;
    use crate::config::settings::Settings;

    #[test]
    fn types_words_and_descriptions_come_from_the_settings() {
        let schema = schema::<Settings>(&["claude"]);
        let of = |path: &str| schema.pointer(path).unwrap_or_else(|| panic!("{path}: {schema:#}"));
        let executor = "/properties/executor/properties";
        let attempts = of(&format!("{executor}/max_attempts"));
        assert_eq!((&attempts["type"], &attempts["minimum"]), (&json!("integer"), &json!(0)));
        assert!(attempts["description"].as_str().unwrap().contains("counted attempts per phase"));
        assert_eq!(
            of(&format!("{executor}/unscoped/enum")),
            &json!(["propose", "refuse", "allow"])
        );
        // YAML reads a list without a value as empty.
        let ladder = of(&format!("{executor}/ladder/anyOf"));
        let texts = json!({"type": "array", "items": {"type": "string"}});
        assert_eq!(ladder, &json!([texts, {"type": "null"}]));
        let command = of("/properties/ci/properties/command/anyOf");
        assert_eq!(command.as_array().unwrap().len(), 3, "a list, a text or null: {command}");
        assert_eq!(of("/properties/agents/properties/default/anyOf").as_array().unwrap().len(), 2);
        let agents = of("/properties/agents/additionalProperties/oneOf").as_array().unwrap();
        let kinds: Vec<&Json> = agents.iter().map(|a| &a["properties"]["kind"]["const"]).collect();
        assert!(
            kinds.contains(&&json!("claude")) && kinds.contains(&&json!("command")),
            "{kinds:?}"
        );
        assert_eq!(of("/additionalProperties"), &json!(false));
    }

    #[test]
    fn the_memory_has_a_schema() {
        let schema = schema::<MemoryFile>(&[]);
        let qdrant = "/properties/memory/properties/qdrant/properties/host/type";
        assert_eq!(schema.pointer(qdrant), Some(&json!("string")), "{schema:#}");
    }
}
