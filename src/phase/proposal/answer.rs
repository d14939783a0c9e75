//! Reads a proposal out of an agent's answer: JSON, bare, in a fence, or within prose; the keys in several spellings.

use serde_json::{Map, Value};

use super::{Confidence, PathRole};

/// Most bytes of an answer that are examined.
const LONGEST: usize = 256 * 1024;
/// Most paths of an answer that are examined.
const MOST_PATHS: usize = 200;
/// Longest reason, in characters.
const LONGEST_REASON: usize = 200;
/// Keys of lists of paths, in lower case without `_`, with their part in the change.
const LISTS: [(&str, PathRole); 16] = [
    ("deliverables", PathRole::Deliverable),
    ("files", PathRole::Deliverable),
    ("newfiles", PathRole::Deliverable),
    ("create", PathRole::Deliverable),
    ("modify", PathRole::Deliverable),
    ("filestocreate", PathRole::Deliverable),
    ("filestomodify", PathRole::Deliverable),
    ("scope", PathRole::Scope),
    ("paths", PathRole::Scope),
    ("scopepaths", PathRole::Scope),
    ("related", PathRole::Scope),
    ("maychange", PathRole::Scope),
    ("tests", PathRole::Test),
    ("testfiles", PathRole::Test),
    ("testpaths", PathRole::Test),
    ("test", PathRole::Test),
];
/// Keys around a whole proposal.
const WRAPPERS: [&str; 4] = ["proposal", "scopeproposal", "answer", "result"];
/// Keys of a path within an object, and of its reason.
const PATH_KEYS: [&str; 4] = ["path", "file", "name", "filename"];
const REASON_KEYS: [&str; 5] = ["reason", "why", "because", "description", "note"];

/// The paths of an answer, as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProposedAnswer {
    /// Each path with its part and reason, in the order of the answer.
    pub paths: Vec<AnsweredPath>,
    /// Stated confidence.
    pub confidence: Option<Confidence>,
}

/// A path as written in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredPath {
    /// Path as written.
    pub path: String,
    /// Part in the change.
    pub role: PathRole,
    /// Reason, shortened.
    pub reason: Option<String>,
}

/// Brackets that begin no value, at most: each is read to its end.
const MOST_BROKEN: usize = 200;

/// Reads the last proposal of a text.
///
/// # Errors
/// Returns why the text has no proposal, as advice for its author.
pub fn read_answer(text: &str) -> Result<ProposedAnswer, String> {
    let text = &text[..text.floor_char_boundary(LONGEST)];
    if text.trim().is_empty() {
        return Err("the answer is empty".to_owned());
    }
    let mut found = None;
    let mut at = 0;
    let mut broken = 0;
    while let Some(start) = text[at..].find(['{', '[']).map(|n| at + n) {
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                found = read_value(&value).or(found);
                at = start + values.byte_offset().max(1);
            }
            _ if broken == MOST_BROKEN => break,
            _ => {
                broken += 1;
                at = start + 1;
            }
        }
    }
    match found {
        Some(answer) if answer.paths.is_empty() => Err("the answer names no path".to_owned()),
        Some(answer) => Ok(answer),
        None => Err("the answer has no JSON object with a list of paths".to_owned()),
    }
}

/// Reads a value; `None` unless it looks like a proposal.
fn read_value(value: &Value) -> Option<ProposedAnswer> {
    let mut answer = ProposedAnswer::default();
    match value {
        Value::Array(items) if items.iter().any(|item| path_of(item).is_some_and(is_pathlike)) => {
            answer.add_list(PathRole::Scope, value);
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = plain_key(key);
                if WRAPPERS.contains(&key.as_str()) && value.is_object() {
                    return read_value(value);
                }
            }
            if !answer.add_fields(fields) {
                return None;
            }
        }
        _ => return None,
    }
    Some(answer)
}

impl ProposedAnswer {
    /// Adds the lists of an object. Returns whether it has any.
    fn add_fields(&mut self, fields: &Map<String, Value>) -> bool {
        let mut has_list = false;
        for (key, value) in fields {
            let key = plain_key(key);
            if key == "confidence" {
                self.confidence = read_confidence(value);
            }
            let Some((_, role)) = LISTS.iter().find(|(name, _)| *name == key) else { continue };
            has_list = true;
            match value {
                // `scope: {paths: [..]}`
                Value::Object(inner) if !inner.keys().any(|key| is_path_key(key)) => {
                    has_list |= self.add_fields(inner);
                }
                list => self.add_list(*role, list),
            }
        }
        let reasons = fields.iter().find(|(key, _)| plain_key(key) == "reasons");
        if let Some((_, Value::Object(reasons))) = reasons {
            for path in self.paths.iter_mut().filter(|path| path.reason.is_none()) {
                path.reason = reasons.get(&path.path).and_then(Value::as_str).map(shorten);
            }
        }
        has_list
    }

