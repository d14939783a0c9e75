//! Directories with private changes: package caches, and the user's configuration and data directories, in which
//! programs create files of their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::hidden_paths::HiddenPaths;
use super::path_expansion::resolve;
use super::view_place::{Machine, ViewPlace};

/// A directory of a program's files.
struct CacheDirectory {
    /// Variable that moves the directory.
    variable: Option<&'static str>,
    /// Part of the variable's directory; all of it if empty.
    part: &'static str,
    /// Default, below the home directory.
    default: Option<&'static str>,
}

const fn at(default: &'static str) -> CacheDirectory {
    CacheDirectory { variable: None, part: "", default: Some(default) }
}

const fn by(variable: &'static str, default: &'static str) -> CacheDirectory {
    CacheDirectory { variable: Some(variable), part: "", default: Some(default) }
}

/// A directory whose default is below another directory of the list.
const fn moved(variable: &'static str) -> CacheDirectory {
    CacheDirectory { variable: Some(variable), part: "", default: None }
}

/// Directories of well-known programs. Only existing directories count.
const DIRECTORIES: &[CacheDirectory] = &[
    by("XDG_CACHE_HOME", ".cache"),
    by("XDG_CONFIG_HOME", ".config"),
    at(".local"),
    by("XDG_DATA_HOME", ".local/share"),
    by("XDG_STATE_HOME", ".local/state"),
    by("BUNDLE_USER_HOME", ".bundle"),
    by("BUN_INSTALL_CACHE_DIR", ".bun/install/cache"),
    by("CABAL_DIR", ".cabal"),
    by("CARGO_HOME", ".cargo"),
    by("CCACHE_DIR", ".ccache"),
    by("CONDA_PKGS_DIRS", ".conda/pkgs"),
    by("DOTNET_CLI_HOME", ".dotnet"),
    by("GRADLE_USER_HOME", ".gradle"),
    by("HEX_HOME", ".hex"),
    by("JULIA_DEPOT_PATH", ".julia"),
    by("MIX_HOME", ".mix"),
    by("NPM_CONFIG_CACHE", ".npm"),
    by("NUGET_PACKAGES", ".nuget"),
    by("PUB_CACHE", ".pub-cache"),
    by("RUSTUP_HOME", ".rustup"),
    by("STACK_ROOT", ".stack"),
    CacheDirectory { variable: Some("GOPATH"), part: "pkg", default: Some("go/pkg") },
    at(".cpan"),
    at(".gem"),
    at(".ivy2"),
    at(".konan"),
    at(".m2"),
    at(".node-gyp"),
    at(".sbt"),
    at(".swiftpm"),
    at(".yarn"),
    at(".yarn-cache"),
    moved("npm_config_cache"),
    moved("BAZELISK_HOME"),
    moved("BUNDLE_PATH"),
    moved("COMPOSER_CACHE_DIR"),
    moved("COMPOSER_HOME"),
    moved("COURSIER_CACHE"),
    moved("CYPRESS_CACHE_FOLDER"),
    moved("DENO_DIR"),
    moved("ELECTRON_CACHE"),
    moved("GEM_HOME"),
    moved("GOCACHE"),
    moved("GOLANGCI_LINT_CACHE"),
    moved("GOMODCACHE"),
    moved("HF_HOME"),
    moved("MPLCONFIGDIR"),
    moved("PIPENV_CACHE_DIR"),
    moved("PIP_CACHE_DIR"),
    moved("PLAYWRIGHT_BROWSERS_PATH"),
    moved("PNPM_HOME"),
    moved("POETRY_CACHE_DIR"),
    moved("PRE_COMMIT_HOME"),
    moved("PUPPETEER_CACHE_DIR"),
    moved("SCCACHE_DIR"),
    moved("TORCH_HOME"),
    moved("UV_CACHE_DIR"),
    moved("UV_TOOL_DIR"),
    moved("WORKON_HOME"),
    moved("YARN_CACHE_FOLDER"),
    moved("YARN_GLOBAL_FOLDER"),
];

/// Returns the existing directories with private changes, parents first.
pub(super) fn private_directories(
    place: &ViewPlace,
    machine: &Machine,
    hidden: &HiddenPaths,
) -> BTreeSet<PathBuf> {
    let found = DIRECTORIES.iter().filter_map(|directory| {
        let moved = directory.variable.and_then(|name| place.path_variable(name));
        let path = match moved {
            Some(path) if directory.part.is_empty() => path,
            Some(path) => path.join(directory.part),
            None => place.home.as_ref()?.join(directory.default?),
        };
        path.is_dir().then(|| resolve(&path))
    });
    found.filter(|path| is_usable(path, place, machine, hidden)).collect()
}

/// Whether changes to a directory can be kept apart without changing anything else.
fn is_usable(path: &Path, place: &ViewPlace, machine: &Machine, hidden: &HiddenPaths) -> bool {
    let is_the_slots = path.starts_with(&place.checkout) && !place.is_users(path);
    let is_shared = machine.temporary.iter().chain([&machine.run]).any(|at| at.starts_with(path));
    let holds_more =
        path.parent().is_none() || place.home.as_ref().is_some_and(|home| home.starts_with(path));
    !is_the_slots && !is_shared && !holds_more && !hidden.contains(path)
}

/// Whether an overlay can have this directory below: the kernel refuses a directory that holds the changes, and some
/// file systems.
pub(super) fn supports_overlay(lower: &Path, private: &Path, machine: &Machine) -> bool {
    !private.starts_with(lower) && is_overlay_lower(lower, machine)
}

/// Whether the file system of a directory can be the lower one of an overlay.
pub(super) fn is_overlay_lower(lower: &Path, machine: &Machine) -> bool {
    let kind = machine.mounts.kind_at(lower).unwrap_or_default();
    let is_unsuitable = is_served_by_program(kind)
        || ["9p", "cifs", "ecryptfs", "exfat", "nfs", "nfs4", "smb3", "vfat"].contains(&kind);
    !is_unsuitable
}

/// Whether a program serves the file system, and may not answer.
pub(super) fn is_served_by_program(kind: &str) -> bool {
    kind.starts_with("fuse") || kind == "autofs"
}
