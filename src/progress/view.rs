//! Layout of a running drain: a bar, and a line for each running phase. Pure: from figures to fitting lines.
//!
//! `drain` draws from its own events, `status --watch` from the store.

use std::time::Duration;

use console::Style;

use super::screen::Size;
use super::terminal_text::{fill, fit, printable, stopwatch, width};

/// Minimum width; smaller reported widths are ignored.
const NARROWEST: usize = 10;
/// Minimum width of a name, cut to a third of the line.
const LEAST_NAME: usize = 8;

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
    let cells = (columns / 4).clamp(4, 30);
    let share = fraction.done.min(fraction.of) as f64 / fraction.of.max(1) as f64;
    // Full only if all phases are settled.
    let filled = (share * cells as f64).floor() as usize;
    let style = Style::new().green().force_styling(color);
    let done = style.apply_to("█".repeat(filled));
    let rest = "░".repeat(cells - filled);
    let mut text = format!(" {}/{}", fraction.done, fraction.of);
    for fact in facts {
        text += &format!(" · {fact}");
    }
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
    let line = |phase: &RunningPhase| {
        let facts =
            format!("  {}  {:>time$}  ", fill(&phase.tries(), tries), stopwatch(phase.elapsed));
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
    format!("{}{since}", fit(printable(what).trim(), columns.saturating_sub(width(&since))))
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

/// Estimates the remaining time at the same rate, once several phases have finished.
pub fn time_left(finished: u64, taken: Duration, left: u64) -> Option<Duration> {
    const ENOUGH: u64 = 3;
    (finished >= ENOUGH && left > 0).then(|| taken.mul_f64(left as f64 / finished as f64))
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
    fn time_left_is_not_estimated_from_one_phase() {
        let minute = Duration::from_secs(60);
        assert_eq!(time_left(2, minute, 10), None);
        assert_eq!(time_left(3, minute, 0), None);
        assert_eq!(time_left(6, minute, 12), Some(2 * minute));
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
