//! Reading the fields of items in other tools' JSON: numbers and texts alike, and missing fields as empty.

use serde_json::{Map, Value};

use crate::phase::json::kind;

/// The fields of a JSON object.
#[derive(Clone, Copy)]
pub(super) struct ItemFields<'a>(pub &'a Map<String, Value>);

impl<'a> ItemFields<'a> {
    /// The fields of a value; the error names what was found instead.
    pub fn of(value: &'a Value) -> Result<Self, String> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            other => Err(format!("expected an item (an object), found {}", kind(other))),
        }
    }

    /// Whether a field is there and not null.
    pub fn has(self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_null())
    }

    /// The text of a field; empty if missing. Numbers are text.
    pub fn text(self, key: &str) -> String {
        self.0.get(key).and_then(scalar).unwrap_or_default()
    }

    /// The first text among several fields.
    pub fn first_text(self, keys: &[&str]) -> String {
        keys.iter().map(|key| self.text(key)).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// The text of a field as a single line.
    pub fn line(self, key: &str) -> String {
        self.text(key).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The entries of a list; a lone value is a list of one.
    pub fn values(self, key: &str) -> &'a [Value] {
        match self.0.get(key) {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) => &[],
            Some(value) => std::slice::from_ref(value),
        }
    }

    /// The texts of a list. Objects count by their `name` or `title`, as labels and criteria do.
    pub fn texts(self, key: &str) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::Object(fields) => {
                Some(ItemFields(fields).first_text(&["name", "title", "text", "description"]))
            }
            value => scalar(value),
        };
        let texts = self.values(key).iter().filter_map(text);
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// The fields of an object under a key.
    pub fn object(self, key: &str) -> Option<Self> {
        self.0.get(key)?.as_object().map(Self)
    }
}

/// The text of a text, number or boolean.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Joins a text and further parts with their headings; empty parts are left out.
pub(super) fn with_sections(text: &str, sections: &[(&str, String)]) -> String {
    let mut parts = vec![text.trim().to_owned()];
    let filled = sections.iter().filter(|(_, text)| !text.trim().is_empty());
    parts.extend(filled.map(|(heading, text)| format!("## {heading}\n\n{}", text.trim())));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// The rank of a priority in words, the most urgent first; words in between and unknown words are in the middle.
pub(super) fn rank_of_word(priority: &str) -> i64 {
    match priority.trim().to_lowercase().as_str() {
        "critical" | "urgent" | "highest" | "blocker" | "p0" => 0,
        "high" | "major" | "p1" => 1,
        "low" | "minor" | "p3" => 3,
        "lowest" | "trivial" | "none" | "backlog" | "p4" => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_leniently() {
        let value = json!({"n": 7, "t": " a\n b ", "l": ["x", {"name": "y"}, null, 3], "one": "z", "o": {"id": 1}});
        let fields = ItemFields::of(&value).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((fields.text("n"), fields.line("t")), ("7".into(), "a b".into()));
        assert_eq!(fields.texts("l"), ["x", "y", "3"]);
        assert_eq!(fields.texts("one"), ["z"]);
        assert_eq!(fields.object("o").map(|inner| inner.text("id")), Some("1".into()));
        assert!(!fields.has("missing") && fields.text("missing").is_empty());
        assert!(ItemFields::of(&json!([1])).is_err_and(|why| why.ends_with("found a list")));
    }

    #[test]
    fn empty_sections_are_left_out() {
        let sections = [("Notes", String::new()), ("Details", " d ".to_owned())];
        assert_eq!(with_sections("text ", &sections), "text\n\n## Details\n\nd");
        assert_eq!(with_sections("", &sections), "## Details\n\nd");
    }
}
