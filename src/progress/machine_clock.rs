//! What is said of a machine's clock that differs from the database's.

use std::time::Duration;

use super::duration;
use crate::clock::machine_lead_ms;

/// Smaller differences are not worth a line.
const LARGE: Duration = Duration::from_secs(60);
/// What to do about a wrong clock.
pub const SET_THE_CLOCK: &str = "set it, such as by NTP";

/// Describes a large difference between the clocks of this machine and of the database's server.
pub fn describe_wrong_clock() -> Option<String> {
    describe(machine_lead_ms()?)
}

fn describe(lead_ms: i64) -> Option<String> {
    // Whole minutes: nobody reads 2 h 59 min as three hours.
    let minutes = lead_ms.unsigned_abs().saturating_add(30_000) / 60_000;
    let difference = Duration::from_secs(minutes * 60);
    let side = if lead_ms > 0 { "ahead of" } else { "behind" };
    (difference >= LARGE).then(|| {
        format!(
            "this machine's clock is {} {side} the database's, which counts",
            duration(difference)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_large_difference_is_told() {
        assert_eq!(describe(29_000).or(describe(-29_000)), None);
        let ahead = "this machine's clock is 3 h 00 min ahead of the database's, which counts";
        assert_eq!(describe(3 * 3_600_000 - 7).as_deref(), Some(ahead));
        assert!(describe(-90_000).unwrap().contains(" 2 min 00 s behind the "));
    }
}
