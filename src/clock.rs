//! The wall clock: for records and for people, never for leases.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::phase::UnixMs;

/// Returns the current time; times before 1970 count as 1970.
pub fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
