//! Exports of issues from Jira as CSV. Columns such as `Labels` repeat.
//!
//! The category of the status decides, and the resolution tells done from given up. Epics with children are groups.

use serde_json::{Value, json};

use super::backlog_item::BacklogItem;
use super::csv_files::{list, rank, warn_of_surplus};
use super::csv_kind::CsvKind;
use super::csv_table::{CsvRow, CsvTable};
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::issue_text::criteria_lines;
use super::linked_items::{LinkedItem, add_linked, without_repeats};
use super::source_place::SourcePosition;
use super::standing::{self, SourceStatus};

const PARENTS: [&str; 5] =
    ["Parent key", "Parent", "Parent id", "Epic Link", "Custom field (Epic Link)"];
const CRITERIA: [&str; 2] = ["Acceptance Criteria", "Custom field (Acceptance Criteria)"];
const LABELS: [&str; 4] = ["Labels", "Component/s", "Components", "Component"];

/// The format: recognized by the columns `Issue key` and `Summary`.
pub(crate) struct JiraCsv;

impl Format for JiraCsv {
    fn name(&self) -> &'static str {
        "jira-csv"
    }

    fn description(&self) -> Description {
        Description {
            files: "Jira.csv",
            content: "the columns `Issue key` and `Summary`",
            words: &["Issue key", "Summary"],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        CsvKind::Jira.recognize(input)
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let table = CsvTable::of(input)?;
        let columns = JiraColumns::of(&table);
        let mut items = Vec::new();
        for row in &table.rows {
            warn_of_surplus(&table, row, draft);
            let place = table.place(row);
            match columns.item(row, place.clone()) {
                Some(item) => items.push(item),
                None => draft.warn(format!("{place}: an issue without a key; not imported")),
            }
        }
        if items.is_empty() {
            draft.begin_run(None);
        }
        let items = without_repeats(items, str::to_lowercase, draft);
        add_linked(items, None, str::to_lowercase, "epics", draft);
        Ok(())
    }
}

/// The columns that are read.
struct JiraColumns {
    key: Vec<usize>,
    id: Vec<usize>,
    summary: Vec<usize>,
    description: Vec<usize>,
    kind: Vec<usize>,
    status: Vec<usize>,
    category: Vec<usize>,
    resolution: Vec<usize>,
    priority: Vec<usize>,
    labels: Vec<usize>,
    blocked_by: Vec<usize>,
    blocks: Vec<usize>,
    parent: Vec<usize>,
    criteria: Vec<usize>,
    reporter: Vec<usize>,
}

impl JiraColumns {
    fn of(table: &CsvTable) -> Self {
        Self {
            key: table.columns("Issue key"),
            id: table.columns("Issue id"),
            summary: table.columns("Summary"),
            description: table.columns("Description"),
            kind: table.columns("Issue Type"),
            status: table.columns("Status"),
            category: table.columns("Status Category"),
            resolution: table.columns("Resolution"),
            priority: table.columns("Priority"),
            labels: table.columns_of(&LABELS),
            blocked_by: table.columns("Inward issue link (Blocks)"),
            blocks: table.columns("Outward issue link (Blocks)"),
            parent: table.columns_of(&PARENTS),
            criteria: table.columns_of(&CRITERIA),
            reporter: table.columns_of(&["Reporter", "Creator"]),
        }
    }

    fn item(&self, row: &CsvRow, place: SourcePosition) -> Option<LinkedItem> {
        let key = row.first(&self.key);
        if key.is_empty() {
            return None;
        }
        let summary = row.first(&self.summary);
        let mut item = BacklogItem::new(key, if summary.is_empty() { key } else { summary });
        row.first(&self.description).clone_into(&mut item.body);
        item.status = self.status_of(row);
        row.first(&self.priority).clone_into(&mut item.priority);
        item.rank = rank(&item.priority);
        item.labels = row.all(&self.labels).map(str::to_owned).collect();
        item.depends_on = row.all(&self.blocked_by).flat_map(list).collect();
        item.acceptance_criteria = row.all(&self.criteria).flat_map(criteria_lines).collect();
        item.extra.insert("tracker".to_owned(), tracker("jira", key, row.first(&self.reporter)));
        Some(LinkedItem {
            aliases: row.all(&self.id).map(str::to_owned).collect(),
            parent: row.first(&self.parent).to_owned(),
            blocks: row.all(&self.blocks).flat_map(list).collect(),
            is_group: row.first(&self.kind).eq_ignore_ascii_case("epic"),
            ..LinkedItem::new(place, item)
        })
    }

    /// The status: a resolution tells more than the column of a board.
    fn status_of(&self, row: &CsvRow) -> SourceStatus {
        let (status, resolution) = (row.first(&self.status), row.first(&self.resolution));
        let resolved = standing::of_word(resolution);
        let own = match row.first(&self.category).to_lowercase().as_str() {
            "done" | "complete" => SourceStatus::Done,
            "" if status.is_empty() => SourceStatus::Open,
            "" => standing::of_word(status),
            _ => SourceStatus::Open,
        };
        match resolved {
            dropped @ SourceStatus::Dropped(_) => dropped,
            SourceStatus::Done => done_or_dropped(status),
            _ if own == SourceStatus::Done => done_or_dropped(status),
            _ => own,
        }
    }
}

/// A finished issue is given up if its status says so, such as `Cancelled`.
fn done_or_dropped(status: &str) -> SourceStatus {
    match standing::of_word(status) {
        dropped @ SourceStatus::Dropped(_) => dropped,
        _ => SourceStatus::Done,
    }
}

/// Marks the text of a phase as an issue of a tracker.
pub(super) fn tracker(name: &str, issue: &str, author: &str) -> Value {
    let mut tracker = json!({"name": name, "issue": issue});
    if !author.is_empty() {
        tracker["author"] = json!(author);
    }
    tracker
}
