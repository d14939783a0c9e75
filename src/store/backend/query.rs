//! Queries with bound values, run on either database. Their futures are boxed: with the drivers of both databases in each of
//! them, a transaction of many queries would not fit onto the stack of a thread.

use std::borrow::Cow;
use std::marker::PhantomData;

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Error, FromRow};

use super::connection::{Driver, Target};
use super::postgres::dialect;
use super::postgres::transaction::PgTransaction;
use super::value::{Bind, Value};

/// The text of a statement: a literal, or text that the store put together without anything of a user in it.
#[derive(Clone, Debug)]
pub struct SqlText(Cow<'static, str>);

impl From<&'static str> for SqlText {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<AssertSqlSafe<String>> for SqlText {
    fn from(text: AssertSqlSafe<String>) -> Self {
        Self(Cow::Owned(text.0))
    }
}

/// A type read from a row of either database.
pub trait Record:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static
{
}

impl<T> Record for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static
{
}

/// A statement with its values.
#[derive(Clone, Debug)]
#[must_use = "a query must be executed"]
pub struct Query {
    sql: SqlText,
    values: Vec<Value>,
}

/// A query that returns rows as `T`.
#[must_use = "a query must be executed"]
pub struct QueryAs<T> {
    query: Query,
    rows: PhantomData<fn() -> T>,
}

/// A query that returns the first column of rows.
#[must_use = "a query must be executed"]
pub struct QueryScalar<T>(QueryAs<(T,)>);

/// Result of a statement without rows.
#[derive(Clone, Copy, Debug)]
pub struct QueryResult {
    rows: u64,
}

impl QueryResult {
    /// Number of rows that the statement changed.
    pub fn rows_affected(self) -> u64 {
        self.rows
    }
}

pub fn query(sql: impl Into<SqlText>) -> Query {
    Query { sql: sql.into(), values: Vec::new() }
}

pub fn query_as<T>(sql: impl Into<SqlText>) -> QueryAs<T> {
    query(sql).returning()
}

pub fn query_scalar<T>(sql: impl Into<SqlText>) -> QueryScalar<T> {
    QueryScalar(query_as(sql))
}

impl Query {
    pub(super) fn with_values(sql: String, values: Vec<Value>) -> Self {
        Self { sql: SqlText(Cow::Owned(sql)), values }
    }

    pub(super) fn returning<T>(self) -> QueryAs<T> {
        QueryAs { query: self, rows: PhantomData }
    }

    pub fn bind(mut self, value: impl Bind) -> Self {
        self.values.push(value.value());
        self
    }

    pub async fn execute(self, on: impl Into<Target<'_>>) -> Result<QueryResult, Error> {
        Box::pin(self.execute_on(on.into())).await
    }

    async fn execute_on(self, on: Target<'_>) -> Result<QueryResult, Error> {
        let mut session = on.session().await?;
        let rows = match session.driver() {
            Driver::Sqlite(connection) => {
                let (sql, values) = self.for_sqlite()?;
                let query = sqlx::query_with::<Sqlite, _>(sql, values);
                query.execute(connection).await?.rows_affected()
            }
            Driver::Postgres(tx) => {
                let (sql, values, is_persistent) = self.for_postgres(tx)?;
                let query = sqlx::query_with::<Postgres, _>(sql, values).persistent(is_persistent);
                let done = tx.run(|connection| Box::pin(query.execute(connection))).await?;
                done.rows_affected()
            }
        };
        session.end().await?;
        Ok(QueryResult { rows })
    }

    fn for_sqlite(self) -> Result<(AssertSqlSafe<Cow<'static, str>>, SqliteArguments), Error> {
        let mut arguments = SqliteArguments::default();
        for value in self.values {
            match value {
                Value::Integer(value) => arguments.add(value),
                Value::Real(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value),
                Value::Boolean(value) => arguments.add(value),
                Value::Bytes(value) => arguments.add(value),
            }
            .map_err(Error::Encode)?;
        }
        Ok((AssertSqlSafe(self.sql.0), arguments))
    }

