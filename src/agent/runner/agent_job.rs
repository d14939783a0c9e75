//! What every program that is an agent is started as, and what is said when its time is over.

use std::ffi::OsString;
use std::time::Duration;

use crate::agent::{Outcome, Task};
use crate::process::Job;
use crate::process::child_env::Env;

impl Task {
    /// The program in its slot, with its log; an attempt's budget may leave it less than its timeout.
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
        // 0 means never: a model may think for longer than any guess.
        job.idle_timeout =
            (idle_timeout_seconds > 0).then(|| Duration::from_secs(idle_timeout_seconds));
        job.log = Some(self.log.clone());
        job.redact = self.redact.clone();
        job.hold = self.hold.clone();
        job
    }
}

/// It ran for as long as a budget allows: its attempt's, or what was left of a larger one.
pub(crate) fn out_of_time(allowed: Duration) -> Outcome {
    Outcome::OverBudget { what: format!("the {} s that were left are over", allowed.as_secs()) }
}
