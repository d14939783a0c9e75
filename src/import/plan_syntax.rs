//! Syntax of a plan: YAML, JSON or JSON Lines.

use super::error::ImportError;
use super::plan_document::Document;
use super::{json, json_text, yaml};

/// Syntax of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Yaml,
    Json,
    /// One JSON value per line.
    Lines,
}

impl Syntax {
    /// The extension decides, then the content.
    pub(super) fn of(extension: Option<&str>, text: &str) -> Self {
        match extension {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            Some("jsonl" | "ndjson") => Self::Lines,
            _ => Self::by_content(text),
        }
    }

    /// Returns `self` for JSON formats, else `other`.
    pub(super) fn json_or(self, other: Self) -> Self {
        if self == Self::Yaml { other } else { self }
    }

    pub(super) fn by_content(text: &str) -> Self {
        let text = text.trim();
        if json_text::begins_with_comment(text) {
            return Self::Json;
        }
        if !text.starts_with(['{', '[']) {
            return Self::Yaml;
        }
        let first = text.lines().next().unwrap_or_default();
        if first.len() < text.len() && json::is_complete(first) {
            return Self::Lines;
        }
        // `{name: x}` is YAML's flow style; text in neither format is reported as JSON.
        let is_json = json::is_complete(text)
            || json_text::without_comments(text)
                .is_some_and(|(clean, _)| json::is_complete(&clean));
        match is_json || yaml::documents("", text).is_err() {
            true => Self::Json,
            false => Self::Yaml,
        }
    }

    /// Reads the values of a text.
    pub(super) fn documents(self, name: &str, text: &str) -> Result<Vec<Document>, ImportError> {
        match self {
            Self::Yaml => yaml::documents(name, text),
            Self::Json => json::whole(name, text),
            Self::Lines => json::lines(name, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax(extension: Option<&str>, text: &str) -> Syntax {
        Syntax::of(extension, text)
    }

    #[test]
    fn the_extension_decides_then_the_content() {
        assert_eq!(syntax(Some("yml"), "{}"), Syntax::Yaml);
        assert_eq!(syntax(Some("json"), "- a"), Syntax::Json);
        assert_eq!(syntax(Some("ndjson"), ""), Syntax::Lines);
        assert_eq!(syntax(None, "{\"id\": 1}\n{\"id\": 2}\n"), Syntax::Lines);
        assert_eq!(syntax(None, "{\n \"id\": 1}\n"), Syntax::Json);
        assert_eq!(syntax(None, "[{\"id\": 1}]\n"), Syntax::Json);
        assert_eq!(syntax(None, "{phases: [{id: a}]}"), Syntax::Yaml);
        assert_eq!(syntax(None, "{\"phases\": ["), Syntax::Json);
        assert_eq!(syntax(Some("txt"), "phases:\n- id: a\n"), Syntax::Yaml);
    }
}
