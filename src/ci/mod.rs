//! CI: chooses a command for a slot, runs it, reads the results and compares them with the baseline.
//!
//! Steps of a comparison, each a function of its own:
//!
//! ```text
//! choose_plan      choose the command: the phase's own, `ci.command`, a detected runner, or none
//! run              run it under the supervisor, read individual results if the runner reports them -> CiRun
//! judge_base       judge a run on the base, before an agent is asked (pure)                        -> BaseState
//! compare          find new failures and missing tests, compared with the base (pure)              -> Comparison
//! rerun_plan       rerun only the failing tests; merge_rerun: tests that pass then are flaky
//! describe_failure describe the failure for people and for the next prompt                         -> Failure
//! ```
//!
//! The caller obtains the baseline and applies the verdict to the phase. What is particular to a test runner is in the
//! registry `runners`, one file for each; nothing else asks for a runner by name.

mod base_state;
mod ci_failure;
mod ci_place;
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
mod name_list;
mod plan_choice;
mod plan_note;
mod printed_losses;
mod project_files;
mod projects;
mod pythons;
mod results;
mod run;
mod run_outcome;
mod runners;
mod sandbox_causes;
mod test_source;
mod unnamed_losses;

pub use base_state::{BaseState, judge_base, merge_base_rerun, plan_base_rerun};
pub use ci_failure::describe_failure;
pub use ci_place::CiPlace;
pub use ci_plan::{CiPlan, check_plan};
pub use compare::{
    Comparison, ComparisonRules, Decision, UnreportedFailures, compare, needs_baseline,
};
pub use imports::{find_misplaced_imports, guard_imports};
pub use likely_cause::{likely_cause, mentions_withheld, name_withheld};
pub use lost_tests::{files_of, mark_unstable};
pub use merged_runs::{merge_rerun, merge_runs};
pub use plan_choice::choose_plan;
pub use printed_losses::search_words;
pub use pythons::Pythons;
pub use results::{CiOutcome, CiRun, TestCase, TestResults, TestStatus, UnstableTests};
pub use run::{CiError, CiRequest, run};
pub use sandbox_causes::name_sandbox_keys;
pub use test_source::Sources;
pub use unnamed_losses::MissingTestCount;
