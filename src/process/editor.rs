//! The user's editor: the only program with access to the terminal, and without a time limit.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::process::Command;

/// Failure of the user's editor.
#[derive(Debug, thiserror::Error)]
pub enum EditorError {
    /// The shell for the editor cannot be started.
    #[error("cannot start the editor {editor:?}: {source}")]
    CannotStart {
        /// Shell command of the editor.
        editor: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The editor ended with an error.
    #[error("the editor {editor:?} ended with {status}, so nothing was changed")]
    Failed {
        /// Shell command of the editor.
        editor: String,
        /// Exit status.
        status: ExitStatus,
    },
}

/// Opens `file` and waits until the editor is closed. `editor` is a shell command, like `$EDITOR`.
///
/// # Errors
///
/// If the editor cannot be started, or ends with a status other than 0.
pub async fn open(editor: &OsStr, file: &Path) -> Result<(), EditorError> {
    let name = || editor.to_string_lossy().into_owned();
    let mut line = editor.to_owned();
    line.push(" \"$@\"");
    #[expect(clippy::disallowed_methods, reason = "an editor needs our terminal and our group")]
    let mut command = Command::new("sh");
    // The editor draws on the terminal; autopack's stdout is for results.
    command.arg("-c").arg(line).arg("editor").arg(file).stdout(Stdio::inherit());
    let status = command
        .status()
        .await
        .map_err(|source| EditorError::CannotStart { editor: name(), source })?;
    if status.success() {
        return Ok(());
    }
    Err(EditorError::Failed { editor: name(), status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_editor_is_a_shell_line_and_its_refusal_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a b.json");
        std::fs::write(&file, "old").unwrap();
        open(OsStr::new("sed -i s/old/new/"), &file).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        let error = open(OsStr::new("false"), &file).await.unwrap_err();
        assert!(error.to_string().starts_with("the editor \"false\" ended with exit status: 1"));
    }
}
