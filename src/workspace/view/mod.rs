//! What a program in a slot sees of the machine: the slot in place of the user's checkout, private temporary files
//! and caches, and none of the user's secrets.
//!
//! [`prepare`] decides, and creates the private directories on the slot's disk; `process::view` builds the result. Where
//! a program finds things:
//!
//! | path | content | access |
//! |---|---|---|
//! | the user's checkout | the slot | read-write; read-only for a question to an agent |
//! | `/tmp`, `/var/tmp` | private, empty at the start | read-write |
//! | home directory, package caches | the user's, with private changes | read-write |
//! | [`ATTEMPT`] | files of the attempt | read-write |
//! | [`PYTHON`], [`OBJECTS`] | import guard, objects borrowed by the slot's git | read-only |
//! | `sandbox.write` | the user's | read-write |
//! | keys, tokens, other slots, the database | nothing | |
//! | everything else | the machine's | read-only |

pub mod agent_logins;
pub mod agent_state;
mod git_objects;
mod hidden_paths;
mod landlock_rules;
mod link_overlays;
mod linked_home;
mod mount_aliases;
mod mount_list;
mod namespace_mounts;
mod needed_paths;
pub mod network;
mod package_caches;
mod path_expansion;
mod placeholders;
mod private_copy;
mod private_directory;
mod private_paths;
mod service_sockets;
mod state_place;
mod view_place;
pub mod write_back;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use self::hidden_paths::HiddenPaths;
use self::landlock_rules::landlock_rules;
pub use self::link_overlays::overlay_rule;
use self::namespace_mounts::namespace_mounts;
pub use self::placeholders::Placeholders;
use self::private_directory::PrivateDirectory;
pub use self::private_paths::{PrivatePaths, open_private, remove_sessions, session_directory};
use self::view_place::{Machine, ViewPlace};
use crate::git::error::Result;
use crate::process::child_env::Env;
use crate::process::view::spec::{Mount, NetworkView, ViewMode, ViewSpec};
use crate::workspace::{LinkedDirectory, Repo, Side, Slot};

/// Directory of the attempt, in a view.
pub const ATTEMPT: &str = "/run/autopack/attempt";
/// Directory for files that a program leaves for autopack, in a view.
pub const SCRATCH: &str = "/run/autopack/scratch";
/// Directory with the guard of Python's imports, in a view.
pub const PYTHON: &str = "/run/autopack/python";
/// Directory with the object directories borrowed by the slot's git, in a view.
pub const OBJECTS: &str = "/run/autopack/objects";

/// Purpose of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViewPurpose {
    /// An agent.
    Agent,
    /// `workspace.setup` or an install; sees logins to package registries.
    Setup,
    /// CI.
    Ci,
}

/// What happens to the private files of earlier programs in the same checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrivateFiles {
    /// All stay: a further program of an attempt.
    Keep,
    /// Temporary files are removed: the first program of an attempt, and each run of CI. Caches and the private home
    /// directory stay, with the results of setup.
    StartAttempt,
    /// All are removed: before a setup, and in a clean clone.
    RemoveAll,
}

/// Paths of the section `sandbox` of the configuration, as written.
#[derive(Clone, Copy, Debug, Default)]
pub struct SandboxPaths<'a> {
    /// `sandbox.write`.
    pub write: &'a [String],
    /// `sandbox.hide`.
    pub hide: &'a [String],
    /// `sandbox.show`.
    pub show: &'a [String],
    /// `sandbox.sockets`.
    pub sockets: &'a [String],
}

/// Mounts for an agent's own state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateMounts {
    /// Mounts on top of the home directory.
    pub mounts: Vec<Mount>,
    /// Names of entries to leave out of the home directory.
    pub skip: Vec<OsString>,
    /// Whether `/tmp` is a file system of its own, an overlay.
    pub separate_tmp: bool,
}

