//! JSON as text before parsing: details lost by a value parser (spelling of numbers, lines of items), and syntax
//! refused by the parser (comments, trailing commas).
//!
//! Accepts any text, including invalid JSON.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::written_numbers::{self, Position};

/// A token of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Including the quotes.
    Text(Range<usize>),
    /// A number, `true`, `null`, or any other bare text.
    Word(Range<usize>),
    Sign(usize),
    Comment(Range<usize>),
}

fn tokens(text: &str) -> impl Iterator<Item = Token> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        at += bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let start = at;
        let token = match *bytes.get(at)? {
            b'"' => {
                at = end_of_text(bytes, at);
                Token::Text(start..at)
            }
            b'/' if bytes[at..].starts_with(b"//") => {
                at += bytes[at..].iter().take_while(|byte| **byte != b'\n').count();
                Token::Comment(start..at)
            }
            b'/' if bytes[at..].starts_with(b"/*") => {
                at = text[at + 2..].find("*/").map_or(bytes.len(), |end| start + end + 4);
                Token::Comment(start..at)
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {
                at += 1;
                Token::Sign(start)
            }
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b"{}[],:\"/".contains(byte);
                at += bytes[at..].iter().skip(1).take_while(|byte| !ends(byte)).count() + 1;
                Token::Word(start..at)
            }
        };
        Some(token)
    })
}

fn end_of_text(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Checks whether the text starts with a comment.
pub(super) fn begins_with_comment(text: &str) -> bool {
    text.trim_start().starts_with("//") || text.trim_start().starts_with("/*")
}

/// Returns the text without comments and trailing commas, with every position and line unchanged, and the line of the
/// first removal. Returns `None` if there is nothing to remove.
pub(super) fn without_comments(text: &str) -> Option<(String, usize)> {
    let mut blank: Vec<Range<usize>> = Vec::new();
    let mut comma = None;
    for token in tokens(text) {
        match token {
            Token::Comment(range) => blank.push(range),
            Token::Sign(at) if matches!(text.as_bytes()[at], b'}' | b']') => {
                blank.extend(comma.take().map(|comma| comma..comma + 1));
            }
            Token::Sign(at) if text.as_bytes()[at] == b',' => comma = Some(at),
            _ => comma = None,
        }
    }
    blank.sort_by_key(|range| range.start);
    let first = blank.first()?.start;
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for range in blank {
        clean.push_str(&text[at..range.start]);
        clean.extend(text[range.clone()].chars().map(|c| if c == '\n' { c } else { ' ' }));
        at = range.end;
    }
    clean.push_str(&text[at..]);
    Some((clean, line_of(text, first)))
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
}

/// An open object or list.
struct Open {
    /// Role of the next value.
    position: Position,
    /// Role of values without regard to their keys.
    inside: Position,
    is_list: bool,
    is_key_next: bool,
}

/// Quotes numbers used as names if a parser would change their spelling: `1.10`, `1e3`.
pub(super) fn quote_names(text: &str) -> Cow<'_, str> {
    let mut open: Vec<Open> = Vec::new();
    let mut quoted = String::new();
    let mut copied = 0;
    for token in tokens(text) {
        match token {
            Token::Sign(at) => match text.as_bytes()[at] {
                sign @ (b'{' | b'[') => {
                    let is_list = sign == b'[';
                    let around = open.last().map_or(Position::Plain, |open| open.position);
                    // Items of a list have the role of the list.
                    let inside = if is_list { around } else { around.inside() };
                    open.push(Open { position: inside, inside, is_list, is_key_next: !is_list });
                }
                b'}' | b']' => drop(open.pop()),
                b',' => {
                    open.last_mut().into_iter().for_each(|open| open.is_key_next = !open.is_list)
                }
                _ => open.last_mut().into_iter().for_each(|open| open.is_key_next = false),
            },
            Token::Text(range) => {
                if let Some(open) = open.last_mut().filter(|open| open.is_key_next) {
                    open.position = open.inside.under(text[range].trim_matches('"'));
                }
            }
            Token::Word(range) => {
                let names = open.last().is_some_and(|open| open.position != Position::Plain);
                if names && loses_text(&text[range.clone()]) {
                    quoted.push_str(&text[copied..range.start]);
                    quoted.extend(["\"", &text[range.clone()], "\""]);
                    copied = range.end;
                }
            }
            Token::Comment(_) => {}
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    quoted.push_str(&text[copied..]);
    Cow::Owned(quoted)
}

fn loses_text(word: &str) -> bool {
    let number: Option<serde_json::Number> = serde_json::from_str(word).ok();
    number.is_some_and(|number| written_numbers::is_another(&number.to_string(), word))
}

/// Returns the object at the beginning of a text.
pub(super) fn first_object(text: &str) -> Option<Value> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    let first = &text[..values.byte_offset()];
    serde_json::from_str(&quote_names(first)).ok().filter(Value::is_object)
}

/// Returns the items of lists and the objects that follow each other; `None` for other texts.
pub(super) fn items(text: &str) -> Option<Vec<Value>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let text = quote_names(text);
    let mut items = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        match value.ok()? {
            Value::Array(list) => items.extend(list),
            object @ Value::Object(_) => items.push(object),
            _ => return None,
        }
    }
    Some(items)
}

