//! Splits the text of a plan into documents, including plans inside a Markdown fence or with JSON comments.
//!
//! A text is first read in its own syntax. If that fails and another reading yields a plan, the other reading is used,
//! with a warning.

use serde_json::Value;

use super::error::ImportError;
use super::json_text;
use super::plan_document::{Document, PHASES};
use super::plan_syntax::Syntax;

/// Documents of a text, with warnings about the reading.
pub(super) struct Source {
    pub(super) documents: Vec<Document>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn read(name: &str, syntax: Syntax, text: &str) -> Result<Source, ImportError> {
    let blocks = fenced(text);
    let read = syntax.documents(name, text);
    match read {
        // YAML reads Markdown as a text.
        Ok(documents)
            if blocks.is_empty() || documents.iter().any(|document| !is_text(&document.value)) =>
        {
            Ok(Source { documents, warnings: Vec::new() })
        }
        read => match from_fence(name, text, &blocks) {
            Some(found) => found,
            None => without_comments(name, syntax, text).map_or_else(
                || read.map(|documents| Source { documents, warnings: Vec::new() }),
                Ok,
            ),
        },
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Null)
}

fn without_comments(name: &str, syntax: Syntax, text: &str) -> Option<Source> {
    if syntax == Syntax::Yaml {
        return None;
    }
    let (clean, line) = json_text::without_comments(text)?;
    let documents = Syntax::Json.documents(name, &clean).ok()?;
    let warning = format!(
        "{name}:{line}: JSON does not allow comments or trailing commas; read without them"
    );
    Some(Source { documents, warnings: vec![warning] })
}

/// A fenced block; fences start at the beginning of a line.
struct Block {
    /// Line of the opening fence.
    line: usize,
    syntax: Option<Syntax>,
    /// The whole text with everything outside the block blanked, to keep line numbers.
    text: String,
}

/// Returns the blocks whose info string allows a plan.
fn fenced(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(&str, Block)> = None;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let bare = line.trim_end();
        let fence = ["```", "~~~"].into_iter().find(|fence| bare.starts_with(fence));
        match (&mut open, fence) {
            (None, Some(fence)) => {
                let word = bare.trim_start_matches(['`', '~']).trim().to_ascii_lowercase();
                open = Some((
                    fence,
                    Block { line: number, syntax: syntax_of(&word), text: "\n".repeat(number) },
                ));
            }
            (Some((begun, _)), Some(fence))
                if *begun == fence && bare.trim_matches(['`', '~']).is_empty() =>
            {
                blocks.extend(open.take().map(|(_, block)| block));
            }
            (Some((_, block)), _) => block.text.push_str(line),
            (None, None) => {}
        }
    }
    // A truncated text may lack the closing fence.
    blocks.extend(open.map(|(_, block)| block));
    blocks.retain(|block| block.syntax.is_some());
    blocks
}

fn syntax_of(word: &str) -> Option<Syntax> {
    let first = word.split([' ', '{', ',']).next().unwrap_or_default();
    match first {
        "json" | "jsonc" | "json5" => Some(Syntax::Json),
        "jsonl" | "ndjson" => Some(Syntax::Lines),
        "yaml" | "yml" => Some(Syntax::Yaml),
        // The content decides.
        "" => Some(Syntax::Json),
        _ => None,
    }
}

/// Returns the only block with a plan; `None` if no block is a plan.
fn from_fence(name: &str, text: &str, blocks: &[Block]) -> Option<Result<Source, ImportError>> {
    let read = |block: &Block| {
        let syntax = match block.syntax? {
            Syntax::Json if !block.text.trim_start().starts_with(['{', '[', '/']) => {
                Syntax::by_content(&block.text)
            }
            Syntax::Json => Syntax::by_content(&block.text).json_or(Syntax::Json),
            syntax => syntax,
        };
        let read = syntax
            .documents(name, &block.text)
            .map(|documents| Source { documents, warnings: Vec::new() });
        let source = read.ok().or_else(|| without_comments(name, syntax, &block.text))?;
        source
            .documents
            .iter()
            .any(|document| is_plan(&document.value))
            .then_some((block.line, source))
    };
    let mut plans: Vec<(usize, Source)> = blocks.iter().filter_map(read).collect();
    if plans.len() > 1 {
        let lines: Vec<String> = plans.iter().map(|(line, _)| line.to_string()).collect();
        let message = format!(
            "is Markdown with several possible plans, at lines {}; save the intended plan as a separate file",
            lines.join(", ")
        );
        return Some(Err(ImportError::malformed(name, message)));
    }
    let (line, mut source) = plans.pop()?;
    let around = text.lines().count() > source.documents.len() + 2;
    let left = if around { ", not the text around it" } else { "" };
    source.warnings.insert(
        0,
        format!("{name}:{line}: the plan is inside a Markdown fence; only the fence is read{left}"),
    );
    Some(Ok(source))
}

