//! The supervisor: a small process above each untrusted program.
//!
//! The supervisor starts the program, forwards orders to end it, reports the result, and makes sure that no
//! process is left, even if the drain is killed: the socket to the drain closes then. The supervisor holds
//! the slot's lock until the last process is gone. All decisions, such as timeouts, are the drain's. The
//! supervisor has a single thread with a poll loop and never reads or writes the program's output.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::orders::DrainConnection;
use super::program_start::release_standard_files;
use super::protocol::{Leader, Order, SupervisorMessage};
use super::started_program::StartedProgram;
use super::tree::Tree;
use super::wake::WakeSignal;

/// Interval between kills until all processes are gone.
const KILL_AGAIN: Duration = Duration::from_millis(50);
/// Input, output and errors belong to the program.
const LAST_STANDARD: RawFd = 2;

/// Supervises the program of the drain at the other end of `control`. The files of `held` stay open, and thereby locked,
/// as long as this process lives.
pub(super) fn supervise_main(control: OwnedFd, held: Vec<OwnedFd>) -> ExitCode {
    match supervise(control, &held) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot supervise: {error}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(control: OwnedFd, held: &[OwnedFd]) -> io::Result<()> {
    keep_all_to_ourselves()?;
    let wake = WakeSignal::take()?;
    let mut drain = DrainConnection::new(control.into());
    let Some(spec) = drain.spec()? else { return Ok(()) };
    let listeners = held.last().filter(|_| spec.has_listeners).map(AsRawFd::as_raw_fd);
    let mut program = match StartedProgram::start(&spec, listeners) {
        Ok(program) => program,
        Err(refusal) => return drain.send(&refusal),
    };
    // A dead drain shows in the closed socket, so a failed report is no error.
    let _ = drain.send(&SupervisorMessage::Started { pid: program.pid().as_raw() });
    release_standard_files()?;
    let mut tree = Tree::new(program.leader());
    let ordered = watch(&mut tree, &mut drain, &wake)?;
    tree.kill_remaining();
    let status = tree.wait_for_leader();
    let (code, signal, left) = match program.end_in_view() {
        Some(end) => (end.code, end.signal, end.left),
        None => (status.code(), status.signal(), 0),
    };
    let leader = Leader { code, signal, ordered };
    let _ = drain.send(&SupervisorMessage::Leader(leader));
    tree.kill_until_empty(|| wake.wait(None, Some(KILL_AGAIN)))?;
    let _ = drain.send(&SupervisorMessage::Done { swept: tree.swept().max(left) });
    Ok(())
}

/// Waits for the leader's end. Returns true if the end was ordered.
fn watch(tree: &mut Tree, drain: &mut DrainConnection, wake: &WakeSignal) -> io::Result<bool> {
    let mut ending: Option<Instant> = None;
    loop {
        tree.reap_orphans();
        // Before reading orders: a late order did not end the program.
        if tree.has_leader_ended() {
            return Ok(ending.is_some());
        }
        while let Some(order) = drain.order() {
            match order {
                Order::End { grace_ms } if ending.is_none() => {
                    ending = Some(Instant::now() + Duration::from_millis(grace_ms));
                    tree.ask_to_end();
                }
                Order::End { .. } => {}
                Order::Kill => ending = Some(Instant::now()),
            }
        }
        let left = ending.map(|at| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            tree.kill_with_group();
        }
        wake.wait(drain.socket(), left.map(|left| left.max(KILL_AGAIN)))?;
    }
}

/// Closes on exec all files of the supervisor, and files left open by accident by the drain's parent.
fn keep_all_to_ourselves() -> io::Result<()> {
    // Outside of Linux the list is missing or incomplete.
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten() {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| *number > LAST_STANDARD) {
            // The list itself is open during the reading, and needs no change.
            keep_to_ourselves(number)?;
        }
    }
    Ok(())
}

fn keep_to_ourselves(number: RawFd) -> nix::Result<i32> {
    // SAFETY: `number` is not -1 and is used for this call only, which fails for a closed file.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
}
