//! Where in the repository the files are that runners name relative to wherever they stand.

use std::fs;
use std::path::Path;

/// Packages of a workspace are searched for this deep.
const DEPTH: usize = 3;

/// For pytest, which stands at the root.
pub fn at_root(dir: &Path, path: &str) -> Option<String> {
    dir.join(path).is_file().then(|| path.to_owned())
}

/// The packages of a cargo workspace: folder relative to the root (with its `/`), and crate name.
pub struct Packages<'a> {
    dir: &'a Path,
    all: Vec<(String, String)>,
}

impl<'a> Packages<'a> {
    pub fn of(dir: &'a Path) -> Self {
        let mut all = Vec::new();
        collect(dir, "", DEPTH, &mut all);
        Self { dir, all }
    }

    /// `path` of the crate of that name, else of the only package that has it.
    pub fn find(&self, path: &str, name: Option<&str>) -> Option<String> {
        let has = |(folder, _): &&(String, String)| self.dir.join(folder).join(path).is_file();
        let whole = |(folder, _): &(String, String)| format!("{folder}{path}");
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

fn collect(dir: &Path, folder: &str, depth: usize, all: &mut Vec<(String, String)>) {
    if let Ok(manifest) = fs::read_to_string(dir.join("Cargo.toml")) {
        all.push((folder.to_owned(), crate_name(&manifest)));
    }
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|_| depth > 0) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
            collect(&entry.path(), &format!("{folder}{name}/"), depth - 1, all);
        }
    }
}

/// The package's name as crates are called; empty for a workspace without a package.
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
