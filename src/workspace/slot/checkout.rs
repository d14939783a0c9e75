//! A directory of files with our git directory: the top of a slot, or a submodule.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::git_directory::GitDir;
use super::outside_diff::DiffExclusions;
use super::untracked_removal::clean;
use crate::file_stamp::{ChangeTime, changed_at};
use crate::git::command::{Git, PinnedGitFiles};
use crate::git::error::{Context, Result};
use crate::git::loose_objects::ObjectDirectory;
use crate::git::removal::remove_any;
use crate::git::trees::Tree;
use crate::workspace::blocking_work::blocking;
use crate::workspace::repo::Repo;

#[derive(Clone)]
pub(crate) struct Checkout {
    pub dir: PathBuf,
    pub git_dir: PathBuf,
    pub git: Git,
    /// Git for calls that use only objects; works whatever the state of the directory.
    pub store: Git,
    /// Object directories borrowed from other repositories.
    pub borrows: Vec<PathBuf>,
    /// The corresponding git directory of the user's.
    pub stands_for: PathBuf,
    pinned_files: PinnedGitFiles,
}

/// A checkout of a commit.
pub(crate) struct PreparedCheckout {
    pub commit: String,
    pub tree: Arc<Tree>,
    /// Paths outside the commit left in place.
    pub kept: Vec<Vec<u8>>,
    /// Ignore patterns in effect there.
    pub exclude: Vec<u8>,
    /// Time of the last change by the reset.
    pub placed_at: ChangeTime,
}

impl Checkout {
    /// Describes a checkout; `hold` is the slot's lock.
    pub fn new(
        repo: &Repo,
        dir: PathBuf,
        git_dir: PathBuf,
        stands_for: &Path,
        hold: &Arc<OwnedFd>,
    ) -> Self {
        let mut git = Git::at(&dir, &repo.env).pinned(&git_dir, &dir).private(&git_dir);
        let pinned_files = PinnedGitFiles::default();
        git = git.holding(hold.clone()).pinned_files(pinned_files.clone());
        repo.config.identity.set(&mut git);
        let store = git.clone().without_files(&git_dir);
        let borrows = vec![stands_for.join("objects")];
        Self { dir, git_dir, git, store, borrows, stands_for: stands_for.to_owned(), pinned_files }
    }

    /// Adds object directories to borrow from.
    pub fn borrowing(mut self, more: impl IntoIterator<Item = PathBuf>) -> Self {
        self.borrows.extend(more);
        self
    }

    /// Returns the checkout's own objects, without the borrowed directories.
    pub fn objects(&self, repo: &Repo) -> ObjectDirectory {
        ObjectDirectory { dir: self.git_dir.join("objects"), sha256: repo.sha256, durable: false }
    }

    pub fn git_directory<'a>(&'a self, repo: &'a Repo) -> GitDir<'a> {
        GitDir {
            repo,
            path: &self.git_dir,
            borrows: self.borrows.clone(),
            stands_for: &self.stands_for,
        }
    }

    /// Prepares our git directory, and lists the paths of a commit.
    pub async fn open(&self, repo: &Repo, commit: &str) -> Result<Arc<Tree>> {
        self.write_private(repo)?;
        repo.trees.list(&self.store, commit).await
    }

    /// Rewrites our git directory to a known state, except for index, objects and ignore patterns
    /// ([`Self::write_exclude`]).
    pub fn write_private(&self, repo: &Repo) -> Result<()> {
        self.pinned_files.set(&self.git_dir, self.git_directory(repo).private(None)?)?;
        // Left by a killed git; the slot's lock guarantees that none is running.
        let lock = self.git_dir.join("index.lock");
        remove_any(&lock).doing("remove", &lock)
    }

    /// Appends `lines` to the user's ignore patterns for this repository.
    pub fn write_exclude(&self, repo: &Repo, lines: &[u8]) -> Result<Vec<u8>> {
        let directory = self.git_directory(repo);
        let all = directory.exclude(lines)?;
        self.pinned_files.set(&self.git_dir, directory.private(Some(all.clone()))?)?;
        Ok(all)
    }

    /// Removes every object not in the user's repository. With access to the directory, someone could store an object
    /// whose content does not match its name, or put a link to another repository in its place.
    pub fn drop_objects(&self, repo: &Repo) -> Result<()> {
        let mut exact = self.git_directory(repo).private(None)?.closed();
        // Their empty directories may stay: git would make most of them again.
        for entry in fs::read_dir(self.git_dir.join("objects")).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.len() == 2 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit) {
                exact.directory(Path::new("objects").join(name));
            }
        }
        exact.make(&self.git_dir).doing("write the git directory", &self.git_dir)
    }

    /// Removes our index if another process changed it, because git trusts its data about files.
    pub fn drop_foreign_index(&self, repo: &Repo) -> Result<()> {
        let index = self.git_dir.join("index");
        if !repo.written_files.is_unchanged(&index) {
            remove_any(&index).doing("remove", &index)?;
        }
        Ok(())
    }

    /// Records the current index as written by us.
    pub fn record_index(&self, repo: &Repo) {
        repo.written_files.record(&self.git_dir.join("index"));
    }

    /// Makes the directory hold exactly this commit, and the paths allowed to stay.
    pub async fn place(
        &self,
        repo: &Repo,
        commit: &str,
        tree: Arc<Tree>,
        outside: &DiffExclusions,
    ) -> Result<PreparedCheckout> {
        let exclude = self.write_exclude(repo, &outside.exclude_lines(&tree))?;
        let kept = self.sweep(tree.clone(), outside.clone()).await?;
        // By now every obstacle is gone, and no parent directory is a link.
        let restore = ["read-tree", "--reset", "-u", commit];
        self.git.call(format!("restore the files of {commit}"), restore).bytes().await?;
        self.record_index(repo);
        // Git writes the index last.
        let index = self.git_dir.join("index");
        let placed_at = changed_at(&fs::symlink_metadata(&index).doing("read", &index)?);
        Ok(PreparedCheckout { commit: commit.to_owned(), tree, kept, exclude, placed_at })
    }

    async fn sweep(&self, tree: Arc<Tree>, outside: DiffExclusions) -> Result<Vec<Vec<u8>>> {
        let dir = self.dir.clone();
        blocking(move || {
            if !fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) {
                remove_any(&dir).doing("remove", &dir)?;
                fs::create_dir_all(&dir).doing("create the directory", &dir)?;
            }
            clean(&dir, &tree, &outside).doing("clean", &dir)
        })
        .await
    }

    /// Whether our git directory can still be used by git.
    pub fn has_git_directory(&self) -> bool {
        let files = ["HEAD", "config", "objects/info/alternates"];
        files.iter().all(|file| self.git_dir.join(file).is_file())
    }

    pub fn exists(&self) -> bool {
        fs::symlink_metadata(&self.dir).is_ok_and(|found| found.is_dir())
    }
}
