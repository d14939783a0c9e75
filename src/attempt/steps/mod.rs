//! Steps of an attempt, in order of execution, each in a file of its own.

pub mod agent_files;
pub mod agent_step;
pub mod base_step;
pub mod ci_gate;
pub(super) mod ci_run;
mod commit_landing;
pub mod diff_gate;
pub mod finish_step;
pub mod install_step;
pub mod judge_step;
pub mod landing_step;
pub mod lost_work_step;
pub mod measure_step;
mod member_build;
mod member_test;
pub mod memory_step;
pub mod prompt_step;
mod queue_place;
pub mod repeats_step;
pub mod request_step;
pub mod requested_checks;
pub mod scope_step;
pub mod setup_step;
mod shared_members;
