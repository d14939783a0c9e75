//! Folders of ours that somebody closed, or removed: whoever works in a slot is the user that we are, and may do both.
//!
//! Nothing here fails: what cannot be opened is said by whoever needs it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::removal::open_up;
use super::repo::Repo;
use super::slot::Slot;

impl Repo {
    /// Makes a folder of ours one that we can work in, with those above it up to `.autopack`.
    pub fn reopen(&self, folder: &Path) {
        let home = self.autopack_dir();
        let Ok(below) = folder.strip_prefix(&home) else { return };
        let mut at = home.clone();
        try_to("open", &at, open_up(&at));
        for name in below {
            at.push(name);
            try_to("make", &at, make_or_open(&at));
        }
    }
}

impl Slot {
    /// The same for what a slot is, but that an agent's folder which is gone stays gone: that is about the attempt.
    pub(super) fn reopen(&self) {
        self.repo.reopen(&self.repo.slots_dir());
        for folder in [&self.top.git_dir, &self.top.dir] {
            try_to("open", folder, open_if_folder(folder));
        }
    }
}

/// What is no folder is left alone: it may be a link that the user made.
fn open_if_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => open_up(path),
        false => Ok(()),
    }
}

fn make_or_open(path: &Path) -> io::Result<()> {
    match open_if_folder(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir(path),
        other => other,
    }
}

fn try_to(what: &str, path: &Path, done: io::Result<()>) {
    if let Err(error) = done {
        tracing::debug!("cannot {what} {}: {error}", path.display());
    }
}
