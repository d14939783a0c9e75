//! The only file to start git, and the options for running git safely.
//!
//! Git trusts the repository: hooks, `core.fsmonitor`, pagers, signing programs and environment
//! variables can all run or redirect something. So every call names its repository, work tree and
//! index itself, without discovery, and overrides every setting able to run a program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Instrument as _;

use super::error::{Context, Result, WorkspaceError};
use super::exact_directory::ExactDirectory;
use crate::config::Env;
use crate::process::{Output, Tool, ToolError, output};

/// Limit for a git process that hangs. Adding or writing a large tree takes minutes at worst.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// No credential helper.
const NO_HELPER: &str = "credential.helper=";

/// Settings given with every call; they override all configuration files.
const HARDENED: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.pager=cat",
    // Names treated as `.git` by other file systems, on every machine; NTFS is already on by default.
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.quotePath=false",
    "core.safecrlf=false",
    "core.filesRefLockTimeout=1000",
    "core.packedRefsTimeout=1000",
    "commit.gpgSign=false",
    NO_HELPER,
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "color.ui=false",
];

/// Environment variables passed on to git, besides those set by a call: locations of programs, of the user's own
/// configuration and of temporary files, and the owners of trusted repositories. No keys and no passwords, because
/// LFS filters run with this environment.
const INHERITED: &[&str] = &[
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GIT_LFS_SKIP_SMUDGE",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SUDO_GID",
    "SUDO_UID",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "USER",
];
/// Prefixes of further variables passed on to git.
const INHERITED_STARTS: [&str; 2] = ["LC_", "XDG_"];

fn inherited() -> BTreeMap<OsString, Option<OsString>> {
    let all = Env::of_process();
    let wanted = |name: &OsStr| {
        INHERITED.iter().any(|known| name == *known)
            || name
                .to_str()
                .is_some_and(|name| INHERITED_STARTS.iter().any(|s| name.starts_with(s)))
    };
    let inherited = all.all().iter().filter(|(name, _)| wanted(name));
    inherited.map(|(name, value)| (name.clone(), Some(value.clone()))).collect()
}

/// Returns the version reported by git; `dir` can be any directory.
///
/// # Errors
/// If git is missing, or fails.
pub async fn git_version(dir: &Path) -> Result<String> {
    Git::at(dir, &[]).call("tell its version", ["--version"]).text().await
}

/// Git for one repository, with the environment and settings of its calls.
#[derive(Clone)]
pub(crate) struct Git {
    env: Vec<(OsString, OsString)>,
    config: Vec<String>,
    cwd: PathBuf,
    hold: Option<Arc<OwnedFd>>,
    pinned_files: Option<PinnedGitFiles>,
}

/// The configuration files of a git directory of ours within reach of an agent: rewritten before each call.
#[derive(Clone, Default)]
pub(crate) struct PinnedGitFiles(Arc<Mutex<Option<(PathBuf, ExactDirectory)>>>);

impl PinnedGitFiles {
    /// Sets the files to write, and writes them now.
    pub fn set(&self, directory: &Path, exact: ExactDirectory) -> Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((directory.to_owned(), exact));
        self.renew()
    }

    fn renew(&self) -> Result<()> {
        let pinned_files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((directory, exact)) = pinned_files.as_ref() else { return Ok(()) };
        exact.make(directory).doing("write the git directory", directory)
    }
}

impl Git {
    /// Runs git as a user in `cwd` would: git discovers the repository.
    pub fn at(cwd: &Path, extra: &[(OsString, OsString)]) -> Self {
        let mut git = Self {
            env: extra.to_vec(),
            config: HARDENED.iter().map(|c| (*c).to_owned()).collect(),
            cwd: cwd.to_owned(),
            hold: None,
            pinned_files: None,
        };
        git.set("GIT_TERMINAL_PROMPT", "0");
        git.set("GIT_OPTIONAL_LOCKS", "0");
        git.set("LC_ALL", "C");
        git
    }

    /// Restricts git to this repository.
    pub fn pinned(mut self, git_dir: &Path, work_tree: &Path) -> Self {
        self.set("GIT_DIR", git_dir);
        self.set("GIT_WORK_TREE", work_tree);
        self.cwd = work_tree.to_owned();
        self
    }

    /// Runs git in its own git directory, for calls that work without a work tree.
    pub fn without_files(mut self, git_dir: &Path) -> Self {
        self.cwd = git_dir.to_owned();
        self
    }

    /// Syncs everything written, so that the user's objects and refs survive a power cut.
    pub fn durable(mut self) -> Self {
        self.config.push("core.fsync=committed,reference".to_owned());
        self
    }

    /// Settings for a repository of ours: no configuration except its own, and no fsync, because landing writes the
    /// objects again into the user's repository.
    pub fn private(mut self, git_dir: &Path) -> Self {
        self.set("GIT_INDEX_FILE", git_dir.join("index"));
        self.set("GIT_CONFIG_GLOBAL", "/dev/null");
        self.set("GIT_CONFIG_NOSYSTEM", "1");
        self.set("GIT_NO_REPLACE_OBJECTS", "1");
        self.config.push("core.fsync=none".to_owned());
        // Nobody else writes here, so the extra link used to detect an existing object is not needed.
        self.config.push("core.createObject=rename".to_owned());
        self
    }

