//! How a database is named to people.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::backend::postgres::server::Server;

/// The path of a file, or the URL of a server without password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseName(Arc<str>);

impl From<&Path> for DatabaseName {
    fn from(path: &Path) -> Self {
        Self(path.display().to_string().into())
    }
}

impl From<&Server> for DatabaseName {
    fn from(server: &Server) -> Self {
        Self(server.to_string().into())
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
