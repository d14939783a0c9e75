//! One builder for every end-to-end test: a small git repository, a plan, a fake agent, the real binary.
//!
//! Nothing of the machine's configuration reaches a test (`HOME` and git's global configuration are the
//! project's own), and everything lies in one temporary folder that goes with the value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What every fake agent starts with: the phase, helpers to write files, and the prompt on stdin.
const AGENT_PRELUDE: &str = r#"
import json, os, pathlib, signal, subprocess, sys, time
phase = json.load(open(os.environ["AUTOPACK_PHASE_FILE"]))
phase_id = os.environ["AUTOPACK_PHASE_ID"]
attempt = int(os.environ["AUTOPACK_ATTEMPT"])
workspace = pathlib.Path(os.environ["AUTOPACK_WORKSPACE"])
prompt = sys.stdin.read()
def write(path, text="made by the agent\n"):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
def write_deliverables(text="made by the agent\n"):
    for path in phase["deliverables"]:
        path = path.replace("**", "deep").replace("*", "any").replace("?", "a")
        write(path + "file.txt" if path.endswith("/") else path, text)
def report(**result):
    json.dump(result, open(os.environ["AUTOPACK_RESULT_FILE"], "w"))
"#;

pub struct Project {
    dir: TempDir,
    env: BTreeMap<String, String>,
}

/// What a finished command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// A repository with one commit, no configuration, and CI that is always green.
    pub fn new() -> Self {
        Self::bare_folder().with_repository()
    }

    /// The repository of `new`, in a folder that is there already.
    pub fn with_repository(self) -> Self {
        self.git(["init", "-q", "-b", "main"]);
        self.file("README.md", "# project\n").commit("start")
    }

    /// A folder that is no repository.
    pub fn bare_folder() -> Self {
        let dir = tempfile::Builder::new().prefix("autopack test ").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        Self { dir, env: BTreeMap::new() }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root().join(relative)
    }

    /// Beside the repository, for what must not be in it.
    pub fn outside(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    pub fn file(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn commit(self, message: &str) -> Self {
        self.git(["add", "-A"]);
        self.git(["commit", "-q", "--allow-empty", "-m", message]);
        self
    }

    /// A Python agent of `kind: command`; `body` runs after the prelude, in the slot.
    pub fn agent(self, body: &str) -> Self {
        self.agent_with(body, "")
    }

    /// The same, with more settings: lines of YAML under the agent, and whole sections after it.
    pub fn agent_with(self, body: &str, more: &str) -> Self {
        let script = self.outside("agent.py");
        std::fs::write(&script, format!("{AGENT_PRELUDE}\n{body}\n")).unwrap();
        let config = format!(
            "agents:\n  default: fake\n  fake:\n    kind: command\n    command: [\"python3\", {script:?}]\n{more}",
        );
        self.config(&config)
    }

    /// `autopack.yaml`, kept out of the repository's own files.
    pub fn config(self, yaml: &str) -> Self {
        self.write(".autopack/config/autopack.yaml", yaml);
        self
    }

    /// Imports a plan as the run `run`.
    pub fn plan(self, plan: Value) -> Self {
        let file = self.outside("plan.json");
        std::fs::write(&file, plan.to_string()).unwrap();
        let file = file.to_str().unwrap().to_owned();
        self.autopack(["import", &file, "--run-id", "run"]).succeeded();
        self
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.outside("home"))
            .env("TMPDIR", self.dir.path())
            // A test that wants a memory says which.
            .env("AUTOPACK_ENABLE_MEMORY", "0")
            .envs(git_env())
            .envs(&self.env)
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn autopack<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    pub fn drain(&self) -> Ran {
        self.autopack(["drain", "--run-id", "run"])
    }

    /// Starts the binary and hands it over with its output piped.
    pub fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The one JSON value that a command prints.
    pub fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Value {
        let ran = self.autopack(args);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {ran:#?}"))
    }

    /// `phase id -> state`.
    pub fn states(&self) -> BTreeMap<String, String> {
        let phases = self.json(["phases", "list", "--run-id", "run", "--json"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let phases = phases.as_array().unwrap();
        phases.iter().map(|p| (text(&p["phase_id"]), text(&p["state"]))).collect()
    }

    pub fn phase(&self, id: &str) -> Value {
        self.json(["phases", "show", "--run-id", "run", id, "--json"])
    }

    /// Standard output of a git command in the repository.
    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let output = self.git_command().args(args).output().unwrap();
        assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// git in the repository, as the test's own user.
    pub fn git_command(&self) -> Command {
        let mut git = Command::new("git");
        git.current_dir(self.root()).env("HOME", self.outside("home")).envs(git_env());
        git
    }

    /// The phases landed on the run's branch, oldest first.
    pub fn landed(&self) -> Vec<String> {
        let format = "--format=%(trailers:key=Autopack-Phase,valueonly,separator=%x2C)";
        let log = self.git(["log", "--reverse", format, "autopack/run"]);
        log.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// The program that is tested: this build's, or the one that `AUTOPACK_TEST_PROGRAM` names, such as a release build.
fn program() -> OsString {
    let ours = || env!("CARGO_BIN_EXE_autopack").into();
    std::env::var_os("AUTOPACK_TEST_PROGRAM").unwrap_or_else(ours)
}

/// No configuration but the test's own, and an identity.
fn git_env() -> [(&'static str, &'static str); 6] {
    [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "Tester"),
        ("GIT_AUTHOR_EMAIL", "tester@example.com"),
        ("GIT_COMMITTER_NAME", "Tester"),
        ("GIT_COMMITTER_EMAIL", "tester@example.com"),
    ]
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.exited(0)
    }
}