/// Returns the line of each item of the list that is the whole text, and of the lists under `keys` in any object, in
/// the order of the text. Without `keys`, also of objects that follow each other.
pub(super) fn lines_of_items(text: &str, keys: &[&str]) -> Vec<usize> {
    let mut lines = Vec::new();
    // For each open object and list, whether its items are wanted.
    let mut wanted: Vec<bool> = Vec::new();
    let (mut line, mut counted) = (1, 0);
    let (mut last_text, mut key) = ("", None);
    for token in tokens(text) {
        let (start, sign) = match &token {
            Token::Sign(at) => (*at, text.as_bytes()[*at]),
            Token::Text(range) | Token::Word(range) => (range.start, 0),
            Token::Comment(_) => continue,
        };
        line += line_of(&text[counted..start], start - counted) - 1;
        counted = start;
        let is_outermost = wanted.is_empty() && keys.is_empty() && sign == b'{';
        let is_inside = wanted.last() == Some(&true);
        if is_outermost || is_inside && !matches!(sign, b'}' | b']' | b',' | b':') {
            lines.push(line);
        }
        match sign {
            b':' => key = Some(last_text),
            b'{' => wanted.push(false),
            b'[' => {
                wanted.push(wanted.is_empty() || key.is_some_and(|key| keys.contains(&key)));
            }
            b'}' | b']' => drop(wanted.pop()),
            _ => {}
        }
        if let Token::Text(range) = &token {
            last_text = text[range.clone()].trim_matches('"');
        }
        if sign != b':' {
            key = None;
        }
    }
    lines
}

