//! Finds the tests and the sources of a Python project.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ci::plan_note::PlanNote;
use crate::ci::project_files::FOREIGN;

/// Search depth for tests, in directories.
const DEPTH: usize = 6;

/// Search depth for sources, and most directories read.
const SOURCE_DEPTH: usize = 3;
const SOURCE_DIRECTORIES: usize = 50;

/// Advice where pytest is missing.
pub const GET_PYTEST: &str = "install pytest into .venv, or set ci.command in autopack.yaml";

/// Explains that no Python can run the tests found.
pub fn no_pytest() -> PlanNote {
    PlanNote {
        why: "no ci: found python tests, but no python with pytest".to_owned(),
        hint: GET_PYTEST.to_owned(),
    }
}

/// Whether pytest would collect any test.
pub fn has_tests(dir: &Path) -> bool {
    any_test_file(dir, &|_| true)
}

/// Whether any test uses unittest, included in every Python.
pub fn has_unittests(dir: &Path) -> bool {
    any_test_file(dir, &|path| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        text.contains("import unittest") || text.contains("from unittest")
    })
}

fn any_test_file(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> bool {
    let tests = ["tests", "test"].map(|name| dir.join(name));
    has_test_file(dir, 0, wanted) || tests.iter().any(|tests| has_test_file(tests, DEPTH, wanted))
}

/// Whether `dir`, or a directory up to `depth` levels below, has a wanted file collected by pytest by default.
fn has_test_file(dir: &Path, depth: usize, wanted: &dyn Fn(&Path) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match entry.file_type() {
            Ok(kind) if kind.is_file() => is_test_file(&name) && wanted(&entry.path()),
            Ok(kind) if kind.is_dir() && depth > 0 => {
                let own = !name.starts_with('.') && !FOREIGN.contains(&name.as_ref());
                own && has_test_file(&entry.path(), depth - 1, wanted)
            }
            _ => false,
        }
    })
}

fn is_test_file(name: &str) -> bool {
    name.strip_suffix(".py")
        .is_some_and(|stem| stem.starts_with("test_") || stem.ends_with("_test"))
}

/// Returns the package directory of a project in source layout. CI puts this directory first on Python's path;
/// otherwise an installed copy of the project would be tested instead of the commit.
pub fn source_dir(dir: &Path) -> Option<&'static str> {
    let src = dir.join("src");
    let is_source = src.is_dir() && !src.join("__init__.py").exists() && has_python(src);
    is_source.then_some("src")
}

/// Whether a directory or a package in it has Python files. Top levels come first, and the search is bounded: sources in
/// other languages may be in thousands of directories.
fn has_python(dir: PathBuf) -> bool {
    let mut open = VecDeque::from([(dir, 1)]);
    let mut read = 0;
    while let Some((dir, level)) = open.pop_front() {
        read += 1;
        if read > SOURCE_DIRECTORIES {
            return false;
        }
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == "py") {
                return true;
            }
            if level < SOURCE_DEPTH && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push_back((path, level + 1));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::project_files::project;

    #[test]
    fn a_source_layout_goes_before_what_is_installed() {
        let source = |file: &str| source_dir(project(&[(file, "")]).path());
        assert_eq!(source("src/pkg/__init__.py"), Some("src"));
        assert_eq!(source("src/ns/pkg/a.py"), Some("src"));
        assert_eq!(source("src/__init__.py"), None);
        assert_eq!(source("src/index.ts"), None);
    }
}
