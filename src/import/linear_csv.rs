//! Exports of issues from Linear as CSV.
//!
//! Statuses have names of the team's choice, so the dates under `Completed`, `Canceled` and `Archived` come first.

use super::backlog_item::BacklogItem;
use super::csv_files::{list, rank, warn_of_surplus};
use super::csv_kind::CsvKind;
use super::csv_table::{CsvRow, CsvTable};
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::issue_text::acceptance_criteria;
use super::jira_csv::tracker;
use super::linked_items::{LinkedItem, add_linked, without_repeats};
use super::standing::{self, SourceStatus};

/// The format: recognized by the columns of an export.
pub(crate) struct LinearCsv;

impl Format for LinearCsv {
    fn name(&self) -> &'static str {
        "linear-csv"
    }

    fn description(&self) -> Description {
        Description {
            files: "Linear.csv",
            content: "the columns `ID`, `Title`, `Status`, `Priority` and `Team`",
            words: &["ID", "Title", "Status", "Team"],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        CsvKind::Linear.recognize(input)
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let table = CsvTable::of(input)?;
        let mut items = Vec::new();
        for row in &table.rows {
            warn_of_surplus(&table, row, draft);
            match item(&table, row) {
                Some(item) => items.push(item),
                None => {
                    let place = table.place(row);
                    draft.warn(format!("{place}: an issue without an id; not imported"));
                }
            }
        }
        if items.is_empty() {
            draft.begin_run(None);
        }
        let items = without_repeats(items, str::to_lowercase, draft);
        add_linked(items, None, str::to_lowercase, "groups", draft);
        Ok(())
    }
}

fn item(table: &CsvTable, row: &CsvRow) -> Option<LinkedItem> {
    let text = |name: &str| row.first(&table.columns(name));
    let lists =
        |name: &str| -> Vec<String> { row.all(&table.columns(name)).flat_map(list).collect() };
    let id = text("ID");
    if id.is_empty() {
        return None;
    }
    let title = text("Title");
    let mut item = BacklogItem::new(id, if title.is_empty() { id } else { title });
    text("Description").clone_into(&mut item.body);
    item.status = status(&text);
    text("Priority").clone_into(&mut item.priority);
    item.rank = rank(&item.priority);
    item.labels = lists("Labels");
    item.depends_on = lists("Blocked by");
    item.acceptance_criteria = acceptance_criteria(&item.body);
    text("URL").clone_into(&mut item.url);
    let mut mark = tracker("linear", id, text("Creator"));
    if !item.url.is_empty() {
        mark["url"] = item.url.clone().into();
    }
    item.extra.insert("tracker".to_owned(), mark);
    Some(LinkedItem {
        aliases: vec![text("UUID").to_owned()].into_iter().filter(|id| !id.is_empty()).collect(),
        parent: text("Parent issue").to_owned(),
        blocks: [lists("Blocks"), lists("Blocking")].concat(),
        ..LinkedItem::new(table.place(row), item)
    })
}

fn status<'a>(text: &impl Fn(&str) -> &'a str) -> SourceStatus {
    let has = |name: &str| !text(name).is_empty();
    let dropped = |word: &str| SourceStatus::Dropped(word.to_owned());
    match text("Status") {
        _ if has("Canceled") => dropped("canceled"),
        _ if has("Duplicate of") => dropped("duplicate"),
        _ if has("Completed") => SourceStatus::Done,
        "" if has("Archived") => dropped("archived"),
        "" => SourceStatus::Open,
        word => match standing::of_word(word) {
            SourceStatus::Open | SourceStatus::Unknown(_) if has("Archived") => dropped("archived"),
            status => status,
        },
    }
}
