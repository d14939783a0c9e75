//! Submodules in a slot: filled from commits fetched by the user. A change in a submodule cannot
//! land and is reported.
//!
//! Each submodule has a git directory for the agent in `.git/modules`, as created by `git submodule
//! update`, and a private git directory. Both borrow the user's objects.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::checkout::Checkout;
use super::ci_seal;
use super::git_directory::GitDir;
use super::outside_diff::DiffExclusions;
use crate::file_stamp::ChangeTime;
use crate::git::command::{Git, fields};
use crate::git::error::Result;
use crate::git::exact_directory::ExactDirectory;
use crate::git::path_bytes::{from_bytes, join_path, to_text};
use crate::git::trees::Tree;
use crate::phase::words::hex;
use crate::workspace::repo::Repo;

/// A submodule of a slot.
pub(crate) struct Submodule {
    /// Path from the slot's top.
    pub path: Vec<u8>,
    pub dir: PathBuf,
    /// `None` if its commit was not fetched by the user: an empty directory.
    pub checkout: Option<Checkout>,
    pub commit: String,
    /// Paths outside the commit left in place.
    pub kept: Vec<Vec<u8>>,
    /// Its git directory, from the slot's top; `None` if missing in `.gitmodules`.
    pub own_git: Option<PathBuf>,
}

/// A checkout in a slot with submodules to fill, and the user's corresponding git directories.
pub(crate) struct ParentCheckout<'a> {
    pub path: &'a [u8],
    /// The slot's lock.
    pub hold: &'a Arc<OwnedFd>,
    pub checkout: &'a Checkout,
    pub tree: &'a Tree,
    /// The checkout's own git directory, from the slot's top.
    pub own_git: Option<PathBuf>,
    /// The user's git directories with a possible `modules/`.
    pub users_git: Vec<PathBuf>,
    pub users_dir: PathBuf,
}

/// What filling does to the files of submodules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filling {
    /// Puts the files of their commits in place.
    Place,
    /// Leaves them as they are.
    Adopt,
}

/// Fills the submodules of a checkout, recursively.
pub(crate) async fn fill(
    repo: &Repo,
    parent: ParentCheckout<'_>,
    outside: &DiffExclusions,
    filling: Filling,
) -> Result<Vec<Submodule>> {
    let mut modules = Vec::new();
    if parent.tree.submodules().next().is_none() {
        return Ok(modules);
    }
    let names = names(&parent.checkout.git, parent.tree).await?;
    for (path, commit) in parent.tree.submodules() {
        let name = names.iter().find(|(_, at)| at == path).map(|(name, _)| name.as_str());
        let whole = join_path(parent.path, path);
        let dir = parent.checkout.dir.join(from_bytes(path));
        let own_git = parent.own_git.as_ref().zip(name.filter(|name| is_safe(name)));
        let own_git = own_git.map(|(above, name)| above.join("modules").join(name));
        let users_dir = parent.users_dir.join(from_bytes(path));
        std::fs::create_dir_all(&dir).map_err(|source| io("create the directory", &dir, source))?;
        let Some(users_git) = fetched(repo, &parent, name, &users_dir, commit).await? else {
            if filling == Filling::Place {
                empty(&dir).map_err(|source| io("clean", &dir, source))?;
            }
            let commit = commit.to_owned();
            let (checkout, kept, own_git) = (None, Vec::new(), None);
            modules.push(Submodule { path: whole, dir, checkout, commit, kept, own_git });
            continue;
        };
        let git_dir = parent.checkout.git_dir.join("modules").join(file_name(path));
        let checkout = Checkout::new(repo, dir.clone(), git_dir, &users_git, parent.hold);
        let tree = checkout.open(repo, commit).await?;
        let (tree, kept) = match filling {
            Filling::Place => {
                let placed = checkout.place(repo, commit, tree, outside).await?;
                (placed.tree, placed.kept)
            }
            Filling::Adopt => (tree, Vec::new()),
        };
        let inner = ParentCheckout {
            path: &whole,
            hold: parent.hold,
            checkout: &checkout,
            tree: &tree,
            own_git: own_git.clone(),
            users_git: vec![users_git],
            users_dir,
        };
        let below = Box::pin(fill(repo, inner, outside, filling)).await?;
        modules.push(Submodule {
            path: whole.clone(),
            dir,
            checkout: Some(checkout.clone()),
            commit: commit.to_owned(),
            kept,
            own_git,
        });
        modules.extend(below);
    }
    Ok(modules)
}

/// Whether a submodule's name stays inside `modules/`.
fn is_safe(name: &str) -> bool {
    !name.split('/').any(|part| part == ".." || part.is_empty())
}

/// Returns the relative path from a directory at `from` back to the top.
fn up(from: &Path) -> PathBuf {
    from.components().map(|_| "..").collect()
}

