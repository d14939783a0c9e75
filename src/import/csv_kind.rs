//! Tells apart CSV files by their columns.

use super::csv_table;
use super::format::{Input, Recognition};

/// Columns of every export from Jira.
const JIRA: [&str; 2] = ["issue key", "summary"];
/// Columns of every export from Linear, and columns of which there is at least one.
const LINEAR: [&str; 4] = ["id", "title", "status", "priority"];
const LINEAR_ONLY: [&str; 7] =
    ["team", "cycle number", "cycle name", "parent issue", "blocked by", "triaged", "project id"];

/// A kind of CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CsvKind {
    Jira,
    Linear,
    Other,
}

impl CsvKind {
    /// Whether the input is of this kind.
    pub fn recognize(self, input: &Input) -> Recognition {
        if of(input) == Some(self) { Recognition::Certain } else { Recognition::No }
    }
}

fn of(input: &Input) -> Option<CsvKind> {
    let is_named = match input.extension() {
        Some("csv" | "tsv") => true,
        None | Some("txt") => false,
        Some(_) => return None,
    };
    let header: Vec<String> =
        csv_table::header(input.text().ok()?).iter().map(|name| name.to_lowercase()).collect();
    let has = |name: &&str| header.iter().any(|column| column == name);
    if JIRA.iter().all(has) {
        Some(CsvKind::Jira)
    } else if LINEAR.iter().all(has) && LINEAR_ONLY.iter().filter(|name| has(name)).count() >= 2 {
        Some(CsvKind::Linear)
    } else {
        is_named.then_some(CsvKind::Other)
    }
}
