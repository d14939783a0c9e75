//! Redirects environment variables from the user's checkout to a copy, so that CI tests the copy.
//!
//! With the checkout `/home/me/app` and the copy `/slots/1`:
//!
//! ```text
//! VIRTUAL_ENV=/home/me/app/.venv         -> /slots/1/.venv, or dropped if the copy has no .venv
//! PATH=/home/me/app/node_modules/.bin:/usr/bin
//!                                        -> /slots/1/node_modules/.bin:/usr/bin
//! EDITOR=/usr/bin/vim                    -> unchanged
//! ```
//!
//! Unchanged variables would make CI use files outside the commit. The values decide, not the names, so
//! variables unknown to autopack are covered too.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::PathReplacement;
use super::child_env::Env;

/// Variables never changed, whatever their values: about the user, the machine and git's configuration, or set by
/// autopack.
const EXEMPT: [&str; 20] = [
    "_",
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GNUPGHOME",
    "HOME",
    "LOGNAME",
    "OLDPWD",
    "PWD",
    "SHELL",
    "SSH_AUTH_SOCK",
    "TEMP",
    "TMP",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// Variables read by builds and imports, such as `PYTHONPATH`. A path into the checkout never stays in them, for
/// any child process.
const BUILD_VARIABLES: [&str; 15] = [
    "CARGO_TARGET_DIR",
    "GOFLAGS",
    "GOWORK",
    "INIT_CWD",
    "MYPYPATH",
    "NODE_PATH",
    "PERL5LIB",
    "PYTEST_ADDOPTS",
    "PYTHONPATH",
    "RUBYLIB",
    "UV_PROJECT_ENVIRONMENT",
    "VIRTUAL_ENV",
    "npm_config_local_prefix",
    "npm_config_prefix",
    "npm_package_json",
];

/// What happens to a path that exists in the checkout but not in the copy, such as an ignored `.venv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingPathRule {
    /// For CI: drop the path, because the user's checkout must not influence the result.
    Drop,
    /// For agents and setup: keep the path, because untracked files may configure them. In the variables in
    /// `BUILD_VARIABLES`, drop the path.
    KeepExceptBuildVariables,
}

/// An environment that refers to the copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelocatedEnvironment {
    /// The changed environment.
    pub env: Env,
    /// Variables that now refer to the copy.
    pub changed: Vec<String>,
    /// Variables that lost a path missing in the copy, or were removed.
    pub dropped: Vec<String>,
}

/// The user's checkout, in every known spelling of the path.
#[derive(Clone, Debug)]
pub struct UsersCheckout {
    /// Path without symbolic links.
    real: PathBuf,
    spellings: Vec<PathBuf>,
    /// Whether the checkout contains the user's home directory: then many files belong to no project.
    holds_home: bool,
}

/// Position of a path, relative to the user's checkout.
enum ReferencedPath {
    Outside,
    /// Relative to the top of the checkout.
    Inside(PathBuf),
}

/// Effect of a relocation on a variable.
enum PathDecision {
    Same,
    Changed(OsString),
    Dropped,
}

impl UsersCheckout {
    /// Collects the spellings of `root`. `env` is autopack's environment: `PWD` may contain a symbolic link, as
    /// typed by the user.
    pub fn new(root: &Path, env: &Env) -> Self {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let mut spellings = vec![real.clone(), root.to_owned()];
        let get = |name: &str| env.get(OsStr::new(name)).map(PathBuf::from);
        if let Some(pwd) = get("PWD").filter(|pwd| pwd.is_absolute()) {
            let top = pwd.ancestors().find(|at| at.canonicalize().is_ok_and(|at| at == real));
            spellings.extend(top.map(Path::to_owned));
        }
        spellings.sort();
        spellings.dedup();
        let home = get("HOME").and_then(|home| home.canonicalize().ok());
        let holds_home = home.is_some_and(|home| home.starts_with(&real));
        Self { real, spellings, holds_home }
    }

    /// Returns every spelling of the path, including the spelling without symbolic links.
    pub fn spellings(&self) -> &[PathBuf] {
        &self.spellings
    }

    /// Returns the replacement of the checkout's paths by paths of `copy`.
    pub fn replacement(&self, copy: &Path) -> PathReplacement {
        PathReplacement::new(&self.spellings, copy)
    }

    /// Checks whether a path is in the checkout, in any spelling and through any symbolic links.
    pub fn contains(&self, path: &Path) -> bool {
        matches!(self.locate(path), ReferencedPath::Inside(_))
    }

    /// Returns the names of the variables changed or dropped by `relocate`, for display.
    pub fn affected_variables(&self, env: &Env) -> Vec<String> {
        // A missing copy contains no paths, so every affected variable is listed.
        let relocated = self.relocate(env, Path::new("/nonexistent"), MissingPathRule::Drop);
        let mut names = [relocated.changed, relocated.dropped].concat();
        names.sort();
        names.dedup();
        names
    }

