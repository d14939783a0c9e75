//! What keeps a drain from starting a phase: budgets, rate limits, a full disk.

pub mod admission;
pub mod disk_full_wait;
