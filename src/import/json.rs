//! JSON text to values: whole values in sequence, or a value per line.
//!
//! Stricter than `serde_json` in one respect: a duplicate key in an object is refused, because one of the values would
//! be lost.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::plan_document::{Document, PHASES};
use super::source_place::SourcePosition;
use super::{ImportError, json_text};
use crate::parallel;

/// Fewest lines for a thread, which takes as long to start as some lines take to read.
const FEW: usize = 64;

/// Checks that the text is a single JSON value.
pub(super) fn is_complete(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Parses one or more values in sequence, regardless of line breaks.
pub(super) fn whole(name: &str, text: &str) -> Result<Vec<Document>, ImportError> {
    let documents = values(name, text)?;
    let mut documents = match json_text::quote_names(text) {
        Cow::Borrowed(_) => documents,
        Cow::Owned(text) => values(name, &text)?,
    };
    if let [only] = documents.as_mut_slice() {
        only.lines = json_text::item_lines(text, PHASES);
    }
    Ok(documents)
}

fn values(name: &str, text: &str) -> Result<Vec<Document>, ImportError> {
    let file: Arc<str> = name.into();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<UniqueKeys>();
    let mut documents: Vec<Document> = Vec::new();
    let (mut line, mut counted) = (1, 0);
    loop {
        let start = stream.byte_offset();
        let start = start + text[start..].len() - text[start..].trim_start().len();
        line += newlines(&text[counted..start]);
        counted = start;
        match stream.next() {
            None => break,
            Some(Ok(UniqueKeys(value))) => {
                documents.push(Document {
                    value,
                    place: SourcePosition::Line(file.clone(), line),
                    lines: Vec::new(),
                });
            }
            Some(Err(error)) => {
                let place = format!("{name}:{}:{}", error.line(), error.column());
                return Err(broken(place, &error));
            }
        }
    }
    if let [only] = documents.as_mut_slice() {
        only.place = SourcePosition::File(file);
    }
    Ok(documents)
}

/// Parses a value per line, skipping blank lines. Reports every invalid line.
pub(super) fn lines(name: &str, text: &str) -> Result<Vec<Document>, ImportError> {
    let file: Arc<str> = name.into();
    let used = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let used: Vec<(usize, &str)> = used.collect();
    // A JSON file with another extension: a single value over several lines.
    if let Some(Err(error)) = used.first().map(|(_, line)| strict(line))
        && error.classify() == Category::Eof
        && is_complete(text)
    {
        return whole(name, text);
    }
    let parse = |lines: &[(usize, &str)]| lines.iter().map(|(_, line)| strict(line)).collect();
    let values: Vec<Vec<_>> = parallel::of_parts(&used, FEW, parse);
    let mut documents = Vec::with_capacity(used.len());
    let mut errors = Vec::new();
    for ((index, _), value) in used.into_iter().zip(values.into_iter().flatten()) {
        match value {
            Ok(value) => {
                let place = SourcePosition::Line(file.clone(), index + 1);
                documents.push(Document { value, place, lines: Vec::new() });
            }
            Err(error) => {
                let place = format!("{name}:{}:{}", index + 1, error.column());
                errors.push(broken(place, &error));
            }
        }
    }
    ImportError::all(errors)?;
    Ok(documents)
}

fn strict(line: &str) -> Result<Value, serde_json::Error> {
    let UniqueKeys(value) = serde_json::from_str(line)?;
    match json_text::quote_names(line) {
        Cow::Borrowed(_) => Ok(value),
        Cow::Owned(line) => serde_json::from_str(&line).map(|UniqueKeys(value)| value),
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn broken(place: String, error: &serde_json::Error) -> ImportError {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    ImportError::malformed(place, format!("not valid JSON: {message}"))
}

/// A value without duplicate keys.
struct UniqueKeys(Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(UniqueKeys(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` appears twice here")));
            }
            let UniqueKeys(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(documents: &[Document]) -> Vec<String> {
        documents.iter().map(|document| document.place.to_string()).collect()
    }

    #[test]
    fn lines_may_be_blank_and_end_in_crlf() {
        let documents = lines("f", "\r\n{\"a\":1}\r\n\r\n{\"a\":2}\r\n").unwrap();
        assert_eq!(places(&documents), ["f:2", "f:4"]);
    }

    #[test]
    fn many_lines_keep_their_order() {
        let text: String = (1..=1_000).map(|n| format!("{{\"a\":{n}}}\n")).collect();
        let documents = lines("f", &text).unwrap();
        let values = documents.iter().map(|document| document.value["a"].as_u64());
        assert!(values.eq((1..=1_000).map(Some)));
        assert_eq!(places(&documents)[999], "f:1000");
        let broken = text.replace("0}", "0");
        let Err(ImportError::Several(errors)) = lines("f", &broken) else { panic!("no errors") };
        assert_eq!(errors.len(), 100);
        assert!(errors[0].to_string().starts_with("f:10:"), "{}", errors[0]);
        assert!(errors[99].to_string().starts_with("f:1000:"), "{}", errors[99]);
    }

    #[test]
    fn values_may_follow_one_another_in_any_layout() {
        let documents = whole("f", "{\n\"a\":1}\n\n{\"a\":\n2} {\"a\":3}\n").unwrap();
        assert_eq!(places(&documents), ["f:1", "f:4", "f:5"]);
        assert_eq!(lines("f", "{\n\"a\":1}").unwrap().len(), 1);
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = |text: &str| whole("f", text).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error("{\"a\": 1,\n}"), "f:2:1: not valid JSON: trailing comma");
        assert_eq!(
            error("{\"a\": 1, \"a\": 2}"),
            "f:1:12: not valid JSON: the key `a` appears twice here"
        );
        let error = lines("f", "{}\n\n{\"a\"").map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "f:3:4: not valid JSON: EOF while parsing an object");
    }

    #[test]
    fn values_arrive_as_written() {
        let text = r#"{"z":[1,-2,3.5,true,null,"\n"],"a":{"b":18446744073709551615}}"#;
        assert_eq!(whole("f", text).unwrap()[0].value.to_string(), text);
    }
}
