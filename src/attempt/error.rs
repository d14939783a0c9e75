//! What is wrong with us, as the drain has to tell it apart.

use std::io;
use std::path::Path;

use crate::agent::AgentError;
use crate::ci::CiError;
use crate::process::SpawnError;
use crate::store::{self, StoreError};
use crate::workspace::WorkspaceError;

#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The next phase would meet it too: the agent is missing, CI cannot start.
    #[error("{0}")]
    Systemic(String),
    /// The disk is full, or what we may use of it. It may have room again at any time.
    #[error("{0}")]
    Full(String),
    /// What ran in the slot took its supervisor down, or the slot is gone: counted as a crash, against this phase alone, until others do it too.
    #[error("{0}")]
    Crashed(String),
    /// It may have landed, and nobody can tell now: whoever recovers it finds out.
    #[error("{0}")]
    Unsettled(String),
    /// Another drain has the phase now; nothing that we say about it counts.
    #[error("another drain took the phase over")]
    LeaseLost,
    #[error("{0:#}")]
    Ours(anyhow::Error),
}

impl Trouble {
    pub fn io(path: &Path, error: io::Error) -> Self {
        let text = format!("cannot use {}", path.display());
        anyhow::Error::new(error).context(text).into()
    }
}

/// A full disk is one wherever it shows.
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
