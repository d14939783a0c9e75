//! Detects the test runner of a directory by its files. Starts no process.

use std::fs;
use std::path::Path;

use super::node_project::{self, Manager, NodeTests};

/// A way to test a project, derived from the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// `certain`: pytest itself is configured or used; otherwise there are just files that pytest would collect.
    Pytest {
        certain: bool,
    },
    /// `manage.py test`.
    Django,
    /// `is_workspace`: the top is a package with member packages, which cargo would omit by default.
    Cargo {
        is_workspace: bool,
    },
    /// Package patterns of each module.
    Go {
        patterns: Vec<String>,
    },
    Node {
        manager: Manager,
        tests: NodeTests,
    },
    Deno {
        has_task: bool,
    },
    Nothing,
}

/// Search depth for tests, in directories.
const DEPTH: usize = 6;
/// Directories with installed or built files, whose tests are not the project's.
pub const FOREIGN: [&str; 8] =
    ["node_modules", "target", "venv", "env", "site-packages", "__pycache__", "build", "vendor"];

pub fn find(dir: &Path) -> Found {
    let is_certain = pytest_is_configured(dir);
    if !is_certain && is_django(dir) {
        return Found::Django;
    }
    if is_certain {
        return Found::Pytest { certain: true };
    }
    let has_tests = has_python_tests(dir);
    match find_other(dir) {
        // Tests of a Rust or Go project may be driven by Python scripts beside them.
        found @ (Found::Cargo { .. } | Found::Go { .. }) => found,
        _ if has_tests => Found::Pytest { certain: false },
        found => found,
    }
}

/// Whether pytest would collect any test.
pub fn has_python_tests(dir: &Path) -> bool {
    any_python_test(dir, &|_| true)
}

/// Whether any test uses unittest, included in every Python.
pub fn has_unittests(dir: &Path) -> bool {
    any_python_test(dir, &|path| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        text.contains("import unittest") || text.contains("from unittest")
    })
}

fn any_python_test(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> bool {
    let tests = ["tests", "test"].map(|name| dir.join(name));
    holds_tests(dir, 0, wanted) || tests.iter().any(|tests| holds_tests(tests, DEPTH, wanted))
}

/// Detects the runners other than pytest.
pub fn find_other(dir: &Path) -> Found {
    let manifest = read(dir, "Cargo.toml");
    if dir.join("Cargo.toml").is_file() {
        let has = |section: &str| manifest.lines().any(|line| line.trim() == section);
        // With `default-members`, cargo knows which members to test.
        let chosen = manifest.lines().any(|line| line.trim().starts_with("default-members"));
        let is_workspace = has("[workspace]") && has("[package]") && !chosen;
        return Found::Cargo { is_workspace };
    }
    if dir.join("go.work").is_file() {
        return Found::Go { patterns: go_patterns(&read(dir, "go.work")) };
    }
    if dir.join("go.mod").is_file() {
        return Found::Go { patterns: vec!["./...".to_owned()] };
    }
    match node_project::tests(dir) {
        NodeTests::None => {}
        tests => return Found::Node { manager: Manager::of(dir), tests },
    }
    let deno = [read(dir, "deno.json"), read(dir, "deno.jsonc")].concat();
    if !deno.trim().is_empty() {
        return Found::Deno { has_task: deno.contains("\"test\"") };
    }
    Found::Nothing
}

/// Returns a pattern for each module of a workspace: at a top without a module of its own, `./...` matches no package.
pub fn go_patterns(work: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    let mut in_block = false;
    for line in work.lines().map(|line| line.split("//").next().unwrap_or_default().trim()) {
        let module = match line.strip_prefix("use") {
            Some(rest) if rest.trim() == "(" => {
                in_block = true;
                continue;
            }
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim(),
            _ if line == ")" => {
                in_block = false;
                continue;
            }
            _ if in_block => line,
            _ => continue,
        };
        let module = module.trim_matches('"').trim_start_matches("./").trim_matches('/');
        match module {
            "" | "." => patterns.push("./...".to_owned()),
            module => patterns.push(format!("./{module}/...")),
        }
    }
    if patterns.is_empty() {
        patterns.push("./...".to_owned());
    }
    patterns
}

fn pytest_is_configured(dir: &Path) -> bool {
    let in_section = |file: &str, sections: &[&str]| {
        let text = read(dir, file);
        text.lines().any(|line| sections.iter().any(|section| line.trim().starts_with(section)))
    };
    let conftest = ["conftest.py", "tests/conftest.py", "test/conftest.py"];
    ["pytest.ini", ".pytest.ini", "pytest.toml"].iter().any(|name| dir.join(name).is_file())
        || conftest.iter().any(|name| dir.join(name).is_file())
        || in_section("pyproject.toml", &["[tool.pytest", "[ tool.pytest"])
        || in_section("setup.cfg", &["[tool:pytest]"])
        || in_section("tox.ini", &["[pytest]"])
}

/// Whether this is a Django project: without pytest-django, pytest would not set Django up.
fn is_django(dir: &Path) -> bool {
    read(dir, "manage.py").contains("DJANGO_SETTINGS_MODULE")
}

/// Whether `dir`, or a directory up to `depth` levels below, has a wanted file collected by pytest by default.
fn holds_tests(dir: &Path, depth: usize, wanted: &dyn Fn(&Path) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match entry.file_type() {
            Ok(kind) if kind.is_file() => is_pytest_file(&name) && wanted(&entry.path()),
            Ok(kind) if kind.is_dir() && depth > 0 => {
                let own = !name.starts_with('.') && !FOREIGN.contains(&name.as_ref());
                own && holds_tests(&entry.path(), depth - 1, wanted)
            }
            _ => false,
        }
    })
}

fn is_pytest_file(name: &str) -> bool {
    name.strip_suffix(".py")
        .is_some_and(|stem| stem.starts_with("test_") || stem.ends_with("_test"))
}

/// Returns the start directory for unittest, to find also tests in a directory without `__init__.py`.
pub fn unittest_start(dir: &Path) -> Option<&'static str> {
    ["tests", "test"].into_iter().find(|name| {
        let tests = dir.join(name);
        tests.is_dir() && !tests.join("__init__.py").is_file()
    })
}

/// Returns a test target of a Makefile.
pub fn make_target(dir: &Path) -> Option<&'static str> {
    let text = ["GNUmakefile", "makefile", "Makefile"]
        .into_iter()
        .map(|name| read(dir, name))
        .find(|text| !text.is_empty())?;
    let is_target = |target: &str| {
        text.lines().any(|line| {
            let names = line.split_once(':').filter(|(_, rest)| !rest.starts_with('='));
            !line.starts_with(['\t', ' ', '#', '.'])
                && names
                    .is_some_and(|(names, _)| names.split_whitespace().any(|name| name == target))
        })
    };
    ["test", "check", "tests"].into_iter().find(|target| is_target(target))
}

/// Returns the package directory of a project in source layout. CI puts this directory first on Python's path;
/// otherwise an installed copy of the project would be tested instead of the commit.
pub fn python_source(dir: &Path) -> Option<&'static str> {
    let src = dir.join("src");
    let is_source = src.is_dir() && !src.join("__init__.py").exists() && has_python(&src, 3);
    is_source.then_some("src")
}

fn has_python(dir: &Path, depth: usize) -> bool {
    fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        path.extension().is_some_and(|ending| ending == "py")
            || is_dir && depth > 1 && has_python(&path, depth - 1)
    })
}

fn read(dir: &Path, name: &str) -> String {
    let bytes = fs::read(dir.join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
