//! Taskmaster: `.taskmaster/tasks/tasks.json`, a list of tasks for each tag. Older files have a single list.
//!
//! A tag is a run, and a subtask is a phase `12.3` for which its task waits. A task that was settled settles its
//! subtasks too, as `task-master set-status` does.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::phase::RunId;

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::input::ItemPlaces;
use super::item_fields::{ItemFields, rank_of_word, scalar, with_sections};
use super::source_place::SourcePosition;
use super::standing::{self, SourceStatus};

const TASKS: &str = "tasks";
const SUBTASKS: &str = "subtasks";
/// The tag of projects that use no tags.
const MAIN_TAG: &str = "master";

/// The format: recognized by lists `tasks` of objects with an id, a title and a status.
pub(crate) struct Taskmaster;

impl Format for Taskmaster {
    fn name(&self) -> &'static str {
        "taskmaster"
    }

    fn description(&self) -> Description {
        Description {
            files: ".taskmaster/tasks/tasks.json",
            content: "`tasks` with `id`, `title`, `status`; often under tags",
            words: &["\"tasks\"", "\"title\"", "\"status\""],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        match input.json().and_then(lists).is_some_and(|lists| has_tasks(&lists)) {
            true => Recognition::Certain,
            false => Recognition::No,
        }
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let lists = input.json().and_then(lists).ok_or_else(|| {
            ImportError::malformed(
                input.name(),
                "has no list `tasks`, neither directly nor under a tag",
            )
        })?;
        let mut places = input.item_places(&[TASKS, SUBTASKS]);
        let count = lists.len();
        for (tag, tasks) in lists {
            let is_main = tag == MAIN_TAG || count == 1;
            let run = match draft.parts().given_run() {
                None if tag == MAIN_TAG => draft.run_of(None),
                _ => draft.parts().run_of(tag, is_main),
            };
            let mut reader = TagReader { ids: ids_of(tasks), run, draft, places: &mut places };
            if tasks.is_empty() {
                reader.draft.run_mut(&reader.run);
            }
            for task in tasks {
                reader.task(task, None);
            }
        }
        Ok(())
    }
}

/// Returns the lists of tasks with their tags; `None` without lists `tasks`.
fn lists(value: &Value) -> Option<Vec<(&str, &[Value])>> {
    let object = value.as_object().filter(|object| !object.contains_key("phases"))?;
    if let Some(tasks) = list(value) {
        return Some(vec![(MAIN_TAG, tasks)]);
    }
    let tags = object.iter();
    let tagged: Vec<(&str, &[Value])> =
        tags.filter_map(|(tag, content)| Some((tag.as_str(), list(content)?))).collect();
    (!tagged.is_empty()).then_some(tagged)
}

fn list(content: &Value) -> Option<&[Value]> {
    content.get(TASKS)?.as_array().map(Vec::as_slice)
}

/// Whether the lists have tasks of Taskmaster, or are the empty lists of tags in a new project.
fn has_tasks(lists: &[(&str, &[Value])]) -> bool {
    let is_new = lists.iter().all(|(tag, tasks)| tasks.is_empty() && *tag == MAIN_TAG);
    is_new || lists.iter().any(|(_, tasks)| tasks.first().is_some_and(is_task))
}

fn is_task(value: &Value) -> bool {
    let is_scalar = |key: &str| value.get(key).and_then(scalar).is_some();
    let is_typical =
        ["status", SUBTASKS, "testStrategy"].iter().any(|key| value.get(key).is_some());
    is_scalar("id") && is_scalar("title") && is_typical && value.get("phase_id").is_none()
}

/// Returns the ids of all tasks and subtasks: `12`, `12.3`.
fn ids_of(tasks: &[Value]) -> HashSet<String> {
    fn add(task: &Value, parent: Option<&str>, ids: &mut HashSet<String>) {
        let Ok(fields) = ItemFields::of(task) else { return };
        let id = full_id(fields, parent);
        fields.values(SUBTASKS).iter().for_each(|subtask| add(subtask, Some(&id), ids));
        ids.insert(id);
    }
    let mut ids = HashSet::new();
    tasks.iter().for_each(|task| add(task, None, &mut ids));
    ids
}

