//! CI: what to run in a slot, running it, reading its result, and comparing that with the baseline.
//!
//! The order of a judgement, each step a function of its own:
//!
//! ```text
//! plan       what to run here: the phase's command, `ci.command`, a detected runner, or nothing
//! run        run it under the supervisor, read single results where the runner gives them -> CiRun
//! compare    what is red now and was not at the base (pure)                               -> Judgement
//! rerun_plan only the failing tests once more, and merge_rerun: what passes then is flaky
//! failure    what people and the next prompt are told                                     -> Failure
//! ```
//!
//! Where the baseline comes from and what a verdict does to the phase is the caller's affair.

mod cargo_names;
mod cargo_test;
mod command_line;
mod compare;
mod detect;
mod failure;
mod go;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod junit;
mod outcome;
mod paths;
mod plan;
mod python;
mod report;
mod results;
mod run;

pub use compare::{Decision, Judgement, compare, merge_rerun, needs_baseline};
pub use failure::failure;
pub use plan::{CiPlan, Runner, Site, check_plan, plan};
pub use python::Pythons;
pub use results::{CiOutcome, CiRun, TestCase, TestResults, TestStatus};
pub use run::{CiError, Request, run};
