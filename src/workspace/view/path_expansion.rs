//! Paths of the configuration and of variables, as absolute paths without symbolic links.

use std::path::{Path, PathBuf};

use crate::config::without_dots;

/// Placeholder for the top of the user's checkout.
const WORKSPACE: &str = "{workspace}";

/// Expands `~`, `~/` and `{workspace}`; a relative path begins at the workspace. `None` for an empty path, and for
/// `~` without a home directory.
pub(super) fn expand(text: &str, home: Option<&Path>, workspace: &Path) -> Option<PathBuf> {
    let path = if text == "~" {
        home?.to_owned()
    } else if let Some(rest) = text.strip_prefix("~/") {
        home?.join(rest.trim_start_matches('/'))
    } else if let Some(rest) = text.strip_prefix(WORKSPACE) {
        match rest.strip_prefix('/') {
            Some(rest) => workspace.join(rest.trim_start_matches('/')),
            None if rest.is_empty() => workspace.to_owned(),
            None => workspace.join(text),
        }
    } else if text.is_empty() {
        return None;
    } else {
        workspace.join(text)
    };
    Some(without_dots(&path))
}

/// Resolves the links of the longest existing part of an absolute path.
pub(super) fn resolve(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        let Ok(real) = existing.canonicalize() else { continue };
        return match path.strip_prefix(existing) {
            Ok(rest) if !rest.as_os_str().is_empty() => without_dots(&real.join(rest)),
            _ => real,
        };
    }
    path.to_owned()
}

/// Returns the path itself, with the links of its parents resolved.
pub(super) fn resolve_parent(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolve(parent).join(name),
        _ => path.to_owned(),
    }
}

/// Returns the number of parts of a path.
pub(super) fn depth(path: &Path) -> usize {
    path.components().count()
}

/// Whether a path is the directory or below.
pub(super) fn is_strictly_below(path: &Path, directory: &Path) -> bool {
    path != directory && path.starts_with(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_spelling_of_a_setting_becomes_an_absolute_path() {
        let (home, workspace) = (Path::new("/home/u"), Path::new("/app"));
        let at = |text: &str| {
            expand(text, Some(home), workspace).map(|path| path.to_str().unwrap().to_owned())
        };
        let cases = [
            ("~", "/home/u"),
            ("~/.m2", "/home/u/.m2"),
            ("~//.m2/", "/home/u/.m2"),
            ("{workspace}", "/app"),
            ("{workspace}/data/../x", "/app/x"),
            ("{workspace}s", "/app/{workspace}s"),
            ("data", "/app/data"),
            ("../other", "/other"),
            ("/var/./lib", "/var/lib"),
            ("/../..", "/"),
        ];
        for (text, expected) in cases {
            assert_eq!(at(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(at(""), None);
        assert_eq!(expand("~/x", None, workspace), None);
    }

    #[test]
    fn links_of_existing_parts_are_resolved() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        std::fs::create_dir(top.join("real")).unwrap();
        symlink("real", top.join("link")).unwrap();
        assert_eq!(resolve(&top.join("link/a/b")), top.join("real/a/b"));
        assert_eq!(resolve(&top.join("link")), top.join("real"));
        assert_eq!(resolve_parent(&top.join("link")), top.join("link"));
    }
}