/// Returns the line of each item of the list: either the whole text, or under `key` in the whole object.
pub(super) fn item_lines(text: &str, key: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    // Depth of the items.
    let mut within = None;
    let (mut depth, mut line, mut counted) = (0_usize, 1, 0);
    let mut last_key = "";
    for token in tokens(text) {
        let (start, sign) = match &token {
            Token::Sign(at) => (*at, text.as_bytes()[*at]),
            Token::Text(range) | Token::Word(range) => (range.start, 0),
            Token::Comment(_) => continue,
        };
        line += line_of(&text[counted..start], start - counted) - 1;
        counted = start;
        let closes = matches!(sign, b'}' | b']');
        if within == Some(depth) && !closes && !matches!(sign, b',' | b':') {
            lines.push(line);
        }
        match sign {
            b'{' | b'[' => {
                let is_list = depth == 0 || depth == 1 && last_key == key;
                depth += 1;
                if sign == b'[' && is_list && within.is_none() {
                    within = Some(depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if within.is_some_and(|list| depth < list) {
                    return lines;
                }
            }
            _ => {}
        }
        if let (Token::Text(range), 1) = (&token, depth) {
            last_key = text[range.clone()].trim_matches('"');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_and_last_commas_go_and_lines_stay() {
        let text = "{ // a \"plan\"\n \"a\": \"x // no\", /* y\n z */ \"b\": [1, 2,],\n}";
        let (clean, line) = without_comments(text).unwrap();
        assert_eq!((line, clean.lines().count(), clean.len()), (1, 4, text.len()));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&clean).unwrap(),
            serde_json::json!({"a": "x // no", "b": [1, 2]})
        );
        assert_eq!(without_comments("{\"a\": \"/* no */\"}"), None);
    }

    #[test]
    fn numbers_that_name_something_are_quoted() {
        for (text, expected) in [
            (
                r#"{"phase_id": 1.10, "priority": 1.10}"#,
                r#"{"phase_id": "1.10", "priority": 1.10}"#,
            ),
            (
                r#"[{"id": 1e3, "depends_on": [22.10, 2, {"id": 1.0}]}]"#,
                r#"[{"id": "1e3", "depends_on": ["22.10", 2, {"id": 1.0}]}]"#,
            ),
            (
                r#"{"Waits-For": {"phase": 22.10, "or": [{"n": 1e3}]}, "x": {"y": 1.20}}"#,
                r#"{"Waits-For": {"phase": "22.10", "or": [{"n": "1e3"}]}, "x": {"y": 1.20}}"#,
            ),
            (
                r#"{"scope": {"phase_id": 1.20}, "x": [1.20]}"#,
                r#"{"scope": {"phase_id": "1.20"}, "x": [1.20]}"#,
            ),
            (
                r#"{"id": 123456789012345678901234567890}"#,
                r#"{"id": "123456789012345678901234567890"}"#,
            ),
            (
                r#"{"id": 7, "depends_on": 6, "n": null}"#,
                r#"{"id": 7, "depends_on": 6, "n": null}"#,
            ),
        ] {
            assert_eq!(quote_names(text), expected);
        }
    }

    #[test]
    fn the_first_object_is_read_alone() {
        let first = |text| first_object(text).map(|object| object.to_string());
        assert_eq!(first("{\"id\": 1.10}\n{\"broken").as_deref(), Some(r#"{"id":"1.10"}"#));
        for text in ["", "[{}]\n", "{\"a\": ", "7 {}"] {
            assert_eq!(first(text), None, "{text}");
        }
    }

    #[test]
    fn items_have_lines() {
        assert_eq!(item_lines("[\n{\"a\": [1,\n2]},\n\n{}]", "phases"), [2, 5]);
        assert_eq!(
            item_lines("{\"x\": [1], \"phases\": [\n{},\n3,{}\n], \"y\": [[]]}", "phases"),
            [2, 3, 3]
        );
    }

    #[test]
    fn items_of_nested_lists_have_lines() {
        let text = "{\"a\": {\"tasks\": [\n{\"id\": 1, \"n\": [1],\n\"subs\": [{},\n{}]},\n{}]}, \"b\": []}";
        assert_eq!(lines_of_items(text, &["tasks", "subs"]), [2, 3, 4, 5]);
        assert_eq!(lines_of_items("[{\"x\": [1]},\n{}]", &[]), [1, 2]);
    }

    proptest! {
        #[test]
        fn any_text_is_searched(text in "[\\[\\]{},:\"\\\\/* a1.\n]{0,60}", odd in "\\PC{0,40}") {
            for text in [&text, &odd] {
                without_comments(text);
                item_lines(text, "phases");
                lines_of_items(text, &["a"]);
                quote_names(text);
            }
        }
    }
}
