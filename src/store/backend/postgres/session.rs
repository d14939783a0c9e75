//! Start of a transaction. Each transaction sets everything its statements rely on, because a connection pooler such as
//! PgBouncer may give each transaction another server process.

use std::time::Duration;

/// Begins a transaction reading a single snapshot.
pub(in crate::store::backend) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path TO autopack, pg_catalog";

/// Begins a writing transaction, with the isolation needed by the lock, regardless of the role's settings. As with
/// SQLite, the database has a single writing transaction at a time. The key is our application id. If a machine
/// vanishes within a transaction, the lock would be held until the server's TCP connection ends; the limit for idle
/// transactions ends the transaction first. A transaction computes for milliseconds between statements.
pub(in crate::store::backend) const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SET LOCAL search_path TO autopack, pg_catalog; SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = 0; \
    SET LOCAL idle_in_transaction_session_timeout = '20s'; SET LOCAL lock_timeout = '120s'; \
    SELECT pg_advisory_xact_lock(1634755435)";

/// Longest wait of a writing transaction for others, as above.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// Begins a transaction for a note that may be lost. The transaction waits neither for locks nor for the disk.
pub(in crate::store::backend) const BEGIN_NOTE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
    SET LOCAL search_path TO autopack, pg_catalog; SET LOCAL lock_timeout = '20ms'; SET LOCAL synchronous_commit = off";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backend::sqlite::APPLICATION_ID;

    #[test]
    fn the_lock_is_our_application_id() {
        assert!(BEGIN_WRITE.contains(&format!("({APPLICATION_ID})")), "{APPLICATION_ID}");
        let wait = format!("lock_timeout = '{}s'", LOCK_TIMEOUT.as_secs());
        assert!(BEGIN_WRITE.contains(&wait), "{wait}");
    }
}
