//! The rules of a view without namespaces. Landlock can only allow, and a rule holds for everything below: to hide
//! `/home/u/.ssh`, all other entries of `/`, `/home` and `/home/u` are allowed.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::ViewRequest;
use super::git_objects::with_alternates;
use super::hidden_paths::HiddenPaths;
use super::needed_paths::needed_paths;
use super::path_expansion::{expand, is_strictly_below, resolve};
use super::private_directory::PrivateDirectory;
use super::service_sockets::{omitted_in_run, resolver_files};
use super::view_place::{Machine, ViewPlace};
use crate::git::error::Result;
use crate::process::view::spec::{LandlockRules, Mount};
use crate::process::wire_string::WirePath;

/// Devices for every program. `shm` has the semaphores of programs with several processes.
const DEVICES: [&str; 9] =
    ["full", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero"];

/// Variables of programs that fail if they cannot write to their cache, with a private directory for each.
const CACHES: [(&str, &str); 4] = [
    ("GOCACHE", "go-build"),
    ("GRADLE_USER_HOME", "gradle"),
    ("UV_CACHE_DIR", "uv"),
    ("npm_config_cache", "npm"),
];

/// Rules, and variables that lead programs to writable directories.
pub(super) struct LandlockView {
    pub rules: LandlockRules,
    pub environment: Vec<(OsString, OsString)>,
}

/// Hidden paths by their names: walking down is cheaper than comparing paths.
#[derive(Default)]
struct HiddenTree {
    is_hidden: bool,
    below: HashMap<OsString, HiddenTree>,
}

/// Allows everything except the hidden paths.
#[derive(Default)]
struct RuleWalk {
    hidden: HiddenTree,
    listable: BTreeSet<PathBuf>,
}

/// Decides on the rules of a program.
pub(super) fn landlock_rules(
    place: &ViewPlace,
    machine: &Machine,
    request: &ViewRequest<'_>,
    hidden: &HiddenPaths,
    private: &PrivateDirectory,
) -> Result<LandlockView> {
    let mut closed = hidden.all();
    closed.extend([place.checkout.clone(), PathBuf::from("/dev")]);
    closed.extend(omitted_in_run(machine).into_iter().map(|name| machine.run.join(name)));
    let mut walk = RuleWalk::new(&closed);
    let mut readable = walk.allowed(Path::new("/"));
    walk.listable.insert("/dev".into());
    let mut writable = Vec::new();
    match request.is_read_only {
        true => readable.push(place.copy.clone()),
        false => writable.push(place.copy.clone()),
    }
    writable.extend([request.attempt_dir, request.scratch].into_iter().flatten().map(resolve));
    let tmp = private.directory("tmp", 0o700)?;
    writable.push(tmp.clone());
    let devices = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    writable.extend(devices.filter(|path| path.exists()));
    for directory in &machine.temporary {
        writable.extend(walk.allowed(directory));
    }
    let home = place.home.as_deref();
    for text in request.settings.write {
        let path = expand(text, home, &place.checkout).map(|path| resolve(&path));
        let path = path.filter(|path| path.parent().is_some() && path.exists());
        match path {
            // The rest is hidden, but this path is meant.
            Some(path) if is_inner(&path, place) => writable.push(path),
            Some(path) => writable.extend(walk.allowed(&path)),
            None => {}
        }
    }
    writable.extend(request.write.iter().map(|path| resolve(path)));
    let mut environment = temporary_variables(&tmp);
    if place.path_variable("XDG_RUNTIME_DIR").is_some() {
        let runtime = private.directory("runtime", 0o700)?;
        environment.push(("XDG_RUNTIME_DIR".into(), runtime.clone().into()));
        writable.push(runtime);
    }
    for (variable, name) in CACHES {
        let own = private.directory(&format!("cache/{name}"), 0o700)?;
        environment.push((variable.into(), own.clone().into()));
        writable.push(own);
    }
    // Gradle reads the user's files there and writes none.
    if let Some(caches) = gradle_caches(place) {
        environment.push(("GRADLE_RO_DEP_CACHE".into(), caches.into()));
    }
    let state = request.state.iter().flat_map(|state| &state.mounts);
    writable.extend(state.filter_map(own_directory));
    readable.extend(request.python_guard.map(resolve));
    if request.limited_ports.is_none() {
        readable.extend(resolver_files(machine));
    }
    for git in &place.borrowing {
        readable.extend(with_alternates(&git.borrows));
    }
    let needed = needed_paths(place, machine, hidden, request);
    readable.extend(needed.into_iter().map(|needed| needed.source));
    for text in request.settings.show {
        let path = expand(text, home, &place.checkout).map(|path| resolve(&path));
        readable.extend(path.filter(|path| !hidden.has_ours(path)));
    }
    readable.extend(request.show.iter().map(|path| resolve(path)));
    let listable = walk.listable.into_iter().map(WirePath::from).collect();
    let rules = LandlockRules { readable: unique(readable), listable, writable: unique(writable) };
    Ok(LandlockView { rules, environment })
}

impl RuleWalk {
    fn new(hidden: &BTreeSet<PathBuf>) -> Self {
        let mut walk = Self::default();
        for path in hidden {
            let names = path.components().skip(1).map(|part| part.as_os_str().to_owned());
            let tree =
                names.fold(&mut walk.hidden, |tree, name| tree.below.entry(name).or_default());
            tree.is_hidden = true;
        }
        walk
    }

    /// Returns the existing paths at or below a directory that have nothing hidden.
    fn allowed(&mut self, top: &Path) -> Vec<PathBuf> {
        let mut tree = &self.hidden;
        for part in top.components().skip(1) {
            if tree.is_hidden {
                return Vec::new();
            }
            match tree.below.get(part.as_os_str()) {
                Some(below) => tree = below,
                None => return vec![top.to_owned()],
            }
        }
        let mut allowed = Vec::new();
        let mut open = vec![(top.to_owned(), tree)];
        while let Some((path, tree)) = open.pop() {
            if tree.is_hidden {
                continue;
            }
            if tree.below.is_empty() {
                allowed.push(path);
                continue;
            }
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                // A link needs no rule: the rules of its target decide.
                if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                    continue;
                }
                match tree.below.get(&entry.file_name()) {
                    Some(below) => open.push((entry.path(), below)),
                    None => allowed.push(entry.path()),
                }
            }
            self.listable.insert(path);
        }
        allowed
    }
}

