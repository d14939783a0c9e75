//! autopack drains a backlog of coding work unattended.

// Unit tests set up what they test with programs and variables of their own.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod agent;
pub mod ci;
pub mod cli;
pub mod clock;
pub mod config;
pub mod drain;
pub mod execute;
pub mod failure;
pub mod health;
pub mod import;
pub mod phase;
pub mod process;
pub mod progress;
pub mod prompt;
pub mod store;
pub mod telemetry;
pub mod workspace;
