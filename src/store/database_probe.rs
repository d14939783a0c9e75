//! Checks a file for its owning application without changing anything.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::backend::sqlite::{APPLICATION_ID, Header, read_only_options};
use super::database_name::DatabaseName;
use super::error::StoreError;
use super::migrations::SCHEMA_VERSION;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatabaseContents {
    Nothing,
    /// A file without tables, or a database of autopack.
    Usable,
    /// A database of autopack in WAL mode; its file, without the WAL, has the current schema.
    Current,
}

/// Application owning a database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwningApplication {
    /// There is no such file, or the file is empty.
    None,
    Autopack,
    PythonAutopack,
    /// Another application's database, not an SQLite database, or unreadable.
    Other,
}

/// Returns the owner of a file; read-only.
pub(super) async fn find_owning_application(path: &Path) -> OwningApplication {
    let bytes = match first_bytes(path) {
        Ok(None) => return OwningApplication::None,
        Ok(Some(bytes)) => bytes,
        Err(_) => return OwningApplication::Other,
    };
    let has_wal = has_wal(path);
    match Header::parse(&bytes) {
        None if bytes.is_empty() && !has_wal => return OwningApplication::None,
        None if !bytes.is_empty() => return OwningApplication::Other,
        Some(header) if header.application_id == APPLICATION_ID => {
            return OwningApplication::Autopack;
        }
        _ => {}
    }
    let work = async {
        let mut connection = read_only_options(path, has_wal).connect().await?;
        let id: i64 =
            sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await?;
        let refused = refuse_foreign(&mut connection, path).await;
        connection.close().await?;
        Ok::<_, StoreError>((id, refused))
    };
    match work.await {
        Ok((id, Ok(()))) if id == i64::from(APPLICATION_ID) => OwningApplication::Autopack,
        Ok((_, Ok(()))) => OwningApplication::None,
        Ok((_, Err(StoreError::PythonAutopack { .. }))) => OwningApplication::PythonAutopack,
        Ok((_, Err(_))) | Err(_) => OwningApplication::Other,
    }
}

/// Refuses, without touching the file: foreign databases, databases of a newer autopack and read-only files.
pub(super) async fn probe(path: &Path) -> Result<DatabaseContents, StoreError> {
    let Some(bytes) = first_bytes(path)? else {
        return Ok(DatabaseContents::Nothing);
    };
    let mut contents = DatabaseContents::Usable;
    if !bytes.is_empty() {
        let header =
            Header::parse(&bytes).ok_or_else(|| StoreError::NotSqlite { path: path.into() })?;
        let version = i64::from(header.user_version);
        if header.application_id != APPLICATION_ID {
            inspect_contents(path).await?;
        } else if header.is_wal && version == SCHEMA_VERSION {
            contents = DatabaseContents::Current;
        } else {
            refuse_newer(&path.into(), version)?;
        }
    }
    refuse_read_only(path)?;
    Ok(contents)
}

/// Checks for a database of autopack, of any version; refuses those of others.
pub(super) async fn is_ours(path: &Path) -> Result<bool, StoreError> {
    let Some(bytes) = first_bytes(path)? else { return Ok(false) };
    if bytes.is_empty() {
        return Ok(has_wal(path));
    }
    let header =
        Header::parse(&bytes).ok_or_else(|| StoreError::NotSqlite { path: path.into() })?;
    if header.application_id == APPLICATION_ID {
        return Ok(true);
    }
    inspect_contents(path).await?;
    Ok(has_wal(path))
}

fn first_bytes(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let cannot = |error: std::io::Error| StoreError::CannotOpen {
        path: path.into(),
        why: error.to_string(),
    };
    if path.is_dir() {
        return Err(StoreError::CannotOpen { path: path.into(), why: "it is a directory".into() });
    }
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(cannot)?,
    };
    let mut bytes = Vec::with_capacity(Header::LENGTH);
    file.take(Header::LENGTH as u64).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(Some(bytes))
}

/// Inspects a file without autopack's id. The database may still belong to autopack: after a crash right after
/// creation, everything is in the WAL.
async fn inspect_contents(path: &Path) -> Result<(), StoreError> {
    let has_wal = has_wal(path);
    let work = async {
        let mut connection = read_only_options(path, has_wal).connect().await?;
        let refused = refuse_foreign(&mut connection, path).await;
        connection.close().await?;
        refused
    };
    work.await.map_err(|error: StoreError| error.at(&path.into()))
}

/// Checks whether a WAL with contents is beside the file.
pub(super) fn has_wal(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = real.into_os_string();
    name.push(suffix);
    name.into()
}

/// Accepts databases of autopack and databases without id and tables.
pub(super) async fn refuse_foreign(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), StoreError> {
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    if id == i64::from(APPLICATION_ID) {
        return Ok(());
    }
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name",
    )
    .fetch_all(&mut *connection)
    .await?;
    if id == 0 && tables.is_empty() {
        return Ok(());
    }
    if ["runs", "tiers", "phases"].iter().all(|name| tables.iter().any(|table| table == name)) {
        return Err(StoreError::PythonAutopack { path: path.into() });
    }
    Err(StoreError::OtherApplication { path: path.into(), what: describe(id, &tables) })
}

fn describe(id: i64, tables: &[String]) -> String {
    const SHOWN: usize = 4;
    let more = if tables.len() > SHOWN { ", ..." } else { "" };
    let shown: Vec<&str> = tables.iter().take(SHOWN).map(String::as_str).collect();
    match shown.is_empty() {
        true => format!("it has the application id {id:#x}"),
        false => format!("it has the tables {}{more}", shown.join(", ")),
    }
}

pub(super) fn refuse_newer(path: &DatabaseName, found: i64) -> Result<(), StoreError> {
    if found > SCHEMA_VERSION {
        let path = path.clone();
        return Err(StoreError::NewerSchema { path, found, known: SCHEMA_VERSION });
    }
    Ok(())
}

/// Refuses read-only files early: SQLite opens them and fails only at the first write. Missing write permission counts
/// for root too, because someone set the mode deliberately.
fn refuse_read_only(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    for (place, what) in [(path, "the file"), (directory, "its directory")] {
        let marked = std::fs::metadata(place).is_ok_and(|meta| meta.permissions().readonly());
        if marked || access(place, AccessFlags::W_OK).is_err() {
            return Err(StoreError::ReadOnly { path: path.into(), what: what.to_owned() });
        }
    }
    Ok(())
}

/// Creates autopack's own directory; a longer missing path is more likely a typing error.
pub(super) fn create_directory(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let cannot = |why: String| StoreError::CannotOpen { path: path.into(), why };
    if directory.is_dir() {
        let marked = std::fs::metadata(directory).is_ok_and(|meta| meta.permissions().readonly());
        if marked || access(directory, AccessFlags::W_OK).is_err() {
            let what = format!("the directory {}", directory.display());
            return Err(StoreError::ReadOnly { path: path.into(), what });
        }
        return Ok(());
    }
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && directory.is_dir() => {
            Ok(())
        }
        Err(error) => Err(cannot(format!("cannot create its directory: {error}"))),
        Ok(()) => Ok(()),
    }
}
