//! Variables that name a path in the user's checkout: in a copy they name the same path of the copy, or go.
//!
//! `VIRTUAL_ENV`, `PATH`, `PYTHONPATH`, `NODE_PATH`, `GOWORK`, `CARGO_TARGET_DIR`: each of them would have CI test
//! something else than its commit. The rule is about values, so that it holds for variables that nobody listed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::PathReplacement;
use super::child_env::Env;

/// About the user and the machine, or set anew by autopack, wherever they lead.
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

/// What builds and imports go by: these never lead into the user's checkout, for nobody.
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

/// What becomes of a path that the copy does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// For CI: nothing of the user's checkout may decide.
    Drop,
    /// For agents and setup: they may be configured by untracked files. What builds go by is dropped all the same.
    KeepUnlessOfBuilds,
}

/// An environment that names the copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    pub env: Env,
    /// Variables that now name the copy.
    pub changed: Vec<String>,
    /// Variables that lost a path which the copy does not have, or that are gone altogether.
    pub dropped: Vec<String>,
}

/// The user's checkout, in every spelling of its path that is known.
#[derive(Clone, Debug)]
pub struct UsersCheckout {
    /// Without symbolic links.
    real: PathBuf,
    spellings: Vec<PathBuf>,
    /// Whether the user's home directory is in it: then much in it is no project's.
    holds_home: bool,
}

enum Place {
    Outside,
    /// Relative to the top of the checkout.
    Inside(PathBuf),
}

enum Fate {
    Same,
    Changed(OsString),
    Dropped,
}

impl UsersCheckout {
    /// `env` is autopack's own: its `PWD` may spell the path through a symbolic link, as the user typed it.
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

    /// Every spelling of its path, the one without symbolic links among them.
    pub fn spellings(&self) -> &[PathBuf] {
        &self.spellings
    }

    /// Puts paths of `copy` in place of its own.
    pub fn replacement(&self, copy: &Path) -> PathReplacement {
        PathReplacement::new(&self.spellings, copy)
    }

    /// Whether a path is in it, however it is spelled and through whatever symbolic links.
    pub fn holds(&self, path: &Path) -> bool {
        matches!(self.place(path), Place::Inside(_))
    }

    /// The names of variables that `follow` would change or drop, for people.
    pub fn named_by(&self, env: &Env) -> Vec<String> {
        // A copy that is nowhere has nothing: every variable concerned shows.
        let followed = self.follow(env, Path::new("/nonexistent"), Absent::Drop);
        let mut names = [followed.changed, followed.dropped].concat();
        names.sort();
        names.dedup();
        names
    }

    /// The environment for whatever works in `copy`.
    pub fn follow(&self, env: &Env, copy: &Path, absent: Absent) -> Followed {
        let mut followed = Followed::default();
        // The view puts the copy where the checkout was.
        if self.spellings.iter().any(|spelling| spelling == copy) {
            followed.env = env.clone();
            return followed;
        }
        for (name, value) in env {
            let shown = || name.to_string_lossy().into_owned();
            let (value, lost) = match self.fate(name, value, copy, absent) {
                (Fate::Same, lost) => (Some(value.clone()), lost),
                (Fate::Changed(value), lost) => {
                    followed.changed.push(shown());
                    (Some(value), lost)
                }
                (Fate::Dropped, _) => (None, true),
            };
            if lost {
                followed.dropped.push(shown());
            }
            if let Some(value) = value {
                followed.env.insert(name.clone(), value);
            }
        }
        followed
    }

    /// What becomes of a variable, and whether it lost a part.
    fn fate(&self, name: &OsStr, value: &OsStr, copy: &Path, absent: Absent) -> (Fate, bool) {
        let text = name.to_string_lossy();
        if EXEMPT.contains(&text.as_ref()) || text.starts_with("AUTOPACK_") {
            return (Fate::Same, false);
        }
        let of_builds = OF_BUILDS.contains(&text.as_ref()) || text.starts_with("COVERAGE_");
        let drops = absent == Absent::Drop && !self.holds_home || of_builds;
        let bytes = value.as_bytes();
        let elements: Vec<&[u8]> = bytes.split(|byte| *byte == b':').collect();
        let is_list = !bytes.windows(3).any(|three| three == b"://")
            && elements.iter().any(|element| self.is_inside(element));
        if !is_list {
            let moved = self.replacement(copy).apply(bytes).map(OsString::from_vec);
            return (moved.map_or(Fate::Same, Fate::Changed), false);
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
            (true, _) => (Fate::Dropped, true),
            (false, true) => (Fate::Changed(value), lost),
            (false, false) => (Fate::Same, false),
        }
    }

    fn is_inside(&self, element: &[u8]) -> bool {
        // `//` begins the rest of a URL; whatever has options after it is more than a path.
        let is_path = element.starts_with(b"/") && !element.starts_with(b"//");
        let path = Path::new(OsStr::from_bytes(element));
        let below = self.spellings.iter().find_map(|top| path.strip_prefix(top).ok());
        let has_space = below.unwrap_or(path).as_os_str().as_bytes().contains(&b' ');
        let is_text = has_space && fs::symlink_metadata(path).is_err();
        is_path && !is_text && self.holds(path)
    }

    /// Nothing for what is not in the checkout; else where it is instead, if anywhere.
    fn moved(&self, element: &[u8], copy: &Path) -> Option<Option<PathBuf>> {
        if !self.is_inside(element) {
            return None;
        }
        let path = Path::new(OsStr::from_bytes(element));
        let Place::Inside(below) = self.place(path) else { return None };
        let moved = if below.as_os_str().is_empty() { copy.to_owned() } else { copy.join(below) };
        if fs::symlink_metadata(&moved).is_ok() {
            return Some(Some(moved));
        }
        // A link that leads out of the checkout: where it leads is nobody's commit.
        let real = path.canonicalize().ok().filter(|real| !real.starts_with(&self.real));
        Some(real.filter(|real| real.is_dir()))
    }

    fn place(&self, path: &Path) -> Place {
        let is_plain = !path.components().any(|part| part == Component::ParentDir);
        if is_plain
            && let Some(below) = self.spellings.iter().find_map(|top| path.strip_prefix(top).ok())
        {
            return Place::Inside(below.to_owned());
        }
        // As far as it exists, through whatever links lead there.
        for existing in path.ancestors() {
            let Ok(real) = existing.canonicalize() else { continue };
            let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
            return match real.strip_prefix(&self.real) {
                // Joining nothing would add a slash.
                Ok(below) if rest.as_os_str().is_empty() => Place::Inside(below.to_owned()),
                Ok(below) => Place::Inside(below.join(rest)),
                Err(_) => Place::Outside,
            };
        }
        Place::Outside
    }
}

#[cfg(test)]
#[path = "users_checkout_paths_tests.rs"]
mod tests;
