//! Expands patterns such as `lib*/*/site-packages/*.pth` below a dependency directory.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the paths in `dir` matching a pattern: components joined by `/`, each a name, `*`, or a name with `*` at
/// the start or end. Symbolic links to directories are not followed.
pub(super) fn expand_pattern(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    for part in pattern.split('/') {
        found = found.iter().flat_map(|at| matching_entries(at, part)).collect();
    }
    found
}

fn matching_entries(dir: &Path, part: &str) -> Vec<PathBuf> {
    if !fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir()) {
        return Vec::new();
    }
    if !part.contains('*') {
        let path = dir.join(part);
        return if fs::symlink_metadata(&path).is_ok() { vec![path] } else { Vec::new() };
    }
    let mut paths: Vec<PathBuf> = sorted_names(dir)
        .into_iter()
        .filter(|name| name.to_str().is_some_and(|name| name_matches(name, part)))
        .map(|name| dir.join(name))
        .collect();
    paths.sort();
    paths
}

fn name_matches(name: &str, part: &str) -> bool {
    match part.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        None => name == part,
    }
}

/// Returns the sorted names in a directory; empty if unreadable.
pub(super) fn sorted_names(dir: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_expand_without_following_links() {
        let temp = tempfile::tempdir().unwrap();
        for file in ["lib/python3.11/site-packages/a.pth", "lib/python3.11/site-packages/b.py"] {
            let path = temp.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("lib", temp.path().join("lib64")).unwrap();
        let found = expand_pattern(temp.path(), "lib*/python*/site-packages/*.pth");
        assert_eq!(found, [temp.path().join("lib/python3.11/site-packages/a.pth")]);
        assert!(expand_pattern(temp.path(), "absent/*").is_empty());
        assert!(
            name_matches("a.pth", "*.pth")
                && !name_matches("pth", "*.pth")
                && name_matches("x", "*")
        );
    }
}
