//! The attempts that this process executes, and what their files need on their way to the database.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::attempt::AttemptDirectory;
use crate::process::Redactor;
use crate::store::{AttemptKey, ExecutedAttempt, Store};

/// Shared by the tasks of a keeper.
#[derive(Debug)]
pub struct ExecutedHere {
    /// The store.
    pub store: Store,
    /// Directory `.autopack` of this clone.
    pub autopack_dir: PathBuf,
    /// Longest part of a file in the database, in bytes; 0 for none.
    pub limit: u64,
    /// Removes secrets.
    pub redactor: Redactor,
    /// Attempts under way.
    pub running: Mutex<HashMap<AttemptKey, ExecutedAttempt>>,
}

impl ExecutedHere {
    /// Returns the directory of an attempt's files in this clone.
    pub fn directory(&self, attempt: &ExecutedAttempt) -> PathBuf {
        let ExecutedAttempt { run_id, phase_id, attempt, .. } = attempt;
        AttemptDirectory::locate(&self.autopack_dir, run_id, phase_id, *attempt)
    }

    /// Whether the files here are those of the attempt, not of one with the same number in another database.
    pub fn has_files(&self, attempt: &ExecutedAttempt) -> bool {
        AttemptDirectory::at(self.directory(attempt)).owner().as_ref() == Some(&attempt.owner)
    }

    /// Adds an attempt.
    pub fn begin(&self, attempt: ExecutedAttempt) {
        self.running_attempts().insert(attempt.key, attempt);
    }

    /// Removes an attempt.
    pub fn end(&self, attempt: &ExecutedAttempt) {
        self.running_attempts().remove(&attempt.key);
    }

    /// Returns the attempt, if it is under way.
    pub fn running(&self, key: AttemptKey) -> Option<ExecutedAttempt> {
        self.running_attempts().get(&key).cloned()
    }

    /// Whether attempts are under way.
    pub fn is_busy(&self) -> bool {
        !self.running_attempts().is_empty()
    }

    fn running_attempts(&self) -> MutexGuard<'_, HashMap<AttemptKey, ExecutedAttempt>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
