//! Postgres specifics: connections, sessions, the dialect, the schema, error codes.

pub mod commit;
pub mod dialect;
pub mod errors;
pub mod patience;
pub mod schema;
pub mod server;
pub mod session;
pub mod transaction;
