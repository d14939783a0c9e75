//! CI: what to run in a slot, running it, reading its result, and comparing that with the baseline.
//!
//! The order of a judgement, each step a function of its own:
//!
//! ```text
//! plan       what to run here: the phase's command, `ci.command`, a detected runner, or nothing
//! run        run it under the supervisor, read single results where the runner gives them -> CiRun
//! judge_base what the same run means at the base, before an agent is asked (pure)         -> BaseState
//! compare    what is red now and was not at the base, and what is gone (pure)             -> Judgement
//! rerun_plan only the failing tests once more, and merge_rerun: what passes then is flaky
//! failure    what people and the next prompt are told                                     -> Failure
//! ```
//!
//! Where the baseline comes from and what a verdict does to the phase is the caller's affair.

mod base_state;
mod ci_failure;
mod ci_plan;
mod command_line;
mod compare;
mod detect;
mod imports;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod likely_cause;
mod lost_tests;
mod node_project;
mod node_scripts;
mod plan_choice;
mod printed_losses;
mod projects;
mod pythons;
mod results;
mod run;
mod run_outcome;
mod runner_paths;
mod runners;
mod test_source;

pub use base_state::{BaseState, base_rerun, judge_base, with_base_rerun};
pub use ci_failure::failure;
pub use ci_plan::{CiPlan, Runner, Site, check_plan};
pub use compare::{
    Decision, Fewer, Judgement, Terms, compare, merge_rerun, needs_baseline, united,
};
pub use imports::{guard_imports, misplaced_imports};
pub use likely_cause::likely_cause;
pub use lost_tests::{Sources, files_of, steadied};
pub use plan_choice::plan;
pub use pythons::Pythons;
pub use results::{CiOutcome, CiRun, TestCase, TestResults, TestStatus, Unstable};
pub use run::{CiError, Request, run};
