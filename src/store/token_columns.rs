//! The four token columns of an attempt as a single value.

use sqlx::FromRow;

use crate::phase::Tokens;

use super::columns::number;
use super::error::StoreError;

/// Tokens used by an attempt, or the sum over several attempts; NULL for unknown counts.
#[derive(Clone, Copy, Debug, Default, FromRow)]
pub(super) struct TokenColumns {
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    cache_read_tokens: Option<i64>,
    cache_write_tokens: Option<i64>,
}

impl TokenColumns {
    /// Converts the columns; `row` names the row in the error for an invalid count.
    pub(super) fn tokens(&self, row: impl Fn() -> String) -> Result<Tokens, StoreError> {
        let count = |value: Option<i64>| value.map(|n| number(n, &row)).transpose();
        Ok(Tokens {
            input: count(self.input_tokens)?,
            output: count(self.output_tokens)?,
            cache_read: count(self.cache_read_tokens)?,
            cache_write: count(self.cache_write_tokens)?,
        })
    }
}