impl Submodule {
    /// Adds the submodule's git directory to the directory of the slot's top at `.git`.
    pub fn add_own_git(&self, repo: &Repo, top: &Path, exact: &mut ExactDirectory) -> Result<()> {
        let (Some(own_git), Some(checkout)) = (&self.own_git, &self.checkout) else {
            return Ok(());
        };
        let path = top.join(own_git);
        let directory = GitDir { path: &path, ..checkout.git_directory(repo) };
        let work_tree = up(own_git).join(from_bytes(&self.path));
        let below = own_git.strip_prefix(".git").unwrap_or(own_git);
        directory.add_module(exact, below, &checkout.git_dir, &self.commit, &work_tree)
    }

    /// Writes the file in the submodule's directory with the path of its git directory.
    pub fn write_git_file(&self) -> Result<()> {
        let Some(text) = self.git_file() else { return Ok(()) };
        let file = self.dir.join(".git");
        std::fs::write(&file, text).map_err(|source| io("write", &file, source))
    }

    /// Whether the submodule's directory has this file.
    pub fn has_its_git_file(&self) -> bool {
        let file = self.dir.join(".git");
        let is_file = std::fs::symlink_metadata(&file).is_ok_and(|found| found.is_file());
        is_file && std::fs::read(&file).ok() == self.git_file().map(String::into_bytes)
    }

    fn git_file(&self) -> Option<String> {
        let own_git = self.own_git.as_ref()?;
        let to = up(from_bytes(&self.path)).join(own_git);
        Some(format!("gitdir: {}\n", to.display()))
    }

    /// Removes the kept paths if one of them changed after the seal; returns the changed path from the slot's top.
    pub async fn remove_touched(&mut self, sealed: Option<ChangeTime>) -> Result<Option<PathBuf>> {
        let Some(checkout) = &self.checkout else { return Ok(None) };
        let touched = ci_seal::remove_touched(checkout, &mut self.kept, sealed).await?;
        Ok(touched.map(|path| from_bytes(&self.path).join(path)))
    }

    /// Whether anything in the submodule differs from its commit.
    pub async fn is_changed(&self) -> Result<bool> {
        if !std::fs::symlink_metadata(&self.dir).is_ok_and(|found| found.is_dir()) {
            // Missing or replaced, and so reported by its parent.
            return Ok(false);
        }
        let Some(checkout) = &self.checkout else {
            let mut entries =
                std::fs::read_dir(&self.dir).map_err(|source| io("list", &self.dir, source))?;
            return Ok(entries.next().is_some());
        };
        let args = ["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"];
        let doing = format!("check for changes in the submodule {}", to_text(&self.path));
        Ok(!checkout.git.call(doing, args).bytes().await?.is_empty())
    }
}

/// Finds a git directory of the user's with this commit of a submodule.
async fn fetched(
    repo: &Repo,
    parent: &ParentCheckout<'_>,
    name: Option<&str>,
    users_dir: &Path,
    commit: &str,
) -> Result<Option<PathBuf>> {
    let safe = name.filter(|name| is_safe(name));
    let mut candidates = Vec::new();
    for users_git in parent.users_git.iter().filter(|_| safe.is_some()) {
        candidates.push(users_git.join("modules").join(safe.unwrap_or_default()));
    }
    candidates.push(users_dir.join(".git"));
    for git_dir in candidates.into_iter().filter(|dir| dir.join("objects").is_dir()) {
        let git = Git::at(&repo.root, &repo.env).pinned(&git_dir, &repo.root);
        let args = ["cat-file", "-e", &format!("{commit}^{{commit}}")];
        if git.call("find a submodule's commit", args).answer().await?.ok() {
            return Ok(Some(git_dir));
        }
    }
    Ok(None)
}

/// Returns name and path of each submodule in `.gitmodules`.
async fn names(git: &Git, tree: &Tree) -> Result<Vec<(String, Vec<u8>)>> {
    if !tree.has_file(".gitmodules") {
        return Ok(Vec::new());
    }
    let args = ["config", "--file", ".gitmodules", "--list", "-z"];
    let answer = git.call("read .gitmodules", args).answer().await?;
    if !answer.ok() {
        return Ok(Vec::new());
    }
    let named = fields(&answer.output.stdout).filter_map(|field| {
        let at = field.iter().position(|b| *b == b'\n')?;
        let key = std::str::from_utf8(&field[..at]).ok()?;
        let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
        Some((name.to_owned(), field[at + 1..].to_vec()))
    });
    Ok(named.collect())
}

/// Converts a submodule's path to a file name.
fn file_name(path: &[u8]) -> String {
    hex(&Sha256::digest(path)[..8])
}

fn empty(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        crate::git::removal::remove_any(&entry?.path())?;
    }
    Ok(())
}

fn io(
    doing: &'static str,
    path: &Path,
    source: std::io::Error,
) -> crate::workspace::WorkspaceError {
    crate::workspace::WorkspaceError::Io { doing, path: path.to_owned(), source }
}
