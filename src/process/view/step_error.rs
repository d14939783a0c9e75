//! A step of building a view that failed.

use std::fmt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// A step of building a view that failed: `cannot mount /home/me/app: EPERM: Operation not permitted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::process) struct StepError {
    /// The step as a verb phrase.
    step: String,
    path: Option<PathBuf>,
    errno: i32,
}

impl StepError {
    pub fn new(step: &str, errno: Errno) -> Self {
        Self { step: step.to_owned(), path: None, errno: errno as i32 }
    }

    pub fn at(step: &str, path: &Path, errno: Errno) -> Self {
        Self { path: Some(path.to_owned()), ..Self::new(step, errno) }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot {}", self.step)?;
        if let Some(path) = &self.path {
            write!(out, " {}", path.display())?;
        }
        write!(out, ": {}", Errno::from_raw(self.errno))
    }
}

/// Names the step of a failed call.
pub(super) trait Step<T> {
    fn step(self, step: &str) -> Result<T, StepError>;

    fn step_at(self, step: &str, path: &Path) -> Result<T, StepError>;
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, step: &str) -> Result<T, StepError> {
        self.map_err(|errno| StepError::new(step, errno))
    }

    fn step_at(self, step: &str, path: &Path) -> Result<T, StepError> {
        self.map_err(|errno| StepError::at(step, path, errno))
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, step: &str) -> Result<T, StepError> {
        self.map_err(|error| errno_of(&error)).step(step)
    }

    fn step_at(self, step: &str, path: &Path) -> Result<T, StepError> {
        self.map_err(|error| errno_of(&error)).step_at(step, path)
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
