//! Backlog.md (MrLesk/Backlog.md): a Markdown file with front matter for each task, in `backlog/tasks/`.
//!
//! Files in `completed/` are done. Drafts and the archive are left out. A parent waits for its subtasks.

use serde_json::{Map, Value, json};

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, DirectoryLayout, Format, Input, Recognition};
use super::item_fields::{ItemFields, rank_of_word, with_sections};
use super::linked_items::{LinkedItem, add_linked};
use super::markdown::{MarkdownText, box_outline, front_matter};
use super::markdown_kind::MarkdownKind;
use super::source_text::{SourceText, is_markdown};
use super::standing::{self, SourceStatus};
use super::yaml;

/// Directories of tasks that are left out, and the words under which they are counted.
const LEFT_OUT: [(&str, &str); 3] =
    [("drafts/", "drafts"), ("archive/tasks/", "archived"), ("archive/drafts/", "archived")];
const COMPLETED: &str = "completed/";
/// Sections with criteria.
const CRITERIA: [&str; 2] = ["acceptance criteria", "definition of done"];
/// Sections about finished work.
const UNUSED: [&str; 2] = ["final summary", "comments"];
/// Word for groups, which Backlog.md does not have.
const GROUP: &str = "groups";
/// Range of `ordinal` within a priority.
const ORDINALS: i64 = 1_000_000_000;

/// The format: recognized by front matter with `id`, `title` and `status`.
pub(crate) struct BacklogMd;

impl Format for BacklogMd {
    fn name(&self) -> &'static str {
        "backlog-md"
    }

    fn description(&self) -> Description {
        Description {
            files: "backlog/, backlog/tasks/*.md",
            content: "front matter with `id`, `title` and `status`",
            words: &["---\n", "id:", "title:", "status:"],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        MarkdownKind::BacklogMd.recognize(input)
    }

    fn directory(&self) -> Option<DirectoryLayout> {
        Some(DirectoryLayout { usual: "backlog", files: "tasks/*.md" })
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let Some(directory) = input.directory() else {
            let task = task(&SourceText::of_input(input)?, false, draft);
            add_linked(task.into_iter().collect(), None, plain_id, GROUP, draft);
            return Ok(());
        };
        let run = (input.stem().as_str() == "tasks")
            .then(|| directory.files().first().and_then(|file| parent_name(file.on_disk())))
            .flatten();
        let has_tasks = directory.files().iter().any(|file| file.path().starts_with("tasks/"));
        let mut tasks = Vec::new();
        for file in directory.files().iter().filter(|file| is_markdown(file.path())) {
            let path = file.path();
            let is_completed = path.starts_with(COMPLETED);
            if let Some((_, word)) = LEFT_OUT.iter().find(|(start, _)| path.starts_with(start)) {
                let id = front_matter::read(file.name(), file.text()?)
                    .map(|front| phase_id(ItemFields(&front.fields)));
                draft.leave_out(run.as_deref(), &id.unwrap_or_default(), word);
            } else if is_completed
                || path.starts_with("tasks/")
                || !has_tasks && !path.contains('/')
            {
                tasks.extend(task(&SourceText::of_file(file)?, is_completed, draft));
            }
        }
        let config = directory.file("config.yml").and_then(|file| file.text().ok());
        apply_last_status(&mut tasks, config.unwrap_or_default());
        add_linked(tasks, run.as_deref(), plain_id, GROUP, draft);
        Ok(())
    }
}

/// Name of the directory above the file's directory.
fn parent_name(file: &std::path::Path) -> Option<String> {
    let whole = file.canonicalize().ok()?;
    Some(whole.parent()?.parent()?.file_name()?.to_string_lossy().into_owned())
}

