//! Conversion of single columns between database and domain types: text, numbers and JSON. Errors name the row with the
//! unreadable value.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;

pub(super) fn parse<T: FromStr<Err: Display>>(
    text: &str,
    row: impl Fn() -> String,
) -> Result<T, StoreError> {
    text.parse().map_err(|why: T::Err| StoreError::bad_row(row(), why))
}

pub(super) fn number<T: TryFrom<i64>>(
    value: i64,
    row: impl Fn() -> String,
) -> Result<T, StoreError> {
    T::try_from(value)
        .map_err(|_| StoreError::bad_row(row(), format!("{value} is not a valid count")))
}

pub(super) fn json<T: DeserializeOwned>(
    text: &str,
    row: impl Fn() -> String,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|why| StoreError::bad_row(row(), why))
}

/// Converts a count to the signed integer stored in the database.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Serializes one of autopack's own types. They always have a JSON form: no maps with keys other than strings, nothing
/// else that fails to serialize.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a spec, a failure or a list has a JSON form")
}
