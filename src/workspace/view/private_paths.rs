//! Private directories of a checkout's programs, for callers that put files there.

use std::path::PathBuf;

use super::PrivateFiles;
use super::path_expansion::resolve_parent;
use super::private_directory::PrivateDirectory;
use super::view_place::private_parent;
use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;
use crate::workspace::{Repo, Side, Slot};

/// Private directories of a checkout's programs, outside of their view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivatePaths {
    /// New entries of the home directory.
    pub home: PathBuf,
    /// The agent's own state.
    pub state: PathBuf,
    /// Files that a program leaves for autopack.
    pub scratch: PathBuf,
}

/// Creates the private directories of a checkout, and removes what earlier programs left there.
///
/// # Errors
/// If a directory cannot be created or emptied, or the repository has no place for slots.
pub fn open_private(
    repo: &Repo,
    slot: &Slot,
    side: Side,
    left: PrivateFiles,
) -> Result<PrivatePaths> {
    let (parent, name) = private_parent(repo, slot, side)?;
    let parent = resolve_parent(&parent);
    let private = PrivateDirectory::open(&parent, name, left)?;
    Ok(PrivatePaths {
        home: private.directory("home", 0o700)?,
        state: private.directory("state", 0o700)?,
        scratch: private.directory("scratch", 0o700)?,
    })
}

/// Removes the sessions of a run, or of a phase of it, which nobody can continue any more.
///
/// # Errors
/// If a directory cannot be removed, or the repository has no place for slots.
pub fn remove_sessions(repo: &Repo, run: &str, phase: Option<&str>) -> Result<()> {
    let of_run = sessions_of(repo, run)?;
    let directory = phase.map_or(of_run.clone(), |phase| of_run.join(phase));
    remove_any(&directory).doing("remove", &directory)
}

fn sessions_of(repo: &Repo, run: &str) -> Result<PathBuf> {
    let place = repo.place()?;
    Ok(place.dir.join(format!("{}.sessions", place.name)).join(run))
}

/// Returns the directory of an agent's sessions in a phase, which every slot can continue.
///
/// # Errors
/// If the directory cannot be created, or the repository has no place for slots.
pub fn session_directory(repo: &Repo, run: &str, phase: &str, agent: &str) -> Result<PathBuf> {
    let directory = sessions_of(repo, run)?.join(phase).join(agent);
    std::fs::create_dir_all(&directory).doing("create the directory", &directory)?;
    Ok(directory)
}
