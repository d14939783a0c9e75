//! Which runner a project's files suggest. Reads files, starts nothing.

use std::fs;
use std::path::Path;

use super::plan::Runner;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `certain`: pytest itself is configured or used; otherwise there are only files that it would collect.
    Pytest {
        certain: bool,
    },
    Other(Runner),
    Nothing,
}

/// Directories are searched for tests this deep.
const DEPTH: usize = 6;
/// Whose files are nobody's own tests.
const FOREIGN: [&str; 6] =
    ["node_modules", "target", "venv", "site-packages", "__pycache__", "build"];

pub fn find(dir: &Path) -> Found {
    if pytest_is_configured(dir) {
        return Found::Pytest { certain: true };
    }
    let has_tests = has_python_tests(dir);
    match find_other(dir) {
        // The tests of a Rust or Go project may well be driven by some Python beside them.
        Some(runner) if !has_tests || runner != Runner::NpmTest => Found::Other(runner),
        _ if has_tests => Found::Pytest { certain: false },
        _ => Found::Nothing,
    }
}

/// Whether there is any test that pytest would collect.
pub fn has_python_tests(dir: &Path) -> bool {
    let tests = ["tests", "test"].map(|name| dir.join(name));
    holds_tests(dir, 0) || tests.iter().any(|tests| holds_tests(tests, DEPTH))
}

/// The runners beside pytest.
pub fn find_other(dir: &Path) -> Option<Runner> {
    if dir.join("Cargo.toml").is_file() {
        return Some(Runner::CargoTest);
    }
    if dir.join("go.mod").is_file() || dir.join("go.work").is_file() {
        return Some(Runner::GoTest);
    }
    npm_tests(&read(dir, "package.json")).then_some(Runner::NpmTest)
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

/// A file that pytest collects by its default patterns, in `dir` or, where `depth` allows, beneath it.
fn holds_tests(dir: &Path, depth: usize) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match entry.file_type() {
            Ok(kind) if kind.is_file() => is_pytest_file(&name),
            Ok(kind) if kind.is_dir() && depth > 0 => {
                let own = !name.starts_with('.') && !FOREIGN.contains(&name.as_ref());
                own && holds_tests(&entry.path(), depth - 1)
            }
            _ => false,
        }
    })
}

fn is_pytest_file(name: &str) -> bool {
    name.strip_suffix(".py")
        .is_some_and(|stem| stem.starts_with("test_") || stem.ends_with("_test"))
}

/// `npm init` writes a test script that only says that there is none.
fn npm_tests(package: &str) -> bool {
    let package: serde_json::Value = serde_json::from_str(package).unwrap_or_default();
    let script = package["scripts"]["test"].as_str().unwrap_or_default();
    !script.trim().is_empty() && !script.contains("no test specified")
}

/// Where a project in source layout has its packages. It goes before everything else on Python's path: a
/// `.venv` with the project installed in editable mode would otherwise test the user's checkout instead of the slot.
pub fn python_source(dir: &Path) -> Option<&'static str> {
    let src = dir.join("src");
    (src.is_dir() && !src.join("__init__.py").exists()).then_some("src")
}

fn read(dir: &Path, name: &str) -> String {
    let bytes = fs::read(dir.join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn found(files: &[(&str, &str)]) -> Found {
        find(project(files).path())
    }

    #[test]
    fn a_configured_pytest_is_certain() {
        let certain = Found::Pytest { certain: true };
        assert_eq!(found(&[("pytest.ini", "")]), certain);
        assert_eq!(found(&[("pyproject.toml", "[tool.pytest.ini_options]\n")]), certain);
        assert_eq!(found(&[("setup.cfg", "[metadata]\n[tool:pytest]\n")]), certain);
        assert_eq!(found(&[("tox.ini", "[pytest]\n")]), certain);
        assert_eq!(found(&[("tests/conftest.py", ""), ("Cargo.toml", "")]), certain);
    }

    #[test]
    fn python_tests_alone_suggest_pytest() {
        let suggested = Found::Pytest { certain: false };
        assert_eq!(found(&[("tests/unit/test_a.py", "")]), suggested);
        assert_eq!(found(&[("a_test.py", "")]), suggested);
        assert_eq!(found(&[("pyproject.toml", "[tool.ruff]\n"), ("src/a.py", "")]), Found::Nothing);
        assert_eq!(found(&[("tests/helpers.py", "")]), Found::Nothing);
        assert_eq!(found(&[("tests/node_modules/x/test_a.py", "")]), Found::Nothing);
    }

    #[test]
    fn other_runners_by_their_manifests() {
        assert_eq!(found(&[("Cargo.toml", "")]), Found::Other(Runner::CargoTest));
        assert_eq!(found(&[("go.mod", "")]), Found::Other(Runner::GoTest));
        let npm = r#"{"scripts":{"test":"vitest run"}}"#;
        assert_eq!(found(&[("package.json", npm)]), Found::Other(Runner::NpmTest));
    }

    #[test]
    fn nothing_where_nothing_suggests_a_runner() {
        assert_eq!(found(&[]), Found::Nothing);
        let npm = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
        assert_eq!(found(&[("package.json", npm)]), Found::Nothing);
        assert_eq!(found(&[("package.json", "{broken")]), Found::Nothing);
    }

    #[test]
    fn a_source_layout_goes_before_what_is_installed() {
        let dir = project(&[("src/pkg/__init__.py", "")]);
        assert_eq!(python_source(dir.path()), Some("src"));
        let dir = project(&[("src/__init__.py", "")]);
        assert_eq!(python_source(dir.path()), None);
    }
}
