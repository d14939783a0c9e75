//! Being an owner: the lock that says that this drain lives, the heartbeat that says that it is not stuck, and
//! the requests to stop that come back with it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::liveness::here;
use crate::clock::now;
use crate::config::ExecutorSettings;
use crate::failure::Exit;
use crate::phase::RunId;
use crate::process::{FileLock, Stop, StopHandle, StopLevel, boot_clock_ms, hangup};
use crate::store::{Control, Owner, OwnerId, StopRequest, Store, StoreError};
use crate::workspace::Repo;

/// How often a drain looks whether it was asked to stop.
const LOOK_FOR_STOP: Duration = Duration::from_millis(500);

/// A drain that others can see. Dropping it ends the heartbeat and frees the lock.
#[derive(Debug)]
pub struct Registered {
    id: OwnerId,
    lock: FileLock,
    pulse: JoinHandle<()>,
    /// Ends what this owner executes: with the whole drain, or when nothing of it counts any more.
    lines: StopHandle,
    following: JoinHandle<()>,
}

impl Registered {
    pub async fn register(
        store: &Store,
        repo: &Repo,
        runs: &[RunId],
        settings: &ExecutorSettings,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let place = here();
        let pid = place.pid;
        let id = OwnerId::new(format!("{pid}-{}", nanoseconds()));
        let folder = repo.autopack_dir().join("owners");
        let cannot = || format!("cannot lock {}", folder.display());
        std::fs::create_dir_all(&folder).with_context(cannot)?;
        let path = folder.join(format!("{id}.lock"));
        let mut lock = FileLock::try_lock(&path)
            .with_context(cannot)?
            .with_context(|| format!("{} is held by somebody else", path.display()))?;
        lock.write(&format!("{pid}\n")).with_context(cannot)?;
        let lease = Duration::from_secs(settings.lease_seconds);
        let owner = Owner {
            id: id.clone(),
            place,
            lease_ms: Some(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
            repo: Some(repo.identity()),
            lock_path: path.display().to_string(),
            runs: runs.to_vec(),
            started_at: now(),
        };
        store.register_owner(&owner, boot_clock_ms()).await?;
        let lines = Stop::pair().0;
        let following = tokio::spawn({
            let (lines, whole) = (lines.clone(), signals.handle.watch());
            async move { match lines.follow(&whole).await {} }
        });
        let stops = Stops { drain: signals.handle.clone(), lines: lines.clone() };
        let pulse = tokio::spawn(pulse(store.clone(), id.clone(), lease, stops));
        Ok(Self { id, lock, pulse, lines, following })
    }

    pub fn id(&self) -> &OwnerId {
        &self.id
    }

    /// For whatever this owner executes.
    pub fn stop(&self) -> Stop {
        self.lines.watch()
    }

    /// Nothing that it executes counts any more.
    pub fn end_lines(&self) {
        self.lines.raise(StopLevel::Now);
    }

    /// Leaves nothing behind, where no work is left. May be tried again where the disk was full.
    pub async fn retire(&self, store: &Store) -> Result<(), StoreError> {
        self.pulse.abort();
        if store.unregister_owner(&self.id).await? {
            // Whoever looks at a missing lock sees a free one.
            let _ = std::fs::remove_file(self.lock.path());
        }
        Ok(())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.pulse.abort();
        self.following.abort();
    }
}

/// What the heartbeat may hear: that the drain shall stop, or that this owner's work is another's now.
struct Stops {
    drain: StopHandle,
    lines: StopHandle,
}

/// Says that the drain lives, and hears whether it shall stop. A database that is busy for a while is no reason to end.
async fn pulse(store: Store, id: OwnerId, lease: Duration, stops: Stops) {
    let renew_every = lease / 4;
    let look_every = renew_every.clamp(Duration::from_millis(50), LOOK_FOR_STOP);
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(look_every).await;
        // A renewal is a durable write, a look is none.
        let control = if renewed.elapsed() >= renew_every {
            renewed = Instant::now();
            store.heartbeat(&id, boot_clock_ms()).await
        } else {
            store.control(&id).await
        };
        match control {
            // What it still does is refused where it counts; the loop registers anew.
            Ok(Control { fenced: true, .. }) => return stops.lines.raise(StopLevel::Now),
            Ok(Control { stop: StopRequest::Graceful, .. }) => {
                stops.drain.raise(StopLevel::Graceful);
            }
            Ok(Control { stop: StopRequest::Now, .. }) => stops.drain.raise(StopLevel::Now),
            Ok(_) => {}
            Err(error) => tracing::warn!("cannot renew the lease: {error}"),
        }
    }
}

/// Ctrl-C, SIGTERM, and the end of the terminal.
#[derive(Debug)]
pub struct Signals {
    handle: StopHandle,
    terminated: std::sync::Arc<Mutex<bool>>,
}

impl Signals {
    /// From here on, SIGINT, SIGTERM and SIGHUP raise the stop level instead of ending the process. A SIGHUP that was
    /// ignored before stays ignored.
    pub fn listen(handle: StopHandle) -> anyhow::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut hangup = match hangup::is_ignored() {
            true => None,
            false => Some(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?),
        };
        let terminated = std::sync::Arc::new(Mutex::new(false));
        tokio::spawn({
            let (handle, terminated) = (handle.clone(), terminated.clone());
            async move {
                loop {
                    let before = handle.level();
                    tokio::select! {
                        _ = interrupt.recv() => handle.raise_one(),
                        _ = terminate.recv() => {
                            *lock(&terminated) = true;
                            handle.raise_one();
                        }
                        // One terminal that closes may say so twice, by the kernel and by the shell.
                        () = next(&mut hangup) => {
                            *lock(&terminated) = true;
                            handle.raise(StopLevel::Graceful);
                        }
                    }
                    if before < StopLevel::Graceful && handle.level() == StopLevel::Graceful {
                        tracing::info!(
                            target: crate::progress::NOTES,
                            "stopping: what runs is ended and queued again; once more to kill it"
                        );
                    }
                }
            }
        });
        Ok(Self { handle, terminated })
    }

    /// SIGTERM has a code of its own, which SIGHUP shares; everything else that stops a drain is an interrupt.
    pub fn exit(&self) -> Exit {
        if *lock(&self.terminated) { Exit::Terminated } else { Exit::Interrupted }
    }
}

/// The next of these signals; never one where they are ignored.
async fn next(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => drop(signals.recv().await),
        None => std::future::pending().await,
    }
}

fn lock(flag: &Mutex<bool>) -> std::sync::MutexGuard<'_, bool> {
    flag.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Unique together with the pid, also where a pid is used again.
fn nanoseconds() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_nanos())
}
