//! The databases under the store: SQLite in a file, or a Postgres server shared by several machines.
//!
//! The SQL of the store is written once, in the common part of both dialects with SQLite's placeholders;
//! [`postgres::dialect`] rewrites the rest. Both run one writing transaction at a time: SQLite by its file lock, Postgres
//! by an advisory lock, so a decision made within a transaction holds until its commit.

mod any_row;
mod connection;
mod error_codes;
mod error_kind;
pub(super) mod postgres;
mod query;
mod query_builder;
pub(super) mod sqlite;
mod value;

pub(super) use any_row::AnyRow;
pub(super) use connection::{Connection, Pool, Tx};
pub use error_kind::DatabaseErrorKind;
pub(super) use error_kind::{RESTORE_IT, USE_THE_PRIMARY};
pub(super) use query::{Query, query, query_as, query_scalar};
pub(super) use query_builder::QueryBuilder;
pub(super) use value::Value;
