//! Layout of a running drain: a bar, and a line for each running phase. Pure: from figures to fitting lines.
//!
//! `drain` draws from its own events, `status --watch` from the store.

use std::time::Duration;

use console::Style;

use super::screen::Size;
use super::terminal_text::{duration, fill, fit, fit_words, printable, stopwatch, width};

/// Minimum width; smaller reported widths are ignored.
const NARROWEST: usize = 10;
/// Minimum width of a name, cut to a third of the line.
const LEAST_NAME: usize = 8;
/// Maximum width of an agent's name.
const LONGEST_AGENT: usize = 12;
/// Minimum width of a line with names of agents.
const AGENT_COLUMNS: usize = 60;

/// Progress of a backlog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fraction {
    /// Number of settled phases.
    pub done: u64,
    /// Number of all phases.
    pub of: u64,
}

/// A phase in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningPhase {
    /// Name of the phase, with its run if several runs are drained.
    pub name: String,
    /// Number of the counted attempt.
    pub try_number: u32,
    /// Maximum number of counted attempts, if known.
    pub of_tries: Option<u32>,
    /// Time since the claim.
    pub elapsed: Duration,
    /// Name of the agent, once known.
    pub agent: String,
    /// Current activity and its duration.
    pub activity: Option<(String, Duration)>,
}

impl RunningPhase {
    fn tries(&self) -> String {
        match self.of_tries {
            Some(of) => format!("{}/{of}", self.try_number),
            None => format!("attempt {}", self.try_number),
        }
    }
}

/// Returns the usable width: the last column stays free, since some terminals wrap a full line.
pub fn room(size: Size) -> usize {
    size.columns.max(NARROWEST) - 1
}

/// Renders `[████░░░░] 5/12` and further facts, the most important first.
pub fn bar(fraction: Fraction, facts: &[String], columns: usize, color: bool) -> String {
    let mut text = format!(" {}/{}", fraction.done, fraction.of);
    for fact in facts {
        text += &format!(" · {fact}");
    }
    // The facts matter more than a wide bar.
    let left = columns.saturating_sub(width(&text));
    let cells = (columns / 4).min(left).clamp(4, 30);
    let share = fraction.done.min(fraction.of) as f64 / fraction.of.max(1) as f64;
    // Full only if all phases are settled.
    let filled = (share * cells as f64).floor() as usize;
    let style = Style::new().green().force_styling(color);
    let done = style.apply_to("█".repeat(filled));
    let rest = "░".repeat(cells - filled);
    format!("{done}{rest}{}", fit(&text, columns.saturating_sub(cells)))
}

/// Renders a line for each phase, at most `rows`; the last line then counts the rest.
pub fn running(phases: &[RunningPhase], rows: usize, columns: usize, color: bool) -> Vec<String> {
    let widest = |text: fn(&RunningPhase) -> String| {
        phases.iter().map(|phase| width(&text(phase))).max().unwrap_or(0)
    };
    let longest = LEAST_NAME.max(columns / 3).min(columns.saturating_sub(2));
    let name = widest(|phase| fit(&phase.name, LEAST_NAME * 8)).min(longest);
    let (tries, time) = (widest(RunningPhase::tries), widest(|phase| stopwatch(phase.elapsed)));
    let agent = match columns >= AGENT_COLUMNS {
        true => widest(|phase| fit(&phase.agent, LONGEST_AGENT)),
        false => 0,
    };
    let line = |phase: &RunningPhase| {
        let mut facts =
            format!("  {}  {:>time$}  ", fill(&phase.tries(), tries), stopwatch(phase.elapsed));
        if agent > 0 {
            facts += &format!("{}  ", fill(&phase.agent, agent));
        }
        let left = columns.saturating_sub(2 + name + width(&facts));
        let rest = format!("{facts}{}", activity(phase.activity.as_ref(), left));
        let bold = Style::new().bold().force_styling(color);
        let (shown, used) = (fill(&phase.name, name), 2 + name);
        format!("  {}{}", bold.apply_to(shown), fit(&rest, columns.saturating_sub(used)).trim_end())
    };
    clip(phases.iter().map(line).collect(), rows, "running", columns)
}

/// Renders the activity; the text is cut before the time.
fn activity(activity: Option<&(String, Duration)>, columns: usize) -> String {
    let Some((what, since)) = activity else { return String::new() };
    let since = format!(" · {}", stopwatch(*since));
    let room = columns.saturating_sub(width(&since));
    format!("{}{since}", fit_words(printable(what).trim(), room))
}

