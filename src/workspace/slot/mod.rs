//! A slot: a directory for attempts, used by only a single attempt at a time, with a repository of
//! its own.
//!
//! `slot_place.rs` determines the location. The agent's checkout belongs to the agent, including
//! `.git`; the directory next to it with a name ending in `.git` is ours. `.autopack/slots/N.lock`
//! is held while the slot is in use, by autopack and by child processes working in the slot.

pub mod adopt;
pub mod agent_credit;
pub mod agent_objects;
pub mod binary_files;
pub mod checkout;
pub mod ci_seal;
pub mod clean_clone;
pub mod commit;
pub mod dependency_links;
pub mod fetch_remote;
pub mod filters;
pub mod git_directory;
pub mod ignored_deliverables;
pub mod kept_work;
pub mod land;
pub mod linked_paths;
pub mod lost_work;
pub mod made_objects;
pub mod measure;
pub mod message_text;
pub mod old_slots;
pub mod outside_diff;
pub mod overlay_links;
pub mod own_directories;
pub mod revert;
pub mod rewritten_files;
pub mod setup_remains;
pub mod submodule;
pub mod symlinks;
pub mod untouched_files;
pub mod untracked_removal;
pub mod update;

use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::checkout::{Checkout, PreparedCheckout};
use self::ci_seal::{end_of_use, remove_touched};
use self::dependency_links::WantedDependencies;
use self::git_directory::GitDir;
use self::made_objects::LastMeasuredTree;
use self::outside_diff::DiffExclusions;
use self::overlay_links::OverlayLinks;
use self::submodule::{Filling, ParentCheckout, Submodule, fill};
use super::repo::Repo;
use super::repo::copied_refs::CopiedRefs;
use super::repo::slot_place::git_dir_of;
use crate::config::WorkspaceSettings;
use crate::file_stamp::ChangeTime;
use crate::git::error::{Context, Result, WorkspaceError};
use crate::git::exact_directory::ExactDirectory;
use crate::git::removal::remove_any;
use crate::git::trees::Tree;
use crate::process::FileLock;
use crate::workspace::blocking_work::blocking;

/// A working directory reserved for us until dropped.
pub struct Slot {
    pub(super) repo: Repo,
    number: u32,
    /// The agent's checkout.
    pub(super) top: Checkout,
    pub(super) contents: Option<SlotContents>,
    /// CI's checkout; no agent works there.
    pub(super) ci: Checkout,
    pub(super) ci_contents: Option<SlotContents>,
    /// Whether CI's checkout was reset since it was last sealed.
    ci_in_use: bool,
    pub(super) made: LastMeasuredTree,
    lock: FileLock,
}

/// Selects a checkout of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The agent's checkout.
    Agent,
    /// CI's checkout.
    Ci,
}

/// Content of a checkout after a reset.
pub(super) struct SlotContents {
    pub placed: PreparedCheckout,
    pub outside: DiffExclusions,
    pub wanted: WantedDependencies,
    pub modules: Vec<Submodule>,
    refs: CopiedRefs,
    /// The copy's own git directory as written.
    pub own_git: ExactDirectory,
    pub is_measured: AtomicBool,
    pub overlay_links: OverlayLinks,
}

/// Findings of a reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetFindings {
    /// `workspace.link` paths missing in the user's checkout.
    pub missing_links: Vec<String>,
    /// `workspace.link` paths tracked by the commit; the commit's version was kept.
    pub tracked_links: Vec<String>,
    /// Submodules whose commit was not fetched by the user; their directories are empty.
    pub missing_submodules: Vec<String>,
    /// A kept path in CI's checkout written by another process since CI's last use; all kept paths were removed.
    pub touched: Option<PathBuf>,
    /// New path of the slot's old directory, if it could not be cleaned.
    pub set_aside: Option<PathBuf>,
}

