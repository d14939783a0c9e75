//! Running a long program that nobody vouches for (an agent, CI, a setup command), and saying
//! honestly how it ended.
//!
//! The program runs under `autopack __supervise`. Here are the timers, the reasons to end it, and
//! its output, of which only a bounded part is ever in memory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::capture::Captured;
use super::child_env::WORKTREE;
use super::descendants::sweep_marked;
use super::job_events::Watch;
use super::launch::Supervised;
use super::redact::Redactor;
use super::sink::Sink;
use super::stop::{Stop, StopLevel};

/// Kept of a log file, unless the job says otherwise.
pub const LOG_CAP: u64 = 64 * 1024 * 1024;
/// Between asking a tree to end and killing it, unless the job says otherwise.
pub const GRACE: Duration = Duration::from_secs(10);

/// Shown of a line, unless the job says otherwise.
pub const LONGEST_LINE: usize = 8 * 1024;

/// What to run, and within which bounds.
pub struct Job<'a> {
    pub argv: Vec<OsString>,
    pub cwd: PathBuf,
    /// The whole environment: nothing of ours is added.
    pub env: BTreeMap<OsString, OsString>,
    /// Without it the program reads from /dev/null.
    pub stdin: Option<Vec<u8>>,
    pub timeout: Duration,
    /// Ends the program when neither output nor processor time show that it lives.
    pub idle_timeout: Option<Duration>,
    /// The processor time of the program itself, and of what bears this in its name, is no sign of life: it uses some while
    /// it waits.
    pub idler: Option<&'static str>,
    pub grace: Duration,
    /// Standard output and error, interleaved by line, redacted, appended.
    pub log: Option<PathBuf>,
    pub log_cap: u64,
    pub redact: Redactor,
    /// A lock that stays held until the last process of the tree is gone.
    pub hold: Option<Arc<OwnedFd>>,
    pub on_line: Option<OnLine<'a>>,
    /// `on_line` sees no more than this of a line.
    pub longest_line: usize,
}

/// Sees each line as it comes, redacted.
pub type OnLine<'a> = &'a (dyn Fn(Stream, &str) + Send + Sync);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// How a program ended. The first two are its own doing, the others ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// 143, 137 and 124 are only numbers here: a shell, or `timeout`, said them.
    Exited(i32),
    /// By somebody else's signal.
    Signalled(i32),
    TimedOut,
    Stalled,
    /// A `Stop` was raised.
    Stopped,
}

#[derive(Debug)]
pub struct Ended {
    pub how: How,
    pub stdout: Captured,
    pub stderr: Captured,
    pub duration: Duration,
    /// Processes that it left behind, or that had to be killed with it.
    pub swept: u32,
    /// Somebody outside its tree kept its output open; what came after its end is not here.
    pub pipes_held: bool,
}

/// The program did not run. None of this is the phase's fault.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("cannot run {}: there is no such program", .program.display())]
    NotFound { program: OsString },
    #[error("cannot run {}: {source}", .program.display())]
    CannotStart { program: OsString, source: io::Error },
    #[error("cannot supervise a program: {0}")]
    Supervisor(io::Error),
    /// Its supervisor was killed under it: a program's own doing, as a rule.
    #[error("the supervisor of a program was lost: {0}")]
    SupervisorLost(io::Error),
    #[error("cannot read the output of a program: {0}")]
    Output(io::Error),
    #[error("cannot write the log {}: {source}", .path.display())]
    Log { path: PathBuf, source: io::Error },
}

impl Job<'_> {
    /// Bounded by `timeout` alone; no input, no log, known key formats redacted.
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
            on_line: None,
            longest_line: LONGEST_LINE,
        }
    }
}

/// Runs a program to its end, which comes at the latest a grace after its timeout, and leaves no
/// process of it behind. Dropping the future ends the program too.
pub async fn run(mut job: Job<'_>, stop: &Stop) -> Result<Ended, SpawnError> {
    if stop.level() >= StopLevel::Graceful {
        return Ok(Ended::never_started());
    }
    let log = job.log.clone().unwrap_or_default();
    let cannot_log = |source| SpawnError::Log { path: log.clone(), source };
    let mut sink = Sink::open(&job).map_err(cannot_log)?;
    let mut supervised = Supervised::start(&mut job).await?;
    let mut watch = Watch::new(&job, &supervised);
    let mut logged = Ok(());
    while !watch.over() {
        let read = match watch.next(&mut supervised, stop).await {
            Ok(read) => read,
            Err(error) => {
                sweep_unsupervised(&job.env).await;
                return Err(error);
            }
        };
        if let Some((stream, bytes)) = read.filter(|_| logged.is_ok()) {
            logged = sink.push(stream, bytes);
            if logged.is_err() {
                // Its end is waited for: whoever hears of the error may count on the slot.
                watch.kill(&mut supervised).await;
            }
        }
    }
    if watch.unanswered() {
        sweep_unsupervised(&job.env).await;
    }
    if let Some(swept) = watch.swept() {
        supervised.ended().await.map_err(SpawnError::Supervisor)?;
        tracing::debug!(swept, "the whole tree is gone");
    }
    let (stdout, stderr) = logged.and_then(|()| sink.finish()).map_err(cannot_log)?;
    Ok(Ended {
        how: watch.how(),
        stdout,
        stderr,
        duration: watch.duration(),
        swept: watch.swept().unwrap_or_default(),
        pipes_held: watch.pipes_held(),
    })
}

/// Where no supervisor is left to do it: ends what still bears the worktree's mark.
async fn sweep_unsupervised(env: &BTreeMap<OsString, OsString>) {
    let Some(worktree) = env.get(OsStr::new(WORKTREE)).and_then(|value| value.to_str()) else {
        return;
    };
    let worktree = worktree.to_owned();
    // A look at every process is no work for the threads that serve the others.
    let swept = tokio::task::spawn_blocking(move || sweep_marked(WORKTREE, &worktree)).await;
    tracing::debug!(?swept, "swept what a lost supervisor left");
}

impl Ended {
    fn never_started() -> Self {
        Self {
            how: How::Stopped,
            stdout: Captured::default(),
            stderr: Captured::default(),
            duration: Duration::ZERO,
            swept: 0,
            pipes_held: false,
        }
    }

    /// Standard output and error, one after the other: their last `lines` lines.
    pub fn last_lines(&self, lines: usize) -> String {
        let both = [self.stdout.tail_lines(lines), self.stderr.tail_lines(lines)];
        let text = both.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}
