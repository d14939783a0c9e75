//! What keeps a drain from starting a phase: budgets and rate limits.

pub mod admission;
