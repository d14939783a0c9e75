//! Settings of files that machines share.

use serde::{Deserialize, Serialize};

/// Settings of the logs, patches and prompts of attempts, for machines that share a database at a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArtifactsSettings {
    /// Longest part of a file in the database, in KiB, at most 65536; 0 for none.
    pub database_kb: u64,
    /// Directory that all machines share, with whole files; relative to the workspace.
    pub dir: Option<String>,
}

impl Default for ArtifactsSettings {
    fn default() -> Self {
        Self { database_kb: 512, dir: None }
    }
}