    /// Returns the environment for work in `copy`.
    pub fn relocate(
        &self,
        env: &Env,
        copy: &Path,
        missing: MissingPathRule,
    ) -> RelocatedEnvironment {
        let mut relocated = RelocatedEnvironment::default();
        // The copy has the checkout's path: nothing to change.
        if self.spellings.iter().any(|spelling| spelling == copy) {
            relocated.env = env.clone();
            return relocated;
        }
        for (name, value) in env {
            let display_name = || name.to_string_lossy().into_owned();
            let (value, lost) = match self.decide(name, value, copy, missing) {
                (PathDecision::Same, lost) => (Some(value.clone()), lost),
                (PathDecision::Changed(value), lost) => {
                    relocated.changed.push(display_name());
                    (Some(value), lost)
                }
                (PathDecision::Dropped, _) => (None, true),
            };
            if lost {
                relocated.dropped.push(display_name());
            }
            if let Some(value) = value {
                relocated.env.insert(name.clone(), value);
            }
        }
        relocated
    }

    /// Decides on a variable. Lists such as `PATH` are decided element by element. The boolean says whether a path
    /// was dropped from the value.
    fn decide(
        &self,
        name: &OsStr,
        value: &OsStr,
        copy: &Path,
        missing: MissingPathRule,
    ) -> (PathDecision, bool) {
        let text = name.to_string_lossy();
        if EXEMPT.contains(&text.as_ref()) || text.starts_with("AUTOPACK_") {
            return (PathDecision::Same, false);
        }
        let is_build_variable =
            BUILD_VARIABLES.contains(&text.as_ref()) || text.starts_with("COVERAGE_");
        let drops = missing == MissingPathRule::Drop && !self.holds_home || is_build_variable;
        let bytes = value.as_bytes();
        let elements: Vec<&[u8]> = bytes.split(|byte| *byte == b':').collect();
        let is_list = !bytes.windows(3).any(|three| three == b"://")
            && elements.iter().any(|element| self.is_inside(element));
        if !is_list {
            let moved = self.replacement(copy).apply(bytes).map(OsString::from_vec);
            return (moved.map_or(PathDecision::Same, PathDecision::Changed), false);
        }
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let (mut changed, mut lost) = (false, false);
        for element in elements {
            match self.moved(element, copy) {
                None => kept.push(element.to_vec()),
                Some(Some(moved)) => {
                    changed = true;
                    kept.push(moved.into_os_string().into_vec());
                }
                Some(None) if drops => lost = true,
                Some(None) => kept.push(element.to_vec()),
            }
        }
        let value = OsString::from_vec(kept.join(&b':'));
        match (kept.is_empty(), changed || lost) {
            (true, _) => (PathDecision::Dropped, true),
            (false, true) => (PathDecision::Changed(value), lost),
            (false, false) => (PathDecision::Same, false),
        }
    }

    /// Whether every path of a value into the checkout exists in the copy, or is in one of these directories.
    pub fn names_only<'a>(
        &self,
        value: &OsStr,
        copy: &Path,
        directories: impl Iterator<Item = &'a str> + Clone,
    ) -> bool {
        value.as_bytes().split(|byte| *byte == b':').all(|element| {
            let path = Path::new(OsStr::from_bytes(element));
            let ReferencedPath::Inside(below) = self.locate(path) else { return true };
            copy.join(&below).symlink_metadata().is_ok()
                || directories.clone().any(|directory| below.starts_with(directory))
        })
    }

    fn is_inside(&self, element: &[u8]) -> bool {
        // `//` begins the rest of a URL. A value with options after the path is text, not a path.
        let is_path = element.starts_with(b"/") && !element.starts_with(b"//");
        let path = Path::new(OsStr::from_bytes(element));
        let below = self.spellings.iter().find_map(|top| path.strip_prefix(top).ok());
        let has_space = below.unwrap_or(path).as_os_str().as_bytes().contains(&b' ');
        let is_text = has_space && fs::symlink_metadata(path).is_err();
        is_path && !is_text && self.contains(path)
    }

    /// Maps a path to the copy: `None` for a path outside the checkout, `Some(None)` for a path missing in the
    /// copy, `Some(Some(path))` for a path in the copy.
    fn moved(&self, element: &[u8], copy: &Path) -> Option<Option<PathBuf>> {
        if !self.is_inside(element) {
            return None;
        }
        let path = Path::new(OsStr::from_bytes(element));
        let ReferencedPath::Inside(below) = self.locate(path) else { return None };
        let moved = if below.as_os_str().is_empty() { copy.to_owned() } else { copy.join(below) };
        if fs::symlink_metadata(&moved).is_ok() {
            return Some(Some(moved));
        }
        // A link out of the checkout: use its target, which belongs to no commit.
        let real = path.canonicalize().ok().filter(|real| !real.starts_with(&self.real));
        Some(real.filter(|real| real.is_dir()))
    }

    /// Locates a path, first by its text, then through all symbolic links.
    fn locate(&self, path: &Path) -> ReferencedPath {
        let is_plain = !path.components().any(|part| part == Component::ParentDir);
        if is_plain
            && let Some(below) = self.spellings.iter().find_map(|top| path.strip_prefix(top).ok())
        {
            return ReferencedPath::Inside(below.to_owned());
        }
        // Resolve the longest existing part.
        for existing in path.ancestors() {
            let Ok(real) = existing.canonicalize() else { continue };
            let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
            return match real.strip_prefix(&self.real) {
                // Joining an empty path would add a slash.
                Ok(below) if rest.as_os_str().is_empty() => {
                    ReferencedPath::Inside(below.to_owned())
                }
                Ok(below) => ReferencedPath::Inside(below.join(rest)),
                Err(_) => ReferencedPath::Outside,
            };
        }
        ReferencedPath::Outside
    }
}

#[cfg(test)]
#[path = "users_checkout_paths_tests.rs"]
mod tests;
