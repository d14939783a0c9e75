//! A validator for the part of JSON Schema that autopack's schemas use. An unknown keyword fails the test.

use serde_json::Value;

/// Keywords without an effect on validity.
const NOTES: [&str; 5] = ["$schema", "$defs", "title", "description", "deprecated"];

/// Returns the first mistake in a value, with its path.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Validator { root: schema }.check(schema, value, "")
}

struct Validator<'a> {
    root: &'a Value,
}

impl Validator<'_> {
    fn check(&self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        let keywords = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) => return Err(format!("{path} is not allowed")),
            schema => schema.as_object().unwrap_or_else(|| panic!("no schema: {schema}")),
        };
        for (keyword, rule) in keywords {
            self.keyword(keyword, rule, schema, value, path)?;
        }
        Ok(())
    }

    fn keyword(
        &self,
        keyword: &str,
        rule: &Value,
        schema: &Value,
        value: &Value,
        path: &str,
    ) -> Result<(), String> {
        let passing = |rules: &Value| {
            let rules = rules.as_array().unwrap().iter();
            let results: Vec<_> = rules.map(|rule| self.check(rule, value, path)).collect();
            let first = results.iter().find_map(|result| result.as_ref().err().cloned());
            (results.iter().filter(|result| result.is_ok()).count(), first.unwrap_or_default())
        };
        let fails = |why: String| Err(format!("{path}: {why}; found {value}"));
        match keyword {
            "$ref" => {
                let place = rule.as_str().unwrap().strip_prefix('#').unwrap();
                self.check(self.root.pointer(place).expect(place), value, path)
            }
            "type" => {
                let names = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                match names.iter().any(|name| is_of_type(name.as_str().unwrap(), value)) {
                    true => Ok(()),
                    false => fails(format!("expected {rule}")),
                }
            }
            "enum" if rule.as_array().unwrap().contains(value) => Ok(()),
            "const" if rule == value => Ok(()),
            "enum" | "const" => fails(format!("expected {rule}")),
            "minimum" => match value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap())
            {
                true => Ok(()),
                false => fails(format!("less than {rule}")),
            },
            "anyOf" => match passing(rule) {
                (0, first) => fails(format!("no alternative; the first: {first}")),
                _ => Ok(()),
            },
            "oneOf" => match passing(rule) {
                (1, _) => Ok(()),
                (count, first) => fails(format!("{count} alternatives; the first: {first}")),
            },
            "allOf" => rule.as_array().unwrap().iter().try_for_each(|r| self.check(r, value, path)),
            "items" => {
                value.as_array().into_iter().flatten().enumerate().try_for_each(|(index, item)| {
                    self.check(rule, item, &format!("{path}/{index}"))
                })
            }
            "required" => {
                let Some(object) = value.as_object() else { return Ok(()) };
                let mut names = rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                match names.find(|name| !object.contains_key(*name)) {
                    Some(name) => fails(format!("{name} is missing")),
                    None => Ok(()),
                }
            }
            "properties" => value.as_object().into_iter().flatten().try_for_each(|(key, value)| {
                let rule = rule.get(key).unwrap_or(&Value::Bool(true));
                self.check(rule, value, &format!("{path}/{key}"))
            }),
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let is_known = |key: &String| known.is_some_and(|known| known.contains_key(key));
                let others = value.as_object().into_iter().flatten();
                others
                    .filter(|(key, _)| !is_known(key))
                    .try_for_each(|(key, value)| self.check(rule, value, &format!("{path}/{key}")))
            }
            note if NOTES.contains(&note) => Ok(()),
            other => panic!("the validator does not know {other}"),
        }
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}
