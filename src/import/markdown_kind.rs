//! Tells apart the backlogs in Markdown, so that each is read by one format.

use std::sync::LazyLock;

use regex::Regex;

use super::format::{Input, Recognition};
use super::input_directory::InputDirectory;
use super::markdown::front_matter;
use super::markdown::item_text::without_strikes;
use super::markdown::{LineKind, MarkdownText};
use super::plan_source;
use super::plan_syntax::Syntax;
use super::source_text::is_markdown;

/// Files examined in a directory.
const EXAMINED: usize = 50;

/// File with the tasks of a specification or change.
pub(super) const TASKS_FILE: &str = "tasks.md";
/// File beside the tasks of a change.
pub(super) const PROPOSAL: &str = "proposal.md";

/// Beginning of a task of spec-kit: `T001`, `**T001**`, `**T001:**`, `~~T001~~`, `TXXX`.
pub(super) static SPEC_TASK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[*_~`]*(T(?:\d+(?:[.-]\d+)*[a-z]?|X+))[*_~`:.]*(?:\s+|$)")
        .expect("a valid pattern")
});
/// Beginning of a task of OpenSpec: `1.1`, `**1.1.2**`.
pub(super) static NUMBERED_TASK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\**(\d+(?:\.\d+)+)\**[:.)]?(?:\s+|$)").expect("a valid pattern")
});
/// Heading of a task of ralphex.
pub(super) static TASK_HEADING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(Task|Iteration)\s+([^:]+?)\s*:\s*(.*)$").expect("a valid pattern")
});
/// Heading of a numbered group: `1. Setup`.
static NUMBERED_HEADING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\d+[.)]\s").expect("a valid pattern"));

/// A kind of backlog in Markdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkdownKind {
    BacklogMd,
    SpecKit,
    OpenSpec,
    Ralphex,
    Checklist,
}

impl MarkdownKind {
    /// Whether the input is of this kind.
    pub fn recognize(self, input: &Input) -> Recognition {
        let kind = match input.directory() {
            Some(directory) => of_directory(directory),
            None => of_file(input),
        };
        if kind == Some(self) { Recognition::Certain } else { Recognition::No }
    }
}

fn of_file(input: &Input) -> Option<MarkdownKind> {
    let text = match input.extension() {
        None | Some("txt" | "md" | "markdown" | "mdx") => input.text().ok()?,
        Some(_) => return None,
    };
    let kind = of_text(text)?;
    let is_named = input.extension().is_some_and(|extension| extension != "txt");
    if is_plan(text, is_named) || kind == MarkdownKind::Checklist && plan_source::has_plan(text) {
        return None;
    }
    // A change whose tasks have no numbers.
    let has_proposal = || input.path().is_some_and(|path| path.with_file_name(PROPOSAL).is_file());
    match kind {
        MarkdownKind::Checklist if has_proposal() => Some(MarkdownKind::OpenSpec),
        kind => Some(kind),
    }
}

/// The kind of a text, if it is no plan.
pub(super) fn of_text(text: &str) -> Option<MarkdownKind> {
    if is_task_file(text) {
        return Some(MarkdownKind::BacklogMd);
    }
    let markdown = MarkdownText::of(text);
    if !markdown.has_box() {
        return None;
    }
    let headings = || {
        markdown.lines.iter().filter_map(|line| match line.kind {
            LineKind::Heading { level, text } => Some((level, text)),
            _ => None,
        })
    };
    if headings().any(|(level, text)| level == 3 && TASK_HEADING.is_match(text)) {
        return Some(MarkdownKind::Ralphex);
    }
    let items = markdown.lines.iter().filter_map(|line| line.item());
    let boxes: Vec<&str> =
        items.filter(|item| item.state.is_some()).map(|item| item.text).collect();
    let is_mostly = |pattern: &Regex| {
        2 * boxes.iter().filter(|text| pattern.is_match(without_strikes(text))).count()
            >= boxes.len()
    };
    if is_mostly(&SPEC_TASK) {
        Some(MarkdownKind::SpecKit)
    } else if is_mostly(&NUMBERED_TASK)
        && headings().any(|(level, text)| level == 2 && NUMBERED_HEADING.is_match(text))
    {
        Some(MarkdownKind::OpenSpec)
    } else {
        Some(MarkdownKind::Checklist)
    }
}

/// Whether the text is a file of Backlog.md: front matter with `id`, `title` and `status`.
pub(super) fn is_task_file(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let Some(range) = front_matter::lines(&lines) else { return false };
    let has = |key: &str| lines[range.clone()].iter().any(|line| line.starts_with(key));
    has("id:") && has("title:") && has("status:")
}

/// Whether the text after the front matter is YAML or JSON. `is_markdown`: the name says that the text is Markdown.
fn is_plan(text: &str, is_markdown: bool) -> bool {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let start = front_matter::lines(&lines).map_or(0, |range| range.end + 1);
    let body = lines[start..].concat();
    if body.trim().is_empty() {
        return !is_markdown;
    }
    let documents = Syntax::by_content(&body).documents("", &body);
    documents.is_ok_and(|all| {
        all.iter().any(|document| document.value.is_object() || document.value.is_array())
    })
}

fn of_directory(directory: &InputDirectory) -> Option<MarkdownKind> {
    let files = directory.files();
    let text_of = |path: &str| directory.file(path)?.text().ok();
    let depth = |path: &str| path.matches('/').count();
    let markdown = || files.iter().filter(|file| is_markdown(file.path()));
    let is_task = |path: &str| text_of(path).is_some_and(is_task_file);
    let of_backlog = |path: &&str| {
        depth(path) == 0 || ["tasks/", "completed/"].iter().any(|start| path.starts_with(start))
    };
    let mut tasks = markdown().map(|file| file.path()).filter(of_backlog).take(EXAMINED);
    if tasks.any(is_task) {
        return Some(MarkdownKind::BacklogMd);
    }
    let task_files = || markdown().filter(|file| file.file_name() == TASKS_FILE);
    let is_change = |path: &str| {
        path.starts_with("changes/")
            || depth(path) <= 1 && directory.file(&path.replace(TASKS_FILE, PROPOSAL)).is_some()
    };
    if task_files().any(|file| is_change(file.path())) {
        return Some(MarkdownKind::OpenSpec);
    }
    let has_kind =
        |path: &str, wanted| text_of(path).and_then(of_text).is_some_and(|kind| kind == wanted);
    let is_spec = |path: &str| depth(path) <= 1 && has_kind(path, MarkdownKind::SpecKit);
    if task_files().take(EXAMINED).any(|file| is_spec(file.path())) {
        return Some(MarkdownKind::SpecKit);
    }
    let is_plan = |path: &str| {
        (depth(path) == 0 || path.starts_with("completed/"))
            && has_kind(path, MarkdownKind::Ralphex)
    };
    markdown().take(EXAMINED).any(|file| is_plan(file.path())).then_some(MarkdownKind::Ralphex)
}
