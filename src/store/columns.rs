//! Single columns: text, numbers and JSON as the database holds them, and what they are here. One that cannot be read
//! is an error that names its row.

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
    T::try_from(value).map_err(|_| StoreError::bad_row(row(), format!("{value} is no count")))
}

pub(super) fn json<T: DeserializeOwned>(
    text: &str,
    row: impl Fn() -> String,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|why| StoreError::bad_row(row(), why))
}

/// Counts go in as the database has them: signed.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Our own types always have a JSON form: no map with other keys than strings, nothing that fails to serialize.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a spec, a failure or a list has a JSON form")
}
