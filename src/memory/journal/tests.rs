//! The journal in a real file.

use tempfile::TempDir;

use super::*;
use crate::memory::memory_entry::{Entry, EntryFilter};

const W: &str = "workspace";

async fn journal(dir: &TempDir) -> Journal {
    Journal::open(&dir.path().join("memory.db")).await.unwrap().journal
}

fn kept(text: &str) -> StoredEntry {
    let entry =
        Entry::new(Collection::ErrorsCi, "r/p", text).of(&RunId::new("r"), &PhaseId::new("p"));
    StoredEntry::from_entry(entry, W, UnixMs(1_000))
}

async fn put(journal: &Journal, entry: &StoredEntry) {
    journal.put(&[(entry.clone(), Vec::new())]).await.unwrap();
}

async fn attach(journal: &Journal, entry: &StoredEntry, embedder: &str, vector: &[f32]) {
    let embedded =
        EntryVector { id: entry.id.clone(), hash: entry.hash(), vector: vector.to_vec() };
    journal.store_vectors(embedder, &[embedded]).await.unwrap();
}

#[tokio::test]
async fn sqlite_version_has_the_wal_reset_fix() {
    let dir = TempDir::new().unwrap();
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&journal(&dir).await.readers)
        .await
        .unwrap();
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(numbers >= vec![3, 51, 3], "{version}");
}

#[tokio::test]
async fn entries_survive_a_restart_with_their_vectors() {
    let dir = TempDir::new().unwrap();
    let entry = kept("KeyError: 'user_id'");
    {
        let journal = journal(&dir).await;
        put(&journal, &entry).await;
        attach(&journal, &entry, "e1", &[0.5, -1.0]).await;
        journal.close().await;
    }
    let journal = journal(&dir).await;
    let found = journal.entries(std::slice::from_ref(&entry.id)).await.unwrap();
    assert_eq!(found[&entry.id], entry);
    let changes = journal.changes_after(0, "e1", 10).await.unwrap();
    assert_eq!(changes[0].vector.as_deref(), Some(&[0.5, -1.0][..]));
}

#[tokio::test]
async fn repeated_write_is_ignored_and_new_text_drops_the_old_vector() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let mut entry = kept("a");
    entry.id = EntryId::from_stored("one");
    put(&journal, &entry).await;
    attach(&journal, &entry, "e", &[1.0]).await;
    let again = journal.put(&[(entry.clone(), Vec::new())]).await.unwrap();
    assert_eq!((again.unchanged, again.updated, again.new), (1, 0, 0));
    assert!(journal.unembedded(9).await.unwrap().is_empty());

    entry.text = "b".into();
    let changed = journal.put(&[(entry.clone(), Vec::new())]).await.unwrap();
    assert_eq!(changed.updated, 1);
    assert_eq!(journal.unembedded(9).await.unwrap()[0].text, "b");
    let changes = journal.changes_after(0, "e", 9).await.unwrap();
    assert_eq!(changes.len(), 1, "the log holds an entry's last change only");
    assert_eq!(changes[0].vector, None);
}

#[tokio::test]
async fn vector_of_an_outdated_text_is_refused() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let old = kept("a");
    let mut new = old.clone();
    new.text = "b".into();
    put(&journal, &old).await;
    put(&journal, &new).await;
    attach(&journal, &old, "e", &[1.0]).await;
    assert_eq!(journal.unembedded(9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn removed_and_superseded_entries_leave_a_tombstone_for_followers() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let (old, new, other) = (kept("old error"), kept("new error"), kept("other error"));
    for entry in [&old, &other] {
        put(&journal, entry).await;
        attach(&journal, entry, "e", &[1.0]).await;
    }
    let seen = journal.last_change().await.unwrap();
    journal.put(&[(new.clone(), vec![old.id.clone()])]).await.unwrap();
    assert_eq!(journal.remove(std::slice::from_ref(&other.id)).await.unwrap(), 1);
    assert_eq!(journal.remove(std::slice::from_ref(&other.id)).await.unwrap(), 0);

    let buried: Vec<EntryId> = journal
        .changes_after(seen, "e", 9)
        .await
        .unwrap()
        .into_iter()
        .map(|change| {
            assert_eq!(change.vector, None);
            change.id
        })
        .collect();
    assert_eq!(buried, [old.id, other.id]);
    let hits = journal.search_text("error", &EntryFilter::default(), 9).await.unwrap();
    assert_eq!(hits.iter().map(|hit| hit.id.clone()).collect::<Vec<_>>(), [new.id]);
}

#[tokio::test]
async fn another_embedder_replaces_vectors_and_writes_tombstones() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let entry = kept("a");
    put(&journal, &entry).await;
    attach(&journal, &entry, "e1", &[1.0]).await;
    assert_eq!(journal.stale("e2", 9).await.unwrap().len(), 1);
    assert_eq!(journal.waiting("e2").await.unwrap(), 1);
    attach(&journal, &entry, "e2", &[2.0]).await;
    assert!(journal.stale("e2", 9).await.unwrap().is_empty());
    assert!(journal.live_vectors("e1").await.unwrap().is_empty());
    assert_eq!(journal.live_vectors("e2").await.unwrap().len(), 1);
}

#[tokio::test]
async fn full_text_finds_split_identifiers_within_the_filter() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let mut there = kept("AttributeError in parseUserToken at auth_service.py");
    there.run = Some(RunId::new("other"));
    let here = kept("timeout while waiting for the socket");
    put(&journal, &there).await;
    put(&journal, &here).await;
    let hits = journal.search_text("user token", &EntryFilter::default(), 9).await.unwrap();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].id, there.id);
    let this_run = EntryFilter { run: Some(RunId::new("r")), ..EntryFilter::default() };
    assert!(journal.search_text("user token", &this_run, 9).await.unwrap().is_empty());
    let planning = EntryFilter { collections: vec![Collection::Planning], run: None };
    assert!(journal.search_text("user token", &planning, 9).await.unwrap().is_empty());
    for odd in ["", "\"", "NEAR(", "a AND", "col:x", "*", "^", "日本"] {
        journal.search_text(odd, &EntryFilter::default(), 9).await.unwrap();
    }
}

