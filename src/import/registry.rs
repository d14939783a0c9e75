//! The formats, in the order of recognition, and the choice of the format of an input.

use serde::Serialize;

use crate::config::suggestion::suggestion;

use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::{
    backlog_md, beads, checklist, csv_files, github_issues, gitlab_issues, jira_csv, linear_csv,
    open_spec, plan_file, prd_stories, python_db, ralphex, spec_kit, taskmaster,
};

/// All formats. The first certain format reads an input; `plan` is last, because it is the format of last resort.
pub(super) static FORMATS: &[&dyn Format] = &[
    &python_db::PythonAutopack,
    &backlog_md::BacklogMd,
    &spec_kit::SpecKit,
    &open_spec::OpenSpec,
    &ralphex::Ralphex,
    &checklist::Checklist,
    &jira_csv::JiraCsv,
    &linear_csv::LinearCsv,
    &csv_files::CsvFile,
    &taskmaster::Taskmaster,
    &prd_stories::PrdStories,
    &beads::Beads,
    &github_issues::GitHubIssues,
    &gitlab_issues::GitLabIssues,
    &plan_file::PlanFile,
];

/// Formats named for an unrecognized input.
const NEAREST: usize = 3;
/// Missing words named for each of them.
const MISSING: usize = 2;

/// Endings of files with prose.
const TEXTS: [&str; 7] = ["md", "markdown", "txt", "text", "rst", "adoc", "org"];
/// Words of a sentence at least.
const SENTENCE: usize = 4;

/// A format as listed by `import --list-formats`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FormatEntry {
    /// Name, as given to `--from`.
    pub name: &'static str,
    /// Usual names of the files.
    pub files: &'static str,
    /// Content by which the format is recognized.
    pub recognized_by: &'static str,
}

/// Lists all formats in the order of recognition.
pub fn formats() -> Vec<FormatEntry> {
    let entry = |format: &&dyn Format| {
        let description = format.description();
        FormatEntry {
            name: format.name(),
            files: description.files,
            recognized_by: description.content,
        }
    };
    FORMATS.iter().map(entry).collect()
}

/// Returns the format called `name`, else the first certain format, else the first possible format.
///
/// # Errors
/// The name is unknown, or no format recognizes the input.
pub(super) fn format_of(
    formats: &[&'static dyn Format],
    name: Option<&str>,
    input: &Input,
) -> Result<&'static dyn Format, ImportError> {
    if let Some(name) = name {
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        return formats.iter().copied().find(|format| format.name() == name).ok_or_else(|| {
            let suggestion = suggestion(name, &names);
            ImportError::UnknownFormat { format: name.to_owned(), suggestion }
        });
    }
    let mut possible = None;
    for format in formats.iter().copied() {
        match format.recognize(input) {
            Recognition::Certain => return Ok(format),
            Recognition::Possible => possible = possible.or(Some(format)),
            Recognition::No => {}
        }
    }
    possible.ok_or_else(|| ImportError::Unrecognized {
        name: input.name().to_owned(),
        nearest: nearest(formats, input),
        is_prose: is_prose(input),
    })
}

/// Whether the input is a text in sentences: no data by its name or its first letter, and a line of several words.
fn is_prose(input: &Input) -> bool {
    let Ok(text) = input.text() else { return false };
    let is_data = text.trim_start().starts_with(['{', '[', '<', '"']);
    let is_word = |word: &&str| word.chars().filter(|c| c.is_alphabetic()).count() >= 2;
    let is_sentence = |line: &str| line.split_whitespace().filter(is_word).count() >= SENTENCE;
    let may_be_text = input.extension().is_none_or(|ending| TEXTS.contains(&ending));
    may_be_text && !is_data && text.lines().any(is_sentence)
}

/// Describes the nearest formats, each with the reason why the input does not have it.
fn nearest(formats: &[&'static dyn Format], input: &Input) -> Vec<String> {
    let text = input.text().unwrap_or_default();
    let is_json = text.trim_start().starts_with(['{', '[']);
    let extension = input.extension().map(|extension| format!(".{extension}"));
    // The format of last resort comes first among equals.
    let mut near: Vec<((bool, usize), String)> = Vec::new();
    for format in formats.iter().rev() {
        let Description { files, content, words } = format.description();
        let missing: Vec<&str> =
            words.iter().copied().filter(|word| !text.contains(word)).collect();
        let has_extension = extension.as_deref().is_some_and(|ending| files.contains(ending));
        let share = 100 * (words.len() - missing.len()) / words.len().max(1);
        let likeness = share + 10 * usize::from(has_extension);
        // Words of JSON formats are keys in quotes.
        let has_keys = words.iter().any(|word| word.starts_with('"'));
        let has_syntax = if is_json { has_keys || files.contains(".json") } else { !has_keys };
        let reason = match missing.as_slice() {
            [] => format!("expected {content}"),
            missing => {
                let named = missing.iter().take(MISSING).map(|word| format!("`{}`", bare(word)));
                format!("no {}", named.collect::<Vec<_>>().join(", no "))
            }
        };
        near.push(((has_syntax, likeness), format!("{} ({reason})", format.name())));
    }
    near.sort_by_key(|(likeness, _)| std::cmp::Reverse(*likeness));
    near.into_iter().take(NEAREST).map(|(_, text)| text).collect()
}

fn bare(word: &str) -> &str {
    word.trim().trim_matches('"')
}
