//! A slot: a folder in which one attempt after the other works, as a repository of its own.
//!
//! `.autopack/slots/N` is the agent's, `.git` and all; `N.git` is ours; `N.lock` is held as long as
//! the slot is somebody's, by us and by the children that work in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::checkout::{Checkout, Placed, blocking};
use super::error::{Context, Result, WorkspaceError};
use super::git_dir::GitDir;
use super::link::Mirror;
use super::made::LastMade;
use super::outside::Outside;
use super::removal::remove_any;
use super::repo::Repo;
use super::submodule::{Module, Parent, fill};
use crate::config::WorkspaceSettings;
use crate::process::FileLock;

/// A working folder that is ours alone, until this is dropped.
pub struct Slot {
    pub(super) repo: Repo,
    number: u32,
    pub(super) top: Checkout,
    pub(super) holding: Option<Holding>,
    pub(super) made: LastMade,
    lock: FileLock,
}

/// How often this process has opened each slot.
#[derive(Clone, Default)]
pub(super) struct Opened(Arc<Mutex<BTreeMap<u32, u32>>>);

impl Opened {
    /// So many attempts leave their objects behind before they are removed.
    const KEPT: u32 = 16;

    /// The first time, since who was here before may have died at its work, and then now and again.
    fn is_due(&self, slot: u32) -> bool {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = opened.entry(slot).or_default();
        let due = times.is_multiple_of(Self::KEPT);
        *times = times.wrapping_add(1);
        due
    }
}

/// What a slot holds after a reset.
pub(super) struct Holding {
    pub placed: Placed,
    pub outside: Outside,
    pub modules: Vec<Module>,
}

/// What there is to say about a reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reset {
    /// `workspace.link` paths that the user's checkout does not have.
    pub missing_links: Vec<String>,
    /// `workspace.link` paths that the commit has itself; they were left as the commit has them.
    pub tracked_links: Vec<String>,
    /// Submodules whose commit the user has not fetched; their folders are empty.
    pub missing_submodules: Vec<String>,
    /// Where the slot's old folder lies, when it could not be cleaned.
    pub set_aside: Option<PathBuf>,
}

impl Repo {
    /// The first slot that is nobody's, a new one if need be.
    pub async fn acquire_slot(&self) -> Result<Slot> {
        self.prepare_folder()?;
        let slots = self.slots_dir();
        fs::create_dir_all(&slots).doing("make the folder", &slots)?;
        self.reopen(&slots);
        let mut number = 0;
        loop {
            let file = slots.join(format!("{number}.lock"));
            if let Some(mut lock) = FileLock::try_lock(&file).doing("lock the slot", &file)? {
                lock.write(&format!("pid {}\n", std::process::id())).doing("write", &file)?;
                return Slot::open(self, number, lock);
            }
            number += 1;
        }
    }
}

impl Slot {
    fn open(repo: &Repo, number: u32, lock: FileLock) -> Result<Self> {
        let slots = repo.slots_dir();
        let git_dir = slots.join(format!("{number}.git"));
        // What earlier attempts made and did not land is of no use any more. But their folders are.
        if repo.opened.is_due(number) {
            let objects = git_dir.join("objects");
            remove_any(&objects).doing("remove", &objects)?;
        }
        let dir = slots.join(number.to_string());
        let hold = lock.fd().doing("hand on", lock.path())?;
        let top = Checkout::new(repo, dir, git_dir, &repo.common_dir, &hold);
        fs::create_dir_all(&top.dir).doing("make the folder", &top.dir)?;
        let made = LastMade::default();
        Ok(Self { repo: repo.clone(), number, top, holding: None, made, lock })
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// The agent's working folder.
    pub fn path(&self) -> &Path {
        &self.top.dir
    }

    /// The lock, for children to inherit.
    pub fn lock_fd(&self) -> Result<Arc<OwnedFd>> {
        self.lock.fd().doing("hand on", self.lock.path())
    }

    /// Variables for whatever runs in the slot: where its `.git` is gone, git must not find the
    /// user's repository above it.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        vec![("GIT_CEILING_DIRECTORIES".into(), self.repo.slots_dir().into())]
    }

