//! The queue of phases: claims, their owners, and how an attempt ends.

pub mod activity;
pub mod base_results;
pub mod claim;
pub mod clean_tests;
pub mod dependencies;
pub mod finish;
mod finished_sample;
pub mod key_limits;
pub mod last_drain;
pub mod merge_queue;
pub mod open_undos;
pub mod owners;
pub mod queue_order;
pub mod reclaim;
pub mod recovery_facts;
pub mod repair;
pub mod scope_proposals;
pub mod scope_requests;
pub mod stop_requests;
