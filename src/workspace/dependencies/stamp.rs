//! Detects changes of a dependency directory from the few files written by every install.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::DirectoryKind;
use super::path_patterns::{expand_pattern, sorted_names};
use crate::phase::dependency_inputs::is_input;
use crate::phase::words::hex;

/// Maximum size in bytes for reading a lock file; a larger file is compared by size and time.
const MAX_CONTENT: u64 = 64 * 1024 * 1024;

/// Entries written by using the directory, not by installing into it.
const BY_USE: &[&str] = &["__pycache__", ".cache", ".vite", ".vitest", ".tmp", ".autopack-tmp"];

/// Returns a stamp of the dependency directory `path` in `root`. The stamp changes when packages are added, removed
/// or replaced, or when a lock file next to the directory changes. Running the installed programs or moving `root`
/// does not change it.
///
/// Reads names and times at the top level and the records of package managers (`.package-lock.json`, `.modules.yaml`,
/// `*.dist-info`, `installed.json`), but no package. A missing directory has a stamp of its own.
pub fn stamp(root: &Path, path: &str) -> String {
    let dir = root.join(path);
    let mut stamp = Stamp(Sha256::new());
    if let Some(beside) = dir.parent() {
        for name in sorted_names(beside).iter().filter(|name| name.to_str().is_some_and(is_lock)) {
            stamp.content(&beside.join(name));
        }
    }
    match fs::symlink_metadata(&dir) {
        Ok(found) if found.is_dir() => stamp.directory(&dir),
        Ok(found) => stamp.facts(&dir, &found),
        Err(_) => {}
    }
    hex(&stamp.0.finalize())
}

/// Whether the file is a lock file. Other manifests can change without an install.
fn is_lock(name: &str) -> bool {
    let is_made = name.contains("lock") || name.ends_with(".sum") || name.contains("shrinkwrap");
    is_input(name) && (is_made || name.contains("requirements"))
}

struct Stamp(Sha256);

impl Stamp {
    fn directory(&mut self, dir: &Path) {
        match DirectoryKind::of(dir) {
            DirectoryKind::NodeModules => {
                self.packages(dir);
                for scope in expand_pattern(dir, "@*") {
                    self.packages(&scope);
                }
                for record in
                    [".package-lock.json", ".modules.yaml", ".yarn-integrity", ".yarn-state.yml"]
                {
                    self.content(&dir.join(record));
                }
                self.list(&dir.join(".bin"));
                self.names(&dir.join(".pnpm"));
            }
            DirectoryKind::Venv => {
                self.content(&dir.join(super::VENV_MARKER));
                self.list(&dir.join("bin"));
                for packages in expand_pattern(dir, "lib/*/site-packages") {
                    self.site_packages(&packages);
                }
            }
            DirectoryKind::Other => {
                self.list(dir);
                self.content(&dir.join("composer/installed.json"));
                self.content(&dir.join("modules.txt"));
                for gems in expand_pattern(dir, "bundle/ruby/*/gems") {
                    self.names(&gems);
                }
            }
        }
    }

    /// Adds each package with the time of its `package.json`: the directory's own time changes with caches inside.
    fn packages(&mut self, dir: &Path) {
        for name in sorted_names(dir).iter().filter(|name| !is_by_use(name.as_bytes())) {
            let path = dir.join(name);
            self.bytes(name.as_bytes());
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => self.file(&path.join("package.json")),
                Ok(found) => self.facts(&path, &found),
                Err(_) => {}
            }
        }
    }

    /// Adds the records of packages: a package directory's own time changes with new byte code.
    fn site_packages(&mut self, dir: &Path) {
        for name in sorted_names(dir).iter().filter(|name| !is_by_use(name.as_bytes())) {
            let path = dir.join(name);
            self.bytes(name.as_bytes());
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {
                    self.file(&path.join("RECORD"));
                    self.file(&path.join("PKG-INFO"));
                }
                Ok(found) => self.facts(&path, &found),
                Err(_) => {}
            }
        }
    }

    /// Adds names, sizes and times of a directory's entries.
    fn list(&mut self, dir: &Path) {
        for name in sorted_names(dir).iter().filter(|name| !is_by_use(name.as_bytes())) {
            self.bytes(name.as_bytes());
            self.file(&dir.join(name));
        }
    }

    fn names(&mut self, dir: &Path) {
        for name in sorted_names(dir) {
            self.bytes(name.as_bytes());
        }
    }

    fn file(&mut self, path: &Path) {
        if let Ok(found) = fs::symlink_metadata(path) {
            self.facts(path, &found);
        }
    }

    fn facts(&mut self, path: &Path, found: &Metadata) {
        if found.is_symlink() {
            let target = fs::read_link(path).unwrap_or_default();
            return self.bytes(target.as_os_str().as_bytes());
        }
        if found.is_dir() {
            return;
        }
        self.0.update(found.len().to_le_bytes());
        self.0.update(found.mtime().to_le_bytes());
        self.0.update(found.mtime_nsec().to_le_bytes());
    }

    /// Adds the content instead of the time: many harmless commands rewrite a lock file unchanged.
    fn content(&mut self, path: &Path) {
        let Ok(found) = fs::metadata(path) else { return };
        if !found.is_file() {
            return;
        }
        self.bytes(path.file_name().unwrap_or_default().as_bytes());
        match fs::read(path) {
            Ok(content) if found.len() <= MAX_CONTENT => self.bytes(&content),
            _ => self.facts(path, &found),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

fn is_by_use(name: &[u8]) -> bool {
    BY_USE.iter().any(|known| known.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn an_install_changes_it_and_use_does_not() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        write(root, "package-lock.json", "1");
        write(root, "node_modules/x/package.json", "{}");
        write(root, "node_modules/.package-lock.json", "{}");
        let first = stamp(root, "node_modules");
        write(root, "node_modules/.cache/a", "");
        write(root, "node_modules/x/cached", "");
        write(root, "package-lock.json", "1");
        write(root, "package.json", "{}");
        assert_eq!(stamp(root, "node_modules"), first);
        write(root, "package-lock.json", "2");
        let locked = stamp(root, "node_modules");
        assert_ne!(locked, first);
        write(root, "node_modules/@a/b/package.json", "{}");
        let scoped = stamp(root, "node_modules");
        assert_ne!(scoped, locked);
        write(root, "node_modules/x/package.json", "{ }");
        assert_ne!(stamp(root, "node_modules"), scoped);
    }

    #[test]
    fn a_virtual_environment_is_as_new_as_its_records() {
        let temp = tempfile::tempdir().unwrap();
        let (root, packages) = (temp.path(), ".venv/lib/python3.11/site-packages");
        write(root, ".venv/pyvenv.cfg", "home = /usr/bin");
        write(root, &format!("{packages}/x/__init__.py"), "");
        write(root, &format!("{packages}/x-1.dist-info/RECORD"), "");
        let first = stamp(root, ".venv");
        write(root, &format!("{packages}/x/__pycache__/a.pyc"), "");
        write(root, &format!("{packages}/__pycache__/a.pyc"), "");
        assert_eq!(stamp(root, ".venv"), first);
        write(root, &format!("{packages}/x.pth"), "/src");
        let linked = stamp(root, ".venv");
        assert_ne!(linked, first);
        write(root, &format!("{packages}/x-1.dist-info/RECORD"), "y");
        assert_ne!(stamp(root, ".venv"), linked);
        assert_ne!(stamp(root, "venv"), stamp(root, ".venv"));
    }
}
