//! CI: chooses a command for a slot, runs it, reads the results and compares them with the baseline.
//!
//! Steps of a judgement, each a function of its own:
//!
//! ```text
//! plan       choose the command: the phase's own, `ci.command`, a detected runner, or none
//! run        run it under the supervisor, read individual results if the runner reports them -> CiRun
//! judge_base judge a run on the base, before an agent is asked (pure)                        -> BaseState
//! compare    find new failures and missing tests, compared with the base (pure)              -> Judgement
//! rerun_plan rerun only the failing tests; merge_rerun: tests that pass then are flaky
//! failure    describe the failure for people and for the next prompt                         -> Failure
//! ```
//!
//! The caller obtains the baseline and applies the verdict to the phase.

mod base_state;
mod ci_failure;
mod ci_plan;
mod command_line;
mod compare;
mod declared_tests;
mod detect;
mod imports;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod likely_cause;
mod lost_tests;
mod merged_runs;
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
mod unnamed_losses;

pub use base_state::{BaseState, base_rerun, judge_base, with_base_rerun};
pub use ci_failure::failure;
pub use ci_plan::{CiPlan, Runner, Site, check_plan};
pub use compare::{Decision, Judgement, Terms, UnreportedFailures, compare, needs_baseline};
pub use imports::{guard_imports, misplaced_imports};
pub use likely_cause::likely_cause;
pub use lost_tests::{files_of, steadied};
pub use merged_runs::{merge_rerun, united};
pub use plan_choice::plan;
pub use printed_losses::search_words;
pub use pythons::Pythons;
pub use results::{CiOutcome, CiRun, TestCase, TestResults, TestStatus, Unstable};
pub use run::{CiError, Request, run};
pub use test_source::Sources;
pub use unnamed_losses::MissingTestCount;
