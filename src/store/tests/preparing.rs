//! Statements prepared at a Postgres server.

use super::*;
use crate::store::backend::{query, query_scalar};

/// Statements prepared on a connection of the readers, with this one.
async fn prepared(store: &Store) -> i64 {
    let count = "SELECT COUNT(*) FROM pg_catalog.pg_prepared_statements";
    query_scalar(count).fetch_one(&store.reader).await.unwrap()
}

#[tokio::test]
async fn statements_are_prepared_once_on_a_direct_connection() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    if store.file().is_some() {
        return;
    }
    assert_eq!(prepared(&store).await, 1);
    store.owners().await.unwrap();
    let first = prepared(&store).await;
    assert!(first > 1);
    store.owners().await.unwrap();
    assert_eq!(prepared(&store).await, first);
}

#[tokio::test]
async fn a_statement_is_prepared_again_after_a_migration() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    if store.file().is_some() {
        return;
    }
    store.owners().await.unwrap();
    let migrating = database.open().await;
    let migration = query("ALTER TABLE owners ALTER COLUMN host TYPE varchar");
    migration.execute(&migrating.writer).await.unwrap();
    store.owners().await.unwrap();
}
