//! Location of a checkout's slots: outside the checkout and outside every git work tree.
//!
//! A slot inside the checkout would see the directories above: node finds the user's own packages
//! by walking up, Go finds the user's `go.work`, and the user's own test runner finds the tests of
//! a failed phase.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::statfs::statfs;
use nix::unistd::{AccessFlags, access, geteuid};
use sha2::{Digest, Sha256};

use super::is_git_dir;
use crate::config::without_dots;
use crate::git::error::{Context, Result, WorkspaceError};
use crate::phase::words::hex;

/// Name of autopack's directory in the user's state directory.
const OURS: &str = "autopack";
/// Maximum length of the checkout's name in characters; compilers and sockets have limits on paths.
const LONGEST_LABEL: usize = 40;

/// `f_type` of remote file systems and of file systems served by a program: FUSE, NFS, SMB (three variants), 9p, AFS,
/// Ceph, Lustre, Coda, OCFS2, GFS2 (statfs(2)).
const REMOTE: [u64; 12] = [
    0x6573_5546,
    0x6969,
    0x517B,
    0xFF53_4D42,
    0xFE53_4D42,
    0x0102_1997,
    0x5346_414F,
    0x00C3_6400,
    0x0BD0_0BD0,
    0x7375_7245,
    0x7461_636F,
    0x0116_1970,
];

/// Settings and environment that determine the place.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocationSettings {
    /// `workspace.slots_dir`.
    pub slots_dir: Option<String>,
    /// `XDG_STATE_HOME` and `HOME`.
    pub state_home: Option<PathBuf>,
    pub home: Option<PathBuf>,
}

/// Source of a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LocationOrigin {
    /// `workspace.slots_dir`.
    Setting,
    /// The user's state directory.
    State,
    /// The system's temporary directory preserved across boots.
    Temporary,
}

/// The directory of a checkout's slots, and the slots' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotLocation {
    /// Directory of all checkouts' slots.
    pub home: PathBuf,
    /// Directory of this checkout's slots.
    pub dir: PathBuf,
    /// Slot 3 is `<name>-3`. Names differ between checkouts, because programs such as Compose use the directory's
    /// name.
    pub name: String,
}

impl SlotLocation {
    /// Chooses the place and creates its directory.
    ///
    /// # Errors
    /// [`WorkspaceError::NoPlaceForSlots`] if every place is refused.
    pub fn choose(root: &Path, settings: &LocationSettings) -> Result<Self> {
        let real = root.canonicalize().doing("resolve", root)?;
        if let Some(wanted) = &settings.slots_dir {
            let home = expanded(wanted, settings, &real);
            let place = Self::under(home, &real);
            return match place
                .refusal(&real, LocationOrigin::Setting)
                .or_else(|| place.make().err())
            {
                None => Ok(place),
                Some(why) => Err(WorkspaceError::NoPlaceForSlots { why }),
            };
        }
        let mut refusals = Vec::new();
        match settings.state() {
            None => refusals.push("neither XDG_STATE_HOME nor HOME is an absolute path".to_owned()),
            Some(state) => {
                let place = Self::under(state.join(OURS), &real);
                match place.refusal(&real, LocationOrigin::State).or_else(|| place.make().err()) {
                    None => return Ok(place),
                    Some(why) => refusals.push(why),
                }
            }
        }
        let home = PathBuf::from(format!("/var/tmp/{OURS}-{}", geteuid()));
        let place = Self::under(home, &real);
        let made = || create_private_directory(&place.home).err().or_else(|| place.make().err());
        match place.refusal(&real, LocationOrigin::Temporary).or_else(made) {
            None => Ok(place),
            Some(why) => {
                refusals.push(why);
                Err(WorkspaceError::NoPlaceForSlots { why: refusals.join("; ") })
            }
        }
    }

    /// Returns the reason for refusing the configured place; `None` if no place is configured.
    pub fn setting_refusal(root: &Path, settings: &LocationSettings) -> Option<String> {
        let (wanted, real) = (settings.slots_dir.as_ref()?, root.canonicalize().ok()?);
        Self::under(expanded(wanted, settings, &real), &real)
            .refusal(&real, LocationOrigin::Setting)
    }

    fn under(home: PathBuf, real: &Path) -> Self {
        let hash = Sha256::digest(crate::git::path_bytes::to_bytes(real));
        let hash = hex(&hash[..4]);
        let label = label(real);
        let dir = home.join(format!("{label}-{hash}"));
        Self { home, dir, name: format!("{label}-{}", &hash[..4]) }
    }

