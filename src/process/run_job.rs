//! Runs long, untrusted programs (agents, CI, setup commands) and reports how they ended.
//!
//! The program runs under a supervisor. `timers` and `job_events` have the reasons to end a program; only a
//! bounded part of the output is in memory.

use std::ffi::OsStr;

use super::child_env::WORKTREE;
use super::descendants::sweep_marked;
use super::job::{FinishedJob, Job, SpawnError};
use super::job_events::Watch;
use super::launch::Supervised;
use super::sink::Sink;
use super::stop::{StopLevel, StopReceiver};
use super::view::ViewMode;

/// Runs a program to the end, at the latest a grace after the timeout, and leaves no process behind. Dropping
/// the future ends the program too.
///
/// # Errors
///
/// If the program or the supervisor cannot be started, the supervisor is lost, or output or log fail.
pub async fn run(mut job: Job<'_>, stop: &StopReceiver) -> Result<FinishedJob, SpawnError> {
    if stop.level() >= StopLevel::Graceful {
        return Ok(FinishedJob::never_started());
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
                sweep_unsupervised(&job).await;
                return Err(error);
            }
        };
        if let Some((stream, bytes)) = read.filter(|_| logged.is_ok()) {
            logged = sink.push(stream, bytes);
            if logged.is_err() {
                // Wait for the end: after an error, the caller may reuse the slot.
                watch.kill(&mut supervised).await;
            }
        }
    }
    if watch.unanswered() {
        sweep_unsupervised(&job).await;
    }
    if let Some(swept) = watch.swept() {
        supervised.wait_for_end().await.map_err(SpawnError::Supervisor)?;
        tracing::debug!(swept, "all processes of the program have ended");
    }
    let (stdout, stderr) = logged.and_then(|()| sink.finish()).map_err(cannot_log)?;
    Ok(FinishedJob {
        end: watch.job_end(),
        stdout,
        stderr,
        duration: watch.duration(),
        swept: watch.swept().unwrap_or_default(),
        pipes_held: watch.pipes_held(),
    })
}

/// Ends all processes with the worktree's mark, for use without a supervisor. A PID namespace has ended with the
/// supervisor, and the mark there is the same in all slots.
async fn sweep_unsupervised(job: &Job<'_>) {
    if job.view.as_ref().is_some_and(|view| view.mode == ViewMode::Namespaces) {
        return;
    }
    let Some(worktree) = job.env.get(OsStr::new(WORKTREE)).and_then(|value| value.to_str()) else {
        return;
    };
    let worktree = worktree.to_owned();
    // Scanning every process must not block the threads of the async runtime.
    let swept = tokio::task::spawn_blocking(move || sweep_marked(WORKTREE, &worktree)).await;
    tracing::debug!(?swept, "killed the processes left by a lost supervisor");
}
