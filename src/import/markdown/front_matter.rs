//! Front matter: YAML between `---` lines at the beginning of a text.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::import::yaml;

/// Returns the lines of the front matter without the `---` lines, counted from 0; `end` is the closing line.
pub(in crate::import) fn lines(lines: &[&str]) -> Option<Range<usize>> {
    let is_border = |line: &&str| line.trim_end() == "---";
    lines.first().filter(|line| is_border(line))?;
    let end = lines[1..].iter().position(is_border)? + 1;
    Some(1..end)
}

/// The fields of the front matter, and the line of what could not be read.
pub(in crate::import) struct FrontMatter {
    pub fields: Map<String, Value>,
    /// Error of the YAML; the fields were then read line by line.
    pub error: Option<String>,
}

/// Reads the front matter; `None` if the text has none. `name` is the file, for errors.
pub(in crate::import) fn read(name: &str, text: &str) -> Option<FrontMatter> {
    let all: Vec<&str> = text.lines().collect();
    let within = &all[lines(&all)?];
    // The first line of the file is the `---`.
    let yaml = format!("\n{}\n", within.iter().map(|line| quote_mention(line)).collect::<String>());
    match yaml::documents(name, &yaml) {
        Ok(mut documents) if documents.len() <= 1 => {
            let value = documents.pop().map_or(Value::Null, |document| document.value);
            match value {
                Value::Object(fields) => Some(FrontMatter { fields, error: None }),
                _ => None,
            }
        }
        Ok(_) => None,
        Err(error) => {
            let fields = fields_by_line(within);
            Some(FrontMatter { fields, error: Some(error.to_string()) })
        }
    }
}

/// Quotes `@name`, which YAML reserves and tools write.
fn quote_mention(line: &str) -> String {
    let quoted = match line.split_once(": ") {
        Some((key, value)) if value.trim_start().starts_with('@') => {
            format!("{key}: {}", Value::from(value.trim()))
        }
        Some((key, value)) if value.trim_start().starts_with("[@") => {
            let names = value.trim().trim_matches(['[', ']']).split(',');
            let names: Value = names.map(str::trim).collect();
            format!("{key}: {names}")
        }
        _ => line.to_owned(),
    };
    quoted + "\n"
}

/// Reads `key: value`, `key: [a, b]` and lists below a key, from a text that is no YAML.
fn fields_by_line(lines: &[&str]) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut last = String::new();
    for line in lines {
        let bare = line.trim();
        let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        if let Some(item) = bare.strip_prefix("- ") {
            if let Some(Value::Array(items)) = fields.get_mut(&last) {
                items.push(unquoted(item).into());
            }
            continue;
        }
        let Some((key, value)) = bare.split_once(':').filter(|_| !line.starts_with(' ')) else {
            continue;
        };
        key.trim().clone_into(&mut last);
        let inner = value.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let value = match inner {
            Some(inner) => inner.split(',').map(unquoted).filter(|text| !text.is_empty()).collect(),
            None if value.trim().is_empty() => Value::Array(Vec::new()),
            None => unquoted(value).into(),
        };
        fields.insert(last.clone(), value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_with_mentions_and_numbers_as_written() {
        let text =
            "---\r\nid: task-1.10\r\nassignee: [@a, @b]\r\nreporter: @c\r\nn: 3\r\n---\r\nbody";
        let read = read("f.md", text).unwrap();
        assert_eq!(read.error, None);
        assert_eq!(
            Value::Object(read.fields),
            json!({"id": "task-1.10", "assignee": ["@a", "@b"], "reporter": "@c", "n": 3})
        );
        assert!(super::read("f.md", "no front matter").is_none());
        assert!(super::read("f.md", "---\nunclosed").is_none());
        assert!(super::read("f.md", "---\njust text\n---\n").is_none());
    }

    #[test]
    fn broken_yaml_is_read_line_by_line_and_named() {
        let read = read("f.md", "---\nid: a\ntitle: b: c: d\nlabels: [x, y]\ndeps:\n  - z\n---\n");
        let read = read.unwrap();
        assert!(read.error.unwrap().starts_with("f.md:3:"), "the line in the file");
        assert_eq!(
            Value::Object(read.fields),
            json!({"id": "a", "title": "b: c: d", "labels": ["x", "y"], "deps": ["z"]})
        );
    }
}
