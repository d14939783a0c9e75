//! The first process of a view: builds the view, starts the program, and reaps what the program leaves.
//!
//! It runs in a copy of the supervisor, without another exec. Its end ends every process of the view: the kernel kills
//! all processes of a PID namespace together with the first.

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, geteuid, setpgid};

use super::init_channel::{InitReport, is_supervised, send, wait_until_mapped};
use super::landlock;
use super::mounts;
use super::network;
use super::privileges;
use super::spec::{NetworkView, ViewSpec};
use super::step_error::{Step, StepError};
use crate::process::program_start;
use crate::process::protocol::{ProgramSpec, SupervisorMessage};

/// Runs the init process to its end.
pub(super) fn run(
    spec: &ProgramSpec,
    view: &ViewSpec,
    listeners: Option<RawFd>,
    mut mapped: io::PipeReader,
    mut report_to: io::PipeWriter,
) -> ! {
    let built = wait_until_mapped(&mut mapped).and_then(|()| prepare(view, listeners, &mapped));
    let started = match built {
        Err(error) => Err(SupervisorMessage::NoView { why: error.to_string() }),
        Ok(()) => start(spec, view),
    };
    let program = match started {
        Ok(program) => program,
        Err(refusal) => {
            send(&mut report_to, &InitReport::Refused(refusal));
            exit(1)
        }
    };
    send(&mut report_to, &InitReport::Started);
    // With these open, the program's output would not end with the program.
    let _ = program_start::release_standard_files();
    let (code, signal) = wait_for(program);
    send(&mut report_to, &InitReport::Ended { code, signal, left: count_others() });
    exit(0)
}

/// Ends this process without running what the supervisor registered for its own end.
fn exit(code: i32) -> ! {
    // SAFETY: ends the process; there is no state to keep.
    unsafe { libc::_exit(code) }
}

fn prepare(
    view: &ViewSpec,
    listeners: Option<RawFd>,
    mapped: &io::PipeReader,
) -> Result<(), StepError> {
    // Not in the supervisor's group: signals for the group are for the view alone.
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).step("create a process group")?;
    nix::sys::prctl::set_name(c"ap-init").step("name the process")?;
    program_start::die_with_parent().step("follow the supervisor's end")?;
    if !is_supervised(mapped) {
        exit(1);
    }
    if let NetworkView::Limited { ports } = &view.network {
        network::start_loopback().step("start the loopback interface")?;
        if let Some(socket) = listeners {
            // SAFETY: the drain left this file open for the view, and this is its only user here.
            let socket = unsafe { OwnedFd::from_raw_fd(socket) };
            network::offer_listeners(&socket, ports).step("listen for the program")?;
        }
    }
    mounts::build(view, geteuid().is_root())?;
    // The present directory is one of the machine, not of the view.
    chdir("/").step("enter the view")?;
    // The files of this process are not for the program.
    nix::sys::prctl::set_dumpable(false).step("close the process to others")?;
    Ok(())
}

fn start(spec: &ProgramSpec, view: &ViewSpec) -> Result<Pid, SupervisorMessage> {
    let view = view.clone();
    program_start::start(spec, move || {
        privileges::leave_session_keyring();
        privileges::drop_dangerous_capabilities()?;
        landlock::restrict_in_namespaces(&view);
        nix::sys::prctl::set_no_new_privs()?;
        Ok(())
    })
}

/// Reaps every process until the program ends; returns the exit code or the signal.
fn wait_for(program: Pid) -> (Option<i32>, Option<i32>) {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => return (Some(code), None),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                return (None, Some(signal as i32));
            }
            Err(Errno::ECHILD) => return (None, Some(Signal::SIGKILL as i32)),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Counts the other living processes of the view.
fn count_others() -> u32 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let alive = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
    };
    let own = std::process::id() as i32;
    pids.filter(|pid| *pid != own && alive(pid)).count().try_into().unwrap_or(u32::MAX)
}