/// Reads a task; warns of files without an id.
fn task(
    source: &SourceText<'_>,
    is_completed: bool,
    draft: &mut PlanDraftBuilder,
) -> Option<LinkedItem> {
    let name = source.name;
    let Some(front) = front_matter::read(name, source.text) else {
        draft.warn(format!("{name}: no front matter; not imported"));
        return None;
    };
    if let Some(error) = front.error {
        draft.warn(format!("{error}; read line by line"));
    }
    let fields = ItemFields(&front.fields);
    let id = phase_id(fields);
    if id.is_empty() {
        draft.warn(format!("{name}: no `id` in the front matter; not imported"));
        return None;
    }
    let title = fields.line("title");
    let mut item = BacklogItem::new(&id, if title.is_empty() { id.clone() } else { title });
    item.status = match fields.text("status") {
        _ if is_completed => SourceStatus::Done,
        status if status.is_empty() => SourceStatus::Open,
        status => standing::of_word(&status),
    };
    item.priority = fields.text("priority");
    let ordinal = fields.text("ordinal").parse::<f64>();
    #[expect(clippy::cast_possible_truncation, reason = "ordinals beyond the range are equal")]
    let ordinal = ordinal.map_or(ORDINALS, |ordinal| ordinal.clamp(0.0, 1e9) as i64);
    item.rank = rank_of_word(&item.priority) * (ORDINALS + 1) + ordinal;
    item.labels = fields.texts("labels");
    item.depends_on = fields.texts("dependencies");
    item.extra = extra(fields);
    let markdown = MarkdownText::of(source.text);
    source.warn_of_near_boxes(&markdown, draft);
    (item.body, item.acceptance_criteria) = sections(&markdown);
    Some(LinkedItem {
        parent: fields.text("parent_task_id"),
        children: fields.texts("subtasks"),
        ..LinkedItem::new(source.at_line(1), item)
    })
}

/// The id in lower case: newer versions write `TASK-1` for `task-1`.
fn phase_id(fields: ItemFields<'_>) -> String {
    fields.text("id").to_lowercase()
}

fn extra(fields: ItemFields<'_>) -> Map<String, Value> {
    let mut extra = Map::new();
    for key in ["milestone", "references", "documentation"] {
        if let Some(value) = fields.0.get(key).filter(|value| !is_blank(value)) {
            extra.insert(key.to_owned(), value.clone());
        }
    }
    let files = fields.texts("modified_files");
    if !files.is_empty() {
        extra.insert("scope".to_owned(), json!({"paths": files}));
    }
    extra
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Returns the text of a task and its criteria.
fn sections(markdown: &MarkdownText<'_>) -> (String, Vec<String>) {
    let (mut criteria, mut parts) = (Vec::new(), vec![(String::new(), String::new())]);
    for section in markdown.sections_of_level(2) {
        let title = section.title.to_lowercase();
        let is = |titles: &[&str]| titles.iter().any(|known| title.starts_with(known));
        if is(&CRITERIA) {
            let items = section.lines.iter().filter_map(|line| line.item());
            let boxes = items.filter(|item| item.state.is_some());
            criteria.extend(boxes.filter_map(box_outline::criterion).map(|text| unnumbered(&text)));
        } else if !is(&UNUSED) {
            parts.push((section.title.to_owned(), section.text()));
        }
    }
    // The description needs no heading.
    let is_lead = |(title, _): &(String, String)| {
        title.is_empty() || title.eq_ignore_ascii_case("description")
    };
    let lead: Vec<String> =
        parts.extract_if(.., |part| is_lead(part)).map(|(_, text)| text).collect();
    let lead = lead.join("\n\n");
    let parts: Vec<(&str, String)> =
        parts.iter().map(|(title, text)| (title.as_str(), text.clone())).collect();
    (with_sections(&lead, &parts), criteria)
}

/// Removes the number of a criterion: `#1 text`.
fn unnumbered(criterion: &str) -> String {
    let rest = criterion.strip_prefix('#').and_then(|rest| rest.split_once(' '));
    let is_number = |(number, _): &(&str, &str)| number.bytes().all(|byte| byte.is_ascii_digit());
    rest.filter(is_number).map_or(criterion, |(_, text)| text).trim().to_owned()
}

/// The last status of the project's configuration means done, in any language.
fn apply_last_status(tasks: &mut [LinkedItem], config: &str) {
    let config = yaml::documents("", config).ok().and_then(|mut documents| documents.pop());
    let Some(Value::Object(config)) = config.map(|document| document.value) else { return };
    let Some(last) = ItemFields(&config).texts("statuses").pop() else { return };
    for task in tasks {
        if task.item.status == SourceStatus::Unknown(last.clone()) {
            task.item.status = SourceStatus::Done;
        }
    }
}

/// An id as compared: without case, and numbers without leading zeros.
fn plain_id(id: &str) -> String {
    let mut plain = String::new();
    for c in id.trim().chars().flat_map(char::to_lowercase) {
        let is_leading = !plain.ends_with(|c: char| c.is_ascii_digit());
        // A zero after a digit counts; a lone zero does not matter in ids.
        if c != '0' || !is_leading {
            plain.push(c);
        }
    }
    plain
}
