//! autopack drains a backlog of coding work unattended. It runs on Linux.
//!
//! Modules in the order of a phase's progress:
//!
//! ```text
//! import       plans and databases of other systems    -> RawSpecs
//! store        stored plans, states and attempts; the only SQL
//! phase        the pure core: auto-fixer, scope, states, verdicts
//! drain        the batch loop: recover, repair, claim, attempt, finish
//! attempt      a single attempt, from top to bottom:
//!   workspace    a slot at the tip of the run branch
//!   memory       notes of earlier phases: recalled before, stored after
//!   prompt       the task for the agent
//!   agent        the program that edits
//!   workspace    the changes on disk
//!   phase        scope and deliverables of the changes
//!   ci           tests, except those that failed before
//!   workspace    landing, fenced
//! progress     output during a drain
//! notify       messages about a drain to a command, a webhook or the bell
//! telemetry    samples and estimates from past attempts
//! overview     runs for people: verdict, failures, next commands
//! report       a page about a finished run
//! publish      pull requests of a run, and comments on its issues
//! ```
//!
//! `health` looks whether a drain could start. `process` is the only place that starts a program, `config` the only reader of files and variables that
//! configure, `clock` the wall clock, `schema_version` the migrations of both databases, `sqlite_pool` what their pools have in common, `http` the only maker of HTTP clients, `parallel` uses all processors. `cli` has one file per verb, and nothing
//! imports it. `failure` is what the user sees of an error, and the exit code. `docs/architecture.md` says why it is so.

// Unit tests use programs and variables of their own.
#![cfg_attr(test, allow(clippy::disallowed_methods))]
#![deny(missing_docs, clippy::missing_errors_doc)]

pub mod agent;
pub mod attempt;
pub mod ci;
pub mod cli;
pub mod clock;
pub mod config;
pub mod drain;
pub mod failure;
mod file_stamp;
pub mod forge;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod git;
pub mod health;
pub mod http;
pub mod import;
pub mod memory;
pub mod merge_queue;
pub mod notify;
pub mod overview;
mod parallel;
pub mod phase;
pub mod process;
pub mod progress;
pub mod prompt;
pub mod publish;
pub mod report;
mod schema_version;
mod sqlite_pool;
pub mod store;
pub mod telemetry;
pub mod workspace;
