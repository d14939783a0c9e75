//! Reads of the store. Nothing here writes.

pub mod attempt_history;
pub mod id_lookup;
pub mod in_flight;
pub mod overlaps;
pub mod run_facts;
pub mod snapshots;
pub mod wait_reasons;
