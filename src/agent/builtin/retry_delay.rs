//! Delay before a request is repeated.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(400);
const LONGEST: Duration = Duration::from_secs(20);

/// Doubles with each failure; half of the delay is random, so that clients do not return all at once.
pub(super) fn backoff(failures: u32) -> Duration {
    let whole = FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST);
    whole / 2 + (whole / 2).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        for (failures, least, most) in
            [(1, 200, 400), (2, 400, 800), (3, 800, 1_600), (60, 10_000, 20_000)]
        {
            let wait = backoff(failures).as_millis();
            assert!((least..=most).contains(&wait), "{failures}: {wait}");
        }
    }
}
