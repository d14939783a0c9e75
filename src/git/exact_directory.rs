//! Makes a directory hold exactly the listed files.
//!
//! Correct entries stay: creating a file or a directory costs a file system many times as much as
//! checking for its presence, and happens twice for each attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::removal::{open_up, remove, remove_any};

/// Content of a directory, by path relative to its top.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExactDirectory {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Paths to ignore, present or not.
    kept: BTreeSet<PathBuf>,
    /// Directories that may have unlisted entries.
    open: BTreeSet<PathBuf>,
}

impl ExactDirectory {
    /// Adds a directory and its parents.
    pub fn directory(&mut self, path: impl AsRef<Path>) -> &mut Self {
        let above = path.as_ref().ancestors().filter(|path| !path.as_os_str().is_empty());
        self.directories.extend(above.map(Path::to_owned));
        self
    }

    pub fn file(&mut self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>) -> &mut Self {
        let path = path.as_ref();
        if let Some(directory) = path.parent() {
            self.directory(directory);
        }
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// Ignores anything at this path.
    pub fn keep(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.kept.insert(path.as_ref().to_owned());
        self
    }

    /// Adds a directory whose unlisted entries are ignored. Its listed subdirectories are still exact.
    pub fn open_directory(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.open.insert(path.as_ref().to_owned());
        self.directory(path)
    }

    /// Allows unlisted entries in no directory.
    pub fn closed(mut self) -> Self {
        self.open.clear();
        self
    }

    /// Whether the directory has exactly the listed entries, except for ignored paths.
    pub fn matches(&self, at: &Path) -> bool {
        let directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        let file = |path: &Path, content: &[u8]| {
            fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
                && fs::read(path).is_ok_and(|there| there == content)
        };
        self.directories.iter().all(|path| directory(&at.join(path)))
            && self.files.iter().all(|(path, content)| file(&at.join(path), content))
            && self.foreign_entries(at).is_ok_and(|foreign_entries| foreign_entries.is_empty())
    }

    /// Makes the directory `at` match the list. If an entry cannot be changed, removes the directory and creates it
    /// again.
    pub fn make(&self, at: &Path) -> io::Result<()> {
        if let Err(error) = self.mend(at) {
            tracing::debug!("making {} anew: {error}", at.display());
            remove_any(at)?;
            self.mend(at)?;
        }
        Ok(())
    }

    fn mend(&self, at: &Path) -> io::Result<()> {
        if let Some(above) = at.parent() {
            fs::create_dir_all(above)?;
        }
        if !make_directory(at)? {
            for entry in self.foreign_entries(at)? {
                remove_any(&at.join(entry))?;
            }
        }
        // Parents come first in this order.
        for directory in &self.directories {
            make_directory(&at.join(directory))?;
        }
        self.files.iter().try_for_each(|(path, content)| write(&at.join(path), content))
    }

    /// Returns the unexpected entries, parents first.
    fn foreign_entries(&self, at: &Path) -> io::Result<Vec<PathBuf>> {
        let mut foreign_entries = Vec::new();
        let mut open = vec![PathBuf::new()];
        while let Some(below) = open.pop() {
            let directory = at.join(&below);
            open_up(&directory)?;
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                let (path, kind) = (below.join(entry.file_name()), entry.file_type()?);
                if self.kept.contains(&path) {
                    continue;
                }
                let is_listed = kind.is_file() && self.files.contains_key(&path);
                let may_stay = self.open.contains(&below) && !self.directories.contains(&path);
                if kind.is_dir() && self.directories.contains(&path) {
                    open.push(path);
                } else if !is_listed && !may_stay {
                    foreign_entries.push(path);
                }
            }
        }
        Ok(foreign_entries)
    }
}

/// Creates a directory; false if there already was one.
fn make_directory(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() && mode(&found) & 0o1700 == 0o700 => Ok(false),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => {
            remove_any(path)?;
            fs::create_dir(path).map(|()| true)
        }
    }
}

