//! Times of a time window: a time of day, or a date and time; and lengths.

use std::str::FromStr;

use jiff::civil::{DateTime, Time};
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::failure::{Exit, Failure};

/// A time as written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockTime {
    /// The next time of day.
    Daily(Time),
    /// A date and time of the local time zone.
    Local(DateTime),
    /// A date and time with an offset from UTC.
    Absolute(Timestamp),
}

impl FromStr for ClockTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let expected = "expected a time (07:00) or a date and time (2026-12-01T07:00)";
        let (hours, _) = text.split_once(':').ok_or(expected)?;
        if hours.len() <= 2 {
            let padded = if hours.len() == 1 { format!("0{text}") } else { text.to_owned() };
            let is_clock = padded.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
            let time = padded.parse().ok().filter(|_| is_clock);
            return time.map(Self::Daily).ok_or(expected);
        }
        let absolute = text.parse().ok().map(Self::Absolute);
        absolute.or_else(|| text.parse().ok().map(Self::Local)).ok_or(expected)
    }
}

impl ClockTime {
    /// Returns the first such time after `start`, in the time zone of `start`. A time of day skipped by daylight saving
    /// time is moved by the length of the gap; the first of two equal times is used.
    pub fn next_after(self, start: &Zoned, option: &str) -> Result<Zoned, Failure> {
        let zone = start.time_zone().clone();
        let found = match self {
            Self::Daily(time) => {
                let today = start.date().to_datetime(time).to_zoned(zone.clone())?;
                match today > *start {
                    true => today,
                    false => start.date().tomorrow()?.to_datetime(time).to_zoned(zone)?,
                }
            }
            Self::Local(time) => time.to_zoned(zone)?,
            Self::Absolute(time) => time.to_zoned(zone),
        };
        match found > *start {
            true => Ok(found),
            false => Err(Failure::new(format!(
                "{option} {} is in the past",
                found.strftime("%Y-%m-%d %H:%M")
            ))
            .hint("write a time of day, such as 07:00, for the next such time")
            .exit(Exit::Usage)),
        }
    }
}

/// Parses a length of time, more than zero.
pub(super) fn parse_length(text: &str) -> Result<SignedDuration, String> {
    let expected = "expected a duration such as 6h, 90m or 1h30m";
    let length: SignedDuration = text.trim().parse().map_err(|_| expected.to_owned())?;
    let longest = SignedDuration::from_hours(24 * 366);
    match length.is_positive() && length <= longest {
        true => Ok(length),
        false => Err(format!("{expected}, more than zero and at most a year")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    /// Central European time, without data of the machine.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Zoned {
        text.parse::<DateTime>().unwrap().to_zoned(berlin()).unwrap()
    }

    fn next(time: &str, start: &str) -> String {
        let time: ClockTime = time.parse().unwrap();
        time.next_after(&at(start), "--until").unwrap().strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    #[test]
    fn a_time_of_day_is_the_next_one() {
        assert_eq!(next("23:00", "2026-11-30T22:00"), "2026-11-30 23:00:00");
        assert_eq!(next("07:00", "2026-11-30T22:00"), "2026-12-01 07:00:00");
        assert_eq!(next("7:00", "2026-12-31T22:00"), "2027-01-01 07:00:00");
        assert_eq!(next("22:00", "2026-11-30T22:00"), "2026-12-01 22:00:00");
        assert_eq!(next("22:00:01", "2026-11-30T22:00"), "2026-11-30 22:00:01");
    }

    #[test]
    fn changes_of_daylight_saving_time_are_followed() {
        // 02:30 does not exist on this day.
        assert_eq!(next("02:30", "2026-03-28T22:00"), "2026-03-29 03:30:00");
        let hours = |from: &str, to: &str| {
            let until: ClockTime = to.parse().unwrap();
            let end = until.next_after(&at(from), "--until").unwrap();
            end.duration_since(&at(from)).as_hours()
        };
        assert_eq!(hours("2026-03-28T22:00", "07:00"), 8);
        assert_eq!(hours("2026-10-24T22:00", "07:00"), 10);
        assert_eq!(hours("2026-06-01T22:00", "07:00"), 9);
    }

    #[test]
    fn dates_are_taken_as_they_are_and_refused_in_the_past() {
        assert_eq!(next("2026-12-24T18:00", "2026-11-30T22:00"), "2026-12-24 18:00:00");
        assert_eq!(next("2026-12-24 18:00", "2026-11-30T22:00"), "2026-12-24 18:00:00");
        assert_eq!(next("2026-12-24T18:00:00Z", "2026-11-30T22:00"), "2026-12-24 19:00:00");
        let past: ClockTime = "2026-11-30T21:59".parse().unwrap();
        let failure = past.next_after(&at("2026-11-30T22:00"), "--at").unwrap_err();
        assert_eq!(failure.text(), "--at 2026-11-30 21:59 is in the past");
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "7", "25:00", "07:60", "noon", "7am", "2026-12-24", "07:00 tomorrow"] {
            assert!(text.parse::<ClockTime>().is_err(), "{text}");
        }
        for text in ["", "6", "0h", "-6h", "6x", "2y", "99999h"] {
            assert!(parse_length(text).is_err(), "{text}");
        }
        let hours = |text| parse_length(text).unwrap().as_secs();
        assert_eq!((hours("6h"), hours("90m"), hours("1h30m")), (21_600, 5_400, 5_400));
        assert_eq!((hours("30s"), hours("1h 30m")), (30, 5_400));
    }
}
