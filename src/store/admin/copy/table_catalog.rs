//! The tables of the schema as the database describes them.

use sqlx::AssertSqlSafe;

use crate::store::backend::{Connection, Value, query_as, query_scalar};
use crate::store::error::StoreError;

/// All tables, in an order in which rows refer to rows of their own table and of earlier ones.
pub(super) const TABLES: [&str; 24] = [
    "owners",
    "runs",
    "phases",
    "dependencies",
    "attempts",
    "samples",
    "calibrations",
    "base_results",
    "clean_tests",
    "settlements",
    "reverts",
    "reverted_attempts",
    "scope_proposals",
    "run_sources",
    "scope_requests",
    "source_parts",
    "queue_members",
    "publications",
    "issue_remarks",
    "key_limits",
    "artifact_uploads",
    "artifacts",
    "log_followers",
    "log_parts",
];

/// A table to be written.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub name: &'static str,
    pub columns: Vec<Column>,
    /// Indexes of the columns of the primary key, in its order.
    pub key: Vec<usize>,
    /// Column whose numbers are given by the database and never twice.
    pub identity: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    kind: Kind,
}

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Real,
    Text,
    Boolean,
    Bytes,
}

impl Table {
    pub async fn read(database: &mut Connection, name: &'static str) -> Result<Self, StoreError> {
        let is_sqlite = matches!(database, Connection::Sqlite(_));
        // Position within the primary key from 1; 0 outside of it.
        let rows: Vec<(String, String, i64, bool)> = query_as(match is_sqlite {
            true => {
                "SELECT c.name, c.type, c.pk, c.pk = 1 AND m.sql LIKE '%AUTOINCREMENT%'
                   FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.name = ? ORDER BY c.cid"
            }
            false => {
                "SELECT a.attname::text, format_type(a.atttypid, NULL),
                        COALESCE(array_position(i.indkey::smallint[], a.attnum) + 1, 0)::bigint,
                        a.attidentity <> ''
                   FROM pg_attribute a JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
                  WHERE a.attrelid = ('autopack.' || ?)::regclass AND a.attnum > 0 AND NOT a.attisdropped
                  ORDER BY a.attnum"
            }
        })
        .bind(name)
        .fetch_all(&mut *database)
        .await?;
        let mut key: Vec<(i64, usize)> = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.2 > 0)
            .map(|(index, row)| (row.2, index))
            .collect();
        key.sort_unstable();
        let identity = rows.iter().find(|row| row.3).map(|row| row.0.clone());
        let columns = rows.into_iter().map(|(column, kind, ..)| Column::new(name, column, &kind));
        Ok(Self {
            name,
            columns: columns.collect::<Result<_, _>>()?,
            key: key.into_iter().map(|(_, index)| index).collect(),
            identity,
        })
    }

    /// Returns the number of rows.
    pub async fn count(&self, database: &mut Connection) -> Result<u64, StoreError> {
        count(database, self.name).await
    }

    /// Selects rows in the order of the primary key; with `after`, those behind this key.
    pub fn select(&self, is_first: bool, limit: usize) -> AssertSqlSafe<String> {
        let columns = quoted(self.columns.iter());
        let key = quoted(self.key.iter().map(|index| &self.columns[*index]));
        let after = match is_first {
            true => String::new(),
            false => format!(" WHERE ({key}) > ({})", vec!["?"; self.key.len()].join(", ")),
        };
        let name = self.name;
        AssertSqlSafe(format!(
            "SELECT {columns} FROM \"{name}\"{after} ORDER BY {key} LIMIT {limit}"
        ))
    }

    /// Inserts a number of rows.
    pub fn insert(&self, rows: usize) -> AssertSqlSafe<String> {
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let (name, columns) = (self.name, quoted(self.columns.iter()));
        AssertSqlSafe(format!(
            "INSERT INTO \"{name}\" ({columns}) VALUES {}",
            vec![row; rows].join(", ")
        ))
    }
}

pub(super) async fn count(database: &mut Connection, table: &str) -> Result<u64, StoreError> {
    let rows: i64 = query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM \"{table}\"")))
        .fetch_one(database)
        .await?;
    Ok(rows.unsigned_abs())
}

impl Column {
    fn new(table: &str, name: String, kind: &str) -> Result<Self, StoreError> {
        let kind = match kind {
            "INTEGER" | "bigint" => Kind::Integer,
            "REAL" | "double precision" => Kind::Real,
            "TEXT" | "text" => Kind::Text,
            "boolean" => Kind::Boolean,
            "BLOB" | "bytea" => Kind::Bytes,
            other => {
                let why = format!("no column of autopack has the type {other}");
                return Err(StoreError::bad_row(format!("column {table}.{name}"), why));
            }
        };
        Ok(Self { name, kind })
    }

    /// Returns the value with the type of the column: SQLite has no type for booleans.
    pub fn convert(&self, value: Value) -> Value {
        match (self.kind, value) {
            (Kind::Boolean, Value::Integer(Some(value))) => Value::Boolean(Some(value != 0)),
            (Kind::Integer, Value::Boolean(Some(value))) => Value::Integer(Some(value.into())),
            (_, value) if !is_null(&value) => value,
            (Kind::Integer, _) => Value::Integer(None),
            (Kind::Real, _) => Value::Real(None),
            (Kind::Text, _) => Value::Text(None),
            (Kind::Boolean, _) => Value::Boolean(None),
            (Kind::Bytes, _) => Value::Bytes(None),
        }
    }
}

fn is_null(value: &Value) -> bool {
    matches!(
        value,
        Value::Integer(None)
            | Value::Real(None)
            | Value::Text(None)
            | Value::Boolean(None)
            | Value::Bytes(None)
    )
}

fn quoted<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    columns.map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}