impl Repo {
    /// Acquires the first free slot not reserved for a person, creating a slot if needed.
    ///
    /// # Errors
    /// If no slot can be locked or created.
    pub async fn acquire_slot(&self) -> Result<Slot> {
        self.prepare_directory()?;
        let place = self.place()?;
        let locks = self.locks_dir();
        fs::create_dir_all(&locks).doing("create the directory", &locks)?;
        self.reopen(&locks);
        self.reopen(&place.dir);
        let mut number = 0;
        loop {
            let file = locks.join(format!("{number}.lock"));
            if !self.is_reserved(number)
                && let Some(mut lock) = FileLock::try_lock(&file).doing("lock the slot", &file)?
            {
                // It may have been reserved, and left, since the first look.
                if !self.is_reserved(number) {
                    lock.write(&format!("pid {}\n", std::process::id())).doing("write", &file)?;
                    return Slot::open(self, number, lock);
                }
            }
            number += 1;
        }
    }
}

impl Slot {
    pub(super) fn open(repo: &Repo, number: u32, lock: FileLock) -> Result<Self> {
        let place = repo.place()?;
        let hold = lock.fd().doing("pass on the lock", lock.path())?;
        let checkout = |dir: PathBuf| {
            let git_dir = git_dir_of(&dir);
            Checkout::new(repo, dir, git_dir, &repo.common_dir, &hold)
        };
        let top = checkout(place.checkout(number));
        // A commit of an attempt is created in the agent's checkout, then checked out in CI's.
        let ci = checkout(place.ci_checkout(number)).borrowing([top.git_dir.join("objects")]);
        fs::create_dir_all(&top.dir).doing("create the directory", &top.dir)?;
        let made = LastMeasuredTree::default();
        let (contents, ci_contents) = (None, None);
        let repo = repo.clone();
        Ok(Self { repo, number, top, contents, ci, ci_contents, ci_in_use: false, made, lock })
    }

    /// Moves CI's checkout to another directory.
    pub(super) fn move_ci(&mut self, dir: PathBuf) -> Result<()> {
        let git_dir = git_dir_of(&dir);
        let checkout =
            Checkout::new(&self.repo, dir, git_dir, &self.repo.common_dir, &self.lock_fd()?);
        (self.ci, self.ci_contents) = (checkout, None);
        Ok(())
    }

    /// Returns the slot's number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns the agent's working directory.
    pub fn path(&self) -> &Path {
        &self.top.dir
    }

    /// Returns the directory of a checkout.
    pub fn path_of(&self, side: Side) -> &Path {
        &self.checkout(side).dir
    }

    pub(super) fn checkout(&self, side: Side) -> &Checkout {
        match side {
            Side::Agent => &self.top,
            Side::Ci => &self.ci,
        }
    }

    /// Returns the lock, for child processes to inherit.
    ///
    /// # Errors
    /// If the file descriptor cannot be duplicated.
    pub fn lock_fd(&self) -> Result<Arc<OwnedFd>> {
        self.lock.fd().doing("pass on the lock", self.lock.path())
    }

