//! The wall clock: for records and for people, never for leases.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::phase::UnixMs;

/// Before 1970 counts as 1970.
pub fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