/// Limits the lines to `rows`; the last line then counts the rest.
pub fn clip(mut lines: Vec<String>, rows: usize, what: &str, columns: usize) -> Vec<String> {
    if lines.len() > rows {
        let more = lines.len() - rows.saturating_sub(1);
        lines.truncate(rows.saturating_sub(1));
        if rows > 0 {
            lines.push(fit(&format!("  … {more} more {what}"), columns));
        }
    }
    lines
}

/// Pace of a backlog, from the attempts that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Number of ended attempts.
    pub attempts: u64,
    /// Number of phases that these attempts settled.
    pub settled: u64,
    /// Sum of the attempts' durations.
    pub busy: Duration,
}

impl Pace {
    /// Estimates the remaining time of `left` phases on this many workers, once several attempts have ended. Time
    /// without a running attempt, such as a rate limit, does not count.
    pub fn time_left(&self, left: u64, workers: u64) -> Option<Duration> {
        const ENOUGH: u64 = 3;
        let is_known = self.attempts >= ENOUGH && self.settled > 0 && left > 0;
        let workers = workers.clamp(1, left.max(1));
        is_known.then(|| self.busy.mul_f64(left as f64 / self.settled as f64 / workers as f64))
    }
}

/// Formats an estimated time without seconds, since an estimate is not that precise.
pub fn roughly(time: Duration) -> String {
    match time.as_secs() {
        0..60 => "a minute".to_owned(),
        60..3600 => format!("{} min", time.as_secs().div_ceil(60)),
        _ => duration(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phase(name: &str, activity: &str) -> RunningPhase {
        RunningPhase {
            name: name.to_owned(),
            try_number: 2,
            of_tries: Some(3),
            elapsed: Duration::from_secs(245),
            agent: "claude".to_owned(),
            activity: Some((activity.to_owned(), Duration::from_secs(12))),
        }
    }

    fn shown(columns: usize) -> String {
        let facts = ["3:12".to_owned(), "about 9 min left".to_owned()];
        let phases = [
            phase("api-routes", "editing src/routes/api.rs"),
            phase(
                "a-phase-with-quite-a-long-name-indeed",
                "running cargo test --workspace --all-features",
            ),
        ];
        let mut lines = vec![bar(Fraction { done: 5, of: 12 }, &facts, columns, false)];
        lines.extend(running(&phases, 9, columns, false));
        lines.join("\n")
    }

    #[test]
    fn layout_fits_80_and_40_columns() {
        insta::assert_snapshot!(shown(79));
        insta::assert_snapshot!(shown(39));
    }

    #[test]
    fn hidden_lines_are_counted() {
        let phases = vec![phase("p", "x"); 7];
        let lines = running(&phases, 3, 79, false);
        assert_eq!((lines.len(), lines[2].as_str()), (3, "  … 5 more running"));
        assert!(running(&phases, 0, 79, false).is_empty());
    }

    #[test]
    fn time_left_comes_from_ended_attempts() {
        let pace = |attempts, settled| Pace {
            attempts,
            settled,
            busy: Duration::from_secs(60 * attempts),
        };
        assert_eq!(pace(2, 2).time_left(10, 1), None);
        assert_eq!(pace(3, 0).time_left(10, 1), None);
        assert_eq!(pace(3, 3).time_left(0, 1), None);
        assert_eq!(pace(3, 3).time_left(10, 1), Some(Duration::from_secs(600)));
        assert_eq!(
            pace(6, 3).time_left(10, 4),
            Some(Duration::from_secs(300)),
            "two attempts each"
        );
        assert_eq!(
            pace(3, 3).time_left(2, 8),
            Some(Duration::from_secs(60)),
            "two workers suffice"
        );
    }

    proptest! {
        #[test]
        fn every_line_fits(name in ".{0,200}", what in ".{0,200}", columns in 9usize..120, done in 0u64..50) {
            let mut lines = running(&[phase(&name, &what), phase("x", "")], 5, columns, false);
            lines.push(bar(Fraction { done, of: 40 }, &[what], columns, false));
            for line in lines {
                prop_assert!(width(&line) <= columns, "{} > {columns}: {line:?}", width(&line));
            }
        }
    }
}
