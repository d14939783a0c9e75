//! The program of a supervisor: started directly, under Landlock, or in a view of its own.

use std::os::fd::RawFd;

use nix::unistd::Pid;

use super::program_start;
use super::protocol::{ProgramSpec, SupervisorMessage};
use super::view::{self, ProgramEnd, ViewInit, ViewMode};

/// A started program.
pub(super) enum StartedProgram {
    /// A child of the supervisor.
    Child(Pid),
    /// The only child of the first process of a view.
    InView(ViewInit),
}

impl StartedProgram {
    /// Starts the program; `listeners` is the socket for the listeners of a view with a limited network.
    ///
    /// # Errors
    ///
    /// The report for the drain.
    pub fn start(spec: &ProgramSpec, listeners: Option<RawFd>) -> Result<Self, SupervisorMessage> {
        let view = spec.view.as_deref();
        match view.map_or(ViewMode::Off, |view| view.mode) {
            ViewMode::Off => program_start::start(spec, || Ok(())).map(Self::Child),
            ViewMode::Landlock => {
                let view = spec.view.clone();
                let restrict = move || view.as_deref().map_or(Ok(()), view::restrict);
                program_start::start(spec, restrict).map(Self::Child)
            }
            ViewMode::Namespaces => ViewInit::start(spec, listeners).map(Self::InView),
        }
    }

    /// Returns the process whose end is the end of the program.
    pub fn leader(&self) -> Pid {
        match self {
            Self::Child(pid) => *pid,
            Self::InView(init) => init.pid(),
        }
    }

    /// Returns the program's own process id.
    pub fn pid(&self) -> Pid {
        match self {
            Self::Child(pid) => *pid,
            Self::InView(init) => init.program(),
        }
    }

    /// Returns how a program in a view ended, after the leader's end.
    pub fn end_in_view(&mut self) -> Option<ProgramEnd> {
        match self {
            Self::Child(_) => None,
            Self::InView(init) => init.program_end(),
        }
    }
}
