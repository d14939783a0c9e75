//! Statements with a number of rows that is known at run time.

use super::query::{Query, QueryAs};
use super::value::{Bind, Value};

/// A statement that grows.
pub struct QueryBuilder {
    sql: String,
    values: Vec<Value>,
}

/// A row of `VALUES` that is being written.
pub struct RowBuilder<'a> {
    builder: &'a mut QueryBuilder,
    first: bool,
}

impl QueryBuilder {
    pub fn new(sql: &'static str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    pub fn push(&mut self, sql: &'static str) {
        self.sql.push_str(sql);
    }

    /// Writes `VALUES (...), (...)`, a row for each item.
    pub fn push_values<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut row: impl FnMut(RowBuilder<'_>, T),
    ) {
        self.push("VALUES ");
        for (number, item) in items.into_iter().enumerate() {
            self.push(if number == 0 { "(" } else { ", (" });
            row(RowBuilder { builder: self, first: true }, item);
            self.push(")");
        }
    }

    pub fn build(self) -> Query {
        Query::with_values(self.sql, self.values)
    }

    pub fn build_query_as<T>(self) -> QueryAs<T> {
        self.build().returning()
    }
}

impl RowBuilder<'_> {
    pub fn push_bind(&mut self, value: impl Bind) -> &mut Self {
        self.builder.push(if self.first { "?" } else { ", ?" });
        self.first = false;
        self.builder.values.push(value.value());
        self
    }
}
