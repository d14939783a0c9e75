//! The four columns of tokens that an attempt has, as one value.

use sqlx::FromRow;

use crate::phase::Tokens;

use super::columns::number;
use super::error::StoreError;

/// What an attempt used, or the sum over several; NULL where nothing is known.
#[derive(Clone, Copy, Debug, Default, FromRow)]
pub(super) struct TokenColumns {
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    cache_read_tokens: Option<i64>,
    cache_write_tokens: Option<i64>,
}

impl TokenColumns {
    /// `row` names what is wrong where a count is none.
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