    /// Lets git use the credential helpers of the user, for calls to a remote.
    pub fn with_users_credentials(mut self) -> Self {
        self.config.retain(|setting| setting != NO_HELPER);
        self
    }

    /// Keeps a lock for as long as a started git process lives, even if autopack dies first.
    pub fn holding(mut self, lock: Arc<OwnedFd>) -> Self {
        self.hold = Some(lock);
        self
    }

    pub fn pinned_files(mut self, pinned_files: PinnedGitFiles) -> Self {
        self.pinned_files = Some(pinned_files);
        self
    }

    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
    }

    /// Adds a setting, `key=value`, to the calls from now on.
    pub fn configure(&mut self, setting: &str) {
        self.config.push(setting.to_owned());
    }

    /// Prepares a call. `doing` completes "cannot ..." in the error message.
    pub fn call<I, A>(&self, doing: impl Into<String>, args: I) -> GitCall
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let mut all: Vec<OsString> = Vec::new();
        for setting in &self.config {
            all.extend(["-c".into(), setting.into()]);
        }
        all.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        GitCall { git: self.clone(), doing: doing.into(), args: all, stdin: None, timeout: TIMEOUT }
    }
}

/// A prepared call of git.
pub(crate) struct GitCall {
    git: Git,
    doing: String,
    args: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    timeout: Duration,
}

impl GitCall {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.git.set(name, value);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Sets another time limit.
    pub fn within(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Runs git and returns the answer, even if git fails.
    pub async fn answer(self) -> Result<GitAnswer> {
        let mut tool = Tool::new("git", self.git.cwd, self.timeout).args(self.args);
        if let Some(pinned_files) = &self.git.pinned_files {
            pinned_files.renew()?;
        }
        tool.clear_env = true;
        tool.env = inherited();
        tool.env.extend(self.git.env.into_iter().map(|(name, value)| (name, Some(value))));
        tool.stdin = self.stdin;
        tool.hold = self.git.hold;
        let doing = self.doing;
        let (call, started) = (words(&tool.args), Instant::now());
        // A separate task: if the caller stops waiting, a git process with a lock file is not killed.
        match tokio::spawn(output(tool).in_current_span()).await {
            Ok(Ok(output)) => {
                let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::debug!(code = output.code, ms, "git {call}");
                Ok(GitAnswer { doing, output })
            }
            Ok(Err(ToolError::NotFound { .. })) => Err(WorkspaceError::GitMissing),
            Ok(Err(source)) => Err(WorkspaceError::GitUnusable { doing, source }),
            Err(join) => match join.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(WorkspaceError::ShuttingDown { doing }),
            },
        }
    }

    /// Runs git and returns its standard output; a non-zero exit code is an error.
    pub async fn bytes(self) -> Result<Vec<u8>> {
        self.answer().await?.bytes()
    }

    /// Like [`Self::bytes`], as text without the trailing line break.
    pub async fn text(self) -> Result<String> {
        self.answer().await?.text()
    }
}

/// Formats a call for the log, without the settings common to all calls.
fn words(args: &[OsString]) -> String {
    let mut settings = args.chunks_exact(2).take_while(|pair| pair[0] == "-c").count() * 2;
    settings = settings.min(args.len());
    let words: Vec<_> = args[settings..].iter().map(|arg| arg.to_string_lossy()).collect();
    words.join(" ")
}

/// Output and exit code of a git call.
pub(crate) struct GitAnswer {
    pub doing: String,
    pub output: Output,
}

impl GitAnswer {
    pub fn ok(&self) -> bool {
        self.output.code == Some(0)
    }

    pub fn bytes(self) -> Result<Vec<u8>> {
        if self.ok() { Ok(self.output.stdout) } else { Err(self.error()) }
    }

    pub fn text(self) -> Result<String> {
        let doing = self.doing.clone();
        let bytes = self.bytes()?;
        String::from_utf8(bytes).map(|text| text.trim_end_matches('\n').to_owned()).map_err(|e| {
            let answer = String::from_utf8_lossy(e.as_bytes()).into_owned();
            WorkspaceError::OddAnswer { doing, answer }
        })
    }

    /// Returns the end of stderr as one line.
    pub fn stderr_summary(&self) -> String {
        let text = String::from_utf8_lossy(&self.output.stderr);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
            .collect();
        match lines.len() {
            0 => match self.output.code {
                Some(code) => format!("nothing (exit code {code})"),
                None => "nothing (git was killed)".to_owned(),
            },
            n => lines[n.saturating_sub(4)..].join("; "),
        }
    }

    pub fn error(self) -> WorkspaceError {
        let stderr = self.stderr_summary();
        WorkspaceError::Git { doing: self.doing, code: self.output.code, stderr }
    }

    pub fn unexpected(self) -> WorkspaceError {
        let answer = String::from_utf8_lossy(&self.output.stdout).chars().take(200).collect();
        WorkspaceError::OddAnswer { doing: self.doing, answer }
    }
}

/// Splits `-z` output into its fields.
pub(crate) fn fields(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == 0).filter(|field| !field.is_empty())
}