/// Whether the text has a fence that may hold a plan.
pub(super) fn has_fence(text: &str) -> bool {
    !fenced(text).is_empty()
}

/// Whether a fence in the text has a list of phases.
pub(super) fn has_plan(text: &str) -> bool {
    let has_phases = |block: &Block| {
        let syntax = match block.syntax {
            Some(Syntax::Json) | None => Syntax::by_content(&block.text),
            Some(syntax) => syntax,
        };
        let documents = syntax.documents("", &block.text).unwrap_or_default();
        documents.iter().any(|document| match &document.value {
            Value::Object(object) => object.contains_key(PHASES),
            value => is_plan(value),
        })
    };
    fenced(text).iter().any(has_phases)
}

/// Checks whether a value looks like a plan, not like an example inside a text.
fn is_plan(value: &Value) -> bool {
    let is_phase = |value: &Value| {
        ["phase_id", "id", "name", "title"].iter().any(|key| value.get(key).is_some())
    };
    match value {
        Value::Array(items) => items.iter().any(is_phase),
        Value::Object(object) => object.contains_key(PHASES) || is_phase(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str, text: &str) -> Result<(Vec<Value>, Vec<String>), String> {
        let extension = std::path::Path::new(name).extension().and_then(|e| e.to_str());
        let syntax = Syntax::of(extension, text);
        let source = read(name, syntax, text).map_err(|error| error.to_string())?;
        Ok((source.documents.into_iter().map(|document| document.value).collect(), source.warnings))
    }

    #[test]
    fn a_fenced_plan_is_read_with_a_note() {
        for (name, text) in [
            ("p.json", "```json\n[{\"id\": \"a\"}]\n```\n"),
            (
                "p.md",
                "Here is the plan:\n\n```json\n[{\"id\": \"a\"}]\n```\nGood luck: it is long.\n",
            ),
            ("-", "```\n[\n {\"id\": \"a\"}, // first\n]\n```"),
            ("p.yaml", "```yaml\n- id: a\n```\n"),
            ("plan.txt", "~~~yml\n- id: a\n~~~\n"),
            ("p.md", "# Plan\n```sh\nls\n```\n```jsonl\n{\"id\": \"a\"}\n```\n"),
            ("p.md", "```json\n[{\"id\": \"a\"}]"),
        ] {
            let (values, warnings) =
                values(name, text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let first = values[0].get(0).unwrap_or(&values[0]);
            assert_eq!(first["id"], "a", "{text}");
            assert!(warnings[0].contains("the plan is inside a Markdown fence"), "{warnings:?}");
        }
        let two = "```json\n[{\"id\": \"a\"}]\n```\n\n```json\n[{\"id\": \"b\"}]\n```\n";
        assert!(values("p.md", two).unwrap_err().contains("at lines 1, 5; save the intended plan"));
        // A fence within a description is no plan.
        let (all, warnings) = values(
            "p.yaml",
            "- id: a\n  description: |\n    ```json\n    [{\"id\": \"b\"}]\n    ```\n",
        )
        .unwrap();
        assert_eq!((all[0][0]["id"].as_str(), warnings.len()), (Some("a"), 0));
    }

    #[test]
    fn json_with_comments_is_read_with_a_note() {
        let text = "[\n  // the first\n  {\"id\": \"a\", \"url\": \"http://x\"},\n]";
        for name in ["p.json", "p.jsonl", "-"] {
            let (values, warnings) =
                values(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(values[0][0]["url"], "http://x");
            assert!(
                warnings[0].starts_with(&format!("{name}:2: JSON does not allow comments")),
                "{warnings:?}"
            );
        }
        assert!(
            values("p.json", "[{\"id\": \"a\" // b\n, c}]")
                .unwrap_err()
                .starts_with("p.json:1:13: not valid JSON")
        );
    }
}
