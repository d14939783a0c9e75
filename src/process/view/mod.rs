//! The view of a program: the visible files, processes and network of the machine.
//!
//! `spec` describes a view, without knowing slots; `workspace::view` decides the contents. On Linux, the supervisor
//! builds the view between fork and exec: `namespaces` starts the first process of the view, `init_process` makes the
//! `mounts` and starts the program. Where namespaces are refused, `landlock` restricts the program on the real file
//! system. `agent_needs` lists the needs of a coding agent in a view.

pub mod agent_needs;
mod child_view;
mod probe;
pub mod spec;

mod devices;
mod init_channel;
mod init_process;
mod landlock;
mod mount_calls;
mod mounts;
mod namespaces;
mod network;
mod privileges;
mod separate_directory;
mod step_error;

pub use child_view::{ChildView, enter};
pub(super) use landlock::restrict;
pub(super) use namespaces::ViewInit;
pub(super) use network::receive_listeners;
pub use probe::{probe, probe_nesting, probe_overlay};
pub use spec::{Access, LandlockRules, Mount, NetworkView, ViewMode, ViewSpec};

/// How the program of a view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProgramEnd {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal that killed the program.
    pub signal: Option<i32>,
    /// Number of remaining processes.
    pub left: u32,
}
