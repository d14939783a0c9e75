//! Paths as people write them.

use std::path::{Component, Path, PathBuf};

/// Removes `.` and `..` from a path by its text alone: links are not read, and the path need not exist.
pub fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
