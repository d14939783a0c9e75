//! Statements prepared at a Postgres server.

use super::*;
use crate::store::backend::{query, query_scalar};

#[tokio::test]
async fn statements_are_prepared_once_on_a_direct_connection() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    if store.file().is_some() {
        return;
    }
    let mut tx = store.reader.begin().await.unwrap();
    for _ in 0..2 {
        let owners = query_scalar::<i64>("SELECT COUNT(*) FROM owners");
        assert_eq!(owners.fetch_one(&mut tx).await.unwrap(), 0);
    }
    // With this one.
    let prepared = "SELECT COUNT(*) FROM pg_catalog.pg_prepared_statements";
    assert_eq!(query_scalar::<i64>(prepared).fetch_one(&mut tx).await.unwrap(), 2);
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
