//! Settings of `publish` and `drain --publish`.

use serde::{Deserialize, Serialize};

/// Settings of publishing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishSettings {
    /// Name of the git remote; by default the remote of the run's tracker, else `origin`.
    pub remote: Option<String>,
    /// Branch into which the pull request goes; by default the remote's default branch.
    pub base: Option<String>,
    /// Repository on the forge, such as `gitlab:host/group/project`; by default from the remote's URL.
    pub forge: Option<String>,
    /// Whether pull requests are opened as drafts.
    pub draft: bool,
    /// Whether each landing gets a pull request of its own.
    pub per_phase: bool,
    /// Whether issues of failed phases get a comment.
    pub comments: bool,
    /// Time for trying again while the remote or the forge does not answer, in seconds.
    pub retry_seconds: u64,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self {
            remote: None,
            base: None,
            forge: None,
            draft: false,
            per_phase: false,
            comments: true,
            retry_seconds: 120,
        }
    }
}
