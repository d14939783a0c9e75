//! spec-kit (github/spec-kit): `specs/<feature>/tasks.md`, tasks `T001 [P] [US1] text` under `## Phase N`.
//!
//! Each specification is a run. A task without `[P]` waits for all tasks before in the phase; a task with `[P]` waits
//! for the last task without `[P]`. A phase waits for the phase before. Phases of user stories wait for the foundation
//! only, and the phase after them waits for all of them, as the template says. Finished tasks block nothing.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, DirectoryLayout, Format, Input, Recognition};
use super::markdown::box_outline::{BoxItem, criteria_inside, items};
use super::markdown::item_text::{UniqueIds, text_id, title, without_comments, without_strikes};
use super::markdown::{LineKind, MarkdownText};
use super::markdown_kind::{MarkdownKind, SPEC_TASK};
use super::spec_order::{TaskPlace, waits};
use super::standing::SourceStatus;
use super::task_directories::{TaskDirectory, context, put, task_directories};
use crate::phase::RunId;

/// Files beside the tasks, and their meanings.
const CONTEXT: [(&str, &str); 4] = [
    ("spec.md", "the specification"),
    ("plan.md", "the technical plan"),
    ("data-model.md", "the data model"),
    ("research.md", "decisions and their reasons"),
];
/// Sign of a task that may run beside its neighbors.
const PARALLEL: &str = "P";

static FLAGS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*((?:\[[^\]]{1,20}\]\s*)*)(.*)$").expect("a valid pattern"));
static STORY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^US\d+$").expect("a valid pattern"));
static WAITS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:depends on|after|requires|blocked by)\b([^).;]*)")
        .expect("a valid pattern")
});
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bT(\d+)\b(?:\s*[-–]\s*T(\d+)\b)?").expect("a valid pattern"));
static PRIORITY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)priority:?\s*(P\d)").expect("a valid pattern"));

/// The format: recognized by boxes with `T001`.
pub(crate) struct SpecKit;

impl Format for SpecKit {
    fn name(&self) -> &'static str {
        "spec-kit"
    }

    fn description(&self) -> Description {
        Description {
            files: "specs/, specs/001-feature/, tasks.md",
            content: "boxes with task numbers, `- [ ] T001 text`",
            words: &["- [ ] T0", "## Phase"],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        MarkdownKind::SpecKit.recognize(input)
    }

    fn directory(&self) -> Option<DirectoryLayout> {
        Some(DirectoryLayout { usual: "specs", files: "*/tasks.md with `T001`" })
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let directories = task_directories(input)?;
        let runs = draft.directory_runs(&directories);
        for (directory, run) in directories.iter().zip(&runs) {
            read_tasks(directory, run, draft);
        }
        Ok(())
    }
}

/// The parts of a task line.
struct TaskLine {
    id: String,
    is_numbered: bool,
    status: SourceStatus,
    is_parallel: bool,
    story: Option<String>,
    text: String,
    /// Dependencies named in the text.
    named: Vec<String>,
}

fn read_tasks(directory: &TaskDirectory<'_>, run: &RunId, draft: &mut PlanDraftBuilder) {
    let source = &directory.tasks;
    let markdown = MarkdownText::of(source.text);
    source.warn_of_near_boxes(&markdown, draft);
    let outline = items(&markdown);
    let is_numbered = |item: &BoxItem<'_>| SPEC_TASK.is_match(without_strikes(item.item.text));
    let is_task = |item: &BoxItem<'_>| item.parent.is_none() || is_numbered(item);
    let mut tasks = Vec::new();
    let mut ids = UniqueIds::default();
    for item in outline.iter().filter(|item| is_task(item)) {
        let place = source.at_line(item.line);
        let mut line = task_line(item);
        if line.text.is_empty() {
            draft.warn(format!("{place}: a task without a text; not imported"));
            continue;
        }
        let id = ids.next(&line.id);
        if !line.is_numbered {
            draft.warn(format!("{place}: a task without a number; its id is `{id}`"));
        } else if id != line.id {
            draft.warn(format!("{place}: {} is used twice; this task is `{id}`", line.id));
        }
        line.id = id;
        tasks.push((item, line));
    }
    let mut waits = waits_for(&tasks);
    let scope = context(source, &CONTEXT, draft);
    let mut goals: HashMap<&str, Option<Value>> = HashMap::new();
    for (item, line) in tasks {
        let phase = phase_heading(item);
        let mut task = BacklogItem::new(&line.id, title(&line.text));
        task.status = line.status;
        task.depends_on = waits.remove(&line.id).unwrap_or_default();
        task.depends_on.extend(line.named);
        task.body = [without_comments(&line.text), item.body_text()].join("\n\n").trim().to_owned();
        task.acceptance_criteria = criteria_inside(item, &outline, &is_numbered);
        task.labels = line.story.into_iter().collect();
        task.priority =
            PRIORITY.captures(phase).map(|found| found[1].to_uppercase()).unwrap_or_default();
        put(&mut task.extra, "section", Some(json!(phase)).filter(|_| !phase.is_empty()));
        let goal = goals.entry(phase).or_insert_with(|| goal(&markdown, phase));
        put(&mut task.extra, "section_goal", goal.clone());
        put(&mut task.extra, "scope", scope.clone());
        draft.item_of_run(source.at_line(item.line), task, Some(run.clone()));
    }
}

