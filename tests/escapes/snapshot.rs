//! What is on disk outside of the view: marks of attempts, and trees before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use regex::bytes::Regex;

/// Everything about a file that an attempt can change: a change of metadata changes the last of these.
pub type Identity = (u64, u64, Vec<u8>, i64, i64);

pub fn identity(path: &Path) -> Option<Identity> {
    let meta = fs::symlink_metadata(path).ok()?;
    let text = fs::read(path).unwrap_or_default();
    Some((meta.dev(), meta.ino(), text, meta.ctime(), meta.ctime_nsec()))
}

/// Files and directories below a path, without those that `skip` names.
fn below(path: &Path, skip: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(at) = waiting.pop() {
        if skip(&at) {
            continue;
        }
        let Ok(meta) = fs::symlink_metadata(&at) else { continue };
        if meta.is_dir() {
            waiting.extend(fs::read_dir(&at).into_iter().flatten().flatten().map(|e| e.path()));
        }
        found.push(at);
    }
    found
}

/// Content and mode of each file, target of each link.
pub fn tree(path: &Path, skip: &dyn Fn(&Path) -> bool) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let of = |at: &PathBuf| {
        let meta = fs::symlink_metadata(at).ok()?;
        Some((at.clone(), (meta.mode(), content(at))))
    };
    below(path, skip).iter().filter_map(of).collect()
}

/// The paths that differ between two trees.
pub fn differences<V: PartialEq>(
    before: &BTreeMap<PathBuf, V>,
    after: &BTreeMap<PathBuf, V>,
) -> BTreeSet<PathBuf> {
    let all = before.keys().chain(after.keys());
    all.filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

fn content(at: &Path) -> Vec<u8> {
    let Ok(meta) = fs::symlink_metadata(at) else { return Vec::new() };
    if meta.is_symlink() {
        fs::read_link(at).map(|to| to.as_os_str().as_bytes().to_vec()).unwrap_or_default()
    } else if meta.is_file() {
        fs::read(at).unwrap_or_default()
    } else {
        Vec::new()
    }
}

/// The marks in names, contents and links below a path, each with where it is.
pub fn marks(path: &Path, skip: &dyn Fn(&Path) -> bool) -> Vec<(String, PathBuf)> {
    let mark = Regex::new("mark-[a-z0-9.-]+").unwrap();
    let mut found = Vec::new();
    for at in below(path, skip) {
        let mut text = at.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        text.push(b'\n');
        text.extend(content(&at));
        for mark in mark.find_iter(&text) {
            found.push((String::from_utf8_lossy(mark.as_bytes()).into_owned(), at.clone()));
        }
    }
    found
}
