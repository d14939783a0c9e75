//! Reasons for a drain to start no phase: budgets, rate limits, a full disk.

pub mod admission;
pub mod disk_full_wait;
