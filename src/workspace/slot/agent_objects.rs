//! Reads refs and objects of an agent's git directory from files: git would obey the directory's
//! configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of the agent's own objects to search.
pub(super) const MOST_OBJECTS: usize = 20_000;

/// Returns the current commit of a git directory; `own` contains the branches.
pub(super) fn head_of(own: &Path, git_dir: &Path) -> Option<String> {
    let head = fs::read_to_string(git_dir.join("HEAD")).ok()?;
    match head.trim_end().strip_prefix("ref: ") {
        None => Some(head.trim_end().to_owned()).filter(|id| is_id(id)),
        Some(name) => refs(own).into_iter().find(|(known, _)| known == name).map(|(_, id)| id),
    }
}

/// Returns name and id of each ref.
pub(super) fn refs(own: &Path) -> BTreeMap<String, String> {
    let mut refs = BTreeMap::new();
    let packed = fs::read_to_string(own.join("packed-refs")).unwrap_or_default();
    for line in packed.lines() {
        if let Some((id, name)) = line.split_once(' ').filter(|(id, _)| is_id(id)) {
            refs.insert(name.to_owned(), id.to_owned());
        }
    }
    let mut open = vec![PathBuf::from("refs")];
    while let Some(directory) = open.pop() {
        for name in names(&own.join(&directory)) {
            let path = directory.join(name);
            if is_directory(&own.join(&path)) {
                open.push(path);
            } else if let Ok(text) = fs::read_to_string(own.join(&path))
                && is_id(text.trim_end())
            {
                refs.insert(path.to_string_lossy().into_owned(), text.trim_end().to_owned());
            }
        }
    }
    refs
}

/// Returns the ids of loose objects, and the index files of packs.
pub(super) fn objects(directory: &Path) -> (Vec<String>, Vec<PathBuf>) {
    let mut ids = Vec::new();
    for two in names(directory).into_iter().filter(|name| name.len() == 2) {
        let rest = names(&directory.join(&two)).into_iter();
        ids.extend(rest.map(|rest| format!("{two}{rest}")).filter(|id| is_id(id)));
        if ids.len() > MOST_OBJECTS {
            break;
        }
    }
    let pack = directory.join("pack");
    let packs = names(&pack).into_iter().filter(|name| name.ends_with(".idx"));
    (ids, packs.map(|name| pack.join(name)).collect())
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

pub(super) fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

pub(super) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}
