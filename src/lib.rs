//! autopack drains a backlog of coding work unattended.

pub mod config;
pub mod import;
pub mod phase;
