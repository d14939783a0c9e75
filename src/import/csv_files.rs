//! CSV of any program: a row for each item, columns chosen by `--map` or guessed by their names.

use serde_json::{Map, Value};

use super::backlog_item::BacklogItem;
use super::csv_columns::CsvColumns;
use super::csv_kind::CsvKind;
use super::csv_table::{CsvRow, CsvTable};
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::issue_text::criteria_lines;
use super::item_fields::rank_of_word;
use super::linked_items::{LinkedItem, add_linked};
use super::markdown::item_text::{self, text_id};
use super::standing::{self, SourceStatus, plain_key};

/// Names of columns that say yes or no, in plain form.
const FLAGS: [&str; 7] =
    ["done", "completed", "complete", "finished", "closed", "passes", "isdone"];

/// The format: recognized by the name of the file.
pub(crate) struct CsvFile;

impl Format for CsvFile {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn description(&self) -> Description {
        Description {
            files: "tasks.csv, tasks.tsv",
            content: "the name, or --map",
            words: &["title,", "status,"],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        CsvKind::Other.recognize(input)
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let table = CsvTable::of(input)?;
        let columns = CsvColumns::choose(&table, draft.columns())?;
        if draft.columns().is_empty() {
            draft.warn(columns.text(&table));
        }
        let mut items = Vec::new();
        for row in &table.rows {
            items.extend(item(&table, row, &columns, draft));
        }
        if items.is_empty() {
            draft.begin_run(None);
        }
        add_linked(items, None, str::to_lowercase, "groups", draft);
        Ok(())
    }
}

/// Warns of cells without a column; returns whether the row has any.
pub(super) fn warn_of_surplus(table: &CsvTable, row: &CsvRow, draft: &mut PlanDraftBuilder) {
    let surplus = (table.header.len()..row.len()).any(|at| !row.cell(at).is_empty());
    if surplus {
        let (cells, columns) = (row.len(), table.header.len());
        let place = table.place(row);
        draft.warn(format!("{place}: {cells} cells for {columns} columns; the last are not read"));
    }
}

fn item(
    table: &CsvTable,
    row: &CsvRow,
    columns: &CsvColumns,
    draft: &mut PlanDraftBuilder,
) -> Option<LinkedItem> {
    warn_of_surplus(table, row, draft);
    let place = table.place(row);
    let text = |field: &str| row.first(columns.of(field));
    let title = text("title").split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() {
        draft.warn(format!("{place}: a row without a title; not imported"));
        return None;
    }
    let id = match text("id").trim_start_matches('#').trim() {
        "" => text_id(&title),
        id => id.to_owned(),
    };
    let mut item = BacklogItem::new(id, item_text::title(&title));
    text("body").clone_into(&mut item.body);
    if item.title != title && !item.body.contains(&title) {
        item.body = format!("{title}\n\n{}", item.body).trim().to_owned();
    }
    item.status = columns.of("status").first().map_or(SourceStatus::Open, |at| {
        status(table.header.get(*at).map_or("", String::as_str), text("status"))
    });
    text("priority").clone_into(&mut item.priority);
    item.rank = rank(&item.priority);
    item.labels = row.all(columns.of("labels")).flat_map(list).collect();
    item.depends_on = row.all(columns.of("depends_on")).flat_map(list).collect();
    item.acceptance_criteria = row.all(columns.of("criteria")).flat_map(criteria_lines).collect();
    item.deliverables = row.all(columns.of("deliverables")).flat_map(list).collect();
    text("url").clone_into(&mut item.url);
    let parent = text("parent").trim_start_matches('#').trim().to_owned();
    Some(LinkedItem { parent, ..LinkedItem::new(place, item) })
}

/// The status of a cell; columns such as `Done` say yes or no.
fn status(column: &str, cell: &str) -> SourceStatus {
    if FLAGS.contains(&plain_key(column).as_str()) {
        return standing::of(&Map::from_iter([("done".to_owned(), Value::from(cell))]));
    }
    if cell.is_empty() { SourceStatus::Open } else { standing::of_word(cell) }
}

/// The rank of a priority: a number, 1 first, or a word.
pub(super) fn rank(priority: &str) -> i64 {
    priority.parse().unwrap_or_else(|_| rank_of_word(priority))
}

/// The entries of a cell with a list: `a, b; c`.
pub(super) fn list(cell: &str) -> Vec<String> {
    let entries =
        cell.split([',', ';', '|', '\n']).map(|entry| entry.trim().trim_start_matches('#').trim());
    entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_columns_hold_words_or_yes_and_no() {
        assert_eq!(status("State", "Done"), SourceStatus::Done);
        assert_eq!(status("Done", "yes"), SourceStatus::Done);
        assert_eq!(status("Is done", "no"), SourceStatus::Open);
        assert_eq!(status("Completed", "2026-01-02"), SourceStatus::Done);
        assert_eq!(status("Status", ""), SourceStatus::Open);
        assert_eq!(status("Status", "Parked"), SourceStatus::Unknown("Parked".to_owned()));
    }

    #[test]
    fn priorities_are_numbers_or_words() {
        assert_eq!((rank("1"), rank("High"), rank(""), rank("10")), (1, 1, 2, 10));
        assert_eq!(list("#1, 2;3|,"), ["1", "2", "3"]);
    }
}
