//! Time since boot, unaffected by clock changes, and the identity of the boot.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Returns the milliseconds since boot, sleep included. Comparable between processes of the same boot.
pub fn boot_clock_ms() -> i64 {
    // The call fails only for a clock unknown to the kernel, and CLOCK_BOOTTIME is older than any kernel
    // supported by Rust's standard library.
    let now = clock_gettime(CLOCK).map(Duration::from).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;

/// Returns an identifier of this boot of this machine; `unknown` where the system provides none.
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
