//! Registration of a drain as an owner: the lock proves the process is alive, the heartbeat proves the drain is not
//! stuck, and the heartbeat reads stop requests.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::liveness::this_process;
use super::phase_stops::{AttemptStop, PhaseStops};
use super::undo_recovery::settle_undos;
use crate::attempt::AttemptError;
use crate::clock::{boot_clock_ms, now};
use crate::config::ExecutorSettings;
use crate::failure::Exit;
use crate::phase::{PhaseId, RunId};
use crate::process::{FileLock, StopHandle, StopLevel, StopReceiver};
use crate::store::{
    ChangeKind, Control, Owner, OwnerId, StopRequest, Store, StoreError, next_change,
};
use crate::workspace::Repo;

/// Interval between checks for a stop request.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The same at a server, which many machines ask: with [`super::idle_wait`], an idle drain asks once a second.
const SERVER_STOP_POLL_INTERVAL: Duration = Duration::from_secs(4);

/// Drain registered in the store. Dropping the value ends the heartbeat and frees the lock.
#[derive(Debug)]
pub struct RegisteredDrain {
    id: OwnerId,
    lock: FileLock,
    heartbeats: JoinHandle<()>,
    /// Stops the attempts of this owner: together with the drain, or when the owner is fenced.
    attempts: StopHandle,
    /// Stops single attempts.
    phases: PhaseStops,
    /// End with the registration.
    tasks: [JoinHandle<()>; 3],
}