fn full_id(fields: ItemFields<'_>, parent: Option<&str>) -> String {
    let own = fields.text("id");
    match parent {
        // Some files write the whole id.
        Some(parent) if !own.starts_with(&format!("{parent}.")) => format!("{parent}.{own}"),
        _ => own,
    }
}

/// A task around subtasks.
struct Parent<'a> {
    id: &'a str,
    status: &'a SourceStatus,
    priority: &'a str,
    /// The dependencies of the task outside of its subtasks, which hold for the subtasks too.
    depends_on: &'a [String],
}

struct TagReader<'a, 'b> {
    ids: HashSet<String>,
    run: RunId,
    draft: &'a mut PlanDraftBuilder,
    places: &'b mut ItemPlaces,
}

impl TagReader<'_, '_> {
    /// Adds a task and its subtasks, and returns the ids of the task and of all subtasks.
    fn task(&mut self, value: &Value, parent: Option<&Parent<'_>>) -> Vec<String> {
        let place = self.places.next();
        let fields = match ItemFields::of(value) {
            Ok(fields) if fields.has("id") => fields,
            Ok(_) => {
                self.draft.fail(ImportError::malformed(&place, "expected a task with an `id`"));
                return Vec::new();
            }
            Err(why) => {
                self.draft.fail(ImportError::malformed(&place, why));
                return Vec::new();
            }
        };
        let id = full_id(fields, parent.map(|parent| parent.id));
        let status = self.status(fields, &id, parent, &place);
        let priority = match fields.text("priority") {
            own if own.is_empty() => parent.map_or("", |parent| parent.priority).to_owned(),
            own => own,
        };
        let subtasks = fields.values(SUBTASKS);
        let folds = self.draft.folds_subtasks();
        let mut depends_on = self.dependencies(fields, parent);
        if folds {
            depends_on.extend(self.folded_dependencies(subtasks, &id));
            depends_on = depends_on.iter().map(|id| task_of(id).to_owned()).collect();
        }
        let within = format!("{id}.");
        // Subtasks folded into the task are no dependencies. A task that waits for itself is a cycle, which is reported.
        if folds {
            depends_on.retain(|other| *other != id);
        }
        let is_outside = |other: &&String| **other != id && !other.starts_with(&within);
        let outside: Vec<String> = depends_on.iter().filter(is_outside).cloned().collect();
        let around = Parent { id: &id, status: &status, priority: &priority, depends_on: &outside };
        let mut children = Vec::new();
        for subtask in subtasks {
            match folds {
                true => drop(self.places.next()),
                false => children.extend(self.task(subtask, Some(&around))),
            }
        }
        let title = match fields.line("title") {
            title if title.is_empty() => id.clone(),
            title => title,
        };
        let mut item = BacklogItem::new(&id, title);
        item.body = with_sections(
            &fields.text("description"),
            &[
                ("Details", fields.text("details")),
                ("Test strategy", fields.text("testStrategy")),
                ("Subtasks", if folds { folded_text(subtasks, &id) } else { String::new() }),
            ],
        );
        if !children.is_empty() {
            // The subtasks may have done all of the work.
            item.extra.insert("allow_no_change".to_owned(), json!(true));
        }
        item.rank = rank_of_word(&priority);
        item.labels = fields.texts("labels");
        item.acceptance_criteria = fields.texts("acceptanceCriteria");
        depends_on.extend(children.iter().cloned());
        item.depends_on = without_duplicates(depends_on);
        item.priority = priority;
        item.status = status;
        keep_metadata(fields, &mut item.extra);
        let run = self.run.clone();
        self.draft.item_of_run(place, item, Some(run));
        children.push(id);
        children
    }