/// Replaces anything except a plain file with a single link: writing in place could change another file, or keep its
/// permissions. A plain file is overwritten without truncation first, which would make ext4 write to disk at once.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.nlink() == 1 && mode(&found) & 0o7711 == 0o600 => {
            if found.len() == content.len() as u64 && fs::read(path)? == content {
                return Ok(());
            }
            let mut file = File::options().write(true).open(path)?;
            file.write_all(content)?;
            return file.set_len(content.len() as u64);
        }
        Ok(found) => remove(path, found.file_type())?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::write(path, content)
}

fn mode(found: &Metadata) -> u32 {
    found.permissions().mode()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn wanted() -> ExactDirectory {
        let mut exact = ExactDirectory::default();
        exact.file("config", "a = b\n").file("refs/heads/work", "1234\n").directory("hooks");
        exact
    }

    /// Returns every path with its content.
    fn listed(at: &Path) -> Vec<(PathBuf, Option<String>)> {
        let mut found = Vec::new();
        let mut open = vec![at.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let kind = fs::symlink_metadata(&path).unwrap().file_type();
                assert!(kind.is_dir() || kind.is_file(), "{path:?}");
                let text = kind.is_file().then(|| fs::read_to_string(&path).unwrap());
                found.push((path.strip_prefix(at).unwrap().to_owned(), text));
                if kind.is_dir() {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn any_change_to_the_directory_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let (at, outside) = (dir.path().join("git"), dir.path().join("outside"));
        fs::write(&outside, "not yours\n").unwrap();
        wanted().make(&at).unwrap();
        let new = listed(&at);
        assert_eq!(new.len(), 5);
        let in_it = |path: &str| at.join(path);
        let chmod = |path: &str, mode| {
            fs::set_permissions(in_it(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        let tricks: [&dyn Fn(); 10] = [
            &|| {},
            &|| fs::write(in_it("hooks/post-checkout"), "#!/bin/sh\n").unwrap(),
            &|| fs::write(in_it("config"), "a = c\n").unwrap(),
            &|| {
                fs::remove_file(in_it("config")).unwrap();
                symlink(&outside, in_it("config")).unwrap();
            },
            &|| {
                fs::remove_file(in_it("config")).unwrap();
                fs::hard_link(&outside, in_it("config")).unwrap();
            },
            &|| {
                fs::remove_dir(in_it("hooks")).unwrap();
                symlink(dir.path(), in_it("hooks")).unwrap();
            },
            &|| {
                fs::remove_dir_all(in_it("refs")).unwrap();
                fs::write(in_it("refs"), "").unwrap();
            },
            &|| {
                fs::remove_file(in_it("config")).unwrap();
                fs::create_dir_all(in_it("config/deep/er")).unwrap();
                chmod("config/deep", 0);
            },
            &|| chmod("refs/heads", 0),
            &|| {
                fs::remove_dir_all(&at).unwrap();
                symlink(&outside, &at).unwrap();
            },
        ];
        for (number, trick) in tricks.iter().enumerate() {
            trick();
            wanted().make(&at).unwrap();
            assert_eq!(listed(&at), new, "trick {number}");
            assert_eq!(fs::read_to_string(&outside).unwrap(), "not yours\n", "trick {number}");
        }
        chmod("config", 0o4755);
        wanted().make(&at).unwrap();
        assert_eq!(mode(&fs::metadata(in_it("config")).unwrap()) & 0o7111, 0);
    }

    #[test]
    fn correct_files_are_not_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("git");
        wanted().make(&at).unwrap();
        let inode = |path: &str| fs::metadata(at.join(path)).unwrap().ino();
        let (config, hooks) = (inode("config"), inode("hooks"));
        wanted().make(&at).unwrap();
        assert_eq!((inode("config"), inode("hooks")), (config, hooks));
    }
}
