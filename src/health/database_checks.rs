//! Health check of the database: existence, owner, integrity and schema version.

use super::Finding;
use crate::progress::{SET_THE_CLOCK, describe_wrong_clock};
use crate::store::{DatabaseUrl, Store, StoreError};

/// Maximum number of integrity errors shown.
const COMPLAINTS: usize = 3;

/// Checks the database. A missing database is fine.
pub async fn database(url: &DatabaseUrl) -> Finding {
    let path = url.name();
    match Store::open_existing(url).await {
        Err(StoreError::NoDatabase { .. }) => {
            Finding::ok(format!("no database at {path} yet; `autopack import` creates it"))
        }
        Err(error) => failed(&error),
        Ok(store) => {
            let finding = inspect_database(&store).await.unwrap_or_else(|error| failed(&error));
            store.close().await;
            finding
        }
    }
}

/// Checks the integrity and reads the versions.
async fn inspect_database(store: &Store) -> Result<Finding, StoreError> {
    let damage = store.integrity_check().await?;
    let path = store.name();
    if !damage.is_empty() {
        let some: Vec<&str> = damage.iter().take(COMPLAINTS).map(String::as_str).collect();
        return Ok(Finding::fail(
            format!("{path} is damaged: {}", some.join("; ")),
            "stop all drains, copy the file, and restore a backup",
        ));
    }
    let (schema, engine) = (store.schema_version().await?, store.engine().await?);
    let facts = format!("{path}, intact, schema {schema}, {engine}");
    Ok(match describe_wrong_clock() {
        Some(clock) => Finding::warn(format!("{facts}; {clock}"), SET_THE_CLOCK),
        None => Finding::ok(facts),
    })
}

/// Converts an error to a finding, with the hint removed from the message.
fn failed(error: &StoreError) -> Finding {
    let text = error.to_string();
    match error.hint() {
        Some(hint) => {
            let what = text.strip_suffix(&*hint).unwrap_or(&text);
            Finding::fail(what.strip_suffix("; ").unwrap_or(what), hint)
        }
        None => Finding::fail(text, "choose another database with --database-url"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Status;
    use super::*;

    #[tokio::test]
    async fn database_is_checked_as_intact_missing_or_foreign() {
        let dir = tempfile::Builder::new().prefix("an odd; name").tempdir().unwrap();
        let url = DatabaseUrl::parse("sqlite:///a.db", dir.path()).unwrap();
        let none = database(&url).await;
        assert_eq!(none.status, Status::Ok);
        assert!(none.detail.starts_with("no database at "), "{}", none.detail);
        assert!(!url.file().unwrap().exists(), "looking makes nothing");

        let store = Store::open(&url).await.unwrap();
        let schema = store.schema_version().await.unwrap();
        store.close().await;
        let whole = database(&url).await;
        assert_eq!(whole.status, Status::Ok, "{whole:?}");
        let expected = format!("a.db, intact, schema {schema}, SQLite 3.");
        assert!(whole.detail.contains(&expected), "{}", whole.detail);

        fs::write(
            url.file().unwrap(),
            "not a database, and long enough to be seen as none".repeat(9),
        )
        .unwrap();
        let other = database(&url).await;
        assert_eq!(other.status, Status::Fail);
        assert!(other.detail.ends_with("a.db: it is not an SQLite database"), "{}", other.detail);
        assert_eq!(
            other.hint.as_deref(),
            Some("move it away, or choose another with --database-url")
        );
    }
}
