//! Stop signals of single attempts: `stop PHASE` ends an attempt, and the drain goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::phase::{PhaseId, RunId};
use crate::process::{StopHandle, StopLevel, StopReceiver};
use crate::store::Hold;

type Handles = HashMap<(RunId, PhaseId), StopHandle>;

/// Stop signals of the running attempts of a drain, by phase.
#[derive(Clone, Debug, Default)]
pub(super) struct PhaseStops(Arc<Mutex<Handles>>);

/// Stop signal of an attempt, raised with all attempts of the owner or alone.
#[derive(Debug)]
pub(super) struct AttemptStop {
    own: StopHandle,
    all: StopReceiver,
}

impl PhaseStops {
    /// Creates the stop signal of an attempt. `all` stops all attempts of the owner.
    pub fn add(&self, phase: (RunId, PhaseId), all: StopReceiver) -> AttemptStop {
        let own = StopReceiver::pair().0;
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handles.retain(|_, handle| handle.is_watched());
        handles.insert(phase, own.clone());
        AttemptStop { own, all }
    }

    /// Stops the attempt of a phase, if there is one.
    pub fn stop(&self, phase: &(RunId, PhaseId), hold: Hold) {
        let handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles.get(phase) {
            handle.raise(match hold {
                Hold::Graceful => StopLevel::Graceful,
                Hold::Now => StopLevel::Now,
            });
        }
    }
}

impl AttemptStop {
    /// Returns a receiver for the attempt.
    pub fn watch(&self) -> StopReceiver {
        self.own.watch()
    }

    /// Runs an attempt; stops of the owner reach the attempt meanwhile.
    pub async fn during<T>(&self, attempt: impl Future<Output = T>) -> T {
        tokio::select! {
            result = attempt => result,
            never = self.own.forward(&self.all) => match never {},
        }
    }
}
