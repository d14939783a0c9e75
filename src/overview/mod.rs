//! Overview of runs for people, at the end of a drain and in `status`: a verdict line for each run, the failures by
//! reason with the next command, waiting phases by reason, the new landings, and how to merge.
//!
//! [`read_run`] reads a run from the store; everything else is pure. Input: store rows. Output: text or JSON.

mod budget_left;
mod failure_groups;
mod next_steps;
mod overview_text;
mod run_overview;
mod text_options;
mod verdict_line;
mod waiting_groups;

pub use failure_groups::FailureGroup;
pub use overview_text::{
    describe_failures, describe_waiting, format_details, format_earlier_cause, format_facts,
    format_next_drain, format_stop_cause, format_verdict,
};
pub use run_overview::{RunOverview, read_run};
pub use text_options::TextOptions;
pub use waiting_groups::{WaitReason, WaitingGroup, fold_waiting};

#[cfg(test)]
mod tests;
