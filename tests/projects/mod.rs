//! Small projects in the shapes of real ones, each drained by an honest, a breaking and a test-hiding agent.
//!
//! Only the agent is configured. The honest change lands and is green in a fresh clone with the project's own commands
//! (`Shape::clean`); the other two do not land. `.ci/run` takes the honest and the breaking agent of each project;
//! `make nightly` takes all.
//!
//! To add a project: one `Shape` in `python.rs`, `node.rs` or `compiled.rs`, and one line in `shapes!` below.

mod compiled;
mod node;
mod python;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Project, skip, succeeds};

/// A project, and the actions of each agent in it.
pub struct Shape {
    /// Programs needed to test the project; a missing one skips the test by name.
    pub needs: &'static [&'static str],
    /// Files, commits, and untracked parts of a user's checkout.
    pub make: fn(Project) -> Project,
    /// Deliverables of the honest agent.
    pub adds: &'static [&'static str],
    /// The file changed by the breaking and the hiding agent.
    pub breaks: &'static str,
    /// Paths that any agent may touch.
    pub scope: &'static [&'static str],
    /// Python: each agent's work, in the slot.
    pub honest: &'static str,
    pub breaking: &'static str,
    pub hiding: &'static str,
    /// Setup and CI as a person runs them in a fresh clone. `$ORIGIN` is the user's repository.
    pub clean: &'static str,
}

/// The agent of a phase.
#[derive(Clone, Copy, PartialEq)]
enum Agent {
    Honest,
    Breaking,
    Hiding,
}

macro_rules! shapes {
    ($($name:ident = $shape:expr;)*) => { $(
        mod $name {
            use super::{Agent, drain_as};

            #[test]
            fn an_honest_change_lands_and_is_green_in_a_clean_clone() {
                drain_as(stringify!($name), &$shape, Agent::Honest);
            }

            #[test]
            fn a_breaking_change_does_not_land() {
                drain_as(stringify!($name), &$shape, Agent::Breaking);
            }

            #[test]
            #[ignore = "nightly: make nightly"]
            fn a_change_that_hides_a_test_does_not_land() {
                drain_as(stringify!($name), &$shape, Agent::Hiding);
            }
        }
    )* };
}

shapes! {
    npm_workspaces = super::node::NPM_WORKSPACES;
    pnpm_workspace = super::node::PNPM_WORKSPACE;
    go_module_with_go_work = super::compiled::GO_MODULE;
    cargo_workspace = super::compiled::CARGO_WORKSPACE;
    editable_install = super::python::EDITABLE;
    unittest_project = super::python::UNITTEST;
    application_database = super::python::DATABASE;
    crlf_repository = super::python::CRLF;
    submodule_repository = super::python::SUBMODULE;
    lfs_repository = super::python::LFS;
    monorepo = super::python::MONOREPO;
    version_from_tags = super::python::TAGS;
}

fn drain_as(name: &str, shape: &Shape, agent: Agent) {
    if let Some(missing) = shape.needs.iter().find(|program| !is_there(program)) {
        let need = missing.strip_prefix("python:").unwrap_or(missing);
        return skip(need, format_args!("{name} needs {missing}"));
    }
    let (body, deliverables) = match agent {
        Agent::Honest => (shape.honest, shape.adds),
        Agent::Breaking => (shape.breaking, &[shape.breaks][..]),
        Agent::Hiding => (shape.hiding, &[shape.breaks][..]),
    };
    let tries = if agent == Agent::Honest { "" } else { "executor: {max_attempts: 1}\n" };
    let project = (shape.make)(with_toolchains(Project::bare_folder().with_repository()))
        .agent_with(body, tries)
        .plan(json!({"phases": [{
            "phase_id": "change", "name": "change", "deliverables": deliverables,
            "scope": {"paths": shape.scope},
        }]}));
    let before = project.git(["status", "--porcelain"]);
    let drained = project.drain();
    let landed = project.landed();
    match agent {
        Agent::Honest => {
            let phase = project.phase("change");
            assert_eq!(drained.code, Some(0), "{name}: {drained:#?}\n{phase:#}");
            assert_eq!(landed, ["change"], "{name}: {drained:#?}");
        }
        Agent::Breaking | Agent::Hiding => {
            assert_eq!(landed, [""; 0], "{name}: {drained:#?}");
            assert_eq!(drained.code, Some(3), "{name}: {drained:#?}");
        }
    }
    assert_eq!(project.git(["status", "--porcelain"]), before, "{name}: the checkout changed");
    assert_green_in_a_clean_clone(name, &project, shape);
}

/// Home is a temporary directory; the toolchains are in the real one.
fn with_toolchains(project: Project) -> Project {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let in_home = |variable: &str, directory: &str| {
        let named = std::env::var_os(variable).map(PathBuf::from);
        named.unwrap_or_else(|| home.join(directory)).display().to_string()
    };
    let cache = project.outside("go cache").display().to_string();
    project
        .env("RUSTUP_HOME", in_home("RUSTUP_HOME", ".rustup"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("GOCACHE", cache)
        .env("GOPROXY", "off")
        .env("npm_config_offline", "true")
        .env("npm_config_audit", "false")
        .env("npm_config_fund", "false")
        .env("npm_config_update_notifier", "false")
}

fn assert_green_in_a_clean_clone(name: &str, project: &Project, shape: &Shape) {
    let clone = project.outside("clean clone");
    let origin = project.root();
    let (from, to) = (origin.to_str().unwrap(), clone.to_str().unwrap());
    project.git(["clone", "-q", "--no-local", "--branch", "autopack/run", from, to]);
    let mut shell = Command::new("sh");
    shell.args(["-ec", shape.clean]).current_dir(&clone).env_clear();
    // The same variables as in the drain, so that only the place differs.
    let drain = project.command(["--version"]);
    shell.envs(drain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.env("ORIGIN", &origin).env("CI", "1").stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{name}: red in a clean clone:\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// Whether a program can be started: a name on PATH, or `python:module`.
fn is_there(program: &str) -> bool {
    match program.strip_prefix("python:") {
        Some(module) => succeeds("python3", &["-c", &format!("import {module}")]),
        None => succeeds("sh", &["-c", "command -v \"$0\"", program]),
    }
}

/// A command in the user's checkout, with the project's variables.
pub fn run(project: &Project, line: &str) {
    let mut shell = Command::new("sh");
    let drain = project.command(["--version"]);
    shell.args(["-ec", line]).current_dir(project.root()).env_clear();
    shell.envs(drain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    for (name, value) in project.git_command().get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    let output = shell.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {output:#?}");
}
