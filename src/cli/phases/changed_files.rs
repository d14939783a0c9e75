//! Files that a phase changed: in the landed commit, else in the latest kept patch.

use std::path::{Path, PathBuf};

use crate::attempt::AttemptDirectory;
use crate::cli::Context;
use crate::progress::shown_message;
use crate::store::{AttemptRow, PhaseDetail};
use crate::workspace::{ChangedFile, Repo};

/// Reads the changed files. Empty if nothing changed, or if the commit or the patch is gone.
pub(super) async fn read_changed_files(
    detail: &PhaseDetail,
    context: &Context,
) -> Vec<ChangedFile> {
    let Ok(root) = context.workspace() else { return Vec::new() };
    let Ok(repo) = Repo::discover(&root).await else { return Vec::new() };
    let files = match &detail.row.commit {
        Some(commit) => repo.files_of_commit(commit).await,
        None => match latest_patch(&detail.attempt_log, &root) {
            Some(patch) => repo.files_of_patch(&patch).await,
            None => return Vec::new(),
        },
    };
    files.unwrap_or_else(|error| {
        tracing::debug!("cannot read the changed files: {error}");
        Vec::new()
    })
}

fn latest_patch(log: &[AttemptRow], root: &Path) -> Option<PathBuf> {
    let directories = log.iter().rev().filter_map(|row| row.log_dir.as_ref());
    directories
        .map(|directory| AttemptDirectory::at(root.join(directory)).patch())
        .find(|patch| patch.is_file())
}

/// Formats a changed file: `src/a.py +3 -1`.
pub(super) fn format_file(file: &ChangedFile) -> String {
    let path = shown_message(&file.path);
    match (file.added, file.removed) {
        (Some(added), Some(removed)) => format!("{path} +{added} -{removed}"),
        _ => format!("{path} (binary)"),
    }
}
