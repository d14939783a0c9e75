//! Telemetry samples and the calibrations learned from them.

pub mod batch_yield;
pub mod calibrations;
pub mod samples;
