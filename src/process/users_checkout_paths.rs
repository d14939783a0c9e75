//! Rewrites variables with paths in the user's checkout: to the same path in the copy, or drops them.
//!
//! `VIRTUAL_ENV`, `PATH`, `PYTHONPATH`, `NODE_PATH`, `GOWORK`, `CARGO_TARGET_DIR`: each would make CI test
//! something other than the commit. The rule checks values, and therefore also covers unlisted variables.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::PathReplacement;
use super::child_env::Env;

/// Variables about the user and the machine, or set by autopack: kept with any value.
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

/// Variables used by builds and imports: these never point into the user's checkout, for any child.
const OF_BUILDS: [&str; 15] = [
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

/// Rule for paths missing in the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingPathRule {
    /// For CI: the user's checkout must not influence the result.
    Drop,
    /// For agents and setup: untracked files may configure them. Variables used by builds are dropped all the
    /// same.
    KeepUnlessOfBuilds,
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
    /// Without symbolic links.
    real: PathBuf,
    spellings: Vec<PathBuf>,
    /// Whether the user's home directory is in the checkout: then many of the files belong to no project.
    holds_home: bool,
}

enum ReferencedPath {
    Outside,
    /// Relative to the top of the checkout.
    Inside(PathBuf),
}

enum PathDecision {
    Same,
    Changed(OsString),
    Dropped,
}

impl UsersCheckout {
    /// Creates the checkout's paths from `root`. `env` is autopack's own: `PWD` may spell the path through a
    /// symbolic link, as typed by the user.
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

    /// Returns the names of variables that `relocate` would change or drop, for people.
    pub fn affected_variables(&self, env: &Env) -> Vec<String> {
        // A missing copy has no paths: every affected variable shows.
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
        absent: MissingPathRule,
    ) -> RelocatedEnvironment {
        let mut relocated = RelocatedEnvironment::default();
        // The view puts the copy in the place of the checkout.
        if self.spellings.iter().any(|spelling| spelling == copy) {
            relocated.env = env.clone();
            return relocated;
        }
        for (name, value) in env {
            let shown = || name.to_string_lossy().into_owned();
            let (value, lost) = match self.decide(name, value, copy, absent) {
                (PathDecision::Same, lost) => (Some(value.clone()), lost),
                (PathDecision::Changed(value), lost) => {
                    relocated.changed.push(shown());
                    (Some(value), lost)
                }
                (PathDecision::Dropped, _) => (None, true),
            };
            if lost {
                relocated.dropped.push(shown());
            }
            if let Some(value) = value {
                relocated.env.insert(name.clone(), value);
            }
        }
        relocated
    }

    /// Decides on a variable, and whether a part is lost.
    fn decide(
        &self,
        name: &OsStr,
        value: &OsStr,
        copy: &Path,
        absent: MissingPathRule,
    ) -> (PathDecision, bool) {
        let text = name.to_string_lossy();
        if EXEMPT.contains(&text.as_ref()) || text.starts_with("AUTOPACK_") {
            return (PathDecision::Same, false);
        }
        let of_builds = OF_BUILDS.contains(&text.as_ref()) || text.starts_with("COVERAGE_");
        let drops = absent == MissingPathRule::Drop && !self.holds_home || of_builds;
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

    fn is_inside(&self, element: &[u8]) -> bool {
        // `//` begins the rest of a URL; text with options behind the path is more than a path.
        let is_path = element.starts_with(b"/") && !element.starts_with(b"//");
        let path = Path::new(OsStr::from_bytes(element));
        let below = self.spellings.iter().find_map(|top| path.strip_prefix(top).ok());
        let has_space = below.unwrap_or(path).as_os_str().as_bytes().contains(&b' ');
        let is_text = has_space && fs::symlink_metadata(path).is_err();
        is_path && !is_text && self.contains(path)
    }

    /// Returns `None` for a path outside of the checkout; otherwise the new path, if any.
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
        // A link out of the checkout: the target is part of no commit.
        let real = path.canonicalize().ok().filter(|real| !real.starts_with(&self.real));
        Some(real.filter(|real| real.is_dir()))
    }

    fn locate(&self, path: &Path) -> ReferencedPath {
        let is_plain = !path.components().any(|part| part == Component::ParentDir);
        if is_plain
            && let Some(below) = self.spellings.iter().find_map(|top| path.strip_prefix(top).ok())
        {
            return ReferencedPath::Inside(below.to_owned());
        }
        // The existing part, through all symbolic links.
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
