//! What the supervisor and the first process of a view tell each other.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::step_error::{Step, StepError};
use crate::process::protocol::{self, SupervisorMessage};

/// Report of the init process to the supervisor: one of the first two, then `Ended`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InitReport {
    Started,
    Refused(SupervisorMessage),
    Ended { code: Option<i32>, signal: Option<i32>, left: u32 },
}

/// Sends a report of the init process.
pub(super) fn send(to: &mut io::PipeWriter, report: &InitReport) {
    // Without a supervisor, nobody reads reports.
    let _ = to.write_all(&protocol::line(report));
}

/// Waits until the ids of this process are mapped. Fails if the supervisor is gone.
pub(super) fn wait_until_mapped(mapped: &mut io::PipeReader) -> Result<(), StepError> {
    let mut byte = [0];
    mapped.read_exact(&mut byte).step("wait for the supervisor")
}

/// Whether the supervisor still runs.
pub(super) fn is_supervised(mapped: &io::PipeReader) -> bool {
    let mut files = [PollFd::new(mapped.as_fd(), PollFlags::POLLIN)];
    let closed = PollFlags::POLLHUP | PollFlags::POLLERR;
    matches!(poll(&mut files, PollTimeout::ZERO), Ok(0))
        || !files[0].revents().is_some_and(|found| found.intersects(closed))
}
