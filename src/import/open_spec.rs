//! OpenSpec (Fission-AI/OpenSpec): `openspec/changes/<change>/tasks.md`, tasks `1.1 text` under `## 1. Group`.
//!
//! Each change is a run. Its tasks are done in order, so each waits for the open task before it. Archived changes are done
//! and left out.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, DirectoryLayout, Format, Input, Recognition};
use super::markdown::MarkdownText;
use super::markdown::box_outline::{BoxItem, criteria_inside, items};
use super::markdown::item_text::{UniqueIds, text_id, title, without_comments, without_strikes};
use super::markdown_kind::{MarkdownKind, NUMBERED_TASK, PROPOSAL};
use super::task_directories::{TaskDirectory, context, put, task_directories};
use crate::phase::RunId;

/// Files beside the tasks, and what they are.
const CONTEXT: [(&str, &str); 2] =
    [(PROPOSAL, "the proposal of the change"), ("design.md", "the design of the change")];
const ARCHIVE: &str = "archive/";
/// Date before the name of an archived change.
static DATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\d{4}-\d{2}-\d{2}-").expect("a valid pattern"));

/// The format: recognized by numbered tasks in numbered groups, or by a `proposal.md` beside the tasks.
pub(crate) struct OpenSpec;

impl Format for OpenSpec {
    fn name(&self) -> &'static str {
        "openspec"
    }

    fn description(&self) -> Description {
        Description {
            files: "openspec/, openspec/changes/change/, tasks.md",
            content: "`- [ ] 1.1 text` under `## 1. Group`, or a proposal.md",
            words: &["- [ ] 1.1", "## 1."],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        MarkdownKind::OpenSpec.recognize(input)
    }

    fn directory(&self) -> Option<DirectoryLayout> {
        Some(DirectoryLayout { usual: "openspec", files: "changes/*/tasks.md" })
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let is_archived = |directory: &TaskDirectory<'_>| {
            directory.path.starts_with(ARCHIVE) || directory.path.contains("/archive/")
        };
        let (archived, open): (Vec<_>, Vec<_>) =
            task_directories(input)?.into_iter().partition(is_archived);
        let runs = draft.directory_runs(&open);
        for (directory, run) in open.iter().zip(&runs) {
            read_tasks(directory, run, draft);
        }
        let first = runs.first().cloned().unwrap_or_else(|| draft.run_of(None));
        for directory in &archived {
            draft.count_left_out(&first, "changes archived");
            if let Some(run) = draft.parts().stored_run(change_name(&directory.name)) {
                draft.put_away(&run, |draft| read_tasks(directory, &run, draft));
            }
        }
        Ok(())
    }
}

/// The name of a change before it was archived: `add-login` for `2026-01-05-add-login`.
fn change_name(archived: &str) -> &str {
    DATE.find(archived).map_or(archived, |date| &archived[date.end()..])
}

fn read_tasks(directory: &TaskDirectory<'_>, run: &RunId, draft: &mut PlanDraftBuilder) {
    let source = &directory.tasks;
    let markdown = MarkdownText::of(source.text);
    source.warn_of_near_boxes(&markdown, draft);
    let outline = items(&markdown);
    let scope = context(source, &CONTEXT, draft);
    let mut ids = UniqueIds::default();
    let mut before: Option<String> = None;
    for (at, item) in tasks(&outline).into_iter().map(|at| (at, &outline[at])) {
        let place = source.at_line(item.line);
        let (number, text) = numbered(item.item.text);
        if text.is_empty() {
            draft.warn(format!("{place}: a task without a text; not imported"));
            continue;
        }
        let wanted = number.map_or_else(|| text_id(text), str::to_owned);
        let id = ids.next(&wanted);
        if number.is_some() && id != wanted {
            draft.warn(format!("{place}: {wanted} is used twice; this task is `{id}`"));
        }
        let mut task = BacklogItem::new(&id, title(text));
        task.status = item.status();
        task.body = [without_comments(text), item.body_text()].join("\n\n").trim().to_owned();
        task.acceptance_criteria = criteria_inside(item, &outline, &is_task);
        if item.is_open() {
            task.depends_on = before.replace(id).into_iter().collect();
        }
        if outline[at].children.iter().any(|child| is_task(&outline[*child])) {
            task.extra.insert("allow_no_change".to_owned(), json!(true));
        }
        let section = item.headings.last().copied().unwrap_or_default();
        put(&mut task.extra, "section", Some(json!(section)).filter(|_| !section.is_empty()));
        put(&mut task.extra, "scope", scope.clone());
        draft.item_of_run(place, task, Some(run.clone()));
    }
}

/// Positions of the tasks in order: tasks inside others before them.
fn tasks(outline: &[BoxItem<'_>]) -> Vec<usize> {
    fn add(at: usize, outline: &[BoxItem<'_>], order: &mut Vec<usize>) {
        for child in &outline[at].children {
            add(*child, outline, order);
        }
        if is_task(&outline[at]) {
            order.push(at);
        }
    }
    let mut order = Vec::new();
    for at in (0..outline.len()).filter(|at| outline[*at].parent.is_none()) {
        add(at, outline, &mut order);
    }
    order
}

/// Boxes without a number inside a task are criteria.
fn is_task(item: &BoxItem<'_>) -> bool {
    item.parent.is_none() || numbered(item.item.text).0.is_some()
}

fn numbered(text: &str) -> (Option<&str>, &str) {
    let text = without_strikes(text);
    match NUMBERED_TASK.captures(text) {
        None => (None, text.trim()),
        Some(found) => {
            let number = found.get(1).map(|number| number.as_str());
            (number, text[found[0].len()..].trim())
        }
    }
}
