//! autopack drains a backlog of coding work unattended.
//!
//! A tour, in the order in which a phase passes through:
//!
//! ```text
//! import     a plan, or another system's database    -> RawSpecs
//! store      keeps them; the only SQL
//! phase      the pure core: auto-fixer, scope, states, verdicts
//! drain      the batch loop: recover, repair, claim, execute, finish
//! attempt    one attempt, straight down:
//!   workspace  a slot at the run branch's tip
//!   memory     what earlier phases left: recalled before, remembered after
//!   prompt     what the agent is told
//!   agent      the program that edits
//!   workspace  what changed, on disk
//!   phase      is it in scope, is everything there
//!   ci         is it green, but for what was red before
//!   workspace  landing, fenced
//! progress   what is shown meanwhile; telemetry what is learnt from it; report both, afterwards, as a page
//! ```
//!
//! `health` looks whether a drain could start. `process` is the only place that starts a program, `config` the only reader of files and variables that
//! configure, `clock` the wall clock, `http` the only maker of HTTP clients. `cli` has one file per verb, and nothing
//! imports it. `failure` is what the user sees of an error, and the exit code. `docs/architecture.md` says why it is so.

// Unit tests set up what they test with programs and variables of their own.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod agent;
pub mod attempt;
pub mod ci;
pub mod cli;
pub mod clock;
pub mod config;
pub mod drain;
pub mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod git;
pub mod health;
pub mod http;
pub mod import;
pub mod memory;
pub mod merge_queue;
pub mod phase;
pub mod process;
pub mod progress;
pub mod prompt;
pub mod report;
pub mod store;
pub mod telemetry;
pub mod workspace;