    /// Returns the reason for refusing this place, without creating anything.
    fn refusal(&self, root: &Path, origin: LocationOrigin) -> Option<String> {
        let shown = self.home.display();
        let there = match nearest(&self.home) {
            Ok(there) => there,
            Err(error) => return Some(format!("{shown} cannot be read: {error}")),
        };
        if there.starts_with(root) || self.home.starts_with(root) {
            return Some(format!("{shown} is inside the checkout"));
        }
        if let Some(tree) = there.ancestors().find(|at| at.join(".git").exists() || is_git_dir(at))
        {
            return Some(format!("{shown} is inside the git repository {}", tree.display()));
        }
        // A configured place is used on any file system: the user knows it.
        if origin == LocationOrigin::Setting {
            return None;
        }
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        if origin == LocationOrigin::State && device(&there) != device(root) {
            return Some(format!("{shown} is on another file system than the checkout"));
        }
        is_remote(&there).then(|| format!("{shown} is on a network or FUSE file system"))
    }

    fn make(&self) -> std::result::Result<(), String> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        let usable = made.and_then(|()| {
            // An agent may have removed its permissions.
            crate::git::removal::open_up(&self.dir)?;
            access(&self.dir, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from)
        });
        usable.map_err(|error| format!("{} is not writable: {error}", self.dir.display()))
    }

    /// Returns the agent's checkout of a slot.
    pub fn checkout(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{}-{number}", self.name))
    }

    /// Returns CI's checkout of a slot.
    pub fn ci_checkout(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{}-{number}-ci", self.name))
    }

    /// Returns a slot's checkout for testing a run's tip again.
    pub fn clean_clone(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{}-{number}-clean", self.name))
    }

    /// Returns all directories of a slot: both checkouts, our git directories for them, and the directories set
    /// aside.
    pub fn of_slot(&self, number: u32) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let own = format!("{}-{number}", self.name);
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(&own));
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-'])) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

/// Returns our git directory for a checkout in a slot.
pub(crate) fn git_dir_of(checkout: &Path) -> PathBuf {
    let mut name = checkout.as_os_str().to_owned();
    name.push(".git");
    name.into()
}

/// Returns the directory with the private files of a slot's programs.
pub(crate) fn private_directory_of(place: &SlotLocation, number: u32) -> PathBuf {
    let mut name = place.checkout(number).into_os_string();
    name.push(".view");
    name.into()
}

impl LocationSettings {
    /// A relative `XDG_STATE_HOME` is ignored, as required by the specification.
    fn state(&self) -> Option<PathBuf> {
        let absolute = |path: &&PathBuf| path.is_absolute();
        let own = self.state_home.as_ref().filter(absolute).cloned();
        own.or_else(|| Some(self.home.as_ref().filter(absolute)?.join(".local/state")))
    }
}

fn expanded(wanted: &str, settings: &LocationSettings, root: &Path) -> PathBuf {
    let path = match (wanted.strip_prefix("~/"), &settings.home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => root.join(wanted),
    };
    // The path may not exist yet.
    without_dots(&path)
}

/// Returns the nearest existing directory of a path, without links.
fn nearest(path: &Path) -> io::Result<PathBuf> {
    for at in path.ancestors() {
        match at.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn is_remote(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| is_remote_kind(found.filesystem_type().0 as u64))
}

/// `f_type` can be negative on systems with 32 bits; only the lower half is compared.
fn is_remote_kind(kind: u64) -> bool {
    REMOTE.contains(&(kind & 0xFFFF_FFFF))
}

/// Creates a directory for us alone in a world-writable directory: another user's directory or link is refused.
fn create_private_directory(directory: &Path) -> std::result::Result<(), String> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(format!("cannot create {}: {error}", directory.display()));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(directory)
        .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(format!("{} is not a directory of yours", directory.display()));
    }
    if found.mode() & 0o077 != 0 {
        return Err(format!(
            "{} is open to other users; change its mode to 0700",
            directory.display()
        ));
    }
    Ok(())
}

/// Returns the checkout's name, reduced to characters safe for every program.
fn label(root: &Path) -> String {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).take(LONGEST_LABEL).collect();
    match name.trim_matches(['.', '-', '_']) {
        "" => "repository".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
#[path = "slot_place_tests.rs"]
mod tests;
