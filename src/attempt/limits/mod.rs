//! What holds attempts back or ends a drain early: rate limits, errors and verdicts that repeat, disks that are full.

pub mod disk_shortage;
pub mod rate_limit_backoff;
pub mod repeated_verdicts;
