//! Detected runners for each shape of a project.

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
    assert_eq!(found(&[("Cargo.toml", "[package]\n")]), Found::Cargo { is_workspace: false });
    let both = "[package]\nname = \"a\"\n[workspace]\nmembers = [\"b\"]\n";
    assert_eq!(found(&[("Cargo.toml", both)]), Found::Cargo { is_workspace: true });
    let chosen = "[package]\n[workspace]\ndefault-members = [\"b\"]\n";
    assert_eq!(found(&[("Cargo.toml", chosen)]), Found::Cargo { is_workspace: false });
    let go = |patterns: &[&str]| Found::Go {
        patterns: patterns.iter().map(|p| (*p).to_owned()).collect(),
    };
    assert_eq!(found(&[("go.mod", "")]), go(&["./..."]));
    let work = "go 1.19\n\nuse (\n\t. // here\n\t./tools/\n)\nuse ./b\n";
    assert_eq!(found(&[("go.work", work)]), go(&["./...", "./tools/...", "./b/..."]));
    let npm = r#"{"scripts":{"test":"vitest run"}}"#;
    let node = Found::Node { manager: Manager::Npm, tests: NodeTests::Script };
    assert_eq!(found(&[("package.json", npm)]), node);
    assert_eq!(
        found(&[("deno.json", "{\"tasks\":{\"test\":\"x\"}}")]),
        Found::Deno { has_task: true }
    );
}

#[test]
fn a_django_project_is_tested_by_its_manage_py_unless_pytest_is_configured() {
    let manage = ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'x')");
    assert_eq!(found(&[manage, ("app/tests.py", "")]), Found::Django);
    assert_eq!(found(&[manage, ("pytest.ini", "")]), Found::Pytest { certain: true });
    assert_ne!(found(&[("manage.py", "print()"), ("tests/test_a.py", "")]), Found::Django);
}

#[test]
fn nothing_where_nothing_suggests_a_runner() {
    assert_eq!(found(&[]), Found::Nothing);
    assert_eq!(found(&[("package.json", "{broken")]), Found::Nothing);
}

#[test]
fn unittest_begins_where_the_tests_are() {
    let files = [("tests/test_a.py", "import unittest\n"), ("a.py", "")];
    let dir = project(&files);
    assert!(has_unittests(dir.path()));
    assert_eq!(unittest_start(dir.path()), Some("tests"));
    let dir = project(&[("tests/__init__.py", ""), ("tests/test_a.py", "def test_a(): pass\n")]);
    assert!(!has_unittests(dir.path()));
    assert_eq!(unittest_start(dir.path()), None);
}

#[test]
fn a_makefile_offers_its_target() {
    let target = |text: &str| make_target(project(&[("Makefile", text)]).path());
    assert_eq!(target("all:\n\techo\n\ntest: all\n\t./run\n"), Some("test"));
    assert_eq!(target(".PHONY: test\ncheck lint:\n\t./run\n"), Some("check"));
    assert_eq!(target("test := x\n# test: no\n\ttest: no\n"), None);
    assert_eq!(make_target(project(&[]).path()), None);
}

#[test]
fn a_source_layout_goes_before_what_is_installed() {
    let source = |files: &[(&str, &str)]| python_source(project(files).path());
    assert_eq!(source(&[("src/pkg/__init__.py", "")]), Some("src"));
    assert_eq!(source(&[("src/ns/pkg/a.py", "")]), Some("src"));
    assert_eq!(source(&[("src/__init__.py", "")]), None);
    assert_eq!(source(&[("src/index.ts", "")]), None);
}
