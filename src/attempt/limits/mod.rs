//! Limits on attempts: rate limits, repeated errors and verdicts, full disks.

pub mod disk_space;
pub mod rate_limit_backoff;
pub mod repeated_verdicts;
