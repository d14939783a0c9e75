//! A repository of a given size, a backlog for it, and an agent with almost no cost.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{AUTOPACK, succeed};

/// Files per directory; also, phases whose ids share a directory.
const PER_FOLDER: usize = 100;

/// Reads its prompt and writes its phase's one file: `src/p0012/p001234.txt` for `p001234`.
pub const AGENT: &str = r#"cat >/dev/null; d=src/${AUTOPACK_PHASE_ID%??}; mkdir -p "$d"; echo "made by $AUTOPACK_PHASE_ID" >"$d/$AUTOPACK_PHASE_ID.txt""#;

pub struct Scratch {
    dir: TempDir,
    /// URL of the database, if it is not the workspace's own.
    database: Option<String>,
}

impl Scratch {
    /// A repository with this many files, packed, as after a clone.
    pub fn new(files: usize) -> Self {
        let scratch = Self::empty();
        scratch.git(["init", "-q", "-b", "main"]);
        for number in 0..files {
            let file = scratch.root().join(file_of(number));
            fs::create_dir_all(file.parent().expect("it has one")).expect("directories");
            fs::write(file, content(number)).expect("a file");
        }
        scratch.git(["add", "-A"]);
        scratch.git(["commit", "-q", "-m", "start"]);
        scratch.git(["repack", "-adq"]);
        // Otherwise the files would be as new as the index, and git would read each of them every time.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        scratch.git(["update-index", "--really-refresh", "-q"]);
        scratch.agent(AGENT);
        scratch
    }

    /// A clone of a bare repository.
    pub fn clone_of(remote: &Path) -> Self {
        let scratch = Self::empty();
        succeed(scratch.command("git").args(["clone", "-q"]).arg(remote).arg("."));
        scratch
    }

    fn empty() -> Self {
        let dir =
            tempfile::Builder::new().prefix("autopack-bench-").tempdir().expect("a directory");
        let scratch = Self { dir, database: None };
        for directory in ["home", "project"] {
            fs::create_dir(scratch.outside(directory)).expect("a directory");
        }
        scratch
    }

    /// Uses this database from now on.
    pub fn use_database(&mut self, url: &str) {
        self.database = Some(url.to_owned());
    }

    /// Sets the script that works on each phase, outside of any view.
    pub fn agent(&self, script: &str) {
        self.agent_in(script, "off");
    }

    /// Sets the script that works on each phase, and the mode of the sandbox.
    pub fn agent_in(&self, script: &str, sandbox: &str) {
        let agent = json!({"default": "noop",
            "noop": {"kind": "command", "command": ["sh", "-c", script]}});
        let sandbox = json!({"mode": sandbox});
        self.configure(&json!({"agents": agent, "ci": {"command": ["true"]}, "sandbox": sandbox}));
    }

    pub fn root(&self) -> PathBuf {
        self.outside("project")
    }

    /// A path beside the repository.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// JSON is YAML.
    pub fn configure(&self, autopack_yaml: &Value) {
        let directory = self.root().join(".autopack/config");
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("autopack.yaml"), autopack_yaml.to_string()).expect("a file");
    }

    /// Imports a backlog of these phases, each with a file of its own.
    pub fn plan(&self, run: &str, phases: impl Iterator<Item = usize>) {
        self.plan_files(run, phases.map(|number| (number, file_of(number))));
    }

    /// Imports a backlog of these phases, each with its own file to write.
    pub fn plan_files(&self, run: &str, phases: impl Iterator<Item = (usize, String)>) {
        let lines: String = phases
            .map(|(number, file)| {
                let id = id_of(number);
                let description = "Write the one file that is asked for.";
                let phase = json!({"phase_id": id, "name": format!("Phase {id}"), "description": description,
                    "deliverables": [file], "category": "backend", "complexity": "low",
                    // Phases that may touch the same paths do not run at the same time.
                    "scope": {"paths": [file]}});
                format!("{phase}\n")
            })
            .collect();
        let file = self.outside("plan.jsonl");
        fs::write(&file, lines).expect("a file");
        succeed(&mut self.autopack(["import", &file.display().to_string(), "--run-id", run]));
    }

    /// A command without any of the user's configuration, and with memory disabled by default.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.outside("home")).env("TMPDIR", self.dir.path());
        command.envs(self.database.iter().map(|url| ("AUTOPACK_DATABASE_URL", url)));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("AUTOPACK_ENABLE_MEMORY", "0");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Bench");
            command.env(format!("GIT_{role}_EMAIL"), "bench@example.org");
        }
        command
    }

    pub fn autopack<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(AUTOPACK);
        command.args(args);
        command
    }

    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        succeed(self.command("git").args(args))
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.outside(name);
        fs::write(&file, text).expect("a file");
        file
    }
}

pub fn id_of(number: usize) -> String {
    format!("p{number:06}")
}

/// The file of a phase. The repository's own files have the same names.
pub fn file_of(number: usize) -> String {
    format!("src/p{:04}/{}.txt", number / PER_FOLDER, id_of(number))
}

/// About 1 KiB, like a small source file.
fn content(number: usize) -> String {
    (0..24).map(|line| format!("line {line} of the file number {number:06}, as it was\n")).collect()
}

pub fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
