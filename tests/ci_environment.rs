//! What CI sees: commands test the copy of the repository and never the user's checkout, whoever wrote them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Project, executable, has, skip};

/// The phase `break` makes `add` subtract; `honest` adds a module beside it.
const AGENT: &str = r#"
if phase_id == "break":
    write("lib/calc/__init__.py", "def add(a, b):\n    return a - b\n")
else:
    write_deliverables()
"#;

fn plan() -> Value {
    json!({"phases": [
        {"phase_id": "break", "deliverables": ["lib/calc/__init__.py"], "max_attempts": 1},
        {"phase_id": "honest", "deliverables": ["lib/calc/more.txt"], "max_attempts": 1}]})
}

/// A package in `lib`, importable only from an installed copy, and its test.
pub fn calculator() -> Project {
    Project::new()
        .file("lib/calc/__init__.py", "def add(a, b):\n    return a + b\n")
        .file(
            "tests/test_calc.py",
            "import calc\n\ndef test_add():\n    assert calc.add(2, 3) == 5\n",
        )
        .file("ci.sh", "set -e\npython -m pytest -q\n")
        .file(".gitignore", ".venv/\n__pycache__/\n")
        .commit("a package")
}

/// A directory of site-packages with pytest, if any.
pub fn pytest_packages() -> Option<String> {
    let code = "import os, pytest; print(os.path.dirname(os.path.dirname(pytest.__file__)))";
    let output = Command::new("python3").args(["-c", code]).output().ok()?;
    let found = output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned());
    if found.is_none() {
        skip("pytest", "python3 has no pytest");
    }
    found
}

/// A virtual environment with pytest, and the place of its packages.
pub fn venv(dir: &Path, pytest: &str) -> PathBuf {
    let made = Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(dir).status();
    assert!(made.unwrap().success());
    let lib = fs::read_dir(dir.join("lib")).unwrap().next().unwrap().unwrap().path();
    let packages = lib.join("site-packages");
    fs::write(packages.join("pytest-of-the-machine.pth"), format!("{pytest}\n")).unwrap();
    packages
}

/// Ways in which installers leave the path of a checkout.
pub const STYLES: [&str; 4] = ["pth", "finder", "redirector", "symlink"];

/// Installs `calc` in editable mode, like pip, setuptools, hatch and flit.
pub fn install(style: &str, packages: &Path, checkout: &Path) {
    let lib = checkout.join("lib");
    let at = |name: &str| packages.join(name);
    match style {
        "pth" => fs::write(at("__editable__.calc-1.pth"), format!("{}\n", lib.display())).unwrap(),
        "symlink" => std::os::unix::fs::symlink(lib.join("calc"), at("calc")).unwrap(),
        "finder" => {
            let finder = format!(
                "import os, sys\nfrom importlib.util import spec_from_file_location\n\
                 MAPPING: dict = {{'calc': {:?}}}\n\
                 class _EditableFinder:\n    @classmethod\n    def find_spec(cls, name, path=None, target=None):\n        \
                 if name in MAPPING:\n            \
                 return spec_from_file_location(name, os.path.join(MAPPING[name], '__init__.py'))\n\
                 def install():\n    sys.meta_path.append(_EditableFinder)\n",
                lib.join("calc").display().to_string()
            );
            fs::write(at("__editable___calc_finder.py"), finder).unwrap();
            let start = "import __editable___calc_finder; __editable___calc_finder.install()\n";
            fs::write(at("__editable__.calc-1.pth"), start).unwrap();
        }
        _ => {
            let redirector = "import importlib.util, sys\n\
                class RedirectingFinder:\n    _redirections = {}\n    @classmethod\n    \
                def find_spec(cls, name, path=None, target=None):\n        where = cls._redirections.get(name)\n        \
                return importlib.util.spec_from_file_location(name, where) if where else None\n\
                def map_module(name, where):\n    RedirectingFinder._redirections[name] = where\n    \
                sys.meta_path.append(RedirectingFinder)\n";
            fs::write(at("calc_redirector.py"), redirector).unwrap();
            let init = lib.join("calc/__init__.py").display().to_string();
            let start =
                format!("import calc_redirector; calc_redirector.map_module('calc', {init:?})\n");
            fs::write(at("_calc.pth"), start).unwrap();
        }
    }
}

