//! Recognized and unrecognized commands of people.

use super::*;

fn of(line: &str) -> Option<&'static str> {
    recognize(&CommandLine::Shell(line.to_owned())).map(|runner| runner.name())
}

#[test]
fn plain_pytest_is_recognized() {
    for line in [
        "pytest",
        "pytest -q tests/unit",
        "python3 -m pytest -v",
        "python3.11 -X dev -m pytest",
        ".venv/bin/python -m pytest",
        "cd backend && pytest",
        "FOO=1 uv run pytest -q",
        "export A=1 && cd x && env B=2 poetry run pytest",
    ] {
        let expected = if line.contains("-X dev") { None } else { Some("pytest") };
        assert_eq!(of(line), expected, "{line}");
    }
    for argv in [&["/usr/bin/python3", "-m", "pytest"], &["sh", "-c", "cd x && pytest"]] {
        let argv = argv.map(str::to_owned).to_vec();
        let runner = recognize(&CommandLine::Argv(argv));
        assert_eq!(runner.map(|runner| runner.name()), Some("pytest"));
    }
}

#[test]
fn plain_cargo_test_is_recognized() {
    assert_eq!(of("cargo test --workspace"), Some("cargo"));
    assert_eq!(of("cargo +nightly test"), Some("cargo"));
    for line in
        ["cargo test -q", "cargo test -- --nocapture", "cargo nextest run", "cargo build", "cargo"]
    {
        assert_eq!(of(line), None, "{line}");
    }
}

#[test]
fn plain_go_test_is_recognized() {
    assert_eq!(of("go test ./..."), Some("go"));
    assert_eq!(of("cd server && CGO_ENABLED=0 go test -race -v ./..."), Some("go"));
    for line in [
        "go test -json ./...",
        "go vet ./...",
        "go test -c",
        "GOFLAGS=-v go test",
        "go test -args x",
    ] {
        assert_eq!(of(line), None, "{line}");
    }
}

#[test]
fn anything_more_is_judged_by_its_exit_code() {
    for line in [
        "pytest && npm test",
        "pytest; true",
        "pytest || true",
        "pytest | tee log",
        "make test",
        "$(which pytest)",
        "PYTEST_ADDOPTS=-q pytest",
        "pytest -qx",
        "pytest --maxfail=1",
        "python -m pytest --junitxml=report.xml",
        "python setup.py test",
        "pytest a && pytest b",
        "",
    ] {
        assert_eq!(of(line), None, "{line}");
    }
}

#[test]
fn a_watching_script_is_told_to_end_where_arguments_reach_it() {
    let dir = tempfile::tempdir().unwrap();
    let manifest =
        r#"{"scripts": {"test": "vitest watch", "unit": "vitest watch", "types": "tsc --watch"}}"#;
    std::fs::write(dir.path().join("package.json"), manifest).unwrap();
    let arguments = |line: &str| {
        let command = CommandLine::Shell(line.to_owned());
        watch_arguments(&command, dir.path()).map(|arguments| arguments.join(" "))
    };
    assert_eq!(arguments("npm ci && CI=1 npm run -s unit").as_deref(), Ok("-- --run"));
    assert_eq!(arguments("npm run unit -- --x").as_deref(), Ok("--run"));
    assert_eq!(arguments("yarn test").as_deref(), Ok("--run"));
    for line in ["npm ci", "npm test | tee x", "npm test; true", "make test", "npm test \"$X\""] {
        assert_eq!(arguments(line).as_deref(), Ok(""), "{line}");
    }
    assert!(arguments("npm run types").unwrap_err().contains("waits for changes"));
}
