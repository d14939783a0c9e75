//! beads: `.beads/issues.jsonl`, an issue on each line, or the list printed by `bd list --json`.
//!
//! An open epic with children is a group, not a phase: issues waiting for the epic wait for the children, and the
//! children wait for every blocker of the epic, as `bd ready` decides. Other parents are phases and wait for their
//! children.

use serde_json::{Value, json};

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, DirectoryLayout, Format, Input, Recognition};
use super::input_directory::{InputDirectory, InputFile};
use super::issue_text::criteria_lines;
use super::issue_tree::{Issue, IssueTree};
use super::item_fields::{ItemFields, scalar, with_sections};
use super::source_place::SourcePosition;
use super::standing::{self, SourceStatus};

/// Issue types of records, not work.
const RECORDS: [&str; 11] = [
    "message",
    "event",
    "gate",
    "slot",
    "agent",
    "role",
    "rig",
    "convoy",
    "queue",
    "merge-request",
    "molecule",
];

/// Keys of phases, missing in issues.
const PHASE_KEYS: [&str; 5] = ["phase_id", "deliverables", "depends_on", "dependsOn", "scope"];

/// The format: recognized by lines with an `id`, a `title`, a `status`, and a further field of issues.
pub(crate) struct Beads;

impl Format for Beads {
    fn name(&self) -> &'static str {
        "beads"
    }

    fn description(&self) -> Description {
        Description {
            files: ".beads/, .beads/issues.jsonl, `bd list --json`",
            content: "lines or a list with `id`, `title`, `status` and `issue_type`",
            words: &["\"id\"", "\"status\"", "\"issue_type\""],
        }
    }

    fn directory(&self) -> Option<DirectoryLayout> {
        Some(DirectoryLayout { usual: ".beads", files: "issues.jsonl or beads.jsonl" })
    }

    fn recognize(&self, input: &Input) -> Recognition {
        let text = match input.directory() {
            Some(directory) => issue_file(directory).and_then(|file| file.text().ok()),
            None => input.text().ok(),
        };
        let list = input.json().and_then(Value::as_array);
        if list.and_then(|list| list.first()).is_some_and(is_issue) {
            return Recognition::Certain;
        }
        let first = text.and_then(|text| text.lines().find(|line| !line.trim().is_empty()));
        let is_new = input.directory().is_some() && text.is_some() && first.is_none();
        let first = first.filter(|line| line.starts_with('{'));
        let first = first.and_then(|line| serde_json::from_str(line).ok());
        match is_new || first.is_some_and(|value: Value| is_issue(&value)) {
            true => Recognition::Certain,
            false => Recognition::No,
        }
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let Some(directory) = input.directory() else {
            match input.json().and_then(Value::as_array) {
                Some(list) => {
                    let mut places = input.item_places(&[]);
                    let values = list.iter().map(|value| (places.next(), Ok(value.clone())));
                    read_issues(values, draft);
                }
                None => read_lines(input.text()?, |line| input.at_line(line), draft),
            }
            return Ok(());
        };
        let file = issue_file(directory).ok_or_else(|| {
            ImportError::malformed(input.name(), "has no issues.jsonl and no beads.jsonl")
        })?;
        read_lines(file.text()?, |line| file.at_line(line), draft);
        Ok(())
    }
}

/// The issues of a directory `.beads`; older versions name the file `beads.jsonl`.
fn issue_file(directory: &InputDirectory) -> Option<&InputFile> {
    directory.file("issues.jsonl").or_else(|| directory.file("beads.jsonl"))
}

fn is_issue(value: &Value) -> bool {
    let Ok(fields) = ItemFields::of(value) else { return false };
    let has = |keys: &[&str]| keys.iter().any(|key| fields.has(key));
    // Lines of a plan may have dates, too.
    let is_typical = has(&["issue_type"]) || has(&["created_at"]) && !has(&PHASE_KEYS);
    fields.has("id") && fields.has("title") && fields.has("status") && is_typical
}

fn read_lines(text: &str, at_line: impl Fn(usize) -> SourcePosition, draft: &mut PlanDraftBuilder) {
    let used = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    read_issues(used.map(|(number, line)| (at_line(number), parse_line(line))), draft);
}

