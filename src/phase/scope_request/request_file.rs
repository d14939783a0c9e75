//! Reads the file with an agent's request: `{"scope": [{"path", "reason"}]}`, a list, or plain paths.

use serde_json::Value;

/// Most bytes of a request.
const LONGEST: usize = 64 * 1024;
/// Most paths of a request.
pub const MOST_PATHS: usize = 5;
/// Longest path and reason, in characters.
const LONGEST_PATH: usize = 400;
const LONGEST_REASON: usize = 200;
/// Keys of a list of paths.
const LISTS: [&str; 3] = ["scope", "paths", "files"];
/// Keys of a path within an object, and of its reason.
const PATH_KEYS: [&str; 2] = ["path", "file"];
const REASON_KEYS: [&str; 2] = ["reason", "why"];

/// The paths of a request, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeRequest {
    /// Each path once, at most [`MOST_PATHS`].
    pub paths: Vec<RequestedPath>,
    /// Number of further paths.
    pub left_out: usize,
}

/// A requested path, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedPath {
    /// Path as written.
    pub path: String,
    /// Reason in a line, shortened.
    pub reason: Option<String>,
}

/// Reads a request. An empty text is an empty request; several JSON values after each other are one request.
///
/// # Errors
/// Returns why the text is no request.
pub fn read_request(text: &str) -> Result<ScopeRequest, String> {
    if text.len() > LONGEST {
        return Err(format!("it is larger than {} KiB", LONGEST / 1024));
    }
    let mut request = ScopeRequest::default();
    let text = text.trim_start_matches('\u{feff}');
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| format!("it is not JSON ({error})"))?;
        if !request.add_value(&value) {
            return Err("it has no list of paths under `scope`".to_owned());
        }
    }
    Ok(request)
}

impl ScopeRequest {
    /// Adds a list, an object with one, or a path. Returns whether the value is one of them.
    fn add_value(&mut self, value: &Value) -> bool {
        let list = match value {
            Value::Object(fields) => LISTS.iter().find_map(|key| fields.get(*key)),
            _ => None,
        };
        match (list, value) {
            (Some(nested @ Value::Object(_)), _) => self.add_value(nested),
            (Some(Value::Array(items)), _) | (None, Value::Array(items)) => {
                items.iter().for_each(|item| self.add_path(item));
                true
            }
            (Some(path @ Value::String(_)), _) => {
                self.add_path(path);
                true
            }
            (None, item) if path_of(item).is_some() => {
                self.add_path(item);
                true
            }
            _ => false,
        }
    }

    fn add_path(&mut self, item: &Value) {
        let Some(path) = path_of(item).map(|path| shorten(path, LONGEST_PATH)) else { return };
        if path.is_empty() || self.paths.iter().any(|known| known.path == path) {
            return;
        }
        if self.paths.len() == MOST_PATHS {
            self.left_out += 1;
            return;
        }
        let reason = REASON_KEYS.iter().find_map(|key| item.get(key)?.as_str());
        let reason = reason.map(|reason| shorten(reason, LONGEST_REASON));
        self.paths.push(RequestedPath { path, reason: reason.filter(|text| !text.is_empty()) });
    }
}

fn path_of(item: &Value) -> Option<&str> {
    match item {
        Value::String(path) => Some(path),
        Value::Object(_) => PATH_KEYS.iter().find_map(|key| item.get(key)?.as_str()),
        _ => None,
    }
}

/// Shortens a text to a line of at most `most` characters.
fn shorten(text: &str, most: usize) -> String {
    let line: String = text.trim().chars().map(|c| if c == '\n' { ' ' } else { c }).collect();
    line.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<(String, Option<String>)> {
        let request = read_request(text).unwrap();
        request.paths.into_iter().map(|one| (one.path, one.reason)).collect()
    }

    #[test]
    fn every_shape_of_a_request_is_read() {
        for text in [
            r#"{"scope": [{"path": "src/b.rs", "reason": "the parser"}]}"#,
            r#"{"scope": {"paths": [{"file": "src/b.rs", "why": " the parser "}]}, "more": 1}"#,
            r#"[{"path": "src/b.rs", "reason": "the parser", "mode": "rw"}]"#,
            "\u{feff}{\"path\": \"src/b.rs\", \"reason\": \"the\\nparser\"}",
        ] {
            assert_eq!(paths(text), [("src/b.rs".to_owned(), Some("the parser".to_owned()))]);
        }
        for text in [r#"["src/b.rs"]"#, r#"{"scope": "src/b.rs"}"#, r#""src/b.rs""#] {
            assert_eq!(paths(text), [("src/b.rs".to_owned(), None)]);
        }
        assert_eq!(paths("{\"scope\": [\"a\"]}\n{\"scope\": [\"b\", \"a\"]}\n").len(), 2);
        assert_eq!(paths(" \n"), []);
        assert_eq!(paths(r#"{"scope": []}"#), []);
    }

    #[test]
    fn only_the_first_paths_are_taken() {
        let many: Vec<String> = (0..8).map(|n| format!("src/{n}.rs")).collect();
        let request = read_request(&serde_json::json!({ "scope": many }).to_string()).unwrap();
        assert_eq!((request.paths.len(), request.left_out), (MOST_PATHS, 3));
        assert_eq!(request.paths[4].path, "src/4.rs");
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (text, why) in [
            ("src/b.rs, please".to_owned(), "is not JSON"),
            (r#"{"scope": ["#.to_owned(), "is not JSON"),
            (r#"{"want": ["src/b.rs"]}"#.to_owned(), "no list of paths"),
            (r#"{"scope": 3}"#.to_owned(), "no list of paths"),
            ("7".to_owned(), "no list of paths"),
            (format!("[\"{}\"]", "a".repeat(LONGEST)), "larger than 64 KiB"),
        ] {
            let error = read_request(&text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
