//! Folders of ours that somebody closed, or removed: whoever works in a slot is the user that we are, and may do both.
//!
//! Nothing here fails: what cannot be opened is said by whoever needs it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::Slot;
use crate::git::removal::open_up;
use crate::workspace::repo::Repo;

impl Repo {
    /// Makes a folder of ours one that we can work in, with those above it up to `.autopack`, or to the home of slots.
    pub fn reopen(&self, folder: &Path) {
        let slots = self.place().map(|place| place.home.clone());
        let homes = [Some(self.autopack_dir()), slots.ok()];
        let within = homes
            .iter()
            .flatten()
            .find_map(|home| folder.strip_prefix(home).ok().map(|below| (home.clone(), below)));
        let Some((mut at, below)) = within else { return };
        try_to("open", &at, open_up(&at));
        for name in below {
            at.push(name);
            try_to("make", &at, make_or_open(&at));
        }
    }
}

impl Slot {
    /// The same for what a slot is, but that an agent's folder which is gone stays gone: that is about the attempt.
    pub(crate) fn reopen(&self) {
        if let Some(place) = self.top.dir.parent() {
            self.repo.reopen(place);
        }
        for folder in [&self.top.git_dir, &self.top.dir, &self.ci.git_dir, &self.ci.dir] {
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
