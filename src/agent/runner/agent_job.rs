//! Common start parameters of agent programs, and the outcome of running out of time.

use std::ffi::OsString;
use std::time::Duration;

use crate::agent::{Outcome, Task};
use crate::process::Job;
use crate::process::child_env::Env;

impl Task {
    /// Creates the job in the slot, with the log; an attempt's budget may shorten the timeout.
    pub(crate) fn job(
        &self,
        argv: Vec<OsString>,
        env: Env,
        timeout_seconds: u64,
        idle_timeout_seconds: u64,
    ) -> Job<'static> {
        let timeout = Duration::from_secs(timeout_seconds);
        let timeout = self.budget.wall_time.map_or(timeout, |wall| wall.min(timeout));
        let mut job = Job::new(argv, &self.worktree, env, timeout);
        // 0 means never: a model may think for any length of time.
        job.idle_timeout =
            (idle_timeout_seconds > 0).then(|| Duration::from_secs(idle_timeout_seconds));
        job.log = Some(self.log.clone());
        job.redact = self.redact.clone();
        job.hold = self.hold.clone();
        job
    }
}

/// Returns the outcome of a program that used up a budget's time: of the attempt, or the rest of a larger
/// budget.
pub(crate) fn out_of_time(allowed: Duration) -> Outcome {
    Outcome::OverBudget { what: format!("used up the remaining {} s", allowed.as_secs()) }
}
