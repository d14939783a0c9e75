//! Reads of the store. Nothing here writes.

pub mod agent_sessions;
pub mod attempt_history;
pub mod database_facts;
pub mod id_lookup;
pub mod in_flight;
pub mod landings;
pub mod metric_rows;
pub mod name_listing;
pub mod overlaps;
pub mod phase_usage;
pub mod run_facts;
pub mod snapshots;
pub mod undone_landings;
pub mod wait_reasons;
