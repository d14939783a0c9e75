//! JSON Schema of a plan file, from the tables of fields and their other names.
//!
//! The schema accepts whatever `import` accepts: fields of other systems stay allowed, and the auto-fixer repairs shapes.

use serde_json::{Map, Value, json};

use super::plan_shapes::RUN_KEYS;
use crate::phase::autofix::aliases::ALIASES;
use crate::phase::autofix::spec_fields::{FIELDS, FieldShape};

/// Returns the schema.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "autopack: plan",
        "description": "A backlog: an object with `phases`, a list of phases, or a phase.",
        "anyOf": [
            {"$ref": "#/$defs/plan"},
            {"type": "array", "items": {"$ref": "#/$defs/phase"}},
            {"$ref": "#/$defs/phase"},
        ],
        "$defs": {
            "plan": plan(),
            "phase": {"allOf": [fields(), {"anyOf": names()}]},
            "fields": fields(),
            "ci": ci(),
        },
    })
}

fn plan() -> Value {
    let mut properties = Map::new();
    for key in RUN_KEYS {
        properties.insert(key.to_owned(), json!({}));
    }
    properties["phases"] = json!({"type": ["array", "null"], "items": {"$ref": "#/$defs/phase"}});
    properties["defaults"] = json!({
        "description": "fields for every phase that lacks them",
        "anyOf": [{"$ref": "#/$defs/fields"}, {"type": "null"}],
    });
    properties["run_id"] = text("the name of the run");
    json!({"type": "object", "properties": properties, "required": ["phases"]})
}

/// A phase has an id, or a name to derive the id from.
fn names() -> Vec<Value> {
    let is_name = |field: &str| field == "phase_id" || field == "name";
    let others = ALIASES.iter().filter(|alias| is_name(alias.field)).map(|alias| alias.name);
    let required = |name: &str| match name.split_once('.') {
        None => json!({"required": [name]}),
        Some((object, key)) => {
            json!({"required": [object], "properties": {object: {"required": [key]}}})
        }
    };
    ["phase_id", "name"].into_iter().chain(others).map(required).collect()
}

/// The fields of a phase under all their names.
fn fields() -> Value {
    let mut objects: Map<String, Value> = Map::new();
    let mut properties: Map<String, Value> = Map::new();
    let mut put = |name: &str, schema: Value| match name.split_once('.') {
        None => {
            properties.insert(name.to_owned(), schema);
        }
        Some((object, key)) => {
            let of_object = objects.entry(object).or_insert_with(|| json!({}));
            of_object[key] = schema;
        }
    };
    for field in FIELDS {
        put(field.name, shape(field.shape, field.meaning));
    }
    for alias in ALIASES {
        let field = FIELDS.iter().find(|field| field.name == alias.field);
        // A value of another shape stays an ordinary field.
        let meaning = format!("other name of `{}`", alias.field);
        if field.is_some() {
            put(alias.name, json!({"description": meaning, "deprecated": true}));
        }
    }
    for (object, keys) in objects {
        // A list or a text as the scope is repaired.
        let is_scope = object == "scope";
        let mut schema = json!({"properties": keys});
        if is_scope {
            schema["type"] = json!(["object", "array", "string", "null"]);
        }
        properties.insert(object, schema);
    }
    json!({"type": "object", "properties": properties})
}

fn shape(shape: FieldShape, meaning: &str) -> Value {
    let types = match shape {
        FieldShape::Text => json!(["string", "number", "null"]),
        FieldShape::Count => json!(["integer", "string", "null"]),
        FieldShape::Flag => json!(["boolean", "string", "null"]),
        FieldShape::Texts | FieldShape::Command => json!(["array", "string", "object", "null"]),
        FieldShape::Ids => json!(["array", "string", "number", "object", "null"]),
        FieldShape::Ci => return json!({"description": meaning, "$ref": "#/$defs/ci"}),
    };
    json!({"description": meaning, "type": types})
}

fn text(meaning: &str) -> Value {
    shape(FieldShape::Text, meaning)
}

/// Unknown keys have no effect; `fix-phases` names them.
fn ci() -> Value {
    let seconds = |meaning: &str| json!({"description": meaning, "type": ["integer", "string"]});
    let timeout = seconds("limit of a CI run");
    let per_test = seconds("limit of a test, for pytest with pytest-timeout");
    json!({
        "type": ["object", "string", "array", "null"],
        "properties": {
            "command": shape(FieldShape::Command, "replaces `ci.command`"),
            "timeout_seconds": timeout,
            "per_test_timeout": per_test,
            "pytest": {
                "description": "an object with these two timeouts; a bare number is `timeout_seconds`",
                "type": ["object", "integer", "string", "null"],
                "properties": {"timeout_seconds": timeout, "per_test_timeout": per_test},
            },
            "test_cmd": shape(FieldShape::Command, "the phase's own check after CI"),
            "args": shape(FieldShape::Command, "arguments for a detected test runner"),
        },
    })
}
