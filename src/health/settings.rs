//! The checks of what the user wrote: the configuration, and the repository it is for.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::Config;
use crate::failure::Failure;

pub fn configuration(config: &Result<&Config, Failure>, workspace: Option<&Path>) -> Finding {
    match config {
        Err(failure) => failed(failure, "correct it; docs/configuration.md lists every key and variable"),
        Ok(config) if config.files.is_empty() => Finding::ok("shipped defaults"),
        Ok(config) => {
            let files = config.files.iter().map(|file| relative(file, workspace));
            Finding::ok(files.collect::<Vec<_>>().join(", "))
        }
    }
}

pub fn workspace(workspace: &Result<PathBuf, Failure>) -> Finding {
    match workspace {
        Ok(root) => Finding::ok(root.display().to_string()),
        Err(failure) => failed(failure, "name one with --workspace"),
    }
}

/// What an error says, with its own hint where it has one.
pub fn failed(failure: &Failure, hint: &str) -> Finding {
    Finding::fail(failure.text(), failure.hint_text().unwrap_or(hint))
}

fn relative(path: &Path, workspace: Option<&Path>) -> String {
    let inside = workspace.and_then(|root| path.strip_prefix(root).ok());
    inside.unwrap_or(path).display().to_string()
}
