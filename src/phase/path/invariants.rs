//! Invariants of path parsing for arbitrary text, for property tests and the fuzzer.

use super::entry::{self, Entry, List};
use super::{NormalizedPath, has_drive, normalize, parent, reserved, text};

const WORKSPACE: &str = "/home/u/project";

/// Checks each line separately in every kind of list, and all lines as prose.
pub fn bytes(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    for workspace in [None, Some(WORKSPACE)] {
        for line in input.lines() {
            normal_is_normal(line, workspace);
            for list in [List::Deliverables, List::Scope, List::Context] {
                entry_is_settled(line, list, workspace);
            }
        }
    }
    text::tokens(&input).for_each(drop);
    drop(text::find_paths(&input));
}

/// Checks that a normalized path is inside the repository and normalizes to itself.
fn normal_is_normal(path: &str, workspace: Option<&str>) {
    let Ok(NormalizedPath::Inside(normal)) = normalize(path, workspace) else { return };
    // `C:` alone is a name; with a suffix, normalization refuses the path.
    let inside = normal.strip_suffix('/').unwrap_or(&normal).split('/');
    assert!(inside.into_iter().all(|part| !matches!(part, "" | "." | "..")), "{normal:?}");
    assert!(!normal.contains(['\0', '\\']), "{normal:?}");
    if !has_drive(&normal) && !normal.starts_with('~') {
        assert_eq!(normalize(&normal, workspace), Ok(NormalizedPath::Inside(normal.clone())));
    }
    if let Some(parent) = parent(&normal) {
        assert!(normal.starts_with(parent) && !parent.ends_with('/'), "{normal:?}: {parent:?}");
    }
}

/// Checks that an entry's paths are read back unchanged and stay inside the repository.
fn entry_is_settled(line: &str, list: List, workspace: Option<&str>) {
    let Entry { paths, .. } = entry::read(line, list, workspace);
    for path in &paths {
        assert!(stays_inside(path), "{line:?}: {path:?}");
        assert!(list == List::Context || reserved(path).is_none(), "{line:?}: {path:?}");
        let again = entry::read(path, list, workspace);
        assert_eq!((&again.paths, again.prose), (&vec![path.clone()], false), "{line:?}");
    }
}

/// Checks whether a path stays inside the repository.
pub fn stays_inside(path: &str) -> bool {
    let parts = path.strip_suffix('/').unwrap_or(path).split('/');
    let drive = path.as_bytes().get(1) == Some(&b':');
    !drive
        && !path.starts_with("~/")
        && !path.contains(['\0', '\\'])
        && parts.into_iter().all(|part| !matches!(part, "" | "." | ".."))
}
