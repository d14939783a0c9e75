//! Detected runners for each shape of a project.

use super::*;
use crate::ci::project_files::project;
use crate::ci::runners::RUNNERS;

/// The most certain runner.
fn found(files: &[(&str, &str)]) -> Option<(&'static str, Evidence)> {
    let candidates = detect_runners(RUNNERS, project(files).path());
    candidates.first().map(|first| (first.runner.name(), first.evidence))
}

#[test]
fn a_configured_pytest_is_certain() {
    let certain = Some(("pytest", Evidence::Configured));
    assert_eq!(found(&[("pytest.ini", "")]), certain);
    assert_eq!(found(&[("pyproject.toml", "[tool.pytest.ini_options]\n")]), certain);
    assert_eq!(found(&[("setup.cfg", "[metadata]\n[tool:pytest]\n")]), certain);
    assert_eq!(found(&[("tox.ini", "[pytest]\n")]), certain);
    assert_eq!(found(&[("tests/conftest.py", ""), ("Cargo.toml", "")]), certain);
}

#[test]
fn python_tests_alone_suggest_pytest() {
    let suggested = Some(("pytest", Evidence::TestFiles));
    assert_eq!(found(&[("tests/unit/test_a.py", "")]), suggested);
    assert_eq!(found(&[("a_test.py", "")]), suggested);
    assert_eq!(found(&[("pyproject.toml", "[tool.ruff]\n"), ("src/a.py", "")]), None);
    assert_eq!(found(&[("tests/helpers.py", "")]), None);
    assert_eq!(found(&[("tests/node_modules/x/test_a.py", "")]), None);
}

const SCRIPT: (&str, &str) = ("package.json", r#"{"scripts":{"test":"vitest run"}}"#);
const PLACEHOLDER: (&str, &str) =
    ("package.json", r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#);
const DENO: (&str, &str) = ("deno.json", "{\"tasks\":{\"test\":\"x\"}}");

#[test]
fn other_runners_by_their_manifests() {
    assert_eq!(found(&[("Cargo.toml", "[package]\n")]), Some(("cargo", Evidence::Manifest)));
    assert_eq!(found(&[("go.mod", "")]), Some(("go", Evidence::Manifest)));
    assert_eq!(found(&[("go.work", "use ./b\n")]), Some(("go", Evidence::Manifest)));
    assert_eq!(found(&[SCRIPT]), Some(("node", Evidence::Script)));
    assert_eq!(found(&[DENO]), Some(("deno", Evidence::Script)));
}

#[test]
fn a_manifest_goes_before_tests_in_python_and_these_before_a_script() {
    let python = ("tests/test_a.py", "");
    assert_eq!(found(&[python, ("Cargo.toml", "")]), Some(("cargo", Evidence::Manifest)));
    assert_eq!(found(&[("go.mod", ""), ("Cargo.toml", "")]), Some(("cargo", Evidence::Manifest)));
    assert_eq!(found(&[python, SCRIPT]), Some(("pytest", Evidence::TestFiles)));
    assert_eq!(found(&[DENO, SCRIPT]), Some(("node", Evidence::Script)));
    assert_eq!(found(&[DENO, PLACEHOLDER]), Some(("node", Evidence::Placeholder)));
}

/// Without pytest, the next candidates are unittest and then the test script.
#[test]
fn all_candidates_are_listed_in_order() {
    let dir = project(&[("tests/test_a.py", "import unittest\n"), SCRIPT]);
    let candidates = detect_runners(RUNNERS, dir.path());
    let names: Vec<&str> = candidates.iter().map(|candidate| candidate.runner.name()).collect();
    assert_eq!(names, ["pytest", "unittest", "node"]);
}

#[test]
fn a_django_project_is_tested_by_its_manage_py_unless_pytest_is_configured() {
    let manage = ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'x')");
    assert_eq!(found(&[manage, ("app/tests.py", "")]), Some(("django", Evidence::Configured)));
    assert_eq!(found(&[manage, ("pytest.ini", "")]), Some(("pytest", Evidence::Configured)));
    let other = found(&[("manage.py", "print()"), ("tests/test_a.py", "")]);
    assert_eq!(other, Some(("pytest", Evidence::TestFiles)));
}

#[test]
fn nothing_where_nothing_suggests_a_runner() {
    assert_eq!(found(&[]), None);
    assert_eq!(found(&[("package.json", "{broken")]), None);
}

#[test]
fn a_makefile_offers_its_target() {
    let target = |text: &str| make_target(project(&[("Makefile", text)]).path());
    assert_eq!(target("all:\n\techo\n\ntest: all\n\t./run\n"), Some("test"));
    assert_eq!(target(".PHONY: test\ncheck lint:\n\t./run\n"), Some("check"));
    assert_eq!(target("test := x\n# test: no\n\ttest: no\n"), None);
    assert_eq!(make_target(project(&[]).path()), None);
}