#[tokio::test]
async fn entries_expire() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let mut entry = kept("a");
    entry.expires = Some(UnixMs(5));
    put(&journal, &entry).await;
    assert_eq!(journal.expire(UnixMs(4)).await.unwrap(), 0);
    assert_eq!(journal.expire(UnixMs(5)).await.unwrap(), 1);
    assert!(journal.counts().await.unwrap().is_empty());
}

#[tokio::test]
async fn adoption_keeps_known_entries_and_tombstones() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let (known, removed, lost) = (kept("known"), kept("removed"), kept("lost"));
    for entry in [&known, &removed] {
        put(&journal, entry).await;
        attach(&journal, entry, "e", &[1.0]).await;
    }
    journal.remove(std::slice::from_ref(&removed.id)).await.unwrap();
    let found = [known, removed.clone(), lost.clone()].map(|entry| (entry, vec![3.0]));
    assert_eq!(journal.adopt("e", &found).await.unwrap(), 1);
    let ids = [removed.id, lost.id.clone()];
    assert_eq!(journal.entries(&ids).await.unwrap().keys().collect::<Vec<_>>(), [&lost.id]);
}

#[tokio::test]
async fn broken_journal_is_moved_aside_and_foreign_database_is_untouched() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("memory.db");
    std::fs::write(&path, b"this is no database, but long enough to look at".repeat(100)).unwrap();
    let opened = Journal::open(&path).await.unwrap();
    assert!(opened.set_aside.unwrap().exists());
    opened.journal.close().await;
    assert!(Journal::open(&path).await.unwrap().set_aside.is_none());

    let foreign = dir.path().join("app.db");
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(&foreign).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE users (id INTEGER)").execute(&pool).await.unwrap();
    pool.close().await;
    assert!(matches!(Journal::open(&foreign).await, Err(JournalError::Foreign { .. })));
}

#[tokio::test]
async fn two_processes_can_write_concurrently() {
    let dir = TempDir::new().unwrap();
    let (one, two) = (journal(&dir).await, journal(&dir).await);
    let write = |journal: Journal, name: &'static str| async move {
        for n in 0..50 {
            put(&journal, &kept(&format!("{name} {n}"))).await;
        }
    };
    tokio::join!(write(one.clone(), "one"), write(two, "two"));
    assert_eq!(one.counts().await.unwrap()["errors_ci"], 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_creation_and_repair_succeed() {
    for broken in [false, true] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("memory.db");
        if broken {
            std::fs::write(&path, b"no database at all, but long enough".repeat(200)).unwrap();
        }
        let opening: Vec<_> = (0..6)
            .map(|n| {
                let path = path.clone();
                tokio::spawn(async move {
                    let opened = Journal::open(&path).await.unwrap();
                    put(&opened.journal, &kept(&format!("entry {n}"))).await;
                    opened.set_aside.is_some()
                })
            })
            .collect();
        let mut set_aside = 0;
        for one in opening {
            set_aside += usize::from(one.await.unwrap());
        }
        assert_eq!(set_aside, usize::from(broken));
        assert_eq!(journal(&dir).await.counts().await.unwrap()["errors_ci"], 6);
    }
}

#[tokio::test]
async fn counting_entries_changes_no_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("memory.db");
    assert_eq!(Journal::count_existing(&path).await.unwrap(), None);
    let journal = journal(&dir).await;
    put(&journal, &kept("an error")).await;
    assert_eq!(
        Journal::count_existing(&path).await.unwrap(),
        Some(1),
        "while another one has it open"
    );
    journal.close().await;
    assert_eq!(Journal::count_existing(&path).await.unwrap(), Some(1));
    std::fs::write(&path, vec![7; 20_000]).unwrap();
    let names = || {
        let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    assert!(matches!(Journal::count_existing(&path).await, Err(JournalError::Broken { .. })));
    assert_eq!(names(), before);
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 20_000]);
}

#[tokio::test]
async fn error_names_an_unreadable_journal() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("memory.db");
    std::fs::create_dir(&path).unwrap();
    for error in
        [Journal::open(&path).await.map(drop), Journal::count_existing(&path).await.map(drop)]
    {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn older_journal_is_migrated_and_newer_journal_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("memory.db");
    let first = journal(&dir).await;
    put(&first, &kept("an error")).await;
    let earlier =
        "PRAGMA user_version = 0; CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY);
                   INSERT INTO _sqlx_migrations VALUES (1)";
    sqlx::raw_sql(earlier).execute(&first.writer).await.unwrap();
    first.close().await;
    assert_eq!(Journal::count_existing(&path).await.unwrap(), Some(1));
    let taken_over = journal(&dir).await;
    assert_eq!(taken_over.counts().await.unwrap()["errors_ci"], 1);
    let version: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&taken_over.writer).await.unwrap();
    assert_eq!(version, 1);
    for newer in [
        "PRAGMA user_version = 2",
        "PRAGMA user_version = 0; INSERT INTO _sqlx_migrations VALUES (2)",
    ] {
        sqlx::raw_sql(newer).execute(&taken_over.writer).await.unwrap();
        assert!(
            matches!(Journal::count_existing(&path).await, Err(JournalError::Newer { .. })),
            "{newer}"
        );
        assert!(matches!(Journal::open(&path).await, Err(JournalError::Newer { .. })), "{newer}");
    }
}