/// A program that needs a view.
#[derive(Clone, Debug)]
pub struct ViewRequest<'a> {
    /// How the view is built.
    pub mode: ViewMode,
    /// Purpose of the program.
    pub purpose: ViewPurpose,
    /// Whether the program only reads the slot.
    pub is_read_only: bool,
    /// Private files of earlier programs.
    pub private_files: PrivateFiles,
    /// Paths of the configuration.
    pub settings: SandboxPaths<'a>,
    /// Directories to show in the slot through overlays.
    pub links: &'a [LinkedDirectory],
    /// Whether to remove changes to them by earlier programs.
    pub has_new_links: bool,
    /// Environment of the program.
    pub env: &'a Env,
    /// Program and arguments.
    pub argv: &'a [OsString],
    /// Directory of the attempt.
    pub attempt_dir: Option<&'a Path>,
    /// Directory with the guard of Python's imports.
    pub python_guard: Option<&'a Path>,
    /// File of the database.
    pub database: Option<&'a Path>,
    /// State of the agent.
    pub state: Option<&'a StateMounts>,
    /// Paths hidden by default that this program needs, such as a cloud's credentials.
    pub show: &'a [PathBuf],
    /// Paths to hide from this program, such as logins of agents; `sandbox.show` shows them.
    pub hide: &'a [PathBuf],
    /// autopack's own directories that the program writes to in landlock mode.
    pub write: &'a [&'a Path],
    /// Whether overlays can be mounted on the slot's disk.
    pub has_overlays: bool,
    /// Whether the program can mount file systems.
    pub allows_mounts: bool,
    /// Ports of a limited network.
    pub limited_ports: Option<Vec<u16>>,
    /// Directory for files that the program leaves for autopack.
    pub scratch: Option<&'a Path>,
}

/// A view, ready to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedView {
    /// Description for the supervisor.
    pub spec: ViewSpec,
    /// Mount points to remove from the slot after the program ended.
    pub placeholders: Placeholders,
    /// Variables to set, with paths in the view.
    pub environment: Vec<(OsString, OsString)>,
    /// Settings without effect.
    pub notes: Vec<String>,
}

/// Decides what a program sees, and creates its private directories.
///
/// # Errors
/// If the private directories cannot be created or emptied, or the repository has no place for slots.
pub fn prepare(
    repo: &Repo,
    slot: &Slot,
    side: Side,
    request: &ViewRequest<'_>,
) -> Result<PreparedView> {
    if request.mode == ViewMode::Off {
        return Ok(PreparedView::new(ViewSpec::new(ViewMode::Off)));
    }
    prepare_at(&ViewPlace::of(repo, slot, side, request.env)?, &Machine::of_host(), request)
}

fn prepare_at(
    place: &ViewPlace,
    machine: &Machine,
    request: &ViewRequest<'_>,
) -> Result<PreparedView> {
    let private = PrivateDirectory::open(&place.private, place.side, request.private_files)?;
    if request.has_new_links {
        private.remove_link_changes()?;
    }
    let hidden = HiddenPaths::collect(place, machine, request);
    let mut view = PreparedView::new(ViewSpec::new(request.mode));
    if let Some(ports) = &request.limited_ports {
        view.spec.network = NetworkView::Limited { ports: ports.clone() };
    }
    if request.mode == ViewMode::Landlock {
        let landlock = landlock_rules(place, machine, request, &hidden, &private)?;
        (view.spec.landlock, view.environment) = (landlock.rules, landlock.environment);
        return Ok(view);
    }
    view.spec.allows_mounts = request.allows_mounts;
    let built = namespace_mounts(place, machine, request, &hidden, &private)?;
    (view.spec.mounts, view.placeholders, view.notes) =
        (built.mounts, built.placeholders, built.notes);
    // Git must not find a repository above the checkout if the slot's `.git` is gone.
    if let Some(above) = place.checkout.parent() {
        view.environment.push(("GIT_CEILING_DIRECTORIES".into(), above.into()));
    }
    Ok(view)
}

impl PreparedView {
    fn new(spec: ViewSpec) -> Self {
        Self {
            spec,
            placeholders: Placeholders::default(),
            environment: Vec::new(),
            notes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod agent_state_tests;
#[cfg(test)]
mod fake_machine;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod view_tests;
