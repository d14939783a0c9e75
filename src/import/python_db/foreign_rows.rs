//! Rows of a foreign table, read without a fixed list of columns, because versions of the Python Autopack differ.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use sqlx::{Column, Row as _, SqliteConnection, TypeInfo, ValueRef, sqlite::SqliteRow};

use super::super::error::ImportError;
use super::super::source_place::SourcePosition;

#[derive(Clone, Copy)]
pub(super) enum Table {
    Runs,
    Tiers,
    Phases,
    Events,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Tiers => "tiers",
            Self::Phases => "phases",
            Self::Events => "token_estimation_v2_events",
        }
    }

    fn select(self) -> &'static str {
        match self {
            Self::Runs => "SELECT * FROM runs",
            Self::Tiers => "SELECT * FROM tiers",
            Self::Phases => "SELECT * FROM phases",
            Self::Events => "SELECT * FROM token_estimation_v2_events",
        }
    }
}

/// Returns every table with its columns.
pub(super) async fn tables(
    connection: &mut SqliteConnection,
) -> Result<HashMap<String, HashSet<String>>, String> {
    let sql = "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c \
               WHERE m.type = 'table'";
    let columns: Vec<(String, String)> =
        sqlx::query_as(sql).fetch_all(connection).await.map_err(|error| error.to_string())?;
    let mut tables: HashMap<String, HashSet<String>> = HashMap::new();
    for (table, column) in columns {
        tables.entry(table).or_default().insert(column);
    }
    Ok(tables)
}

pub(super) async fn all(
    connection: &mut SqliteConnection,
    table: Table,
    file: &Arc<str>,
) -> Result<Vec<Row>, String> {
    let rows = sqlx::query(table.select()).fetch_all(connection).await;
    let rows = rows.map_err(|error| format!("table {}: {error}", table.name()))?;
    let read = |(index, row): (usize, &SqliteRow)| Row::read(row, table, index + 1, file);
    rows.iter().enumerate().map(read).collect()
}

/// A row: the non-null columns in order.
pub(super) struct Row {
    pub(super) place: SourcePosition,
    pub(super) cells: Map<String, Value>,
}

impl Row {
    fn read(
        row: &SqliteRow,
        table: Table,
        position: usize,
        file: &Arc<str>,
    ) -> Result<Self, String> {
        let mut cells = Map::new();
        for column in row.columns() {
            let value = cell(row, column.ordinal()).map_err(|why| {
                format!("table {}, row {position}, column {}: {why}", table.name(), column.name())
            })?;
            if !value.is_null() {
                cells.insert(column.name().to_owned(), value);
            }
        }
        let key = cells.get("id").or_else(|| cells.get("event_id"));
        let row = key.map_or_else(|| position.to_string(), text_of);
        Ok(Self {
            place: SourcePosition::Row { file: file.clone(), table: table.name(), row },
            cells,
        })
    }

    /// Returns the text of a column; numbers as written.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        self.cells.get(column).map(text_of)
    }

    pub(super) fn integer(&self, column: &str) -> Option<i64> {
        match self.cells.get(column)? {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_i64(),
        }
    }

    /// Returns a count; a negative or invalid value counts as unknown.
    pub(super) fn count(&self, column: &str) -> Option<u64> {
        self.integer(column).and_then(|number| u64::try_from(number).ok())
    }

    pub(super) fn truth(&self, column: &str) -> bool {
        match self.cells.get(column) {
            Some(Value::String(text)) => matches!(text.as_str(), "1" | "true" | "True"),
            Some(value) => value.as_i64().is_some_and(|number| number != 0),
            None => false,
        }
    }

    /// Returns the text of a required column.
    pub(super) fn needed(&self, column: &str) -> Result<String, ImportError> {
        self.text(column).filter(|text| !text.trim().is_empty()).ok_or_else(|| {
            ImportError::malformed(&self.place, format!("`{column}` is empty; expected an id"))
        })
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Converts a value by stored type, not by declared column type: SQLite allows any type in any column.
fn cell(row: &SqliteRow, index: usize) -> Result<Value, String> {
    let failed = |error: sqlx::Error| error.to_string();
    let raw = row.try_get_raw(index).map_err(failed)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let type_info = raw.type_info().into_owned();
    Ok(match type_info.name() {
        "INTEGER" => row.try_get_unchecked::<i64, _>(index).map_err(failed)?.into(),
        "REAL" => row.try_get_unchecked::<f64, _>(index).map_err(failed)?.into(),
        _ => {
            let bytes: Vec<u8> = row.try_get_unchecked(index).map_err(failed)?;
            String::from_utf8_lossy(&bytes).into_owned().into()
        }
    })
}
