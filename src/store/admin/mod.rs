//! What operators and imports do to runs and phases.

pub mod copy;
pub mod evidence;
pub mod import_plan;
pub mod import_report;
pub mod operator_actions;
pub mod operator_control;
pub mod publications;
pub mod queue_move;
pub mod remove_run;
pub mod reverts;
pub mod run_settlement;
pub mod run_sources;
pub mod run_updates;
mod scope_acceptance;
pub mod source_parts;
pub(super) mod source_removals;
pub mod source_settlement;
mod stored_comparison;
pub mod sync_run;
mod synced_issues;
pub mod undo_candidates;
