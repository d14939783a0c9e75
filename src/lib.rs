//! autopack drains a backlog of coding work unattended.

pub mod agent;
pub mod config;
pub mod phase;
pub mod process;
pub mod workspace;
