//! Attempt errors: problems of autopack itself, grouped by the reaction of the drain.

use std::io;
use std::path::Path;

use crate::agent::AgentError;
use crate::ci::CiError;
use crate::process::SpawnError;
use crate::store::{self, StoreError};
use crate::workspace::WorkspaceError;

/// Error ending an attempt without a verdict about the phase.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The next phase would fail in the same way: the agent is missing, CI cannot start.
    #[error("{0}")]
    Systemic(String),
    /// The disk, or our share of the disk, is full. Space may become free at any time.
    #[error("{0}")]
    Full(String),
    /// A program in the slot killed the supervisor, or the slot is gone: counted as a crash of this phase, until
    /// other phases crash in the same way.
    #[error("{0}")]
    Crashed(String),
    /// The change may have landed, unknown for now: recovery finds out.
    #[error("{0}")]
    Unsettled(String),
    /// Another drain owns the phase now; results of this attempt do not count.
    #[error("another drain reclaimed the phase")]
    LeaseLost,
    /// autopack cannot continue: git, the database or the disk fails.
    #[error("{0:#}")]
    Ours(anyhow::Error),
}

impl Trouble {
    /// Wraps an I/O error on a path.
    pub fn io(path: &Path, error: io::Error) -> Self {
        let text = format!("cannot use {}", path.display());
        anyhow::Error::new(error).context(text).into()
    }
}

/// Recognizes a full disk in any error.
impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        match error.chain().any(is_about_space) {
            true => Self::Full(format!("{error:#}")),
            false => Self::Ours(error),
        }
    }
}

fn is_about_space(cause: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let io = cause.downcast_ref::<io::Error>();
    let store = cause.downcast_ref::<StoreError>();
    let workspace = cause.downcast_ref::<WorkspaceError>();
    io.is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded))
        || store.is_some_and(|e| e.trouble() == Some(store::Trouble::Full))
        || workspace.is_some_and(WorkspaceError::is_about_space)
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost { .. } | StoreError::Fenced { .. } => Self::LeaseLost,
            error => anyhow::Error::new(error).into(),
        }
    }
}

impl From<WorkspaceError> for Trouble {
    fn from(error: WorkspaceError) -> Self {
        if matches!(error, WorkspaceError::SlotGone { .. }) {
            return Self::Crashed(error.to_string());
        }
        anyhow::Error::new(error).into()
    }
}

impl From<AgentError> for Trouble {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Missing { .. } | AgentError::CannotStart { .. } => {
                Self::Systemic(error.to_string())
            }
            AgentError::Spawn(error) => error.into(),
            error => anyhow::Error::new(error).into(),
        }
    }
}

impl From<CiError> for Trouble {
    fn from(error: CiError) -> Self {
        match error {
            CiError::Spawn { source: SpawnError::SupervisorLost(_), .. } => {
                Self::Crashed(error.to_string())
            }
            error => anyhow::Error::new(error).into(),
        }
    }
}

impl From<SpawnError> for Trouble {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::SupervisorLost(_) => Self::Crashed(error.to_string()),
            error => anyhow::Error::new(error).into(),
        }
    }
}
