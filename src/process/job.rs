//! A long, untrusted program (agent, CI, setup command) with its limits, and how the program ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::capture::CapturedOutput;
use super::redact::Redactor;
use super::view::ViewSpec;

/// Default size limit of a log file, in bytes.
pub const LOG_CAP: u64 = 64 * 1024 * 1024;
/// Default time between asking a tree to end and killing the tree.
pub const GRACE: Duration = Duration::from_secs(10);

/// Default size limit of a displayed line, in bytes.
pub const LONGEST_LINE: usize = 8 * 1024;

/// Program to run, with limits.
pub struct Job<'a> {
    /// The program and the arguments.
    pub argv: Vec<OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The whole environment: autopack adds nothing.
    pub env: BTreeMap<OsString, OsString>,
    /// Without input, the program reads from /dev/null.
    pub stdin: Option<Vec<u8>>,
    /// Maximum run time.
    pub timeout: Duration,
    /// Ends the program after this long without output and without processor time.
    pub idle_timeout: Option<Duration>,
    /// Ignores the processor time of the program and of processes with this text in their names as a sign of
    /// life, for programs that use processor time while waiting.
    pub idler: Option<&'static str>,
    /// Time between asking the tree to end and killing the tree.
    pub grace: Duration,
    /// Standard output and error, interleaved by line, redacted, appended.
    pub log: Option<PathBuf>,
    /// Size limit of the log, in bytes.
    pub log_cap: u64,
    /// Removes secrets from all output.
    pub redact: Redactor,
    /// A lock held until the last process of the tree is gone.
    pub hold: Option<Arc<OwnedFd>>,
    /// Locks given away to the supervisor: held until the last process of the tree is gone, and not by this process.
    pub lent: Vec<OwnedFd>,
    /// Observer of the output.
    pub on_line: Option<LineObserver<'a>>,
    /// Maximum number of bytes of a line passed to `on_line`.
    pub longest_line: usize,
    /// What the program sees of the machine; without a view, all of it.
    pub view: Option<Arc<ViewSpec>>,
    /// Receives the listening sockets of a view with [`NetworkView::Limited`](super::view::NetworkView::Limited), by
    /// port, once the program has started.
    pub on_listeners: Option<ListenerObserver>,
}

/// Receives listening sockets by port.
pub type ListenerObserver = Arc<dyn Fn(Vec<(u16, TcpListener)>) + Send + Sync>;

/// Receives each line, redacted, as soon as possible.
pub type LineObserver<'a> = &'a (dyn Fn(Stream, &str) + Send + Sync);

/// Output stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a program ended: the first two variants by itself, the others by autopack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// The program's exit code. 143, 137 and 124 have no special meaning here: a shell or `timeout` returned
    /// them.
    Exited(i32),
    /// Killed by a signal from elsewhere.
    Signalled(i32),
    /// The timeout was reached.
    TimedOut,
    /// The idle timeout was reached.
    Stalled,
    /// A stop was requested.
    Stopped,
}

/// Result of a program that ran.
#[derive(Debug)]
pub struct FinishedJob {
    /// How the program ended.
    pub end: JobEnd,
    /// Standard output, redacted.
    pub stdout: CapturedOutput,
    /// Standard error, redacted.
    pub stderr: CapturedOutput,
    /// Time from the start to the end.
    pub duration: Duration,
    /// Processes left behind by the program, or killed together with the program.
    pub swept: u32,
    /// A process outside of the tree kept the output open; output after the program's end is missing.
    pub pipes_held: bool,
}

/// Why a program did not run. Never the phase's fault.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
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
    /// The program's view cannot be built.
    #[error("cannot build the view of {}: {why}", .program.display())]
    View {
        /// Name or path of the program.
        program: OsString,
        /// The step that failed, with the error of the operating system.
        why: String,
    },
    /// The supervisor cannot be started.
    #[error("cannot supervise a program: {0}")]
    Supervisor(io::Error),
    /// The supervisor was killed during the run, usually by the program.
    #[error("the supervisor of a program was lost: {0}")]
    SupervisorLost(io::Error),
    /// The output cannot be read.
    #[error("cannot read the output of a program: {0}")]
    Output(io::Error),
    /// The log cannot be written.
    #[error("cannot write the log {}: {source}", .path.display())]
    Log {
        /// Path of the log.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl Job<'_> {
    /// Creates a job limited by `timeout` alone, without input or log; known key formats are redacted.
    pub fn new(
        argv: impl IntoIterator<Item = impl Into<OsString>>,
        cwd: impl Into<PathBuf>,
        env: BTreeMap<OsString, OsString>,
        timeout: Duration,
    ) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: cwd.into(),
            env,
            stdin: None,
            timeout,
            idle_timeout: None,
            idler: None,
            grace: GRACE,
            log: None,
            log_cap: LOG_CAP,
            redact: Redactor::formats_only(),
            hold: None,
            lent: Vec::new(),
            on_line: None,
            longest_line: LONGEST_LINE,
            view: None,
            on_listeners: None,
        }
    }
}

impl FinishedJob {
    pub(super) fn never_started() -> Self {
        Self {
            end: JobEnd::Stopped,
            stdout: CapturedOutput::default(),
            stderr: CapturedOutput::default(),
            duration: Duration::ZERO,
            swept: 0,
            pipes_held: false,
        }
    }

    /// Returns the last `lines` lines of standard output, then of standard error.
    pub fn last_lines(&self, lines: usize) -> String {
        let both = [self.stdout.tail_lines(lines), self.stderr.tail_lines(lines)];
        let text = both.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}
