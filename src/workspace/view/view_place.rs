//! What a view is made of: the user's checkout, the copy that takes its place, and the machine around.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use nix::unistd::{User, geteuid};

use super::mount_aliases::MountTable;
use super::path_expansion::{is_strictly_below, resolve, resolve_parent};
use crate::git::error::Result;
use crate::git::trees::Tree;
use crate::process::child_env::Env;
use crate::workspace::repo::Repo;
use crate::workspace::repo::slot_place::private_directory_of;
use crate::workspace::slot::{Side, Slot};

/// Git directory of the slot's, with the object directories borrowed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BorrowingGit {
    /// Path from the top of the checkout, such as `.git`.
    pub below: PathBuf,
    /// Object directories of the user's repository and of our git directories.
    pub borrows: Vec<PathBuf>,
}

/// Places of a view, without links.
#[derive(Clone, Debug)]
pub(super) struct ViewPlace {
    /// The user's checkout.
    pub checkout: PathBuf,
    /// The checkout of the slot, shown in its place.
    pub copy: PathBuf,
    /// Private directory of the slot.
    pub private: PathBuf,
    /// Name of this checkout's part of `private`.
    pub side: &'static str,
    /// Directory of all slots.
    pub slots: PathBuf,
    /// Git directories of the user's repository.
    pub git_dirs: Vec<PathBuf>,
    /// autopack's directory.
    pub autopack: PathBuf,
    pub borrowing: Vec<BorrowingGit>,
    /// Ignore patterns in effect in the copy.
    pub exclude: Vec<u8>,
    /// Files of the commit.
    pub tree: Option<Arc<Tree>>,
    /// Home directory.
    pub home: Option<PathBuf>,
    /// Environment of the program.
    pub variables: Env,
}

/// The machine around a view.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub uid: u32,
    /// The user's home directory according to the system.
    pub home: Option<PathBuf>,
    pub mounts: MountTable,
    /// Temporary directories shared by all users.
    pub temporary: Vec<PathBuf>,
    /// Directory of sockets and other files of running programs.
    pub run: PathBuf,
    /// Content of `/proc/net/unix`.
    pub sockets: String,
    /// File with the addresses of name servers.
    pub resolver: PathBuf,
}

impl Machine {
    /// Reads the state of this machine.
    pub fn of_host() -> Self {
        let mut temporary = vec![resolve(Path::new("/tmp")), resolve(Path::new("/var/tmp"))];
        temporary.dedup();
        Self {
            uid: geteuid().as_raw(),
            home: users_home(),
            mounts: MountTable::of_process(),
            temporary,
            run: resolve(Path::new("/run")),
            sockets: fs::read_to_string("/proc/net/unix").unwrap_or_default(),
            resolver: "/etc/resolv.conf".into(),
        }
    }
}

impl ViewPlace {
    /// Describes a checkout of a slot.
    pub fn of(repo: &Repo, slot: &Slot, side: Side, env: &Env) -> Result<Self> {
        let place = repo.place()?;
        let checkout = slot.checkout(side);
        let (private, name) = private_parent(repo, slot, side)?;
        let mut borrowing = Vec::new();
        let objects = [&slot.checkout(Side::Agent).git_dir, &checkout.git_dir];
        let objects = objects.into_iter().map(|git_dir| git_dir.join("objects"));
        let borrows = checkout.borrows.iter().cloned().chain(objects).collect();
        borrowing.push(BorrowingGit { below: ".git".into(), borrows });
        let contents = slot.contents_of(side);
        for module in contents.into_iter().flat_map(|contents| &contents.modules) {
            if let (Some(below), Some(checkout)) = (&module.own_git, &module.checkout) {
                let (below, borrows) = (below.clone(), checkout.borrows.clone());
                borrowing.push(BorrowingGit { below, borrows });
            }
        }
        let top = resolve(repo.root());
        Ok(Self {
            copy: resolve_parent(&checkout.dir),
            private: resolve_parent(&private),
            side: name,
            slots: resolve(&place.home),
            git_dirs: vec![resolve(&repo.git_dir), resolve(repo.common_dir())],
            autopack: resolve(&repo.autopack_dir()),
            borrowing,
            exclude: contents.map(|contents| contents.placed.exclude.clone()).unwrap_or_default(),
            tree: contents.map(|contents| contents.placed.tree.clone()),
            home: home(env),
            variables: env.clone(),
            checkout: top,
        })
    }

    /// Whether a path in the checkout is not of the copy, but of the user's home directory in the checkout.
    pub fn is_users(&self, path: &Path) -> bool {
        let home = self.home.as_ref().filter(|home| is_strictly_below(home, &self.checkout));
        home.is_some_and(|home| path.starts_with(home) && self.in_copy(home).is_none())
    }

    /// Returns the path in the copy of a path in the checkout, if something is there. A mount leaves an empty file or
    /// directory, which is nothing; the commit may have empty files of its own.
    pub fn in_copy(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.checkout).ok()?;
        let there =
            if below.as_os_str().is_empty() { self.copy.clone() } else { self.copy.join(below) };
        let found = there.symlink_metadata().ok()?;
        let is_tracked = || {
            let tree = self.tree.as_ref().zip(below.to_str());
            tree.is_some_and(|(tree, below)| tree.has_file(below))
        };
        let is_something = match found.is_dir() {
            true => there.read_dir().is_ok_and(|mut entries| entries.next().is_some()),
            false => !found.is_file() || found.len() > 0 || is_tracked(),
        };
        is_something.then_some(there)
    }

    /// Whether a directory holds the checkout, the home directory or the slots: too much to show or to change as a
    /// whole.
    pub fn is_above(&self, directory: &Path) -> bool {
        let home = self.home.iter();
        let kept = home.chain([&self.checkout, &self.slots, &self.copy, &self.autopack]);
        directory.parent().is_none() || kept.into_iter().any(|path| path.starts_with(directory))
    }

    /// Returns a variable with an absolute path.
    pub fn path_variable(&self, name: &str) -> Option<PathBuf> {
        absolute(&self.variables, name)
    }
}

/// Returns the private directory of a slot, and the name of a checkout's part of it.
pub(super) fn private_parent(
    repo: &Repo,
    slot: &Slot,
    side: Side,
) -> Result<(PathBuf, &'static str)> {
    let (place, number) = (repo.place()?, slot.number());
    let private = private_directory_of(place, number);
    let name = match side {
        Side::Agent => "agent",
        Side::Ci if slot.checkout(side).dir == place.clean_clone(number) => "clean",
        Side::Ci => "ci",
    };
    Ok((private, name))
}

/// Returns the user's home directory according to the system, looked up once.
fn users_home() -> Option<PathBuf> {
    static HOME: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let user = User::from_uid(geteuid()).ok().flatten()?;
        let home = resolve(&user.dir);
        home.parent().is_some().then_some(home)
    });
    HOME.clone()
}

/// Returns the home directory; `/` is none.
fn home(env: &Env) -> Option<PathBuf> {
    let home = resolve(&absolute(env, "HOME")?);
    home.parent().is_some().then_some(home)
}

fn absolute(env: &Env, name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env.get(OsStr::new(name))?);
    path.is_absolute().then_some(path)
}
