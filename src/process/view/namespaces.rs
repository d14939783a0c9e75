//! Starts the init process of a view in new namespaces, and maps the user's ids.

use std::fs;
use std::io::{self, Write};
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::unistd::{Pid, getegid, geteuid};

use super::ProgramEnd;
use super::init_channel::InitReport;
use super::init_process;
use super::spec::NetworkView;
use super::step_error::{Step, StepError};
use crate::process::fork::fork_with;
use crate::process::protocol::{ProgramSpec, SupervisorMessage};

/// The init process of a view. Its end ends every process of the view.
pub(in crate::process) struct ViewInit {
    pid: Pid,
    reports: io::BufReader<io::PipeReader>,
    /// Closed at the end of the supervisor.
    _alive: io::PipeWriter,
}

impl ViewInit {
    /// Starts the init process, which builds the view and starts the program.
    ///
    /// # Errors
    ///
    /// Why the program cannot be started, as a report for the drain.
    pub fn start(spec: &ProgramSpec, listeners: Option<RawFd>) -> Result<Self, SupervisorMessage> {
        let mut init = Self::create(spec, listeners)
            .map_err(|error| SupervisorMessage::NoView { why: error.to_string() })?;
        match init.report() {
            Some(InitReport::Started) => Ok(init),
            Some(InitReport::Refused(refusal)) => {
                init.reap();
                Err(refusal)
            }
            Some(InitReport::Ended { .. }) | None => {
                init.reap();
                let why = "the first process of the view ended too early".to_owned();
                Err(SupervisorMessage::NoView { why })
            }
        }
    }

    fn create(spec: &ProgramSpec, listeners: Option<RawFd>) -> Result<Self, StepError> {
        let view = spec.view.as_deref().ok_or(Errno::EINVAL).step("read the view")?;
        let (mapped, mut alive) = io::pipe().step("create a pipe")?;
        let (reports, report_to) = io::pipe().step("create a pipe")?;
        let mut flags =
            libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;
        if matches!(view.network, NetworkView::Limited { .. }) {
            flags |= libc::CLONE_NEWNET;
        }
        match fork_with(flags).step("create namespaces")? {
            None => {
                drop((alive, reports));
                init_process::run(spec, view, listeners, mapped, report_to)
            }
            Some(pid) => {
                drop((mapped, report_to));
                let init =
                    |alive| Self { pid, reports: io::BufReader::new(reports), _alive: alive };
                let mapping =
                    map_ids(pid).and_then(|()| alive.write_all(b"m").step("start the view"));
                let init = init(alive);
                if let Err(error) = mapping {
                    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                    init.reap();
                    return Err(error);
                }
                Ok(init)
            }
        }
    }

    /// Returns the process id of the init process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns the program's process id, as seen from outside of the view.
    pub fn program(&self) -> Pid {
        let pid = self.pid;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let first = children.ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
        first.map_or(pid, Pid::from_raw)
    }

    /// Returns how the program ended, after the end of the init process; `None` if the init process was killed first.
    pub fn program_end(&mut self) -> Option<ProgramEnd> {
        match self.report()? {
            InitReport::Ended { code, signal, left } => Some(ProgramEnd { code, signal, left }),
            InitReport::Started | InitReport::Refused(_) => None,
        }
    }

    fn report(&mut self) -> Option<InitReport> {
        let mut line = String::new();
        io::BufRead::read_line(&mut self.reports, &mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    fn reap(&self) {
        while nix::sys::wait::waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }
}

/// Maps ids to themselves: all of them if autopack runs as root, else only the user's own.
fn map_ids(pid: Pid) -> Result<(), StepError> {
    let directory = format!("/proc/{pid}");
    let write = |file: &str, text: &str| {
        let path = format!("{directory}/{file}");
        fs::write(&path, text).step_at("map ids:", path.as_ref())
    };
    if geteuid().is_root() && write("uid_map", &all_ids("/proc/self/uid_map")).is_ok() {
        return write("gid_map", &all_ids("/proc/self/gid_map"));
    }
    // Without this, an unprivileged process could drop a group to gain access.
    write("setgroups", "deny")?;
    let (user, group) = (geteuid(), getegid());
    write("uid_map", &format!("{user} {user} 1\n"))?;
    write("gid_map", &format!("{group} {group} 1\n"))
}

/// Returns a mapping of every id that exists here to itself.
fn all_ids(file: &str) -> String {
    let lines = fs::read_to_string(file).unwrap_or_default();
    let mut mapping = String::new();
    for line in lines.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [inside, _, count] = fields.as_slice() {
            mapping += &format!("{inside} {inside} {count}\n");
        }
    }
    mapping
}