/// Drains both phases with this CI and expects that only the honest one lands.
pub fn only_the_honest_one_lands(project: Project, config: &str, what: &str) {
    let project = project.agent_with(AGENT, config).plan(plan());
    let ran = project.drain();
    let states = project.states();
    let shown = format!("{what}: {ran:#?}\n{:#}", project.phase("break"));
    assert_eq!(states["break"], "FAILED", "{shown}");
    assert_eq!(states["honest"], "COMPLETE", "{shown}");
}

/// Passes a project for each kind of editable install, with CI that runs its tests there by a Python with these options.
pub fn each_editable_install(options: &str, check: impl Fn(Project, &str, &str)) {
    let Some(pytest) = pytest_packages() else { return };
    for style in STYLES {
        let project = calculator();
        let environment = project.outside("env");
        install(style, &venv(&environment, &pytest), &project.root());
        let python = environment.join("bin/python");
        let config = format!("ci:\n  command: [{python:?}, {options}-m, pytest, -q]\n");
        check(project, &config, style);
    }
}

#[test]
fn an_editable_install_of_any_kind_is_tested_in_the_copy() {
    each_editable_install("", only_the_honest_one_lands);
}

#[test]
fn every_way_to_write_the_command_tests_the_copy() {
    let Some(pytest) = pytest_packages() else { return };
    for command in
        ["\"python -m pytest -q\"", "[sh, ci.sh]", "\"uv run pytest -q\"", "\"poetry run pytest\""]
    {
        let project = calculator();
        let environment = project.outside("env");
        install("pth", &venv(&environment, &pytest), &project.root());
        let bin = environment.join("bin");
        // Launchers end up at the environment's own Python.
        for launcher in ["uv", "poetry"] {
            let script =
                format!("#!/bin/sh\nshift 2\nexec '{}/python' -m pytest \"$@\"\n", bin.display());
            executable(&bin.join(launcher), &script);
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let project = project.env("PATH", path);
        only_the_honest_one_lands(project, &format!("ci:\n  command: {command}\n"), command);
    }
}

#[test]
fn a_linked_environment_tests_the_copy() {
    let Some(pytest) = pytest_packages() else { return };
    let project = calculator();
    install("finder", &venv(&project.path(".venv"), &pytest), &project.root());
    let config =
        "ci:\n  command: [.venv/bin/python, -m, pytest, -q]\nworkspace:\n  link: [.venv]\n";
    only_the_honest_one_lands(project, config, "linked");
}

#[test]
fn the_active_environment_of_the_checkout_tests_the_copy() {
    let Some(pytest) = pytest_packages() else { return };
    let project = calculator();
    let environment = project.path(".venv");
    install("pth", &venv(&environment, &pytest), &project.root());
    let (active, path) = (environment.display().to_string(), std::env::var("PATH").unwrap());
    let project = project.env("PATH", format!("{active}/bin:{path}")).env("VIRTUAL_ENV", active);
    let config = "ci:\n  command: [python, -m, pytest, -q]\nworkspace:\n  link: [.venv]\n";
    only_the_honest_one_lands(project, config, "active");
}

#[test]
fn a_python_that_cannot_be_redirected_to_the_copy_ends_the_drain() {
    let Some(pytest) = pytest_packages() else { return };
    let project = calculator();
    let environment = project.outside("env");
    install("pth", &venv(&environment, &pytest), &project.root());
    let python = environment.join("bin/python");
    let config = format!("ci:\n  command: [{python:?}, -I, -m, pytest, -q]\n");
    let project = project.without_sandbox().agent_with(AGENT, &config).plan(plan());
    let ran = project.drain().exited(5);
    let output = format!("{}{}", ran.stdout, ran.stderr);
    assert!(output.contains("ci would test your checkout instead of the change"), "{output}");
    assert!(output.contains("the python package calc from"), "{output}");
    assert!(output.contains("without -I, Python would import from CI's copy"), "{output}");
    assert_eq!(project.landed(), [""; 0]);
}

#[test]
fn a_node_package_that_is_linked_into_the_checkout_ends_the_drain() {
    let project = Project::new()
        .file("package.json", "{}")
        .file("packages/core/package.json", "{\"name\": \"core\"}")
        .file(".gitignore", "node_modules/\n")
        .commit("a package");
    let setup =
        "mkdir -p node_modules && ln -sfn \"$AUTOPACK_WORKSPACE/packages/core\" node_modules/core";
    let config = format!("ci:\n  command: [\"true\"]\nworkspace:\n  setup: {setup:?}\n");
    let phases = json!({"phases": [{"phase_id": "one", "deliverables": ["one.txt"]}]});
    let project = project.without_sandbox();
    let project = project.agent_with("write_deliverables()", &config).plan(phases);
    let ran = project.drain().exited(5);
    let output = format!("{}{}", ran.stdout, ran.stderr);
    assert!(output.contains("node_modules/core in CI's copy is a link to"), "{output}");
}

/// Drains one phase whose CI is this shell line, in an environment of its own.
fn ci_line(project: Project, line: &str) -> (Project, String) {
    let phases =
        json!({"phases": [{"phase_id": "one", "deliverables": ["one.txt"], "max_attempts": 1}]});
    let config = format!("ci:\n  command: {line:?}\n");
    let project = project.agent_with("write_deliverables()", &config).plan(phases);
    let ran = project.drain();
    let output = format!("{}{}\n{:#}", ran.stdout, ran.stderr, project.phase("one"));
    (project, output)
}

pub fn is_green(project: Project, line: &str) -> String {
    let (project, output) = ci_line(project, line);
    assert_eq!(project.states()["one"], "COMPLETE", "{line}: {output}");
    output
}

#[test]
fn ci_runs_non_interactively() {
    is_green(Project::new(), "test \"$CI\" = 1 && ! read -r line && ! test -t 0");
    is_green(Project::new().env("CI", "buildkite"), "test \"$CI\" = buildkite");
}

#[test]
fn a_watching_test_script_is_run_once() {
    if !has("npm", &["--version"]) {
        return;
    }
    // Ends only if told to, like the real ones.
    let runner =
        |ending: &str| format!("#!/bin/sh\ncase \"$*\" in *{ending}*) exit 0;; esac\nsleep 1000\n");
    for (test, script, ending, command) in [
        ("", "vitest watch", "--run", "npm test"),
        ("", "jest --watch", "--watch=false", "npm run test"),
        ("", "jest --watchAll", "--watchAll=false", ""),
        ("npm run unit", "vitest watch", "--run", "npm test"),
        ("npm run -s deep", "jest --watch", "--watch=false", ""),
    ] {
        let name = script.split(' ').next().unwrap();
        let test = if test.is_empty() { script } else { test };
        let scripts = json!({"test": test, "deep": "echo lint && npm run unit", "unit": script});
        let project = Project::new().file("package.json", &json!({"scripts": scripts}).to_string());
        fs::create_dir_all(project.path("bin")).unwrap();
        executable(&project.path(format!("bin/{name}")), &runner(ending));
        let project = project.commit("a watcher");
        let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
        let project = project.env("PATH", path);
        let config = match command {
            "" => String::new(),
            command => format!("ci:\n  command: {command}\n"),
        };
        let phases = json!({"phases": [{"phase_id": "one", "deliverables": ["one.txt"], "max_attempts": 1,
            "ci": {"timeout_seconds": 30}}]});
        let project = project.agent_with("write_deliverables()", &config).plan(phases);
        let ran = project.drain();
        assert_eq!(
            project.states()["one"],
            "COMPLETE",
            "{script}: {ran:#?}\n{:#}",
            project.phase("one")
        );
    }
}

#[test]
fn a_watcher_that_cannot_run_once_starts_no_agent() {
    let scripts = json!({"scripts": {"test": "run-s unit", "unit": "jest --watch"}});
    let project = Project::new().file("package.json", &scripts.to_string()).commit("a watcher");
    let phases = json!({"phases": [{"phase_id": "one", "deliverables": ["one.txt"]}]});
    let agent = "write(workspace.parent / 'witness' / 'asked')\nwrite_deliverables()";
    let project = project.agent(agent).plan(phases);
    let ran = project.drain().exited(5);
    let output = format!("{}{}", ran.stdout, ran.stderr);
    assert!(output.contains("the script unit of package.json runs"), "{output}");
    assert!(!project.outside("asked").exists());
}

#[test]
fn variables_naming_the_checkout_are_redirected_or_removed() {
    let project = Project::new().file("lib/a.py", "").file("bin/tool", "").commit("files");
    project.write("go.work", "untracked");
    let root = project.root().display().to_string();
    std::os::unix::fs::symlink(&root, project.outside("link")).unwrap();
    let link = project.outside("link").display().to_string();
    let path = format!("{root}/untracked:{}", std::env::var("PATH").unwrap());
    let project = project
        .without_sandbox()
        .env("GOWORK", format!("{root}/go.work"))
        .env("NODE_PATH", format!("{root}/lib:/usr/lib/node"))
        .env("MY_TOOL", format!("{link}/bin/tool"))
        .env("PATH", path);
    let line = "test -z \"${GOWORK+x}\" && test \"$NODE_PATH\" = \"$AUTOPACK_WORKTREE/lib:/usr/lib/node\" && \
                test \"$MY_TOOL\" = \"$AUTOPACK_WORKTREE/bin/tool\" && case \"$PATH\" in *untracked*) exit 1;; esac";
    let output = is_green(project, line);
    assert!(output.contains("GOWORK, MY_TOOL, NODE_PATH, PATH"), "{output}");
}

#[test]
fn the_applications_database_reaches_ci_and_ours_does_not() {
    let ours = "sqlite:///.autopack/autopack.db";
    let theirs = "postgres://app@localhost/app";
    let project = Project::new().env("AUTOPACK_DATABASE_URL", ours).env("DATABASE_URL", theirs);
    is_green(
        project,
        &format!("test \"$DATABASE_URL\" = {theirs} && test -z \"$AUTOPACK_DATABASE_URL\""),
    );
    let project = Project::new().env("DATABASE_URL", "sqlite:///.autopack/autopack.db");
    is_green(project, "test -z \"${DATABASE_URL+x}\"");
}

/// The command that `health` would run.
fn detected(project: &Project) -> String {
    let report = project.autopack_with(["health", "--json", "--no-autostart"], &[]).json();
    let checks = report["checks"].as_array().unwrap();
    let ci = checks.iter().find(|check| check["name"] == "ci").unwrap();
    ci["detail"].as_str().unwrap().to_owned()
}

#[test]
fn each_shape_of_a_project_has_its_command() {
    let real = r#"{"scripts":{"test":"node --test"}}"#;
    let cases: [(&[(&str, &str)], &str); 9] = [
        (&[("package.json", real), ("pnpm-lock.yaml", "")], "pnpm test"),
        (&[("package.json", real), ("package-lock.json", "{}")], "npm test"),
        (
            &[("package.json", r#"{"workspaces":["p/*"]}"#), ("p/a/package.json", real)],
            "npm -w p/a test",
        ),
        (&[("go.mod", "module m\n")], "go test -json ./..."),
        (&[("go.work", "use (\n\t./a\n\t./b\n)\n")], "go test -json ./a/... ./b/..."),
        (&[("Cargo.toml", "[workspace]\n")], "cargo test --no-fail-fast"),
        (&[("Makefile", "test:\n\ttrue\n")], "make test"),
        (&[("services/web/package.json", real)], "cd services/web && npm test"),
        (
            &[("a/package.json", real), ("b/go.mod", "module m\n")],
            "no ci: found no test runner at the top, but in 2 directories: a (npm test), b (go test ./...)",
        ),
    ];
    let bin = tempfile::tempdir().unwrap();
    for program in ["pnpm", "npm", "go", "cargo", "make"] {
        executable(&bin.path().join(program), "#!/bin/sh\n");
    }
    for (files, expected) in cases {
        let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
        let project = Project::new().env("PATH", path);
        for (file, text) in files {
            project.write(file, text);
        }
        let project = project.commit("files");
        let found = detected(&project);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_project_in_a_subdirectory_is_tested_there() {
    let Some(pytest) = pytest_packages() else { return };
    let project = Project::new()
        .file("backend/pyproject.toml", "[tool.pytest.ini_options]\n")
        .file("backend/calc.py", "def add(a, b):\n    return a + b\n")
        .file(
            "backend/tests/test_calc.py",
            "from calc import add\n\ndef test_add():\n    assert add(2, 3) == 5\n",
        )
        .file("docs/readme.md", "")
        .commit("a monorepo");
    let environment = project.outside("env");
    venv(&environment, &pytest);
    let path = format!("{}/bin:{}", environment.display(), std::env::var("PATH").unwrap());
    let agent = "text = 'def add(a, b):\\n    return a - b\\n'\n\
                 write('backend/calc.py', text) if phase_id == 'break' else write_deliverables()";
    let phases = json!({"phases": [
        {"phase_id": "break", "deliverables": ["backend/calc.py"], "max_attempts": 1},
        {"phase_id": "honest", "deliverables": ["backend/more.txt"], "max_attempts": 1}]});
    let project = project.env("PATH", path).agent(agent).plan(phases);
    let ran = project.drain();
    let failed = project.phase("break");
    assert_eq!(project.states()["break"], "FAILED", "{ran:#?}");
    assert_eq!(project.states()["honest"], "COMPLETE", "{ran:#?}\n{:#}", project.phase("honest"));
    let message = failed["last_failure"]["message"].as_str().unwrap();
    assert!(message.contains("tests/test_calc.py::test_add"), "{message}");
}

#[test]
fn unittest_runs_where_no_python_has_pytest() {
    let project = Project::new()
        .file("calc.py", "def add(a, b):\n    return a + b\n")
        .file(
            "tests/test_calc.py",
            "import unittest\nfrom calc import add\n\nclass T(unittest.TestCase):\n    def test_add(self):\n        \
             self.assertEqual(add(2, 3), 5)\n",
        )
        .commit("tests");
    // Without the machine's packages it has no pytest.
    let environment = project.outside("env");
    let made =
        Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&environment).status();
    assert!(made.unwrap().success());
    let path = format!("{}/bin:/usr/bin:/bin", environment.display());
    let agent = "text = 'def add(a, b):\\n    return a - b\\n'\n\
                 write('calc.py', text) if phase_id == 'break' else write_deliverables()";
    let phases = json!({"phases": [
        {"phase_id": "break", "deliverables": ["calc.py"], "max_attempts": 1},
        {"phase_id": "honest", "deliverables": ["more.txt"], "max_attempts": 1}]});
    let project = project.env("PATH", path).agent(agent).plan(phases);
    assert!(
        detected(&project).contains("-m unittest discover -v -s tests"),
        "{}",
        detected(&project)
    );
    let ran = project.drain();
    assert_eq!(project.states()["break"], "FAILED", "{ran:#?}");
    assert_eq!(project.states()["honest"], "COMPLETE", "{ran:#?}\n{:#}", project.phase("honest"));
}
