//! Time since boot, which no clock change moves, and which boot it is.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Milliseconds since boot, time asleep included. Comparable between processes of one boot.
pub fn boot_clock_ms() -> i64 {
    // The call fails only for a clock that the kernel does not have, and CLOCK_BOOTTIME is older
    // than any kernel that Rust's standard library runs on.
    let now = clock_gettime(CLOCK).map(Duration::from).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// Names this boot of this machine; `unknown` where the system does not say.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_else(|_| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_and_the_boot_has_one_name() {
        let before = boot_clock_ms();
        assert!(before > 0 && boot_clock_ms() >= before);
        assert_eq!(boot_id(), boot_id());
        assert!(!boot_id().is_empty());
    }
}
