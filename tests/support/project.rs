//! The builder for every end-to-end test: a small git repository, a plan, a fake agent, and the real binary.
//!
//! Everything is in one temporary directory, which is removed with the value: the repository, and a home beside it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::environment::Environment;
use super::ran::Ran;

/// Directories beside the repository that belong to the user or to autopack: no witness of a test.
const OWN: [&str; 3] = ["home", "project", "state"];

/// Start of every fake agent: the phase, helpers to write files, and the prompt from stdin.
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
    environment: Environment,
}

impl Project {
    /// A repository with one commit, no configuration, and CI that always passes.
    pub fn new() -> Self {
        Self::bare_folder().with_repository()
    }

    /// A new repository, without commits or files.
    pub fn without_commits() -> Self {
        Self::bare_folder().initialized()
    }

    /// Turns an existing directory into the repository of `new`.
    pub fn with_repository(self) -> Self {
        self.initialized().file("README.md", "# project\n").commit("start")
    }

    fn initialized(self) -> Self {
        self.git(["init", "-q", "-b", "main"]);
        self
    }

    /// A directory without a repository.
    pub fn bare_folder() -> Self {
        Self::bare_folder_in(&std::env::temp_dir())
    }

    /// The same, in another directory than the one for temporary files.
    pub fn bare_folder_in(directory: &Path) -> Self {
        // Without links, as the program shows paths.
        let directory = directory.canonicalize().unwrap();
        let dir = tempfile::Builder::new().prefix("autopack test ").tempdir_in(directory).unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        std::fs::create_dir(dir.path().join("witness")).unwrap();
        let environment = Environment::within(dir.path());
        Self { dir, environment }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root().join(relative)
    }

    /// A path beside the repository, for files that must not be inside. Except for those of [`OWN`], they are in one
    /// directory, which programs in a sandbox can write.
    pub fn outside(&self, relative: impl AsRef<Path>) -> PathBuf {
        let relative = relative.as_ref();
        match OWN.iter().any(|own| relative.starts_with(own)) {
            true => self.dir.path().join(relative),
            false => self.dir.path().join("witness").join(relative),
        }
    }

    /// A path beside the repository, which programs in a sandbox cannot write.
    pub fn beside(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// The agent's checkout in each slot, in order.
    pub fn slots(&self) -> Vec<PathBuf> {
        let directories = |at: PathBuf| {
            let entries = std::fs::read_dir(at).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let places = directories(self.outside("state/autopack"));
        let mut slots: Vec<PathBuf> = places.into_iter().flat_map(directories).collect();
        slots.retain(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.rsplit('-').next().is_some_and(|number| number.parse::<u32>().is_ok())
        });
        slots.sort();
        slots
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.set(name, value.into());
        self
    }

    /// Removes a variable that every project has, such as the one that disables memory.
    pub fn unset(mut self, name: &str) -> Self {
        self.environment.unset(name);
        self
    }

    /// Without a sandbox, for tests of what happens only there: programs that reach the user's checkout, the database,
    /// slots or other processes.
    pub fn without_sandbox(self) -> Self {
        self.env("AUTOPACK_SANDBOX_MODE", "off").unset("AUTOPACK_SANDBOX_WRITE")
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

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
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

    /// Writes `autopack.yaml`, excluded from the repository's own files.
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
        let mut command = self.environment.autopack(&self.root());
        command.args(args);
        command
    }

    /// Runs the binary to its end.
    pub fn autopack<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.autopack_with(args, &[])
    }

    /// The same, with additional variables.
    pub fn autopack_with<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        variables: &[(&str, &str)],
    ) -> Ran {
        let mut command = self.command(args);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        Ran::of(output, self.root())
    }

    /// The same, with this text as standard input.
    pub fn autopack_reading<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        self.wait(child)
    }

    pub fn drain(&self) -> Ran {
        self.autopack(["drain", "--run-id", "run"])
    }

    /// Starts the binary with its output piped.
    pub fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits for the end of a program started with its output piped.
    pub fn wait(&self, child: Child) -> Ran {
        Ran::of(child.wait_with_output().unwrap(), self.root())
    }

    /// The one JSON value that a command prints.
    pub fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Value {
        self.autopack(args).json()
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
        self.environment.git(&self.root())
    }

    /// The phases landed on the run's branch, oldest first.
    pub fn landed(&self) -> Vec<String> {
        let format = "--format=%(trailers:key=Autopack-Phase,valueonly,separator=%x2C)";
        let log = self.git(["log", "--reverse", format, "autopack/run"]);
        log.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}
