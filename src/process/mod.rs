//! The only module that starts programs, with all process handling needed for this.
//!
//! Two entry points. [`tool::output`] is for short helper programs (git, `docker compose`): started directly,
//! output captured whole. [`run`] is for long, untrusted programs (agents, CI, setup commands): each
//! runs under its own supervisor (see [`fork_server`]), which ends the whole process
//! tree even if autopack is killed.
//!
//! Everything a program is started with is passed in: this module reads no configuration. The caller provides
//! a job's environment ([`child_env`]); supervisors and helper programs have autopack's environment, with the
//! caller's changes for helper programs.

#![expect(clippy::disallowed_methods, reason = "the one place that starts programs")]

mod attached;
mod boot_id;
pub mod capture;
pub mod child_env;
pub mod editor;
pub mod fork_server;
pub mod host_place;
#[cfg(any(test, fuzzing))]
pub mod invariants;
pub mod job;
mod job_events;
pub mod lock;
mod log_file;
pub mod pager;
pub mod patch;
pub mod redact;
pub mod stop;
pub mod tool;
pub mod view;
pub mod which;
pub mod wire_string;

mod descendants;
mod encoded;
mod fork;
mod launch;
mod listener_channel;
mod orders;
mod own_executable;
mod path_replacement;
mod pem;
mod program_start;
mod protocol;
mod redact_stream;
mod run_job;
mod secrets;
mod sink;
mod spawn;
mod started_program;
mod supervise;
mod timers;
mod tree;
mod users_checkout_paths;
mod wake;

pub use attached::{ATTACH, attach_main, run_attached};
pub use boot_id::boot_id;
pub use capture::CapturedOutput;
pub use descendants::sweep_marked;
pub use job::{FinishedJob, Job, JobEnd, LineObserver, SpawnError, Stream};
pub use lock::FileLock;
pub use own_executable::use_supervisor;
pub use path_replacement::{PathMatch, PathReplacement};
pub use redact::Redactor;
pub use run_job::run;
pub use stop::{StopHandle, StopLevel, StopReceiver};
pub use tool::{Output, Tool, ToolError, output};
pub use users_checkout_paths::{MissingPathRule, RelocatedEnvironment, UsersCheckout};
