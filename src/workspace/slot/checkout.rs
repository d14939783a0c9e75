//! One folder of files and our git folder for it: a slot's top, or a submodule in it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::git_directory::GitDir;
use super::outside_diff::Outside;
use super::untracked_removal::clean;
use crate::git::command::{Git, Steering};
use crate::git::error::{Context, Result, WorkspaceError};
use crate::git::loose_objects::Objects;
use crate::git::removal::remove_any;
use crate::git::trees::Tree;
use crate::workspace::repo::Repo;

#[derive(Clone)]
pub(crate) struct Checkout {
    pub dir: PathBuf,
    pub git_dir: PathBuf,
    pub git: Git,
    /// Git for what concerns objects alone; it works whatever became of the folder.
    pub store: Git,
    /// Object folders of others that this one borrows.
    pub borrows: Vec<PathBuf>,
    /// The git folder of the user's that it stands for.
    pub stands_for: PathBuf,
    steering: Steering,
}

/// A checkout with a commit in it.
pub(crate) struct Placed {
    pub commit: String,
    pub tree: Arc<Tree>,
    /// What stayed though the commit does not have it.
    pub kept: Vec<Vec<u8>>,
    /// The ignore patterns that hold there.
    pub exclude: Vec<u8>,
}

impl Checkout {
    /// `hold` is the slot's lock.
    pub fn new(
        repo: &Repo,
        dir: PathBuf,
        git_dir: PathBuf,
        stands_for: &Path,
        hold: &Arc<OwnedFd>,
    ) -> Self {
        let mut git = Git::at(&dir, &repo.env).pinned(&git_dir, &dir).private(&git_dir);
        let steering = Steering::default();
        git = git.holding(hold.clone()).steered(steering.clone());
        repo.config.identity.set(&mut git);
        let store = git.clone().without_files(&git_dir);
        let borrows = vec![stands_for.join("objects")];
        Self { dir, git_dir, git, store, borrows, stands_for: stands_for.to_owned(), steering }
    }

    /// The same with more objects.
    pub fn borrowing(mut self, more: impl IntoIterator<Item = PathBuf>) -> Self {
        self.borrows.extend(more);
        self
    }

    /// Its own, not those that it borrows.
    pub fn objects(&self, repo: &Repo) -> Objects {
        Objects { dir: self.git_dir.join("objects"), sha256: repo.sha256, durable: false }
    }

    pub fn git_folder<'a>(&'a self, repo: &'a Repo) -> GitDir<'a> {
        GitDir {
            repo,
            path: &self.git_dir,
            borrows: self.borrows.clone(),
            stands_for: &self.stands_for,
        }
    }

    /// Readies our git folder, and lists what a commit has.
    pub async fn open(&self, repo: &Repo, commit: &str) -> Result<Arc<Tree>> {
        self.write_private(repo)?;
        repo.tree_by(&self.store, commit).await
    }

    /// Makes our git folder one that nobody else had a hand in, but for index and objects.
    pub fn write_private(&self, repo: &Repo) -> Result<()> {
        let exclude = Vec::new();
        self.steering.set(&self.git_dir, self.git_folder(repo).private(exclude)?)?;
        // Of a git that was killed; the slot's lock says that none is running.
        let lock = self.git_dir.join("index.lock");
        remove_any(&lock).doing("remove", &lock)
    }

    /// Adds `lines` to the ignore patterns that the user has for this repository alone.
    pub fn write_exclude(&self, repo: &Repo, lines: &[u8]) -> Result<Vec<u8>> {
        let folder = self.git_folder(repo);
        let all = folder.exclude(lines)?;
        self.steering.set(&self.git_dir, folder.private(all.clone())?)?;
        Ok(all)
    }

    /// Drops every object that is not the user's. Whoever can reach the folder can put something there whose content is not
    /// what its name says.
    pub fn drop_objects(&self) -> Result<()> {
        let objects = self.git_dir.join("objects");
        remove_any(&objects).doing("remove", &objects)?;
        self.steering.renew()
    }

    /// Drops our index, unless it is as we left it. What it says of files is believed.
    pub fn drop_strange_index(&self, repo: &Repo) -> Result<()> {
        let index = self.git_dir.join("index");
        if !repo.opened.is_as_left(&index) {
            remove_any(&index).doing("remove", &index)?;
        }
        Ok(())
    }

    /// Nobody but us wrote the index that is there now.
    pub fn leave_index(&self, repo: &Repo) {
        repo.opened.leave(&self.git_dir.join("index"));
    }

    /// Makes the folder hold exactly this commit, and what may stay.
    pub async fn place(
        &self,
        repo: &Repo,
        commit: &str,
        tree: Arc<Tree>,
        outside: &Outside,
    ) -> Result<Placed> {
        let exclude = self.write_exclude(repo, &outside.exclude_lines(&tree))?;
        let kept = self.sweep(tree.clone(), outside.clone()).await?;
        // Everything in the way is gone by now, and nothing that a path leads through is a link.
        let restore = ["read-tree", "--reset", "-u", commit];
        self.git.call(format!("restore the files of {commit}"), restore).bytes().await?;
        self.leave_index(repo);
        Ok(Placed { commit: commit.to_owned(), tree, kept, exclude })
    }

    async fn sweep(&self, tree: Arc<Tree>, outside: Outside) -> Result<Vec<Vec<u8>>> {
        let dir = self.dir.clone();
        blocking(move || {
            if !std::fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) {
                remove_any(&dir).doing("remove", &dir)?;
                std::fs::create_dir_all(&dir).doing("make the folder", &dir)?;
            }
            clean(&dir, &tree, &outside).doing("clean", &dir)
        })
        .await
    }

    /// Whether our git folder is still one that git can use.
    pub fn has_git_folder(&self) -> bool {
        let files = ["HEAD", "config", "objects/info/alternates"];
        files.iter().all(|file| self.git_dir.join(file).is_file())
    }

    pub fn is_there(&self) -> bool {
        std::fs::symlink_metadata(&self.dir).is_ok_and(|found| found.is_dir())
    }
}

/// Runs what walks through folders where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(join) => match join.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down cancels it.
            Err(_) => Err(WorkspaceError::ShuttingDown { doing: "go on with the slot".to_owned() }),
        },
    }
}