/// The dependencies of each open task, by id.
fn waits_for(tasks: &[(&BoxItem<'_>, TaskLine)]) -> HashMap<String, Vec<String>> {
    let named: HashSet<&String> = tasks.iter().flat_map(|(_, line)| &line.named).collect();
    let mut places = Vec::new();
    for (item, line) in tasks.iter().filter(|(_, line)| line.is_open()) {
        let phase = phase_heading(item);
        places.push(TaskPlace {
            id: &line.id,
            phase,
            is_story: line.story.is_some() || phase.to_lowercase().contains("user story"),
            is_parallel: line.is_parallel,
            is_named: named.contains(&line.id),
        });
    }
    let ids = places.iter().map(|place| place.id.to_owned());
    ids.zip(waits(&places)).collect()
}

impl TaskLine {
    fn is_open(&self) -> bool {
        matches!(self.status, SourceStatus::Open | SourceStatus::Unknown(_))
    }
}

fn task_line(item: &BoxItem<'_>) -> TaskLine {
    let whole = without_strikes(item.item.text);
    let found = SPEC_TASK.captures(whole);
    let rest = found.as_ref().map_or(whole, |found| &whole[found[0].len()..]);
    let flags = FLAGS.captures(rest);
    let (flags, text) = flags.as_ref().map_or(("", rest), |found| {
        (found.get(1).map_or("", |f| f.as_str()), found.get(2).map_or("", |t| t.as_str()))
    });
    let flags: Vec<&str> =
        flags.split(['[', ']']).map(str::trim).filter(|f| !f.is_empty()).collect();
    // The end of marks around number and flags: `**T001 [P]** text`.
    let ends = ["** ", "~~ "];
    let text = ends.iter().find_map(|end| text.strip_prefix(end)).unwrap_or(text);
    let is_struck = found.as_ref().is_some_and(|found| found[0].starts_with("~~"));
    let number = found.map(|found| found[1].to_owned()).filter(|id| !id.contains('X'));
    let is_numbered = number.is_some();
    let id = number.unwrap_or_else(|| text_id(text));
    TaskLine {
        status: match item.status() {
            SourceStatus::Open if is_struck => SourceStatus::Dropped("struck out".to_owned()),
            status => status,
        },
        named: named_tasks(text, &id),
        is_numbered,
        id,
        is_parallel: flags.contains(&PARALLEL),
        story: flags.iter().find(|flag| STORY.is_match(flag)).map(|flag| (*flag).to_owned()),
        text: text.trim().to_owned(),
    }
}

/// The heading of the phase: the last heading naming a phase, else the heading below the title.
fn phase_heading<'a>(item: &BoxItem<'a>) -> &'a str {
    let is_phase =
        |heading: &&&str| heading.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("phase"));
    let named = item.headings.iter().rfind(is_phase);
    named.or_else(|| item.headings.get(1)).or_else(|| item.headings.first()).copied().unwrap_or("")
}

/// The line with the purpose of the phase.
fn goal(markdown: &MarkdownText<'_>, phase: &str) -> Option<Value> {
    let is_phase =
        |kind: &LineKind<'_>| matches!(kind, LineKind::Heading { text, .. } if *text == phase);
    let mut lines = markdown.lines.iter().skip_while(|line| !is_phase(&line.kind)).skip(1);
    let is_goal = |text: &str| ["**Goal**", "**Purpose**"].iter().any(|key| text.starts_with(key));
    let line = lines
        .by_ref()
        .take_while(|line| !matches!(line.kind, LineKind::Heading { .. } | LineKind::Item(_)))
        .find(|line| is_goal(line.text))?;
    let (_, text) = line.text.split_once(':')?;
    Some(json!(text.trim()))
}

/// Tasks named as `(depends on T012, T013)` or `T005-T008`.
fn named_tasks(text: &str, own: &str) -> Vec<String> {
    let mut tasks = Vec::new();
    for waits in WAITS.captures_iter(text) {
        for named in NAMED.captures_iter(&waits[1]) {
            let (first, width) = (named[1].parse::<u32>(), named[1].len());
            let last = named.get(2).map_or(first.clone(), |last| last.as_str().parse());
            let (Ok(first), Ok(last)) = (first, last) else { continue };
            let range = first..=last.min(first.saturating_add(200));
            tasks.extend(range.map(|number| format!("T{number:0width$}")));
        }
    }
    tasks.retain(|task| task != own);
    tasks
}
