//! Limits on attempts: rate limits, repeated errors and verdicts, full disks.

pub mod disk_shortage;
pub mod rate_limit_backoff;
pub mod repeated_verdicts;