    /// Makes the slot hold exactly this commit: tracked files restored, everything else removed but
    /// caches, links and submodules brought, the agent's repository made anew.
    pub async fn reset(&mut self, commit: &str, settings: &WorkspaceSettings) -> Result<Reset> {
        let outside = Outside::new(settings)?;
        self.holding = None;
        self.reopen();
        let mut reset = Reset::default();
        let placed = self.place(commit, &outside, &mut reset).await?;
        self.bring_links(&outside, &placed, &mut reset).await?;
        let parent = Parent {
            path: b"",
            hold: &self.lock_fd()?,
            checkout: &self.top,
            tree: &placed.tree,
            users_git: vec![self.repo.git_dir.clone(), self.repo.common_dir.clone()],
            users_dir: self.repo.root.clone(),
        };
        let modules = fill(&self.repo, parent, &outside).await?;
        let absent = modules.iter().filter(|module| module.checkout.is_none());
        reset.missing_submodules = absent.map(|module| super::paths::shown(&module.path)).collect();
        self.holding = Some(Holding { placed, outside, modules });
        self.renew_agents_git(commit)?;
        Ok(reset)
    }

    async fn place(&self, commit: &str, outside: &Outside, reset: &mut Reset) -> Result<Placed> {
        let tree = self.top.open(&self.repo, commit).await?;
        let first = self.top.place(&self.repo, commit, tree.clone(), outside).await;
        if let Ok(_) | Err(WorkspaceError::GitMissing | WorkspaceError::ShuttingDown { .. }) = first
        {
            return first;
        }
        // Something in it cannot be removed, or git lost its way: begin with an empty folder.
        reset.set_aside = self.start_over()?;
        match self.top.place(&self.repo, commit, tree, outside).await {
            Err(WorkspaceError::Git { said, .. }) if self.repo.config.partial => {
                let (root, commit) = (self.repo.root.clone(), commit.to_owned());
                Err(WorkspaceError::PartialClone { root, commit, said })
            }
            second => second,
        }
    }

    /// Makes the agent's `.git` anew at `commit`, whatever became of the one before. After a commit
    /// of ours, CI finds a clean repository.
    pub fn renew_agents_git(&self, commit: &str) -> Result<()> {
        let holding = self.holding()?;
        let path = self.top.dir.join(".git");
        let folder = GitDir {
            repo: &self.repo,
            path: &path,
            borrows: vec![self.top.git_dir.join("objects"), self.repo.objects_dir()],
            stands_for: &self.top.stands_for,
        };
        folder.write_for_agent(&self.top.git_dir, commit, &holding.placed.exclude)
    }

    pub(super) fn holding(&self) -> Result<&Holding> {
        self.holding.as_ref().ok_or(WorkspaceError::NotReset(self.number))
    }

    async fn bring_links(
        &self,
        outside: &Outside,
        placed: &Placed,
        reset: &mut Reset,
    ) -> Result<()> {
        for link in &outside.links {
            if placed.tree.has_file(link) || placed.tree.has_folder(link) {
                reset.tracked_links.push(link.clone());
                continue;
            }
            let (root, slot, path) = (self.repo.root.clone(), self.top.dir.clone(), link.clone());
            let there = blocking(move || {
                let mirror = Mirror { root: &root, slot: &slot };
                mirror.bring(&path).doing("copy into the slot", &root.join(&path))
            })
            .await?;
            if !there {
                reset.missing_links.push(link.clone());
            }
        }
        Ok(())
    }

    /// A new folder in place of one that cannot be cleaned (files of another user in it, say).
    fn start_over(&self) -> Result<Option<PathBuf>> {
        let index = self.top.git_dir.join("index");
        remove_any(&index).doing("remove", &index)?;
        let dir = &self.top.dir;
        if remove_any(dir).is_ok() {
            return Ok(None);
        }
        let slots = self.repo.slots_dir();
        let aside = (0..).map(|n| slots.join(format!("{}.stuck.{n}", self.number)));
        let aside =
            aside.into_iter().find(|path| !path.exists()).unwrap_or_else(|| slots.join("stuck"));
        fs::rename(dir, &aside).doing("set aside", dir)?;
        Ok(Some(aside))
    }
}
