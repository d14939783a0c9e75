//! A repository in a temporary folder, and the real program run in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub mod agent_task;
pub mod big_run;
pub mod browser;
pub mod by_hand;
pub mod dice;
pub mod docker;
pub mod fake_agent;
pub mod golden;
pub mod model_server;
pub mod process;
pub mod project;
pub mod qdrant;
pub mod stubborn;

pub use project::{Project, Ran as ProjectRan};

/// Removed with all that is in it when it goes out of scope.
pub struct Repo {
    dir: TempDir,
}

impl Repo {
    /// A git repository without a commit.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let repo = Self { dir };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("the folder is there")
    }

    pub fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a parent")).expect("folders");
        fs::write(path, text).expect("a file");
        self
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).expect("the file is there")
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(self.dir.path());
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Test"),
            ("GIT_AUTHOR_EMAIL", "test@example.org"),
            ("GIT_COMMITTER_NAME", "Test"),
            ("GIT_COMMITTER_EMAIL", "test@example.org"),
        ] {
            git.env(name, value);
        }
        let output = git.output().expect("git starts");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    pub fn autopack(&self, arguments: &[&str]) -> Ran {
        self.autopack_with(arguments, &[])
    }

    /// With something on its standard input.
    pub fn autopack_reading(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = autopack(self.dir.path());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("autopack starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("autopack reads");
        drop(stdin);
        Ran::of(child.wait_with_output().expect("autopack ends"), &self.path())
    }

    pub fn autopack_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = autopack(self.dir.path());
        command.args(arguments).envs(variables.iter().copied());
        Ran::of(command.output().expect("autopack starts"), &self.path())
    }
}

/// The program in a folder, with nothing of the environment that would change what it does.
pub fn autopack(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autopack"));
    command.current_dir(dir).stdin(Stdio::null()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", dir);
    command
}

/// What a run of the program came to; the folder's own path is shown as `[REPO]`.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output, dir: &Path) -> Self {
        let dir = dir.display().to_string();
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8").replace(&dir, "[REPO]");
        let code = output.status.code().expect("it was not killed");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Everything that a person sees, for golden texts.
    pub fn shown(&self) -> String {
        let Self { code, stdout, stderr } = self;
        let part = |name: &str, text: &str| match text.is_empty() {
            true => String::new(),
            false => format!("--- {name}\n{text}"),
        };
        format!("exit {code}\n{}{}", part("stdout", stdout), part("stderr", stderr))
    }
}

/// A program that is a text: a script.
pub fn executable(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(file.parent().expect("a file has a parent")).expect("folders");
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// A file of the real data that some tests take: from `AUTOPACK_SHARED_DATA`, else from beside the repository.
/// Where it is not there, the test says that it skips.
pub fn shared_file(file: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("AUTOPACK_SHARED_DATA").map_or_else(beside, PathBuf::from);
    let path = folder.join(file);
    if !path.is_file() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}
