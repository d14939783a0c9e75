//! A directory as input: its text files, in natural order of their paths.
//!
//! Symbolic links are followed to files inside the directory only. A file that has a name of its own here is listed
//! once. Hidden entries, dependencies and build output are
//! left out.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::error::ImportError;
use super::source_place::SourcePosition;
use super::text_decoding;

/// Maximum number of files.
const FILES: usize = 20_000;
/// Maximum number of directories below each other.
const DEPTH: usize = 8;
/// Maximum size of a file, in bytes.
const SIZE: u64 = 64 * 1024 * 1024;
/// Directories that never contain a backlog.
const LEFT_OUT: [&str; 4] = ["node_modules", "target", "vendor", "__pycache__"];

/// A directory and its files. Texts are read on first use.
pub(crate) struct InputDirectory {
    path: PathBuf,
    files: Vec<InputFile>,
    by_path: HashMap<String, usize>,
    /// Links that lead out of the directory, or nowhere.
    refused_links: Vec<String>,
}

/// A file of a directory.
pub(crate) struct InputFile {
    /// Path from the directory, with `/`.
    path: String,
    /// Name for messages.
    name: String,
    file: PathBuf,
    text: OnceLock<String>,
}

impl InputDirectory {
    /// Lists the files of `root`.
    ///
    /// # Errors
    /// A directory cannot be read, or there are too many files.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let mut walk = Walk {
            root: root.canonicalize()?,
            files: Vec::new(),
            links: Vec::new(),
            refused: Vec::new(),
        };
        walk.enter(root, "", 0)?;
        let Walk { root: whole, mut files, mut links, refused } = walk;
        links.sort_by(|(one, _), (other, _)| natural_order(one, other));
        let mut places: HashMap<PathBuf, String> =
            files.iter().map(|(path, _)| (whole.join(path), path.clone())).collect();
        // Links are found by their paths, too.
        let mut other_paths = Vec::new();
        for (path, target) in links {
            match places.get(&target) {
                Some(place) => other_paths.push((path, place.clone())),
                None => {
                    places.insert(target.clone(), path.clone());
                    files.push((path, target));
                }
            }
        }
        files.sort_by(|(one, _), (other, _)| natural_order(one, other));
        let mut by_path: HashMap<String, usize> =
            (0..).zip(&files).map(|(index, (path, _))| (path.clone(), index)).collect();
        for (path, place) in other_paths {
            if let Some(index) = by_path.get(&place).copied() {
                by_path.insert(path, index);
            }
        }
        let file = |(path, file): (String, PathBuf)| InputFile {
            name: root.join(&path).display().to_string(),
            path,
            file,
            text: OnceLock::new(),
        };
        let files = files.into_iter().map(file).collect();
        Ok(Self { files, by_path, refused_links: refused, path: root.to_owned() })
    }

    /// The directory as named by the user.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The files in natural order: `task-9.md` before `task-10.md`.
    pub(super) fn files(&self) -> &[InputFile] {
        &self.files
    }

    /// The file at a path from the directory.
    pub(super) fn file(&self, path: &str) -> Option<&InputFile> {
        self.by_path.get(path).map(|index| &self.files[*index])
    }

    /// Warnings about files that are not read.
    pub(super) fn warnings(&self) -> Vec<String> {
        let root = self.path.display();
        let warning = |path: &String| format!("{path}: the link leads out of {root}; not read");
        self.refused_links.iter().map(warning).collect()
    }
}

impl InputFile {
    /// Path from the directory, with `/`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Name for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Name of the file without directories.
    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The file on disk.
    pub(super) fn on_disk(&self) -> &Path {
        &self.file
    }

    /// The text, decoded on first use.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or is not UTF-8 or UTF-16.
    pub(super) fn text(&self) -> Result<&str, ImportError> {
        if let Some(text) = self.text.get() {
            return Ok(text);
        }
        let unreadable = |source| ImportError::Unreadable { name: self.name.clone(), source };
        let length = fs::metadata(&self.file).map_err(unreadable)?.len();
        if length > SIZE {
            let message = format!("has {length} bytes; files in a directory may have {SIZE}");
            return Err(ImportError::malformed(&self.name, message));
        }
        let bytes = fs::read(&self.file).map_err(unreadable)?;
        let text = text_decoding::decode(&self.name, &bytes)?.into_owned();
        Ok(self.text.get_or_init(|| text))
    }

