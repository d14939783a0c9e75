//! The value of `--since`: a date, a time, or an age. Selects attempts that ended since then.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::phase::UnixMs;

/// Start of the selected period, absolute or relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartTime {
    /// Absolute time.
    At(UnixMs),
    /// Age relative to now.
    Ago(Duration),
}

impl StartTime {
    /// Returns the absolute time, with ages subtracted from `now`.
    pub(super) fn to_absolute(self, now: UnixMs) -> UnixMs {
        match self {
            Self::At(at) => at,
            Self::Ago(age) => {
                UnixMs(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
            }
        }
    }
}

impl FromStr for StartTime {
    type Err = String;

    /// Parses a start time. Dates and times without an offset are UTC, as in the export.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let at = |time: Timestamp| StartTime::At(UnixMs(time.as_millisecond()));
        let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        if let Some(age) = age(text) {
            return Ok(StartTime::Ago(age));
        }
        // `Date` also accepts a date with a time and would drop the time, so only short texts count as dates.
        let found = match text.parse::<Date>() {
            Ok(date) if text.len() <= "2026-01-31".len() => {
                utc(date.to_datetime(Default::default()))
            }
            _ => text
                .parse::<Timestamp>()
                .ok()
                .or_else(|| text.parse::<DateTime>().ok().and_then(utc)),
        };
        found.map(at).ok_or_else(|| {
            "expected a date (2026-01-31), a time (2026-01-31T08:00:00Z) or an age (90s, 30m, 12h, 7d, 2w)"
                .to_owned()
        })
    }
}

/// Parses an age: an integer and a unit of `s m h d w`.
fn age(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok()).flatten()?;
    Some(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_ages_are_parsed() {
        let ms = |text: &str| {
            text.parse::<StartTime>().unwrap().to_absolute(UnixMs(1_000_000_000_000)).0
        };
        assert_eq!(ms("2026-01-31"), 1_769_817_600_000);
        assert_eq!(ms("2026-01-31T00:00:00Z"), ms("2026-01-31"));
        assert_eq!(ms("2026-01-31T01:00:00+01:00"), ms("2026-01-31"));
        assert_eq!(ms("2026-01-31T00:00:00"), ms("2026-01-31"));
        assert_eq!(ms("2026-01-31 00:00:00.5"), ms("2026-01-31") + 500);
        assert_eq!(ms("7d"), 1_000_000_000_000 - 7 * 86_400_000);
        assert_eq!(ms("90m"), ms("5400s"));
        assert_eq!(ms("2w"), ms("14d"));
        assert!(ms("999999999999999999h") < 0);
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", "d", "yesterday", "7", "-7d", "7 d", "7é", "2026-13-01", "2026-01-31T25:00:00Z"]
        {
            assert!(text.parse::<StartTime>().is_err(), "{text}");
        }
    }
}
