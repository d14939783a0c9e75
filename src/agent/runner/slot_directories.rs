//! Directories of the slot that an agent's program needs before the start, or leaves behind.

use std::path::{Path, PathBuf};

/// Creates these directories of the slot and returns the new ones. Other existing entries, links included,
/// are left to the agent.
pub(super) fn make_directories(worktree: &Path, directories: &[String]) -> Vec<PathBuf> {
    let mut made = Vec::new();
    for directory in directories {
        let mut at = worktree.to_owned();
        for part in Path::new(directory).components() {
            at.push(part);
            match std::fs::create_dir(&at) {
                Ok(()) => made.push(at.clone()),
                Err(_) if at.symlink_metadata().is_ok_and(|found| found.is_dir()) => {}
                Err(_) => break,
            }
        }
    }
    made
}

/// Removes an agent's cache from the slot: not part of the phase's work.
pub(super) fn tidy(worktree: &Path, leaves: Option<&str>) {
    let (Some(start), Ok(entries)) = (leaves, std::fs::read_dir(worktree)) else { return };
    for entry in entries.flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && entry.file_name().to_string_lossy().starts_with(start) {
            // Remaining files are seen and judged as a change.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