    /// Returns the status of a task. Subtasks of a settled task are settled with it.
    fn status(
        &mut self,
        fields: ItemFields<'_>,
        id: &str,
        parent: Option<&Parent<'_>>,
        place: &SourcePosition,
    ) -> SourceStatus {
        let own = status_of(fields);
        let Some(Parent { id: parent, status, .. }) = parent else { return own };
        match (&own, status) {
            (SourceStatus::Open | SourceStatus::Unknown(_), SourceStatus::Done) => {
                let written = fields.text("status");
                self.draft.warn(format!(
                    "{place}: subtask `{id}` is {written:?}, but its task `{parent}` is done; imported as done"
                ));
                SourceStatus::Done
            }
            (SourceStatus::Open | SourceStatus::Unknown(_), SourceStatus::Dropped(word)) => {
                SourceStatus::Dropped(word.clone())
            }
            _ => own,
        }
    }

    /// Returns the dependencies of a task; a subtask has those of its task too.
    fn dependencies(&self, fields: ItemFields<'_>, parent: Option<&Parent<'_>>) -> Vec<String> {
        let Some(parent) = parent else {
            return fields.values("dependencies").iter().filter_map(scalar).collect();
        };
        let own = fields.values("dependencies").iter().filter_map(scalar);
        let own = own.map(|id| self.sibling_or_task(id, parent.id));
        own.chain(parent.depends_on.iter().cloned()).collect()
    }

    /// Resolves an id in a subtask: `2` is a sibling if there is one, else a task.
    fn sibling_or_task(&self, id: String, parent: &str) -> String {
        let sibling = format!("{parent}.{id}");
        match self.ids.contains(&sibling) || !self.ids.contains(&id) && !id.contains('.') {
            true => sibling,
            false => id,
        }
    }

    /// Returns the dependencies of folded subtasks.
    fn folded_dependencies(&self, subtasks: &[Value], parent: &str) -> Vec<String> {
        let mut all = Vec::new();
        for subtask in subtasks {
            let Ok(fields) = ItemFields::of(subtask) else { continue };
            let own = fields.values("dependencies").iter().filter_map(scalar);
            all.extend(own.map(|id| self.sibling_or_task(id, parent)));
            let id = full_id(fields, Some(parent));
            all.extend(self.folded_dependencies(fields.values(SUBTASKS), &id));
        }
        all
    }
}

/// The task of a subtask: `12` for `12.3`.
fn task_of(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}

fn status_of(fields: ItemFields<'_>) -> SourceStatus {
    let word = fields.text("status");
    let own = match word.to_lowercase().replace('_', "-").as_str() {
        "done" | "completed" => SourceStatus::Done,
        "cancelled" | "canceled" | "deferred" => SourceStatus::Dropped(word.to_owned()),
        "" | "pending" | "in-progress" | "review" | "blocked" | "todo" => SourceStatus::Open,
        _ => SourceStatus::Unknown(word.clone()),
    };
    standing::completed(own, fields.0)
}

/// Writes folded subtasks as a checklist.
fn folded_text(subtasks: &[Value], parent: &str) -> String {
    let mut text = String::new();
    for subtask in subtasks {
        let Ok(fields) = ItemFields::of(subtask) else { continue };
        let id = full_id(fields, Some(parent));
        let mark = match status_of(fields) {
            SourceStatus::Done => "x",
            SourceStatus::Dropped(_) => "-",
            SourceStatus::Open | SourceStatus::Unknown(_) => " ",
        };
        text += &format!("- [{mark}] {id} {}\n", fields.line("title"));
        for key in ["description", "details", "testStrategy"] {
            for line in fields.text(key).lines() {
                text += &format!("  {line}\n");
            }
        }
        text += &folded_text(fields.values(SUBTASKS), &id);
    }
    text
}

fn keep_metadata(fields: ItemFields<'_>, extra: &mut Map<String, Value>) {
    if let Some(metadata) = fields.object("metadata").filter(|metadata| !metadata.0.is_empty()) {
        extra.insert("task_metadata".to_owned(), Value::Object(metadata.0.clone()));
    }
}

fn without_duplicates(ids: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
}