    fn add_list(&mut self, role: PathRole, list: &Value) {
        let single = std::slice::from_ref(list);
        for item in list.as_array().map_or(single, Vec::as_slice) {
            let Some(path) = path_of(item) else { continue };
            let path = path.trim().trim_matches('`');
            let is_known = self.paths.iter().any(|known| known.path == path);
            if path.is_empty() || is_known || self.paths.len() == MOST_PATHS {
                continue;
            }
            let reason = REASON_KEYS.iter().find_map(|key| item.get(key)?.as_str()).map(shorten);
            self.paths.push(AnsweredPath { path: path.to_owned(), role, reason });
        }
    }
}

/// Returns a key in lower case, without separators.
fn plain_key(key: &str) -> String {
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_path_key(key: &str) -> bool {
    PATH_KEYS.contains(&key)
}

fn path_of(item: &Value) -> Option<&str> {
    match item {
        Value::String(path) => Some(path),
        Value::Object(_) => PATH_KEYS.iter().find_map(|key| item.get(key)?.as_str()),
        _ => None,
    }
}

/// Whether a text of a bare list may be a path, and not a word of prose in brackets.
fn is_pathlike(text: &str) -> bool {
    text.contains(['/', '.']) && !text.trim().contains(char::is_whitespace)
}

fn shorten(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(LONGEST_REASON).collect()
}

/// Reads a word, or a number from 0 to 1 or to 100.
fn read_confidence(value: &Value) -> Option<Confidence> {
    let of_share = |share: f64| match share {
        share if share < 0.4 => Confidence::Low,
        share if share < 0.75 => Confidence::Medium,
        _ => Confidence::High,
    };
    match value {
        Value::Number(number) => {
            let number = number.as_f64()?;
            Some(of_share(if number > 1.0 { number / 100.0 } else { number }))
        }
        Value::String(word) => match word.trim().to_lowercase().as_str() {
            "low" => Some(Confidence::Low),
            "medium" | "moderate" => Some(Confidence::Medium),
            "high" => Some(Confidence::High),
            other => Some(of_share(other.trim_end_matches('%').parse::<f64>().ok()?)),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<(String, PathRole)> {
        let answer = read_answer(text).unwrap_or_else(|why| panic!("{why}: {text}"));
        answer.paths.into_iter().map(|path| (path.path, path.role)).collect()
    }

    #[test]
    fn several_shapes_are_read() {
        use PathRole::{Deliverable, Scope, Test};
        let of = |all: &[(&str, PathRole)]| {
            all.iter().map(|(path, role)| ((*path).to_owned(), *role)).collect::<Vec<_>>()
        };
        for (text, expected) in [
            (
                r#"{"deliverables":["src/a.rs"],"scope":["src/b.rs"],"tests":["tests/a.rs"]}"#,
                of(&[("src/a.rs", Deliverable), ("src/b.rs", Scope), ("tests/a.rs", Test)]),
            ),
            (
                "I looked around {sic}.\n```json\n{\"files\": [{\"path\": \"a.py\", \"reason\": \"the parser\"}]}\n```\nDone.",
                of(&[("a.py", Deliverable)]),
            ),
            (r#"{"proposal": {"scope": {"paths": "src/a.rs"}}}"#, of(&[("src/a.rs", Scope)])),
            (
                r#"The files: ["src/a.rs", "src/b.rs"]"#,
                of(&[("src/a.rs", Scope), ("src/b.rs", Scope)]),
            ),
            (r#"{"filesToModify": ["`a/b.go`", "a/b.go"]}"#, of(&[("a/b.go", Deliverable)])),
            // The last one counts: a draft comes first.
            (
                r#"{"scope": ["draft.rs"]} better: {"scope": ["final.rs"]}"#,
                of(&[("final.rs", Scope)]),
            ),
        ] {
            assert_eq!(paths(text), expected, "{text}");
        }
    }

    #[test]
    fn reasons_and_confidence_are_read() {
        let answer = read_answer(
            r#"{"scope": ["a.rs", {"file": "b.rs", "why": "uses\n it"}], "reasons": {"a.rs": "parses"}, "confidence": "0.9"}"#,
        )
        .unwrap();
        assert_eq!(answer.confidence, Some(Confidence::High));
        let reasons: Vec<_> = answer.paths.iter().map(|path| path.reason.as_deref()).collect();
        assert_eq!(reasons, [Some("parses"), Some("uses it")]);
        for (text, expected) in [("55", Confidence::Medium), ("\"low\"", Confidence::Low)] {
            let answer = read_answer(&format!(r#"{{"files":["a.rs"],"confidence":{text}}}"#));
            assert_eq!(answer.unwrap().confidence, Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_proposal() {
        for (text, why) in [
            ("", "empty"),
            ("I would change the parser and its tests.", "no JSON object"),
            ("see [the docs] and {curly}", "no JSON object"),
            (r#"{"tokens": 3}"#, "no JSON object"),
            (r#"{"scope": []}"#, "names no path"),
            (r#"{"scope": [1, null]}"#, "names no path"),
        ] {
            let said = read_answer(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
