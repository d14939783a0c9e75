//! Merge queue of a run: the landing order of finished attempts, of all workers and drains.
//!
//! A member takes a position in the store. The member's commit is made on the commit of the member before, landed or
//! not. CI tests exactly this tree, beside the tests of the other members. A member lands once all members before have
//! landed and the member's own test is green. If a member leaves, the members behind are made again on the remaining
//! commits, and tested again. So CI runs once for each landing in the good case, and nothing lands untested.
//!
//! The store gives the order, git decides: a landing moves the branch only from the tested commit.

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

/// Number of workers with at most one other member: one run of CI at a time about keeps up with them.
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
    /// Creates the state for a drain. `directory` has the locks shared by all drains of the repository.
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

    /// Returns whether this drain has several workers, with members building on each other.
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

    /// Returns the test mode for changes of a run.
    pub fn mode(&self, run: &RunId) -> TestMode {
        match self.history(run, |history| history.mode()) {
            // The second run of CI for each change costs more than waiting for the others does.
            TestMode::AloneFirst if self.is_one_enough(run) => TestMode::OneAtATime,
            mode => mode,
        }
    }

    /// Returns whether sequential runs of CI about keep up with the workers.
    fn is_one_enough(&self, run: &RunId) -> bool {
        let (has_other_drains, agent) =
            self.history(run, |history| (history.has_other_drains, history.agent_time()));
        if has_other_drains || self.workers <= FEW_WORKERS {
            return !has_other_drains;
        }
        let ci = self.permits.mean_duration();
        ci.zip(agent).is_some_and(|(ci, agent)| ci * self.workers <= agent + ci)
    }

    /// Returns whether a test waits for the runs of CI in progress, because running beside them gains little, and when
    /// to ask again. `starts`: the test of another member is about to start. Without waiting, a green test ends sooner
    /// by the rest of the other runs. A red test is in doubt because of the other runs, and repeated.
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
