//! Reopens our directories after loss of permissions or removal: everything in a slot runs as our
//! own user and may do both.
//!
//! Nothing here fails: the next user of an unusable directory reports the error.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::Slot;
use crate::git::removal::open_up;
use crate::workspace::repo::Repo;

impl Repo {
    /// Makes our directory usable, including its parents up to `.autopack` or to the home of slots.
    pub fn reopen(&self, directory: &Path) {
        let slots = self.place().map(|place| place.home.clone());
        let homes = [Some(self.autopack_dir()), slots.ok()];
        let within = homes
            .iter()
            .flatten()
            .find_map(|home| directory.strip_prefix(home).ok().map(|below| (home.clone(), below)));
        let Some((mut at, below)) = within else { return };
        try_to("open", &at, open_up(&at));
        for name in below {
            at.push(name);
            try_to("make", &at, make_or_open(&at));
        }
    }
}

impl Slot {
    /// Makes the slot's directories usable. A missing directory of an agent stays missing, because the attempt is
    /// responsible.
    pub(crate) fn reopen(&self) {
        if let Some(place) = self.top.dir.parent() {
            self.repo.reopen(place);
        }
        for directory in [&self.top.git_dir, &self.top.dir, &self.ci.git_dir, &self.ci.dir] {
            try_to("open", directory, open_if_directory(directory));
        }
    }
}

/// Leaves anything except a directory alone: the path may be a link made by the user.
fn open_if_directory(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => open_up(path),
        false => Ok(()),
    }
}

fn make_or_open(path: &Path) -> io::Result<()> {
    match open_if_directory(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir(path),
        other => other,
    }
}

fn try_to(what: &str, path: &Path, done: io::Result<()>) {
    if let Err(error) = done {
        tracing::debug!("cannot {what} {}: {error}", path.display());
    }
}
