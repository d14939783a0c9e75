//! Finds in the repository the files named by runners, relative to some other directory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Search depth for workspace packages.
const DEPTH: usize = 3;

/// Finds a file for pytest, whose names are relative to the root.
pub fn file_at_root(dir: &Path, path: &str) -> Option<String> {
    dir.join(path).is_file().then(|| path.to_owned())
}

/// Packages of a cargo workspace: directory relative to the root (with its `/`), and crate name.
pub struct Packages<'a> {
    dir: &'a Path,
    all: Vec<(String, String)>,
}

impl<'a> Packages<'a> {
    pub fn of(dir: &'a Path) -> Self {
        let mut all = Vec::new();
        visit_directories(dir, "", DEPTH, &mut |path, prefix| {
            if let Ok(manifest) = fs::read_to_string(path.join("Cargo.toml")) {
                all.push((prefix.to_owned(), crate_name(&manifest)));
            }
        });
        Self { dir, all }
    }

    /// Finds `path` in the crate with this name, else in the only package with such a file.
    pub fn find(&self, path: &str, name: Option<&str>) -> Option<String> {
        let has = |(prefix, _): &&(String, String)| self.dir.join(prefix).join(path).is_file();
        let whole = |(prefix, _): &(String, String)| format!("{prefix}{path}");
        let of_crate = self.all.iter().filter(|(_, crate_name)| Some(crate_name.as_str()) == name);
        if let Some(found) = of_crate.clone().find(has) {
            return Some(whole(found));
        }
        let mut having = self.all.iter().filter(has);
        match (having.next(), having.next()) {
            (Some(only), None) => Some(whole(only)),
            _ => None,
        }
    }
}

/// Modules of a Go repository: directory relative to the root (with its `/`), and module path.
pub struct GoModules<'a> {
    dir: &'a Path,
    all: Vec<(String, String)>,
    /// Test functions of each directory read so far, with their files.
    seen: RefCell<HashMap<String, HashMap<String, String>>>,
}

impl<'a> GoModules<'a> {
    pub fn of(dir: &'a Path) -> Self {
        let mut all = Vec::new();
        visit_directories(dir, "", DEPTH, &mut |path, prefix| {
            let manifest = fs::read_to_string(path.join("go.mod")).unwrap_or_default();
            let module = manifest.lines().find_map(|line| line.trim().strip_prefix("module "));
            if let Some(module) = module {
                all.push((prefix.to_owned(), module.trim().trim_matches('"').to_owned()));
            }
        });
        // The innermost possible module of a package comes first.
        all.sort_by_key(|(_, module)| std::cmp::Reverse(module.len()));
        Self { dir, all, seen: RefCell::default() }
    }

    /// Finds the file of a test function in this package.
    pub fn find(&self, package: &str, function: &str) -> Option<String> {
        let (prefix, rest) = self.all.iter().find_map(|(prefix, module)| {
            let rest = package.strip_prefix(module.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((prefix, rest))
        })?;
        let inside = rest.trim_start_matches('/');
        let gap = if inside.is_empty() { "" } else { "/" };
        let prefix = format!("{prefix}{inside}{gap}");
        let mut seen = self.seen.borrow_mut();
        let functions = seen
            .entry(prefix.clone())
            .or_insert_with(|| test_functions(&self.dir.join(&prefix), &prefix));
        functions.get(function).cloned()
    }
}

fn test_functions(dir: &Path, prefix: &str) -> HashMap<String, String> {
    let mut functions = HashMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with("_test.go") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text.lines() {
            let Some((function, _)) = line.strip_prefix("func ").and_then(|l| l.split_once('('))
            else {
                continue;
            };
            functions.insert(function.trim().to_owned(), format!("{prefix}{name}"));
        }
    }
    functions
}

/// Visits each directory that may contain a package, from the top down.
fn visit_directories(dir: &Path, prefix: &str, depth: usize, see: &mut dyn FnMut(&Path, &str)) {
    see(dir, prefix);
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|_| depth > 0) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
            visit_directories(&entry.path(), &format!("{prefix}{name}/"), depth - 1, see);
        }
    }
}

/// Returns the package's name as a crate name; empty for a workspace without a package.
fn crate_name(manifest: &str) -> String {
    let package = manifest.split("[package]").nth(1).unwrap_or_default();
    let section = package.split("\n[").next().unwrap_or_default();
    let name = section.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then(|| value.trim().trim_matches('"').replace('-', "_"))
    });
    name.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_workspace_are_found_by_crate() {
        let dir = tempfile::tempdir().unwrap();
        for (package, manifest) in [
            ("", "[workspace]\nmembers = [\"crates/*\"]\n"),
            ("crates/core", "[package]\nname = \"my-core\"\n"),
            ("crates/cli", "[package]\nname = \"cli\"\n[lib]\nname = \"other\"\n"),
        ] {
            fs::create_dir_all(dir.path().join(package).join("src")).unwrap();
            fs::write(dir.path().join(package).join("Cargo.toml"), manifest).unwrap();
        }
        for file in ["crates/core/src/lib.rs", "crates/cli/src/lib.rs", "crates/cli/src/a.rs"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let packages = Packages::of(dir.path());
        let find = |path, name| packages.find(path, name);
        assert_eq!(find("src/lib.rs", Some("my_core")).as_deref(), Some("crates/core/src/lib.rs"));
        assert_eq!(find("src/lib.rs", None), None);
        assert_eq!(find("src/a.rs", None).as_deref(), Some("crates/cli/src/a.rs"));
        assert_eq!(find("src/b.rs", Some("cli")), None);
        // Doctests name their files relative to the workspace.
        let doctest = find("crates/core/src/lib.rs", Some("my_core"));
        assert_eq!(doctest.as_deref(), Some("crates/core/src/lib.rs"));
    }
}
