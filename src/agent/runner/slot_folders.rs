//! Directories of the slot that an agent's program needs before it starts, or leaves behind.

use std::path::{Path, PathBuf};

/// Makes these directories of the slot, and says which it made. What is there as something else, a link included, is left to
/// the agent.
pub(super) fn make_folders(worktree: &Path, folders: &[String]) -> Vec<PathBuf> {
    let mut made = Vec::new();
    for folder in folders {
        let mut at = worktree.to_owned();
        for part in Path::new(folder).components() {
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

/// An agent's own cache in the slot is none of the phase's work.
pub(super) fn tidy(worktree: &Path, leaves: Option<&str>) {
    let (Some(start), Ok(entries)) = (leaves, std::fs::read_dir(worktree)) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && entry.file_name().to_string_lossy().starts_with(start) {
            // What stays is seen, and judged, as a change.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
