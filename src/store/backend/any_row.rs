//! A row of any table, for copies of whole tables.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, FromRow, Row as _, TypeInfo as _, ValueRef as _};

use super::value::Value;

/// The values of a row in the order of its columns, with the types that the database gives them.
#[derive(Clone, Debug)]
pub struct AnyRow(pub Vec<Value>);

/// Reads a column by the name of its type.
macro_rules! read {
    ($row:expr, { $($name:literal => $kind:ident,)* }) => {
        (0..$row.len())
            .map(|column| {
                let value = $row.try_get_raw(column)?;
                if value.is_null() {
                    return Ok(Value::Text(None));
                }
                match value.type_info().name() {
                    $($name => Ok(Value::$kind($row.try_get(column)?)),)*
                    other => Err(Error::ColumnDecode {
                        index: column.to_string(),
                        source: format!("no table of autopack has values of the type {other}").into(),
                    }),
                }
            })
            .collect::<Result<_, Error>>()
            .map(AnyRow)
    };
}

impl FromRow<'_, SqliteRow> for AnyRow {
    fn from_row(row: &SqliteRow) -> Result<Self, Error> {
        read!(row, { "INTEGER" => Integer, "REAL" => Real, "TEXT" => Text, "BLOB" => Bytes, })
    }
}

impl FromRow<'_, PgRow> for AnyRow {
    fn from_row(row: &PgRow) -> Result<Self, Error> {
        read!(row, { "INT8" => Integer, "FLOAT8" => Real, "TEXT" => Text, "BOOL" => Boolean, "BYTEA" => Bytes, })
    }
}