    /// Returns environment variables for every program in the slot: if the slot's `.git` is gone, git must not find
    /// the user's repository in a parent directory.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let above = self.top.dir.parent().unwrap_or(&self.top.dir);
        vec![("GIT_CEILING_DIRECTORIES".into(), above.into())]
    }

    /// Resets the agent's checkout to exactly this commit: restores tracked files, removes everything else except
    /// caches, copies links and submodules, and recreates the repository.
    ///
    /// # Errors
    /// If git fails, or files cannot be written.
    pub async fn reset(
        &mut self,
        commit: &str,
        settings: &WorkspaceSettings,
    ) -> Result<ResetFindings> {
        self.contents = None;
        self.reopen();
        let (contents, reset) = self.fill(Side::Agent, commit, settings, None).await?;
        self.contents = Some(contents);
        Ok(reset)
    }

    /// Resets a checkout again to its current commit.
    ///
    /// # Errors
    /// If the checkout was never reset, or as for [`Self::reset`].
    pub async fn reset_again(
        &mut self,
        side: Side,
        settings: &WorkspaceSettings,
    ) -> Result<ResetFindings> {
        let contents = self.contents_of(side).ok_or(WorkspaceError::NotReset(self.number))?;
        let commit = contents.placed.commit.clone();
        match side {
            Side::Agent => self.reset(&commit, settings).await,
            Side::Ci => self.reset_ci(&commit, settings).await,
        }
    }

    /// Resets CI's checkout. `commit` may be a commit not landed yet.
    ///
    /// # Errors
    /// As for [`Self::reset`].
    pub async fn reset_ci(
        &mut self,
        commit: &str,
        settings: &WorkspaceSettings,
    ) -> Result<ResetFindings> {
        self.ci_contents = None;
        self.reopen();
        let sealed = end_of_use(&self.ci.dir);
        let (contents, reset) = self.fill(Side::Ci, commit, settings, sealed).await?;
        self.break_seal()?;
        self.ci_contents = Some(contents);
        Ok(reset)
    }

    async fn fill(
        &self,
        side: Side,
        commit: &str,
        settings: &WorkspaceSettings,
        sealed: Option<ChangeTime>,
    ) -> Result<(SlotContents, ResetFindings)> {
        let mut outside = DiffExclusions::new(settings)?;
        let checkout = self.checkout(side);
        let mut reset = ResetFindings::default();
        checkout.drop_objects(&self.repo)?;
        checkout.drop_foreign_index(&self.repo)?;
        let tree = checkout.open(&self.repo, commit).await?;
        let links = self.repo.automatic_links(&tree, settings);
        outside.dependencies.clone_from(&links);
        self.keep_installed(checkout, &mut outside);
        let mut placed = self.place(checkout, commit, tree, &outside, &mut reset).await?;
        reset.touched = remove_touched(checkout, &mut placed.kept, sealed).await?;
        let tree = &placed.tree;
        let wanted = self.settle_installed(checkout, tree, links, &mut outside, settings).await?;
        let mut overlay_links = self.bring_links(checkout, &outside, &placed, &mut reset).await?;
        self.bring_dependencies(checkout, &outside.dependencies, &mut overlay_links).await?;
        let parent = ParentCheckout {
            path: b"",
            hold: &self.lock_fd()?,
            checkout,
            tree: &placed.tree,
            own_git: Some(".git".into()),
            users_git: vec![self.repo.git_dir.clone(), self.repo.common_dir.clone()],
            users_dir: self.repo.root.clone(),
        };
        let mut modules = fill(&self.repo, parent, &outside, Filling::Place).await?;
        for module in &mut modules {
            let touched = module.remove_touched(sealed).await?;
            reset.touched = reset.touched.or(touched);
        }
        let absent = modules.iter().filter(|module| module.checkout.is_none());
        reset.missing_submodules =
            absent.map(|module| crate::git::path_bytes::to_text(&module.path)).collect();
        let refs = self.repo.copied_refs().await?;
        let own_git = ExactDirectory::default();
        let is_measured = AtomicBool::new(false);
        let mut contents = SlotContents {
            placed,
            outside,
            wanted,
            modules,
            refs,
            own_git,
            is_measured,
            overlay_links,
        };
        contents.own_git = self.write_own_git(checkout, commit, &contents)?;
        Ok((contents, reset))
    }

    async fn place(
        &self,
        checkout: &Checkout,
        commit: &str,
        tree: Arc<Tree>,
        outside: &DiffExclusions,
        reset: &mut ResetFindings,
    ) -> Result<PreparedCheckout> {
        let first = checkout.place(&self.repo, commit, tree.clone(), outside).await;
        if let Ok(_) | Err(WorkspaceError::GitMissing | WorkspaceError::ShuttingDown { .. }) = first
        {
            return first;
        }
        // A file cannot be removed, or git is confused: start with an empty directory.
        reset.set_aside = replace_directory(checkout)?;
        match checkout.place(&self.repo, commit, tree, outside).await {
            Err(WorkspaceError::Git { stderr, .. }) if self.repo.config.partial => {
                let (root, commit) = (self.repo.root.clone(), commit.to_owned());
                Err(WorkspaceError::PartialClone { root, commit, stderr })
            }
            second => second,
        }
    }

    /// Recreates the agent's own git directory at `commit`, whatever happened to the previous directory.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn renew_agents_git(&self, commit: &str) -> Result<()> {
        let made = self.top.clone().borrowing([self.top.git_dir.join("objects")]);
        self.write_own_git(&made, commit, self.contents()?).map(drop)
    }

    fn write_own_git(
        &self,
        checkout: &Checkout,
        commit: &str,
        contents: &SlotContents,
    ) -> Result<ExactDirectory> {
        let path = checkout.dir.join(".git");
        let directory = GitDir { path: &path, ..checkout.git_directory(&self.repo) };
        let SlotContents { placed, modules, refs, .. } = contents;
        let is_cis = checkout.dir == self.ci.dir;
        let remote = if is_cis { self.repo.origin_config() } else { String::new() };
        let mut own = directory.own(&checkout.git_dir, commit, &placed.exclude, refs, &remote)?;
        for module in modules {
            module.add_own_git(&self.repo, &checkout.dir, &mut own)?;
        }
        own.make(&path).doing("write the slot's git directory", &path)?;
        modules.iter().try_for_each(Submodule::write_git_file)?;
        Ok(own)
    }

    /// Removes the whole slot, so that a secret written by an agent is kept nowhere.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub async fn remove(&mut self) -> Result<()> {
        (self.contents, self.ci_contents, self.ci_in_use) = (None, None, false);
        self.repo.brought.forget(&self.top.dir);
        self.repo.brought.forget(&self.ci.dir);
        let place = self.repo.place()?.clone();
        let number = self.number;
        blocking(move || {
            for path in place.of_slot(number).doing("list", &place.dir)? {
                remove_any(&path).doing("remove", &path)?;
            }
            Ok(())
        })
        .await
    }

    pub(super) fn contents_of(&self, side: Side) -> Option<&SlotContents> {
        match side {
            Side::Agent => self.contents.as_ref(),
            Side::Ci => self.ci_contents.as_ref(),
        }
    }

    pub(super) fn contents(&self) -> Result<&SlotContents> {
        self.contents.as_ref().ok_or(WorkspaceError::NotReset(self.number))
    }

    /// Copies the paths of `workspace.link`; returns the directories that need no copy.
    async fn bring_links(
        &self,
        checkout: &Checkout,
        outside: &DiffExclusions,
        placed: &PreparedCheckout,
        reset: &mut ResetFindings,
    ) -> Result<OverlayLinks> {
        let mut overlays = OverlayLinks::default();
        for link in &outside.links {
            if placed.tree.has_file(link) || placed.tree.has_directory(link) {
                reset.tracked_links.push(link.clone());
                continue;
            }
            if let Some(overlay) = self.overlay_link(checkout, link)? {
                overlays.push(overlay);
            } else if !self.copy_link(checkout, link).await? {
                reset.missing_links.push(link.clone());
            }
        }
        Ok(overlays)
    }
}

/// Replaces a directory that cannot be cleaned, e.g. because of files of another user.
fn replace_directory(checkout: &Checkout) -> Result<Option<PathBuf>> {
    let index = checkout.git_dir.join("index");
    remove_any(&index).doing("remove", &index)?;
    let dir = &checkout.dir;
    if remove_any(dir).is_ok() {
        return Ok(None);
    }
    let aside = (0..).map(|n| dir.with_added_extension(format!("stuck.{n}")));
    let aside = aside.into_iter().find(|path| !path.exists());
    let aside = aside.unwrap_or_else(|| dir.with_added_extension("stuck"));
    fs::rename(dir, &aside).doing("set aside", dir)?;
    Ok(Some(aside))
}
