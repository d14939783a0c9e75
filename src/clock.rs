//! The wall clock: for records and for people, never for leases.
//!
//! Machines that share a database compare times, and their clocks may differ by hours. So with a database at a server, the clock
//! of the server counts: each answer with the server's time bounds the difference between that clock and this machine's time since
//! boot, which changes neither with a corrected wall clock nor with a suspend.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::phase::UnixMs;

/// The server's clock minus the time since boot, in milliseconds.
static SERVER_OFFSET: AtomicI64 = AtomicI64::new(UNKNOWN);
/// No server has answered: the clock of this machine counts.
const UNKNOWN: i64 = i64::MIN;

/// Returns the current time: of the database's server, if there is one, else of this machine. Times before 1970 count as 1970.
pub fn now() -> UnixMs {
    match SERVER_OFFSET.load(Ordering::Relaxed) {
        UNKNOWN => machine_now(),
        offset => UnixMs(boot_clock_ms().saturating_add(offset).max(0)),
    }
}

/// Returns the current time of this machine's clock, for times that a person of this machine names and for files.
pub fn machine_now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Returns how far this machine's clock is ahead of the server's, in milliseconds; negative if behind. `None` without a server.
pub fn machine_lead_ms() -> Option<i64> {
    let is_known = SERVER_OFFSET.load(Ordering::Relaxed) != UNKNOWN;
    is_known.then(|| machine_now().0.saturating_sub(now().0))
}

/// Returns the milliseconds since boot, sleep included. Comparable between processes of the same boot.
pub fn boot_clock_ms() -> i64 {
    // The call fails only for a clock unknown to the kernel, and CLOCK_BOOTTIME is older than any kernel
    // supported by Rust's standard library.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// A question to a server for its time.
#[derive(Clone, Copy, Debug)]
pub struct TimeQuestion {
    asked_at: i64,
}

impl TimeQuestion {
    /// Notes that the server is asked now.
    pub fn begin() -> Self {
        Self { asked_at: boot_clock_ms() }
    }

    /// Takes over the server's time, in milliseconds since 1970.
    pub fn answer(self, server_ms: i64) {
        let (low, high) = (server_ms - boot_clock_ms(), server_ms - self.asked_at);
        let before = SERVER_OFFSET.load(Ordering::Relaxed);
        SERVER_OFFSET.store(bounded(before, low, high), Ordering::Relaxed);
    }
}

/// Returns the offset after an answer, which the server gave between the question and now: the one before, if possible, so that the
/// time of an answer's way does not make the clock jump.
fn bounded(before: i64, low: i64, high: i64) -> i64 {
    match before {
        UNKNOWN => low + (high - low) / 2,
        before => before.clamp(low, high.max(low)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_moves_the_offset_only_as_far_as_it_must() {
        assert_eq!(bounded(UNKNOWN, 1000, 1010), 1005);
        for (before, after) in [(1003, 1003), (900, 1000), (5_000_000, 1010), (-7, 1000)] {
            assert_eq!(bounded(before, 1000, 1010), after);
        }
    }

    #[test]
    fn the_servers_clock_replaces_the_machines() {
        let hour = 3_600_000;
        TimeQuestion::begin().answer(machine_now().0 + hour);
        let lead = machine_lead_ms().unwrap();
        assert!((lead + hour).abs() < 60_000, "{lead}");
        assert!(now().0 > machine_now().0 + hour / 2);
        SERVER_OFFSET.store(UNKNOWN, Ordering::Relaxed);
    }
}
