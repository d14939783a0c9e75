//! Runs short helper programs (git, `docker compose`, `--version`): started directly, with a timeout, output
//! captured whole.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::descendants::kill_group;
use super::spawn::{SpawnRequest, SpawnedProgram, file_of};
use crate::config::Env;

/// Time between asking a tool to end and killing it: git removes lock files when asked.
const GRACE: Duration = Duration::from_secs(2);
/// Time that a daemon started by a tool may keep the pipes open after the tool's end.
const PIPES_AFTER_END: Duration = Duration::from_secs(2);
/// Maximum output in bytes, more than any tool needs. Larger output is an error, not silently cut.
pub const OUTPUT_CAP: u64 = 512 * 1024 * 1024;

/// A helper program to run.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The program, by name or path.
    pub program: OsString,
    /// The arguments.
    pub args: Vec<OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    /// Changes to autopack's environment: a value sets a variable, `None` removes the variable.
    pub env: BTreeMap<OsString, Option<OsString>>,
    /// Whether `env` is the whole environment.
    pub clear_env: bool,
    /// Without input, the tool reads from /dev/null.
    pub stdin: Option<Vec<u8>>,
    /// Maximum run time.
    pub timeout: Duration,
    /// Maximum output per stream, in bytes.
    pub output_cap: u64,
    /// A lock inherited by the tool: if autopack dies first, the lock stays held until the tool ends.
    pub hold: Option<Arc<OwnedFd>>,
}

/// Result of a helper program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// `None` if a signal ended the tool.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// Why a helper program has no result.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The program does not exist.
    #[error("cannot run {}: there is no such program", .program.display())]
    NotFound {
        /// Name or path of the program.
        program: OsString,
    },
    /// The program cannot be started.
    #[error("cannot run {}: {source}", .program.display())]
    CannotStart {
        /// Name or path of the program.
        program: OsString,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The timeout was reached.
    #[error("{} did not end within {} s", .program.display(), .after.as_secs())]
    TimedOut {
        /// Name or path of the program.
        program: OsString,
        /// The timeout.
        after: Duration,
    },
    /// The output limit was reached.
    #[error("{} wrote more than {cap} bytes", .program.display())]
    TooMuchOutput {
        /// Name or path of the program.
        program: OsString,
        /// The output limit in bytes.
        cap: u64,
    },
    /// The output cannot be read.
    #[error("cannot read the output of {}: {source}", .program.display())]
    Io {
        /// Name or path of the program.
        program: OsString,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl Tool {
    /// Creates a tool without arguments or input, with autopack's environment.
    pub fn new(program: impl Into<OsString>, cwd: impl Into<PathBuf>, timeout: Duration) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: cwd.into(),
            env: BTreeMap::new(),
            clear_env: false,
            stdin: None,
            timeout,
            output_cap: OUTPUT_CAP,
            hold: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Sets the input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }
}

impl Tool {
    /// Returns the tool's environment: `env` alone, or on top of autopack's.
    fn whole_env(&self) -> Vec<(OsString, OsString)> {
        let mut env = match self.clear_env {
            true => BTreeMap::new(),
            false => Env::of_process().all().clone(),
        };
        for (name, value) in &self.env {
            match value {
                Some(value) => drop(env.insert(name.clone(), value.clone())),
                None => drop(env.remove(name)),
            }
        }
        env.into_iter().collect()
    }
}

impl Output {
    /// Checks for exit code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns standard output as text, without trailing line ends.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches(['\n', '\r']).to_owned()
    }

    /// Returns standard error as text, trimmed.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

/// Runs a tool to the end, regardless of the exit code.
///
/// # Errors
///
/// If the tool cannot be started, exceeds the timeout or the output limit, or the output cannot be read.
pub async fn output(tool: Tool) -> Result<Output, ToolError> {
    let mut running = RunningTool::start(&tool)?;
    let deadline = tool.timeout;
    match timeout(deadline, running.finish(&tool)).await {
        Ok(output) => output,
        Err(_) => {
            running.end().await;
            Err(ToolError::TimedOut { program: tool.program, after: deadline })
        }
    }
}

/// A running tool. Dropping this value early ends the whole group.
struct RunningTool {
    child: SpawnedProgram,
    /// Valid before the tool is reaped: afterwards, another group may have the same id.
    group: Option<u32>,
}

impl RunningTool {
    fn start(tool: &Tool) -> Result<Self, ToolError> {
        let failed = |source| cannot_start(tool, source);
        let env = tool.whole_env();
        let start = SpawnRequest {
            program: file_of(&tool.program, &tool.cwd, &env).map_err(failed)?,
            argv: std::iter::once(&tool.program).chain(&tool.args).cloned().collect(),
            env,
            cwd: &tool.cwd,
            fed: tool.stdin.is_some(),
            files: tool.hold.iter().cloned().collect(),
        };
        let child = start.start().map_err(failed)?;
        let group = child.id();
        Ok(Self { child, group })
    }

    async fn finish(&mut self, tool: &Tool) -> Result<Output, ToolError> {
        let failed = |source| ToolError::Io { program: tool.program.clone(), source };
        let stdin = self.child.stdin.take();
        let feed = async {
            if let Some((mut pipe, bytes)) = stdin.zip(tool.stdin.as_deref()) {
                // A tool may ignore the rest of the input.
                let _ = pipe.write_all(bytes).await;
            }
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let cap = tool.output_cap;
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let reading = async {
            tokio::try_join!(read(out, &mut stdout, cap), read(err, &mut stderr, cap)).map(|_| ())
        };
        let end = async {
            let status = self.child.wait().await;
            self.group = None;
            status
        };
        let status = feed_and_read(feed, reading, end).await.map_err(failed)?;
        if stdout.len().max(stderr.len()) as u64 > cap {
            return Err(ToolError::TooMuchOutput { program: tool.program.clone(), cap });
        }
        Ok(Output { code: status.code(), stdout, stderr })
    }

    async fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
            // Killed: ends as soon as the kernel handles the signal.
            let _ = self.child.wait().await;
        }
        self.group = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            kill_group(group, signal);
        }
    }
}

