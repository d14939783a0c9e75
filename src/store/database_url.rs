//! Database URLs: the file named by a URL, and whether a hint from the environment may be used. Changes no file.

use std::path::{Path, PathBuf};

use super::backend::postgres::schema::has_our_mark;
use super::backend::postgres::server::Server;
use super::database_name::DatabaseName;
use super::database_probe::{OwningApplication, find_owning_application};

/// The absolute path of a `sqlite:` URL, or the server of a `postgres:` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl {
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    Server(Box<Server>),
}

/// The server that `DATABASE_URL` last named, if it was ours; in `.autopack`.
const KNOWN_SERVER: &str = "shared-server";

/// Refusal of a database URL.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabaseUrl {
    /// The scheme is not supported. The message repeats only the scheme, because server URLs contain passwords.
    #[error(
        "cannot use a database URL that starts with {0:?}: write sqlite:///path or postgres://user@host/database"
    )]
    Scheme(String),
    /// The URL names no file.
    #[error(
        "cannot use the database URL {0:?}: write sqlite:///path relative to the workspace, or sqlite:////path absolute"
    )]
    NoPath(String),
    /// The URL names no Postgres server.
    #[error(
        "cannot use the database URL: {0}; write postgres://user@host:5432/database?sslmode=verify-full"
    )]
    Server(String),
    /// The URL names an in-memory database.
    #[error(
        "cannot use the database URL {0:?}: the backlog has to outlive the process, so it needs a file"
    )]
    InMemory(String),
}

impl DatabaseUrl {
    /// Parses a URL. `sqlite:` as SQLAlchemy does: three slashes are relative to `workspace`, four are absolute; the query is
    /// ignored.
    ///
    /// # Errors
    /// The URL names neither a file nor a Postgres server.
    pub fn parse(url: &str, workspace: &Path) -> Result<Self, BadDatabaseUrl> {
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        // SQLAlchemy allows a driver after the scheme: `sqlite+pysqlite`.
        if let Some("postgres" | "postgresql") = scheme.split('+').next() {
            let place =
                Place::Server(Box::new(Server::parse(url).map_err(BadDatabaseUrl::Server)?));
            return Ok(Self { place });
        }
        if scheme.split('+').next() != Some("sqlite") {
            let shown = scheme.split(':').next().unwrap_or_default();
            return Err(BadDatabaseUrl::Scheme(shown.to_owned()));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let file = place.strip_prefix('/');
        if place.contains(":memory:")
            || query.contains("mode=memory")
            || (rest.is_empty() && url.ends_with("//"))
        {
            return Err(BadDatabaseUrl::InMemory(without_user(url)));
        }
        let plain = |file: &&str| !file.starts_with("file:") && !file.contains('\0');
        let path = file.filter(plain).map(|file| absolute(&workspace.join(file)));
        // Neither the workspace itself nor a directory above it is a file.
        match path.filter(|path| path.file_name().is_some() && *path != absolute(workspace)) {
            Some(path) => Ok(Self { place: Place::File(path) }),
            None => Err(BadDatabaseUrl::NoPath(without_user(url))),
        }
    }

    /// Parses a URL not addressed to autopack, such as an application's `DATABASE_URL`. Returns the URL only if the
    /// file has autopack's application id, the server has autopack's schema, or if the file is missing or empty and the name mentions autopack. Also
    /// returns a database of the Python Autopack: opening fails with instructions.
    pub async fn of_hint(url: &str, workspace: &Path) -> Option<Self> {
        let parsed = Self::parse(url, workspace).ok()?;
        let ours = match &parsed.place {
            Place::File(path) => match find_owning_application(path).await {
                OwningApplication::Autopack | OwningApplication::PythonAutopack => true,
                OwningApplication::None => is_plain(url) && is_named_for_us(path),
                OwningApplication::Other => false,
            },
            Place::Server(server) => is_our_server(server, workspace).await,
        };
        ours.then_some(parsed)
    }

    /// Returns the URL for a drain, which waits longer for a server than other commands. Without effect for a file.
    #[must_use]
    pub fn for_drain(self) -> Self {
        match self.place {
            Place::Server(server) => Self { place: Place::Server(Box::new(server.for_drain())) },
            place @ Place::File(_) => Self { place },
        }
    }

    /// Returns the path, if the database is a file.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    /// Returns how the database is named to people.
    pub fn name(&self) -> DatabaseName {
        match &self.place {
            Place::File(path) => path.as_path().into(),
            Place::Server(server) => server.as_ref().into(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

/// Looks for our schema at a server. A server that does not answer is ours if it was ours before: otherwise a drain would begin a
/// queue of its own while the shared one is away.
async fn is_our_server(server: &Server, workspace: &Path) -> bool {
    let known = workspace.join(".autopack").join(KNOWN_SERVER);
    let name = server.to_string();
    match has_our_mark(server).await {
        Some(true) => {
            if std::fs::read_to_string(&known).ok().as_deref() != Some(&name) {
                // Without the directory there is nothing to lose: no drain ran here.
                let _ = std::fs::write(&known, &name);
            }
            true
        }
        Some(false) => false,
        None => std::fs::read_to_string(&known).is_ok_and(|before| before == name),
    }
}

/// Checks for no driver or SQLAlchemy's default driver; other drivers belong to an application.
fn is_plain(url: &str) -> bool {
    ["sqlite://", "sqlite+pysqlite://"].iter().any(|scheme| url.starts_with(scheme))
}

fn is_named_for_us(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.to_ascii_lowercase().contains("autopack")
}

/// Removes the part before an `@`, where SQLCipher URLs have the passphrase.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("sqlite://...@{rest}"),
        None => url.to_owned(),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<String, BadDatabaseUrl> {
        DatabaseUrl::parse(url, Path::new("/ws")).map(|url| url.name().to_string())
    }

    #[test]
    fn three_slashes_mean_relative_and_four_absolute() {
        for (url, path) in [
            ("sqlite:///.autopack/autopack.db", "/ws/.autopack/autopack.db"),
            ("sqlite:////var/lib/a b/é.db", "/var/lib/a b/é.db"),
            ("sqlite:///x.db?mode=rwc&cache=shared", "/ws/x.db"),
            ("sqlite+pysqlite:///x.db", "/ws/x.db"),
        ] {
            assert_eq!(parse(url).as_deref(), Ok(path), "{url}");
        }
    }

    #[test]
    fn memory_is_refused() {
        for url in
            ["sqlite://", "sqlite://:memory:", "sqlite:///:memory:", "sqlite:///x?mode=memory"]
        {
            assert!(matches!(parse(url), Err(BadDatabaseUrl::InMemory(_))), "{url}");
        }
    }

    #[test]
    fn url_without_a_file_is_refused() {
        for url in [
            "sqlite:///",
            "sqlite://x.db",
            "sqlite:x.db",
            "sqlite:///file:x.db",
            "sqlite",
            "sqlite:///?a=b",
            "sqlite:////",
            "sqlite:///.",
            "sqlite:///x/..",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn server_password_is_not_printed() {
        let error = parse("mysql://me:hunter2@db/x").unwrap_err().to_string();
        assert!(error.contains("mysql") && !error.contains("hunter2"), "{error}");
        let error = parse("postgresql:me:hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        for url in [
            "sqlite+pysqlcipher://:hunter2@/x.db",
            "sqlite://me:hunter2@/:memory:",
            "sqlite+//:hunter2://@/x.db",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains("...@/") && !error.contains("hunter2"), "{error}");
        }
    }
}
