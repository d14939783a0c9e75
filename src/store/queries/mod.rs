//! Reads of the store. Nothing here writes.

pub mod attempt_history;
pub mod run_facts;
pub mod snapshots;
pub mod wait_reasons;