impl Drop for RunningTool {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Feeds and reads concurrently, so that neither blocks the other, until the tool's end and a little longer
/// for the output.
async fn feed_and_read<S>(
    feed: impl Future<Output = ()>,
    reading: impl Future<Output = io::Result<()>>,
    end: impl Future<Output = io::Result<S>>,
) -> io::Result<S> {
    let reading = async { tokio::join!(feed, reading).1 };
    tokio::pin!(reading, end);
    tokio::select! {
        read = &mut reading => {
            read?;
            end.await
        }
        status = &mut end => {
            match timeout(PIPES_AFTER_END, reading).await {
                Ok(read) => read?,
                Err(_) => tracing::debug!("a process left behind by the tool keeps the output open"),
            }
            status
        }
    }
}

/// Reads up to a byte more than the cap, to detect an excess.
async fn read(
    from: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    cap: u64,
) -> io::Result<()> {
    if let Some(from) = from {
        from.take(cap.saturating_add(1)).read_to_end(into).await?;
    }
    Ok(())
}

fn cannot_start(tool: &Tool, source: io::Error) -> ToolError {
    let program = tool.program.clone();
    // A missing directory is "not found" too.
    if source.kind() == io::ErrorKind::NotFound && tool.cwd.is_dir() {
        return ToolError::NotFound { program };
    }
    ToolError::CannotStart { program, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Tool {
        Tool::new("sh", "/", LONG).args(["-c", script])
    }

    #[tokio::test]
    async fn a_tool_gets_input_and_environment_and_its_output_is_whole() {
        let script = "cat; echo \"$ADDED ${HOME-none}\" >&2; exit 3";
        let mut tool = sh(script).stdin("x".repeat(1 << 20)).env("ADDED", "yes");
        tool.env.insert("HOME".into(), None);
        let result = output(tool).await.unwrap();
        assert_eq!((result.code, result.stdout.len()), (Some(3), 1 << 20));
        assert_eq!(result.error_text(), "yes none");
        assert!(!result.success());
        assert_eq!(output(sh("kill -9 $$")).await.unwrap().code, None);
        // Input neither read nor written to the end.
        let ignores = sh("true").stdin("x".repeat(1 << 20));
        assert!(output(ignores).await.unwrap().success());
    }

    #[tokio::test]
    async fn failures_are_distinguished() {
        let missing = output(Tool::new("no-such-tool", "/", LONG)).await.unwrap_err();
        assert!(matches!(missing, ToolError::NotFound { .. }), "{missing}");
        let nowhere = output(Tool::new("sh", "/no/such/directory", LONG)).await.unwrap_err();
        assert!(matches!(nowhere, ToolError::CannotStart { .. }), "{nowhere}");
        let much = Tool { output_cap: 1000, ..sh("yes") };
        let much = output(much).await.unwrap_err();
        assert!(matches!(much, ToolError::TooMuchOutput { cap: 1000, .. }), "{much}");
    }

    #[tokio::test]
    async fn a_timeout_ends_a_tool_and_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        std::fs::write(&path, "").unwrap();
        // The child holds a lock as long as the child lives, and has the lock before any output.
        let script = "exec 9>lock; flock 9; sleep 1000 & wait";
        let mut tool = sh(script);
        tool.cwd = directory.path().to_owned();
        tool.timeout = Duration::from_millis(300);
        let late = output(tool).await.unwrap_err();
        assert!(matches!(late, ToolError::TimedOut { .. }), "{late}");
        // Returns once the last process is gone.
        std::fs::File::open(&path).unwrap().lock().unwrap();
    }

    #[tokio::test]
    async fn a_daemon_holding_the_pipes_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let mut tool = sh("echo said; sleep 1000 & echo $! > pid");
        tool.cwd = directory.path().to_owned();
        let result = output(tool).await.unwrap();
        assert_eq!(result.text(), "said");
        let pid = std::fs::read_to_string(directory.path().join("pid")).unwrap();
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    }
}
