//! Work that blocks a thread, such as walking a directory.

use crate::git::error::{Result, WorkspaceError};

/// Runs a directory walk on a thread for blocking work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(join) => match join.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled only if the runtime is shutting down.
            Err(_) => {
                Err(WorkspaceError::ShuttingDown { doing: "continue with the slot".to_owned() })
            }
        },
    }
}
