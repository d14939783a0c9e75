//! Attempt errors: problems of autopack itself, grouped by the reaction of the drain.

use std::io;
use std::path::Path;

use crate::agent::AgentError;
use crate::ci::CiError;
use crate::process::SpawnError;
use crate::store::StoreError;
use crate::workspace::WorkspaceError;

/// Error ending an attempt without a verdict about the phase.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
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
    Internal(anyhow::Error),
}

impl AttemptError {
    /// Wraps an I/O error on a path.
    pub fn io(path: &Path, error: io::Error) -> Self {
        let text = format!("cannot use {}", path.display());
        anyhow::Error::new(error).context(text).into()
    }
}

/// Recognizes a full disk in any error.
impl From<StoreError> for AttemptError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost { .. } | StoreError::Fenced { .. } => Self::LeaseLost,
            error => anyhow::Error::new(error).into(),
        }
    }
}

impl From<WorkspaceError> for AttemptError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::SlotGone { .. } => Self::Crashed(error.to_string()),
            WorkspaceError::DependenciesChanged { .. } => Self::Systemic(error.to_string()),
            error => anyhow::Error::new(error).into(),
        }
    }
}

impl From<AgentError> for AttemptError {
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

impl From<CiError> for AttemptError {
    fn from(error: CiError) -> Self {
        match error {
            CiError::Spawn { source: SpawnError::SupervisorLost(_), .. } => {
                Self::Crashed(error.to_string())
            }
            error => anyhow::Error::new(error).into(),
        }
    }
}

impl From<SpawnError> for AttemptError {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::SupervisorLost(_) => Self::Crashed(error.to_string()),
            error => anyhow::Error::new(error).into(),
        }
    }
}