    /// Position for errors, counted from 1.
    pub(super) fn at_line(&self, line: usize) -> SourcePosition {
        SourcePosition::Line(self.name.as_str().into(), line)
    }
}

struct Walk {
    /// The directory without links.
    root: PathBuf,
    files: Vec<(String, PathBuf)>,
    /// Links to files inside, with their targets.
    links: Vec<(String, PathBuf)>,
    refused: Vec<String>,
}

impl Walk {
    fn enter(&mut self, directory: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let (path, kind) = (format!("{prefix}{name}"), entry.file_type()?);
            if kind.is_symlink() {
                match entry.path().canonicalize() {
                    Ok(target) if !target.starts_with(&self.root) => self.refused.push(path),
                    Ok(target) if target.is_file() => self.links.push((path, target)),
                    // A directory inside is visited by its own name.
                    Ok(_) => {}
                    Err(_) => self.refused.push(path),
                }
            } else if kind.is_file() {
                self.files.push((path, entry.path()));
            } else if kind.is_dir() && depth < DEPTH && !LEFT_OUT.contains(&name.as_str()) {
                self.enter(&entry.path(), &format!("{path}/"), depth + 1)?;
            }
            if self.files.len() + self.links.len() > FILES {
                let why = format!("it has more than {FILES} files; name the backlog's directory");
                return Err(io::Error::other(why));
            }
        }
        Ok(())
    }
}

/// Compares paths; numbers inside are compared by value.
pub(super) fn natural_order(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one.chars().peekable(), other.chars().peekable());
    loop {
        match (a.peek().copied(), b.peek().copied()) {
            (Some(left), Some(right)) if left.is_ascii_digit() && right.is_ascii_digit() => {
                let order = number(&mut a).cmp(&number(&mut b));
                if order != Ordering::Equal {
                    return order;
                }
            }
            (None, None) => return one.cmp(other),
            (left, right) if left != right => return left.cmp(&right),
            _ => {
                a.next();
                b.next();
            }
        }
    }
}

/// Takes the digits of a number: its length without leading zeros, and its digits.
fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> (usize, String) {
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    let digits = digits.trim_start_matches('0').to_owned();
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(directory: &InputDirectory) -> Vec<&str> {
        directory.files().iter().map(InputFile::path).collect()
    }

    #[test]
    fn files_come_in_natural_order_without_hidden_ones() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("tasks/.hidden")).unwrap();
        fs::create_dir_all(root.path().join("node_modules/x")).unwrap();
        for file in
            ["tasks/task-10.md", "tasks/task-9.md", "tasks/.hidden/a", ".b", "node_modules/x/c"]
        {
            fs::write(root.path().join(file), file).unwrap();
        }
        let directory = InputDirectory::open(root.path()).unwrap();
        assert_eq!(paths(&directory), ["tasks/task-9.md", "tasks/task-10.md"]);
        assert_eq!(directory.file("tasks/task-9.md").unwrap().text().unwrap(), "tasks/task-9.md");
        assert!(directory.file("tasks/task-1.md").is_none());
    }

    #[test]
    fn links_out_of_the_directory_are_named_and_not_read() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret.md"), "- [ ] secret").unwrap();
        fs::write(root.path().join("a.md"), "a").unwrap();
        symlink(outside.path().join("secret.md"), root.path().join("out.md")).unwrap();
        symlink(outside.path(), root.path().join("out")).unwrap();
        symlink(root.path().join("a.md"), root.path().join("b.md")).unwrap();
        symlink(root.path(), root.path().join("again")).unwrap();
        symlink(root.path().join("gone"), root.path().join("broken.md")).unwrap();
        let directory = InputDirectory::open(root.path()).unwrap();
        assert_eq!(paths(&directory), ["a.md"], "a file is listed once");
        assert_eq!(directory.file("b.md").unwrap().text().unwrap(), "a");
        let mut warnings = directory.warnings();
        warnings.sort();
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[2].starts_with("out: the link leads out of"), "{warnings:?}");
    }

    #[test]
    fn numbers_in_names_are_compared_by_value() {
        for (one, other) in [("a2", "a10"), ("a02", "a10"), ("a", "a1"), ("1.2", "1.10")] {
            assert_eq!(natural_order(one, other), Ordering::Less, "{one} {other}");
        }
        assert_eq!(natural_order("a1", "a1"), Ordering::Equal);
        assert_ne!(natural_order("a1", "a01"), Ordering::Equal);
    }
}