/// Whether a path is below the checkout or the directory of slots.
fn is_inner(path: &Path, place: &ViewPlace) -> bool {
    is_strictly_below(path, &place.checkout) || is_strictly_below(path, &place.slots)
}

fn temporary_variables(tmp: &Path) -> Vec<(OsString, OsString)> {
    ["TMPDIR", "TMP", "TEMP"].map(|name| (name.into(), tmp.into())).into()
}

fn gradle_caches(place: &ViewPlace) -> Option<PathBuf> {
    let home = || Some(place.home.as_ref()?.join(".gradle"));
    let caches = place.path_variable("GRADLE_USER_HOME").or_else(home)?.join("caches");
    caches.join("modules-2").is_dir().then_some(caches)
}

/// Returns the directory that a mount lets the program write to.
fn own_directory(mount: &Mount) -> Option<PathBuf> {
    use crate::process::view::spec::Access::ReadWrite;
    match mount {
        Mount::Bind { source, access: ReadWrite, .. } => Some(source.as_path().to_owned()),
        Mount::Mirror { backing, .. } => backing.as_ref().map(|path| path.as_path().to_owned()),
        _ => None,
    }
}

fn unique(mut paths: Vec<PathBuf>) -> Vec<WirePath> {
    paths.sort();
    paths.dedup();
    paths.into_iter().map(WirePath::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_of_hidden_paths_are_allowed() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        for directory in ["a/b/secret", "a/b/other", "a/c", "d", "e/f"] {
            fs::create_dir_all(top.join(directory)).unwrap();
        }
        fs::write(top.join("a/file"), "").unwrap();
        std::os::unix::fs::symlink("b", top.join("a/link")).unwrap();
        let hidden: BTreeSet<PathBuf> =
            ["a/b/secret", "d", "e/missing"].map(|path| top.join(path)).into();
        let mut walk = RuleWalk::new(&hidden);
        let below = |paths: Vec<PathBuf>| {
            let mut paths: Vec<PathBuf> =
                paths.iter().map(|path| path.strip_prefix(&top).unwrap().to_owned()).collect();
            paths.sort();
            paths
        };
        let allowed = below(walk.allowed(&top));
        assert_eq!(allowed, ["a/b/other", "a/c", "a/file", "e/f"].map(PathBuf::from));
        assert!(walk.allowed(&top.join("d/x")).is_empty());
        let listable = below(walk.listable.into_iter().collect());
        assert_eq!(listable, ["", "a", "a/b", "e"].map(PathBuf::from));
    }
}