impl RegisteredDrain {
    /// Creates the lock file, registers the owner and starts the heartbeat. Settles interrupted undos of the runs first.
    ///
    /// # Errors
    ///
    /// An undo of one of the runs is under way, the lock file cannot be created, or the database fails.
    pub async fn register(
        store: &Store,
        repo: &Repo,
        runs: &[RunId],
        settings: &ExecutorSettings,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let lease = Duration::from_secs(settings.lease_seconds);
        settle_undos(store, repo, runs, lease).await?;
        let process = this_process();
        let pid = process.pid;
        let id = OwnerId::new(format!("{pid}-{}", nanoseconds()));
        let directory = repo.autopack_dir().join("owners");
        let cannot = || format!("cannot lock {}", directory.display());
        std::fs::create_dir_all(&directory).with_context(cannot)?;
        let path = directory.join(format!("{id}.lock"));
        let mut lock = FileLock::try_lock(&path)
            .with_context(cannot)?
            .with_context(|| format!("{} is locked by another process", path.display()))?;
        lock.write(&format!("{pid}\n")).with_context(cannot)?;
        let owner = Owner {
            id: id.clone(),
            process,
            lease_ms: Some(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
            repo: Some(repo.identity()),
            lock_path: path.display().to_string(),
            runs: runs.to_vec(),
            started_at: now(),
            workers: None,
            labels: Vec::new(),
        };
        store.register_owner(&owner, boot_clock_ms()).await?;
        let attempts = StopReceiver::pair().0;
        let following = tokio::spawn({
            let (attempts, whole) = (attempts.clone(), signals.handle.watch());
            async move { match attempts.forward(&whole).await {} }
        });
        let waiting = tokio::spawn(wait_for_server(store.clone(), signals.handle.watch()));
        let listening = tokio::spawn({
            let store = store.clone();
            async move { match store.listen().await {} }
        });
        let phases = PhaseStops::default();
        let stops = StopSignals {
            drain: signals.handle.clone(),
            attempts: attempts.clone(),
            phases: phases.clone(),
            winding_down: signals.winding_down.clone(),
        };
        let heartbeats = tokio::spawn(send_heartbeats(store.clone(), id.clone(), lease, stops));
        let tasks = [following, waiting, listening];
        Ok(Self { id, lock, heartbeats, attempts, phases, tasks })
    }

    /// Returns the owner's id.
    pub fn id(&self) -> &OwnerId {
        &self.id
    }

    /// Creates the stop signal of an attempt of this owner.
    pub(super) fn attempt_stop(&self, run: &RunId, phase: &PhaseId) -> AttemptStop {
        self.phases.add((run.clone(), phase.clone()), self.attempts.watch())
    }

    /// Stops all attempts of this owner: none of them counts any more.
    pub fn stop_attempts(&self) {
        self.attempts.raise(StopLevel::Now);
    }

    /// Removes the owner if no work is left. Can be repeated after a full disk.
    ///
    /// # Errors
    ///
    /// The database fails, for example on a full disk.
    pub async fn retire(&self, store: &Store) -> Result<(), StoreError> {
        self.heartbeats.abort();
        if store.unregister_owner(&self.id).await? {
            // A missing lock file counts as a free lock.
            let _ = std::fs::remove_file(self.lock.path());
        }
        Ok(())
    }
}

impl RegisteredDrain {
    /// Removes the owner after its work. An error of the work comes first.
    pub(super) async fn retire_after<T>(
        &self,
        store: &Store,
        worked: Result<T, AttemptError>,
    ) -> Result<T, AttemptError> {
        let retired = self.retire(store).await;
        let result = worked?;
        retired?;
        Ok(result)
    }
}

impl Drop for RegisteredDrain {
    fn drop(&mut self) {
        self.heartbeats.abort();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// How long a drain that was asked to stop waits for a database server.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// Sets how long the store waits for a server, until the drain ends.
async fn wait_for_server(store: Store, stop: StopReceiver) {
    store.wait_as_drain();
    stop.reached(StopLevel::Graceful).await;
    store.wait_for_server(LAST_PATIENCE);
}

/// Stop handles used by the heartbeat: for the drain, and for this owner's attempts after a fence.
struct StopSignals {
    drain: StopHandle,
    attempts: StopHandle,
    phases: PhaseStops,
    winding_down: watch::Sender<bool>,
}

/// Sends heartbeats and reads stop requests. A database busy for a while does not end the drain.
async fn send_heartbeats(store: Store, id: OwnerId, lease: Duration, stops: StopSignals) {
    let renewal_interval = lease / 4;
    let poll_interval = renewal_interval.clamp(
        Duration::from_millis(50),
        store.poll_interval(STOP_POLL_INTERVAL, SERVER_STOP_POLL_INTERVAL),
    );
    let mut renewed = Instant::now();
    let mut stopped = store.changes().of(ChangeKind::Stop);
    loop {
        tokio::select! {
            () = tokio::time::sleep(poll_interval) => {}
            () = next_change(&mut stopped) => {}
        }
        // A renewal is a durable write; reading the control row is not.
        let control = if renewed.elapsed() >= renewal_interval {
            renewed = Instant::now();
            store.record_heartbeat(&id, boot_clock_ms()).await
        } else {
            store.read_control(&id).await
        };
        match control {
            // The store refuses results of fenced attempts; the loop registers again.
            Ok(Control { fenced: true, .. }) => return stops.attempts.raise(StopLevel::Now),
            Ok(Control { stop: StopRequest::AfterCurrent, .. }) => {
                stops.winding_down.send_replace(true);
            }
            Ok(Control { stop: StopRequest::Graceful, .. }) => {
                stops.drain.raise(StopLevel::Graceful);
            }
            Ok(Control { stop: StopRequest::Now, .. }) => stops.drain.raise(StopLevel::Now),
            Ok(_) => {}
            Err(error) => tracing::warn!("cannot renew the lease: {error}"),
        }
        // An error is reported above, unless gone by the next round.
        for (run, phase, hold) in store.stopped_phases(&id).await.unwrap_or_default() {
            stops.phases.stop(&(run, phase), hold);
        }
    }
}

/// Stop signals received by this process: Ctrl-C, SIGTERM and SIGHUP.
#[derive(Debug)]
pub struct Signals {
    handle: StopHandle,
    terminated: std::sync::Arc<Mutex<bool>>,
    /// Set by `stop --after-current`.
    winding_down: watch::Sender<bool>,
}

impl Signals {
    /// Starts to listen: SIGINT, SIGTERM and SIGHUP raise the stop level instead of ending the process. A SIGHUP
    /// ignored at start stays ignored.
    ///
    /// # Errors
    ///
    /// A signal handler cannot be installed.
    pub fn listen(handle: StopHandle) -> anyhow::Result<Self> {
        Self::listen_with(
            handle,
            "stopping: running phases are ended and queued again; repeat to kill them",
        )
    }

    /// Like [`listen`](Self::listen), for work other than phases: `stopping` is said at the first signal.
    ///
    /// # Errors
    ///
    /// A signal handler cannot be installed.
    pub fn listen_with(handle: StopHandle, stopping: &'static str) -> anyhow::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut hangup = match is_hangup_ignored() {
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
                        // A closing terminal may send two signals, from the kernel and from the shell.
                        () = next(&mut hangup) => {
                            *lock(&terminated) = true;
                            handle.raise(StopLevel::Graceful);
                        }
                    }
                    if before < StopLevel::Graceful && handle.level() == StopLevel::Graceful {
                        tracing::info!(target: crate::progress::NOTES, "{stopping}");
                    }
                }
            }
        });
        Ok(Self { handle, terminated, winding_down: watch::Sender::new(false) })
    }

    /// Returns a receiver for the request to finish running phases and start no others.
    pub(super) fn winding_down(&self) -> watch::Receiver<bool> {
        self.winding_down.subscribe()
    }

    /// Whether a signal has stopped the work.
    pub fn has_stopped(&self) -> bool {
        self.handle.level() > StopLevel::Run
    }

    /// Returns the exit code: SIGTERM and SIGHUP share a code; every other stop is an interrupt.
    pub fn exit(&self) -> Exit {
        if *lock(&self.terminated) { Exit::Terminated } else { Exit::Interrupted }
    }
}

/// Checks whether autopack was started with SIGHUP ignored, as by `nohup`: autopack should then outlive the
/// terminal.
fn is_hangup_ignored() -> bool {
    let mut set = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present action, for which all zeros are a valid
    // value.
    unsafe {
        libc::sigaction(libc::SIGHUP, std::ptr::null(), set.as_mut_ptr());
        set.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Waits for the next signal of this kind; forever if the signal is ignored.
async fn next(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => drop(signals.recv().await),
        None => std::future::pending().await,
    }
}

fn lock(flag: &Mutex<bool>) -> std::sync::MutexGuard<'_, bool> {
    flag.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns a number unique together with the pid, even if a pid is reused.
fn nanoseconds() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_nanos())
}
