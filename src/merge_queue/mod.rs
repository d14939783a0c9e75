//! Merge queue of a run: the order in which finished attempts land, of all workers and drains.
//!
//! A member takes a position in the store. Its commit is made on the commit of the member before it, landed or not, and
//! CI tests exactly that tree, beside the tests of the other members. A member lands once all before it have landed and its
//! own test is green. If a member leaves, those behind it are made again on what is left, and tested again. So CI runs once
//! for each landing in the good case, and nothing lands that was not tested.
//!
//! The store gives the order, git decides: a landing moves the branch only from the commit that was tested.

pub mod ci_company;
pub mod ci_permits;
pub mod member_step;
pub mod queue_changes;
pub mod red_doubt;
pub mod test_history;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::CiSettings;
use crate::phase::{PhaseId, RunId};
use ci_permits::CiPermits;
use queue_changes::QueueChanges;
use test_history::{TestHistory, TestMode};

/// Workers with one other member at most: one run of CI at a time about keeps up with them.
const FEW_WORKERS: u32 = 2;
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// State of the merge queue shared by the workers of a drain.
#[derive(Debug)]
pub struct MergeQueue {
    /// Changes of the queue by this drain.
    pub changes: QueueChanges,
    /// Permits for runs of CI.
    pub permits: Arc<CiPermits>,
    /// Most members tested at once, if configured.
    parallel: Option<u32>,
    histories: Mutex<HashMap<RunId, TestHistory>>,
    /// Phases on their way through the queue in this drain.
    present: Arc<Mutex<HashSet<(RunId, PhaseId)>>>,
    workers: u32,
}

/// Marks a phase as being on its way through the queue, until dropped.
#[derive(Debug)]
pub struct Presence {
    phase: (RunId, PhaseId),
    present: Arc<Mutex<HashSet<(RunId, PhaseId)>>>,
}

impl MergeQueue {
    /// Creates the state for a drain. `directory` has the locks that all drains of the repository share.
    pub fn new(settings: &CiSettings, directory: &Path) -> Self {
        let changes = QueueChanges::default();
        let permits = CiPermits::new(directory, settings, changes.notifier());
        Self {
            changes,
            permits: Arc::new(permits),
            parallel: settings.parallel,
            histories: Mutex::default(),
            present: Arc::default(),
            workers: 1,
        }
    }

    /// Sets the number of workers.
    pub fn set_workers(&mut self, workers: u32) {
        self.workers = workers;
    }

    /// Returns whether this drain has several workers, whose members build on each other.
    pub fn is_shared(&self) -> bool {
        self.workers > 1
    }

    /// Marks a phase as being on its way through the queue.
    pub fn presence(&self, run: &RunId, phase: &PhaseId) -> Presence {
        let phase = (run.clone(), phase.clone());
        locked(&self.present).insert(phase.clone());
        Presence { phase, present: Arc::clone(&self.present) }
    }

    /// Returns whether a phase is on its way through the queue in this drain.
    pub fn is_present(&self, run: &RunId, phase: &PhaseId) -> bool {
        locked(&self.present).contains(&(run.clone(), phase.clone()))
    }

    /// Returns the number of members of a run that may be tested at once.
    pub fn depth(&self, run: &RunId) -> usize {
        match self.mode(run) {
            TestMode::OneAtATime => 1,
            TestMode::InQueue | TestMode::AloneFirst => {
                self.parallel.map_or(usize::MAX, |parallel| parallel as usize)
            }
        }
    }

    /// Returns how changes of a run are tested.
    pub fn mode(&self, run: &RunId) -> TestMode {
        match self.history(run, |history| history.mode()) {
            // The second run of CI for each change costs more than waiting for the others does.
            TestMode::AloneFirst if self.is_one_enough(run) => TestMode::OneAtATime,
            mode => mode,
        }
    }

    /// Returns whether one run of CI at a time about keeps up with the workers.
    fn is_one_enough(&self, run: &RunId) -> bool {
        let (has_other_drains, agent) =
            self.history(run, |history| (history.has_other_drains, history.agent_time()));
        if has_other_drains || self.workers <= FEW_WORKERS {
            return !has_other_drains;
        }
        let ci = self.permits.mean_duration();
        ci.zip(agent).is_some_and(|(ci, agent)| ci * self.workers <= agent + ci)
    }

    /// Returns whether a test waits for the runs of CI that go on, because it gains little beside them, and when to ask again.
    /// `starts`: the test of another member is about to start. If the test is green, it ends sooner by what remains of the others.
    /// If it is red, it is in doubt because of them, and repeated.
    pub fn pause(&self, run: &RunId, starts: bool) -> Option<Duration> {
        let remaining = self.permits.remaining(starts).filter(|_| self.is_one_enough(run))?;
        let red_rate = self.history(run, |history| history.red_rate());
        let wait = || remaining.of.mul_f64(remaining.share + red_rate).max(SHORTEST_PAUSE);
        (remaining.share <= red_rate).then(wait)
    }

    /// Reads or extends the test history of a run.
    pub fn history<T>(&self, run: &RunId, with: impl FnOnce(&mut TestHistory) -> T) -> T {
        with(locked(&self.histories).entry(run.clone()).or_default())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        locked(&self.present).remove(&self.phase);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
