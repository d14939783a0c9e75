//! Short helper programs of ours (git, `docker compose`, `--version`): started directly, with a
//! timeout, their output whole.

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

use super::process_group::kill_group;
use super::spawn::{Start, Started, file_of};
use crate::config::Env;

/// Between asking a tool to end and killing it: git removes its lock files when asked.
const GRACE: Duration = Duration::from_secs(2);
/// A daemon that a tool started may keep its pipes open this long after its end.
const PIPES_AFTER_END: Duration = Duration::from_secs(2);
/// More than any tool of ours says. What goes beyond is an error, not a silent cut.
pub const OUTPUT_CAP: u64 = 512 * 1024 * 1024;

#[derive(Clone, Debug)]
pub struct Tool {
    pub program: OsString,
    pub args: Vec<OsString>,
    pub cwd: PathBuf,
    /// Over our own environment: a value sets a variable, `None` takes it away.
    pub env: BTreeMap<OsString, Option<OsString>>,
    /// Whether `env` is the whole environment.
    pub clear_env: bool,
    /// Without it the tool reads from /dev/null.
    pub stdin: Option<Vec<u8>>,
    pub timeout: Duration,
    pub output_cap: u64,
    /// A lock that the tool inherits: should we die first, it stays held until the tool has ended.
    pub hold: Option<Arc<OwnedFd>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("cannot run {}: there is no such program", .program.display())]
    NotFound { program: OsString },
    #[error("cannot run {}: {source}", .program.display())]
    CannotStart { program: OsString, source: io::Error },
    #[error("{} did not end within {} s", .program.display(), .after.as_secs())]
    TimedOut { program: OsString, after: Duration },
    #[error("{} wrote more than {cap} bytes", .program.display())]
    TooMuchOutput { program: OsString, cap: u64 },
    #[error("cannot read the output of {}: {source}", .program.display())]
    Io { program: OsString, source: io::Error },
}

impl Tool {
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

    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }
}

impl Tool {
    /// What it gets: `env`, over our own unless that is all.
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
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output as text, without the line end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches(['\n', '\r']).to_owned()
    }

    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

/// Runs a tool to its end. Whatever its exit code, it ran.
pub async fn output(tool: Tool) -> Result<Output, ToolError> {
    let mut running = Running::start(&tool)?;
    let deadline = tool.timeout;
    match timeout(deadline, running.finish(&tool)).await {
        Ok(output) => output,
        Err(_) => {
            running.end().await;
            Err(ToolError::TimedOut { program: tool.program, after: deadline })
        }
    }
}

/// Ends its whole group when dropped before its time.
struct Running {
    child: Started,
    /// While it has not been waited for: from then on its group's id may be somebody else's.
    group: Option<u32>,
}

impl Running {
    fn start(tool: &Tool) -> Result<Self, ToolError> {
        let failed = |source| cannot_start(tool, source);
        let env = tool.whole_env();
        let start = Start {
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
                // A tool that does not read all of its input is within its rights.
                let _ = pipe.write_all(bytes).await;
            }
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let cap = tool.output_cap;
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let reading = async {
            tokio::try_join!(read(out, &mut stdout, cap), read(err, &mut stderr, cap)).map(|_| ())
        };
        let ended = async {
            let status = self.child.wait().await;
            self.group = None;
            status
        };
        let status = feed_and_read(feed, reading, ended).await.map_err(failed)?;
        if stdout.len().max(stderr.len()) as u64 > cap {
            return Err(ToolError::TooMuchOutput { program: tool.program.clone(), cap });
        }
        Ok(Output { code: status.code(), stdout, stderr })
    }

    async fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
            // Killed: it ends as soon as the kernel gets to it.
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

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// All at once, so that nobody waits for anybody: to the tool's end, and a little longer for its output.
async fn feed_and_read<S>(
    feed: impl Future<Output = ()>,
    reading: impl Future<Output = io::Result<()>>,
    ended: impl Future<Output = io::Result<S>>,
) -> io::Result<S> {
    let reading = async { tokio::join!(feed, reading).1 };
    tokio::pin!(reading, ended);
    tokio::select! {
        read = &mut reading => {
            read?;
            ended.await
        }
        status = &mut ended => {
            match timeout(PIPES_AFTER_END, reading).await {
                Ok(read) => read?,
                Err(_) => tracing::debug!("a process that the tool left behind holds its output open"),
            }
            status
        }
    }
}

/// One byte more than the cap, where there is as much, tells that it was too much.
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
    // A folder that is not there is "not found" too.
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
        let said = output(tool).await.unwrap();
        assert_eq!((said.code, said.stdout.len()), (Some(3), 1 << 20));
        assert_eq!(said.error_text(), "yes none");
        assert!(!said.success());
        assert_eq!(output(sh("kill -9 $$")).await.unwrap().code, None);
        // Neither read nor written to the end.
        let ignores = sh("true").stdin("x".repeat(1 << 20));
        assert!(output(ignores).await.unwrap().success());
    }

    #[tokio::test]
    async fn what_goes_wrong_has_a_name() {
        let missing = output(Tool::new("no-such-tool", "/", LONG)).await.unwrap_err();
        assert!(matches!(missing, ToolError::NotFound { .. }), "{missing}");
        let nowhere = output(Tool::new("sh", "/no/such/folder", LONG)).await.unwrap_err();
        assert!(matches!(nowhere, ToolError::CannotStart { .. }), "{nowhere}");
        let much = Tool { output_cap: 1000, ..sh("yes") };
        let much = output(much).await.unwrap_err();
        assert!(matches!(much, ToolError::TooMuchOutput { cap: 1000, .. }), "{much}");
    }

    #[tokio::test]
    async fn a_tool_that_takes_too_long_goes_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "").unwrap();
        // The child holds a lock for as long as it lives; it has it before anybody says so.
        let script = "exec 9>lock; flock 9; sleep 1000 & wait";
        let mut tool = sh(script);
        tool.cwd = folder.path().to_owned();
        tool.timeout = Duration::from_millis(300);
        let late = output(tool).await.unwrap_err();
        assert!(matches!(late, ToolError::TimedOut { .. }), "{late}");
        // Comes back once the last of them is gone.
        std::fs::File::open(&path).unwrap().lock().unwrap();
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_pipes_does_not_keep_us() {
        let folder = tempfile::tempdir().unwrap();
        let mut tool = sh("echo said; sleep 1000 & echo $! > pid");
        tool.cwd = folder.path().to_owned();
        let said = output(tool).await.unwrap();
        assert_eq!(said.text(), "said");
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    }
}
