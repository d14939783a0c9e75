//! Short helper programs of ours: started directly, captured whole.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What to start.
pub struct Tool {
    pub program: OsString,
    pub args: Vec<OsString>,
    pub cwd: Option<PathBuf>,
    pub env: Vec<(OsString, OsString)>,
    pub env_remove: Vec<OsString>,
    pub stdin: Option<Vec<u8>>,
    /// A lock that stays held as long as the program lives, whatever becomes of us.
    pub hold: Option<Arc<OwnedFd>>,
    pub timeout: Duration,
}

/// What came of it.
pub struct Output {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{program} is not installed")]
    NotFound { program: String },
    #[error("cannot start {program}: {source}")]
    CannotStart { program: String, source: io::Error },
    #[error("{program} did not end within {} s", timeout.as_secs())]
    TimedOut { program: String, timeout: Duration },
    #[error("{program}: {source}")]
    Io { program: String, source: io::Error },
}

pub async fn output(tool: Tool) -> Result<Output, ToolError> {
    let program = tool.program.to_string_lossy().into_owned();
    let mut command = Command::new(&tool.program);
    command.args(&tool.args).envs(tool.env.iter().map(|(k, v)| (k, v)));
    for name in &tool.env_remove {
        command.env_remove(name);
    }
    if let Some(cwd) = &tool.cwd {
        command.current_dir(cwd);
    }
    command.process_group(0).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(match (&tool.stdin, &tool.hold) {
        (Some(_), _) => Stdio::piped(),
        (None, Some(lock)) => Stdio::from(
            lock.try_clone()
                .map_err(|source| ToolError::Io { program: program.clone(), source })?,
        ),
        (None, None) => Stdio::null(),
    });
    let mut child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ToolError::NotFound { program: program.clone() },
        _ => ToolError::CannotStart { program: program.clone(), source },
    })?;
    let stdin = child.stdin.take();
    let fed = tool.stdin;
    let feeding = tokio::spawn(async move {
        if let (Some(mut pipe), Some(bytes)) = (stdin, fed) {
            let _ = pipe.write_all(&bytes).await;
        }
    });
    let waited = tokio::time::timeout(tool.timeout, child.wait_with_output()).await;
    feeding.abort();
    let out = waited
        .map_err(|_| ToolError::TimedOut { program: program.clone(), timeout: tool.timeout })?
        .map_err(|source| ToolError::Io { program, source })?;
    Ok(Output { code: out.status.code(), stdout: out.stdout, stderr: out.stderr })
}
