//! ralphex (umputun/ralphex): plans with `### Task N: title`, boxes as criteria, and `**Files:**`.
//!
//! Each plan is a run. Its tasks are done in order. A task is done if all its boxes are ticked, or if its plan is in
//! `completed/`. The `## Validation Commands` become the `test_cmd` of each task: a plan is the user's own file, as
//! trusted as a plan of autopack.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, DirectoryLayout, Format, Input, Recognition};
use super::markdown::item_text::{UniqueIds, title};
use super::markdown::task_sections::{TaskSection, sections};
use super::markdown::{LineKind, MarkdownText};
use super::markdown_kind::{self, MarkdownKind, TASK_HEADING};
use super::source_text::{SourceText, is_markdown};
use super::standing::SourceStatus;
use super::task_directories::put;
use crate::phase::RunId;
use crate::phase::ids::slug;

const COMPLETED: &str = "completed";
const COMMANDS: &str = "validation commands";

static FILE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^\**(create|modify|test|update|add|edit|new|delete|remove)\b[^:`]*:\**\s*(.+)$",
    )
    .expect("a valid pattern")
});

/// The format: recognized by headings such as `### Task 1: title`.
pub(crate) struct Ralphex;

impl Format for Ralphex {
    fn name(&self) -> &'static str {
        "ralphex"
    }

    fn description(&self) -> Description {
        Description {
            files: "docs/plans/, docs/plans/plan.md",
            content: "headings such as `### Task 1: title` with boxes below",
            words: &["### Task", "- [ ]"],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        MarkdownKind::Ralphex.recognize(input)
    }

    fn directory(&self) -> Option<DirectoryLayout> {
        Some(DirectoryLayout { usual: "docs/plans", files: "*.md with `### Task 1: title`" })
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let Some(directory) = input.directory() else {
            let source = SourceText::of_input(input)?;
            let is_completed = source.directory_name().is_some_and(|name| name == COMPLETED);
            let run = draft.run_of(None);
            read_plan(&source, &run, is_completed, draft);
            return Ok(());
        };
        let is_completed = input.stem().as_str() == COMPLETED;
        let (mut plans, mut completed) = (Vec::new(), Vec::new());
        for file in directory.files().iter().filter(|file| is_markdown(file.path())) {
            let source = SourceText::of_file(file)?;
            let is_plan = markdown_kind::of_text(source.text) == Some(MarkdownKind::Ralphex);
            match file.path().split_once('/') {
                Some((COMPLETED, _)) if is_plan => completed.push((stem(file.file_name()), source)),
                None if is_plan => plans.push((stem(file.file_name()), source)),
                None => {
                    draft.warn(format!("{}: no `### Task 1: title`; not imported", file.name()))
                }
                Some(_) => {}
            }
        }
        let is_only = plans.len() == 1;
        let runs: Vec<RunId> =
            plans.iter().map(|(name, _)| draft.parts().run_of(name, is_only)).collect();
        for ((_, source), run) in plans.iter().zip(&runs) {
            read_plan(source, run, is_completed, draft);
        }
        let first = runs.first().cloned().unwrap_or_else(|| draft.run_of(None));
        for (name, source) in &completed {
            draft.count_left_out(&first, "plans completed");
            if let Some(run) = draft.parts().stored_run(name) {
                draft.put_away(&run, |draft| read_plan(source, &run, true, draft));
            }
        }
        Ok(())
    }
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn read_plan(
    source: &SourceText<'_>,
    run: &RunId,
    is_completed: bool,
    draft: &mut PlanDraftBuilder,
) {
    let markdown = MarkdownText::of(source.text);
    source.warn_of_near_boxes(&markdown, draft);
    let commands = validation_commands(source, &markdown, draft);
    let own_name = source.on_disk.and_then(|path| path.file_name()).and_then(|name| name.to_str());
    let plan = own_name.and_then(|name| source.beside(name, draft));
    let scope = plan.map(
        |path| json!({"read_only_context": [{"path": path, "reason": "the plan of this task"}]}),
    );
    let mut ids = UniqueIds::default();
    let mut before: Option<String> = None;
    for section in sections(&markdown, task_heading) {
        let place = source.at_line(section.line);
        let id = ids.next(&section.id);
        if id != section.id {
            draft.warn(format!("{place}: {} is used twice; this task is `{id}`", section.id));
        }
        let mut task = BacklogItem::new(&id, title(&section.title));
        task.status = if is_completed { SourceStatus::Done } else { section.status() };
        if matches!(task.status, SourceStatus::Open | SourceStatus::Unknown(_)) {
            task.depends_on = before.replace(id).into_iter().collect();
        }
        task.acceptance_criteria = section.criteria();
        task.body = section.body();
        let files = files(&section);
        task.deliverables = files.kept;
        let mut scope = scope.clone();
        if !files.removed.is_empty() {
            let scope = scope.get_or_insert_with(|| json!({}));
            scope["paths"] = task.deliverables.iter().chain(&files.removed).cloned().collect();
        }
        put(&mut task.extra, "scope", scope);
        put(&mut task.extra, "test_cmd", commands.clone());
        draft.item_of_run(place, task, Some(run.clone()));
    }
}

/// `### Task 2.5: title` is `task-2-5`.
fn task_heading(level: usize, heading: &str) -> Option<(String, String)> {
    let found = TASK_HEADING.captures(heading).filter(|_| level == 3)?;
    let id = slug(&format!("{} {}", &found[1], &found[2]));
    let title = match found[3].trim() {
        "" => found[0].trim().trim_end_matches(':'),
        title => title,
    };
    Some((id, title.to_owned()))
}

/// Files of a task.
struct TaskFiles {
    /// To be there after the task.
    kept: Vec<String>,
    removed: Vec<String>,
}

/// The items below `**Files:**`: `- Modify: path`.
fn files(section: &TaskSection<'_, '_>) -> TaskFiles {
    let mut files = TaskFiles { kept: Vec::new(), removed: Vec::new() };
    let is_start = |text: &str| {
        text.trim().trim_matches('*').trim_end_matches(':').eq_ignore_ascii_case("files")
    };
    let mut lines = section.lines.iter().skip_while(|line| !is_start(line.text)).skip(1);
    let items = lines.by_ref().take_while(|line| {
        matches!(&line.kind, LineKind::Blank)
            || line.item().is_some_and(|item| item.state.is_none())
    });
    for item in items.filter_map(|line| line.item()) {
        match FILE.captures(item.text) {
            None => files.kept.push(path(item.text)),
            Some(found) => match found[1].to_lowercase().as_str() {
                "delete" | "remove" => files.removed.push(path(&found[2])),
                _ => files.kept.push(path(&found[2])),
            },
        }
    }
    files.kept.retain(|path| !path.is_empty());
    files
}

/// The path without backticks and line numbers; notes stay for the auto-fixer.
fn path(text: &str) -> String {
    let text = text.trim();
    let inner = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    inner.filter(|inner| !inner.contains('`')).unwrap_or(text).to_owned()
}

/// The commands below `## Validation Commands`: lines of code fences, and items that are nothing but code.
fn validation_commands(
    source: &SourceText<'_>,
    markdown: &MarkdownText<'_>,
    draft: &mut PlanDraftBuilder,
) -> Option<Value> {
    let all = markdown.sections_of_level(2);
    let section = all
        .iter()
        .find(|section| section.title.trim_end_matches(':').eq_ignore_ascii_case(COMMANDS))?;
    let mut commands = Vec::new();
    let is_heading = |kind: &LineKind<'_>| matches!(kind, LineKind::Heading { .. });
    for line in section.lines.iter().take_while(|line| !is_heading(&line.kind)) {
        match &line.kind {
            LineKind::Code => commands.extend(command_of_fence(line.text)),
            LineKind::Item(item) => {
                let text = item.text.trim();
                let inner = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
                match inner.filter(|inner| !inner.contains('`')) {
                    Some(command) => commands.push(command.trim().to_owned()),
                    None => draft.warn(format!(
                        "{}: not a command in backticks, left to the agent: {text}",
                        source.at_line(line.number)
                    )),
                }
            }
            _ => {}
        }
    }
    (!commands.is_empty()).then(|| json!(commands))
}

fn command_of_fence(line: &str) -> Option<String> {
    let bare = line.trim();
    let is_code = !bare.is_empty() && !bare.starts_with(['#', '`', '~']);
    is_code.then(|| bare.strip_prefix("$ ").unwrap_or(bare).to_owned())
}
