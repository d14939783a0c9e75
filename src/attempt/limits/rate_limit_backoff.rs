//! Wait of a rate-limited agent: until the provider's reset time, else with exponential backoff.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::agent::RateLimitReset;
use crate::attempt::millis;
use crate::phase::UnixMs;

const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Reset times more than a month away are ignored as misread.
const FURTHEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Rate limits shared by all attempts of a drain: per agent, the number of limits in a row and the end of the current
/// limit.
#[derive(Debug, Default)]
pub struct Backoff {
    limited_agents: Mutex<HashMap<String, (u32, UnixMs)>>,
}

impl Backoff {
    /// Returns when the agent is ready again.
    pub fn next(&self, agent: &str, until: Option<RateLimitReset>, now: UnixMs) -> UnixMs {
        let mut agents = self.limited_agents.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, limited_until) = agents.entry(agent.to_owned()).or_insert((0, UnixMs(0)));
        // Parallel attempts hit the same limit; they do not count as further limits.
        let same = now.0 < limited_until.0;
        *times += u32::from(!same);
        let reported = match until {
            Some(RateLimitReset::At(at)) => millis(at.since(now)),
            Some(RateLimitReset::After(wait)) => millis(wait),
            None => 0,
        };
        // Reset times in the past are ignored. If an earlier reset time proved too short, the wait grows anyway.
        let wait = match (reported, *times - 1) {
            (0, before) => longer(before),
            (reported, 0) => Duration::from_millis(reported),
            (reported, before) => Duration::from_millis(reported).max(longer(before - 1)),
        };
        let wait = wait.min(FURTHEST);
        let wait = wait + jitter(wait);
        let until = now.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        *limited_until = UnixMs(if same { until.max(limited_until.0) } else { until });
        *limited_until
    }

    /// Returns the end of the agent's limit; a time in the past if there is none.
    pub fn limited_until(&self, agent: &str) -> UnixMs {
        let agents = self.limited_agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.get(agent).map_or(UnixMs(0), |(_, until)| *until)
    }

    /// Returns the shortest wait for a phase limited this many times before, by this or earlier drains.
    pub fn at_least(times_before: u32, now: UnixMs) -> UnixMs {
        let Some(times) = times_before.checked_sub(1) else { return now };
        let wait = longer(times);
        UnixMs(now.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Resets the count after a response of the agent.
    pub fn reset(&self, agent: &str) {
        self.limited_agents.lock().unwrap_or_else(PoisonError::into_inner).remove(agent);
    }
}

fn longer(times_before: u32) -> Duration {
    FIRST.saturating_mul(1 << times_before.min(10)).min(LONGEST)
}

/// Adds up to a tenth, 10 s at most, so that several drains do not retry at the same moment.
fn jitter(wait: Duration) -> Duration {
    (wait / 10).min(Duration::from_secs(10)).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_000_000);

    fn seconds(at: UnixMs) -> i64 {
        (at.0 - NOW.0) / 1000
    }

    /// Returns the waits if the agent retries on time and is limited again each time.
    fn again_and_again(
        backoff: &Backoff,
        agent: &str,
        reported: Option<RateLimitReset>,
        times: usize,
    ) -> Vec<i64> {
        let mut at = NOW;
        let mut wait = || {
            let until = backoff.next(agent, reported, at);
            let wait = (until.0 - at.0) / 1000;
            at = until;
            wait
        };
        (0..times).map(|_| wait()).collect()
    }

    #[test]
    fn parallel_rate_limits_count_once() {
        let backoff = Backoff::default();
        let waits: Vec<i64> = (0..8).map(|_| seconds(backoff.next("a", None, NOW))).collect();
        assert!(waits.iter().all(|wait| (30..=33).contains(wait)), "{waits:?}");
        let later = Some(RateLimitReset::After(Duration::from_secs(600)));
        assert!(seconds(backoff.next("a", later, NOW)) >= 600);
        assert!(
            seconds(backoff.next("a", None, NOW)) >= 600,
            "a reset time holds for all attempts"
        );
    }

    #[test]
    fn reset_time_of_the_provider_is_used() {
        let backoff = Backoff::default();
        let at = backoff.next("a", Some(RateLimitReset::At(UnixMs(NOW.0 + 60_000))), NOW);
        assert!((60..=66).contains(&seconds(at)), "{}", seconds(at));
        let at = backoff.next("b", Some(RateLimitReset::After(Duration::from_secs(7))), NOW);
        assert!((7..=8).contains(&seconds(at)));
    }

    #[test]
    fn past_reset_times_are_ignored_and_too_early_ones_are_extended() {
        let backoff = Backoff::default();
        for until in [
            RateLimitReset::At(UnixMs(0)),
            RateLimitReset::At(UnixMs(i64::MIN)),
            RateLimitReset::After(Duration::ZERO),
        ] {
            let agent = format!("{until:?}");
            let at = backoff.next(&agent, Some(until), NOW);
            assert!((30..=33).contains(&seconds(at)), "{agent}: {}", seconds(at));
        }
        let reported = Some(RateLimitReset::After(Duration::from_secs(1)));
        let waits = again_and_again(&backoff, "hasty", reported, 9);
        assert!(waits[0] <= 2);
        let waits = &waits[1..];
        assert!((30..=33).contains(&waits[0]) && waits[7] >= 3600, "{waits:?}");
        let far = backoff.next("far", Some(RateLimitReset::At(UnixMs(i64::MAX))), NOW);
        assert!(seconds(far) <= 31 * 86_400 + 10);
    }

    #[test]
    fn wait_grows_per_agent_without_a_reset_time() {
        let backoff = Backoff::default();
        let waits = again_and_again(&backoff, "a", None, 9);
        assert!((30..=33).contains(&waits[0]) && (60..=66).contains(&waits[1]), "{waits:?}");
        assert!((3600..=3610).contains(&waits[8]), "{waits:?}");
        assert!(seconds(backoff.next("b", None, NOW)) <= 33);
        backoff.reset("a");
        assert!(seconds(backoff.next("a", None, NOW)) <= 33);
    }
}