    /// Returns text, values, and whether to prepare the text once for the connection: only texts of a limited number.
    fn for_postgres(
        self,
        tx: &PgTransaction,
    ) -> Result<(AssertSqlSafe<String>, PgArguments, bool), Error> {
        let mut arguments = PgArguments::default();
        for value in self.values {
            match value {
                Value::Integer(value) => arguments.add(value),
                Value::Real(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value.map(dialect::text)),
                Value::Boolean(value) => arguments.add(value),
                Value::Bytes(value) => arguments.add(value),
            }
            .map_err(Error::Encode)?;
        }
        let is_persistent = tx.is_prepared() && matches!(self.sql.0, Cow::Borrowed(_));
        Ok((AssertSqlSafe(dialect::statement(&self.sql.0)), arguments, is_persistent))
    }
}

impl<T: Record> QueryAs<T> {
    pub fn bind(mut self, value: impl Bind) -> Self {
        self.query = self.query.bind(value);
        self
    }

    pub async fn fetch_all(self, on: impl Into<Target<'_>>) -> Result<Vec<T>, Error> {
        Box::pin(self.fetch_all_on(on.into())).await
    }

    async fn fetch_all_on(self, on: Target<'_>) -> Result<Vec<T>, Error> {
        let mut session = on.session().await?;
        let rows = match session.driver() {
            Driver::Sqlite(connection) => {
                let (sql, values) = self.query.for_sqlite()?;
                sqlx::query_as_with::<Sqlite, T, _>(sql, values).fetch_all(connection).await?
            }
            Driver::Postgres(tx) => {
                let (sql, values, is_persistent) = self.query.for_postgres(tx)?;
                let query =
                    sqlx::query_as_with::<Postgres, T, _>(sql, values).persistent(is_persistent);
                tx.run(|connection| Box::pin(query.fetch_all(connection))).await?
            }
        };
        session.end().await?;
        Ok(rows)
    }

    pub async fn fetch_optional(self, on: impl Into<Target<'_>>) -> Result<Option<T>, Error> {
        Box::pin(self.fetch_optional_on(on.into())).await
    }

    async fn fetch_optional_on(self, on: Target<'_>) -> Result<Option<T>, Error> {
        let mut session = on.session().await?;
        let row = match session.driver() {
            Driver::Sqlite(connection) => {
                let (sql, values) = self.query.for_sqlite()?;
                sqlx::query_as_with::<Sqlite, T, _>(sql, values).fetch_optional(connection).await?
            }
            Driver::Postgres(tx) => {
                let (sql, values, is_persistent) = self.query.for_postgres(tx)?;
                let query =
                    sqlx::query_as_with::<Postgres, T, _>(sql, values).persistent(is_persistent);
                tx.run(|connection| Box::pin(query.fetch_optional(connection))).await?
            }
        };
        session.end().await?;
        Ok(row)
    }

    pub async fn fetch_one(self, on: impl Into<Target<'_>>) -> Result<T, Error> {
        self.fetch_optional(on).await?.ok_or(Error::RowNotFound)
    }
}

impl<T> QueryScalar<T>
where
    (T,): Record,
{
    pub fn bind(self, value: impl Bind) -> Self {
        Self(self.0.bind(value))
    }

    pub async fn fetch_all(self, on: impl Into<Target<'_>>) -> Result<Vec<T>, Error> {
        Ok(self.0.fetch_all(on).await?.into_iter().map(|(value,)| value).collect())
    }

    pub async fn fetch_optional(self, on: impl Into<Target<'_>>) -> Result<Option<T>, Error> {
        Ok(self.0.fetch_optional(on).await?.map(|(value,)| value))
    }

    pub async fn fetch_one(self, on: impl Into<Target<'_>>) -> Result<T, Error> {
        Ok(self.0.fetch_one(on).await?.0)
    }
}
