//! Settings of files that machines share.

use serde::{Deserialize, Serialize};

/// Most KiB of a file in the database: a part is one value, and whole in memory while it is stored or shown.
pub const MOST_DATABASE_KB: u64 = 64 * 1024;

/// Settings of the logs, patches and prompts of attempts, for machines that share a database at a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArtifactsSettings {
    /// Longest part of a file in the database, in KiB, at most [`MOST_DATABASE_KB`]; 0 for none.
    pub database_kb: u64,
    /// Directory that all machines share, with whole files; relative to the workspace.
    pub dir: Option<String>,
}

impl Default for ArtifactsSettings {
    fn default() -> Self {
        Self { database_kb: 512, dir: None }
    }
}