fn read_issues(
    values: impl Iterator<Item = (SourcePosition, Result<Value, String>)>,
    draft: &mut PlanDraftBuilder,
) {
    let mut issues = Vec::new();
    for (place, value) in values {
        match value.and_then(|value| issue(place.clone(), value)) {
            Ok(issue) => match left_out(&issue) {
                Some(word) => draft.leave_out(None, &issue.id, &word),
                None => issues.push(issue),
            },
            Err(why) => draft.fail(ImportError::malformed(place, why)),
        }
    }
    if issues.is_empty() {
        draft.begin_run(None);
    }
    let tree = IssueTree::new(&issues);
    for issue in &issues {
        match tree.is_phase(issue) {
            false => draft.leave_out(None, &issue.id, "epics"),
            true => draft.item(issue.place.clone(), item(issue, &tree), None),
        }
    }
}

fn parse_line(line: &str) -> Result<Value, String> {
    serde_json::from_str(line).map_err(|error| {
        let text = error.to_string();
        let message = text.split_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        format!("not valid JSON at column {}: {message}", error.column())
    })
}

fn issue(place: SourcePosition, value: Value) -> Result<Issue, String> {
    let fields = ItemFields::of(&value)?;
    let id = fields.text("id");
    if id.is_empty() {
        return Err("expected an issue with an `id`".to_owned());
    }
    let (mut blockers, mut parent) = (Vec::new(), None);
    for dependency in fields.values("dependencies") {
        let Ok(dependency) = ItemFields::of(dependency) else {
            blockers.extend(scalar(dependency));
            continue;
        };
        // `bd show --json` prints the other issue itself.
        let other = dependency.first_text(&["depends_on_id", "id"]);
        match dependency.first_text(&["type", "dependency_type"]).as_str() {
            "blocks" | "waits-for" | "" => blockers.push(other),
            "parent-child" => parent = Some(other),
            _ => {}
        }
    }
    let own_parent = Some(fields.text("parent")).filter(|parent| !parent.is_empty());
    let parent = parent.or(own_parent);
    let status = standing::completed(status(&fields.text("status")), fields.0);
    let Value::Object(fields) = value else { unreachable!("checked by ItemFields::of") };
    Ok(Issue { place, id, status, blockers, parent, fields })
}

/// The word for counting an issue, if the issue is no phase.
fn left_out(issue: &Issue) -> Option<String> {
    let fields = ItemFields(&issue.fields);
    let kind = fields.text("issue_type").to_lowercase();
    match fields.text("status").to_lowercase().as_str() {
        "tombstone" => Some("deleted".to_owned()),
        _ => RECORDS.contains(&kind.as_str()).then_some(kind),
    }
}

fn status(word: &str) -> SourceStatus {
    match word.to_lowercase().as_str() {
        "closed" => SourceStatus::Done,
        // Pinned issues are notes that stay open.
        "deferred" | "pinned" => SourceStatus::Dropped(word.to_owned()),
        "" | "open" | "in_progress" | "blocked" | "hooked" => SourceStatus::Open,
        _ => SourceStatus::Unknown(word.to_owned()),
    }
}

fn item(issue: &Issue, tree: &IssueTree<'_>) -> BacklogItem {
    let fields = ItemFields(&issue.fields);
    let title = match fields.line("title") {
        title if title.is_empty() => issue.id.clone(),
        title => title,
    };
    let ancestors = tree.ancestors(issue);
    let mut item = BacklogItem::new(&issue.id, title);
    item.body = with_sections(
        &fields.text("description"),
        &[("Design", fields.text("design")), ("Notes", fields.text("notes"))],
    );
    item.status = match &issue.status {
        // Children of a deferred parent are not ready either.
        SourceStatus::Open => ancestors
            .iter()
            .find(|above| matches!(above.status, SourceStatus::Dropped(_)))
            .map_or(SourceStatus::Open, |above| above.status.clone()),
        own => own.clone(),
    };
    item.priority = fields.text("priority");
    item.rank = item.priority.parse().unwrap_or(2);
    item.labels = fields.texts("labels");
    item.acceptance_criteria = criteria_lines(&fields.text("acceptance_criteria"));
    item.depends_on = tree.dependencies(issue, &ancestors);
    item.url =
        Some(fields.text("external_ref")).filter(|url| url.contains("://")).unwrap_or_default();
    let kind = fields.text("issue_type");
    if !kind.is_empty() {
        item.extra.insert("issue_type".to_owned(), json!(kind));
    }
    if !tree.children(&issue.id).is_empty() {
        // The children may have done all of the work.
        item.extra.insert("allow_no_change".to_owned(), json!(true));
    }
    if let Some(epic) = ancestors.iter().find(|above| tree.is_group(above)) {
        let fields = ItemFields(&epic.fields);
        let epic = json!({"id": epic.id, "title": fields.line("title"), "description": fields.text("description")});
        item.extra.insert("epic".to_owned(), epic);
    }
    item
}
