//! The meaning of the columns of a CSV file: chosen by `--map`, or guessed by their names.

use std::collections::BTreeMap;
use std::str::FromStr;

use compact_str::CompactString;

use crate::config::suggestion::suggestion;

use super::csv_table::CsvTable;
use super::error::ImportError;
use super::source_place::SourcePosition;
use super::standing::plain_key;

/// Fields of an item, and usual names of their columns in plain form, see `plain_key`.
const FIELDS: [(&str, &[&str]); 11] = [
    (
        "title",
        &[
            "title", "summary", "name", "taskname", "task", "subject", "story", "issue", "item",
            "todo",
        ],
    ),
    ("body", &["description", "body", "details", "notes", "content", "text", "desc"]),
    (
        "id",
        &["id", "key", "issuekey", "issueid", "taskid", "number", "no", "#", "nr", "ref", "ticket"],
    ),
    ("status", &["status", "state", "done", "completed", "progress", "statuscategory", "column"]),
    ("priority", &["priority", "prio", "severity", "importance"]),
    ("labels", &["labels", "label", "tags", "tag", "components", "component", "category"]),
    (
        "depends_on",
        &["dependson", "dependencies", "blockedby", "predecessors", "waitsfor", "requires"],
    ),
    ("url", &["url", "link", "htmlurl", "weburl", "permalink"]),
    ("criteria", &["acceptancecriteria", "criteria", "definitionofdone"]),
    ("deliverables", &["deliverables", "files", "paths"]),
    ("parent", &["parent", "parentid", "parentkey", "parenttask", "parentissue", "epic"]),
];
/// Fields that take all of several columns.
const LISTS: [&str; 4] = ["labels", "depends_on", "criteria", "deliverables"];

/// A column chosen for a field: `title=Summary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChoice {
    field: &'static str,
    column: String,
}

impl FromStr for ColumnChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&'static str> = FIELDS.iter().map(|(field, _)| *field).collect();
        let Some((field, column)) = text.split_once('=') else {
            return Err(format!("expected FIELD=COLUMN; fields: {}", names.join(", ")));
        };
        let Some(field) = names.iter().find(|name| **name == field.trim()) else {
            return Err(format!("no field is called {field:?}; {}", suggestion(field, &names)));
        };
        match column.trim() {
            "" => Err(format!("no column is named for `{field}`; expected {field}=COLUMN")),
            column => Ok(Self { field, column: column.to_owned() }),
        }
    }
}

/// The columns of each field.
#[derive(Debug, Default)]
pub(super) struct CsvColumns(BTreeMap<&'static str, Vec<usize>>);

impl CsvColumns {
    /// The columns of a field; none if the file has no such column.
    pub fn of(&self, field: &str) -> &[usize] {
        self.0.get(field).map(Vec::as_slice).unwrap_or_default()
    }

    /// The chosen columns; without a choice, the columns with usual names.
    ///
    /// # Errors
    /// A chosen column does not exist, or no column is the title.
    pub fn choose(table: &CsvTable, choices: &[ColumnChoice]) -> Result<Self, ImportError> {
        let mut columns = Self::default();
        let place = SourcePosition::Line(table.name().into(), 1);
        let known: Vec<&str> = table.header.iter().map(String::as_str).collect();
        let mut errors = Vec::new();
        for ColumnChoice { field, column } in choices {
            match table.columns(column) {
                none if none.is_empty() => {
                    let why = format!(
                        "no column {column:?} for `{field}`; {}",
                        suggestion(column, &known)
                    );
                    errors.push(ImportError::malformed(&place, why));
                }
                found => columns.0.entry(field).or_default().extend(found),
            }
        }
        ImportError::all(errors)?;
        if choices.is_empty() {
            columns = Self::guess(table);
        }
        if columns.of("title").is_empty() {
            let known = known.join(", ");
            let why = format!(
                "no column is the title; columns: {known}; choose one with --map title=COLUMN"
            );
            return Err(ImportError::malformed(&place, why));
        }
        Ok(columns)
    }

    fn guess(table: &CsvTable) -> Self {
        let plain: Vec<_> = table.header.iter().map(|name| plain_key(name)).collect();
        let mut columns = BTreeMap::new();
        for (field, names) in FIELDS {
            let found = |name: &&str| -> Vec<usize> {
                let is_named = |(_, plain): &(usize, &CompactString)| plain == name;
                plain.iter().enumerate().filter(is_named).map(|(at, _)| at).collect()
            };
            let mut found = names.iter().map(found).filter(|at| !at.is_empty());
            let chosen: Vec<usize> = match LISTS.contains(&field) {
                true => found.flatten().collect(),
                false => found.next().unwrap_or_default(),
            };
            if !chosen.is_empty() {
                columns.insert(field, chosen);
            }
        }
        Self(columns)
    }

    /// Says which column became what, and which columns are not read.
    pub fn text(&self, table: &CsvTable) -> String {
        let name = |at: &usize| table.header.get(*at).map_or("", String::as_str);
        let read = FIELDS.iter().flat_map(|(field, _)| {
            self.of(field).iter().map(move |at| format!("{field}={}", name(at)))
        });
        let mut read: Vec<String> = read.collect();
        read.dedup();
        let is_read = |at: usize| self.0.values().any(|columns| columns.contains(&at));
        let mut unread: Vec<&str> =
            (0..table.header.len()).filter(|at| !is_read(*at)).map(|at| name(&at)).collect();
        unread.dedup();
        unread.retain(|name| !name.is_empty());
        let unread = match unread.is_empty() {
            true => String::new(),
            false => format!("; not read: {}", unread.join(", ")),
        };
        format!("{}: columns read as {}{unread}; --map changes this", table.name(), read.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::format::Input;

    fn table(text: &str) -> CsvTable {
        CsvTable::of(&Input::of_bytes(Path::new("a.csv"), text.as_bytes())).unwrap()
    }

    fn choices(all: &[&str]) -> Vec<ColumnChoice> {
        all.iter().map(|choice| choice.parse().unwrap()).collect()
    }

    #[test]
    fn usual_names_are_guessed_and_said() {
        let table = table("Key,Task Name,State,Tags,Labels,Owner\n1,a,open,x,y,me\n");
        let columns = CsvColumns::choose(&table, &[]).unwrap();
        assert_eq!(columns.of("labels"), [4, 3]);
        assert_eq!(
            columns.text(&table),
            "a.csv: columns read as title=Task Name, id=Key, status=State, labels=Labels, \
             labels=Tags; not read: Owner; --map changes this"
        );
    }

    #[test]
    fn choices_replace_guesses_and_are_checked() {
        let table = table("Summary,Was,Status\na,b,c\n");
        let columns = CsvColumns::choose(&table, &choices(&["title=was"])).unwrap();
        assert_eq!((columns.of("title"), columns.of("status")), (&[1_usize][..], &[][..]));
        let error =
            |all: &[&str]| CsvColumns::choose(&table, &choices(all)).unwrap_err().to_string();
        assert_eq!(
            error(&["title=Sumary"]),
            "a.csv:1: no column \"Sumary\" for `title`; did you mean \"Summary\"?"
        );
        assert!(
            error(&["body=Was"]).contains("no column is the title; columns: Summary, Was, Status")
        );
        let wrong = |text: &str| text.parse::<ColumnChoice>().unwrap_err();
        assert_eq!(wrong("titel=A"), "no field is called \"titel\"; did you mean \"title\"?");
        assert!(wrong("title").starts_with("expected FIELD=COLUMN; fields: title, body"));
        assert!(wrong("title= ").starts_with("no column is named for `title`"));
    }
}
