//! Cleaning of untrusted text for a terminal (no escapes, a single line, a known width), and formatting of
//! figures.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::phase::{PhaseId, RunId};

/// Maximum width of a shown id; longer ids are cut. `--json` has the full id.
const LONGEST_ID: usize = 100;
/// Maximum width of a message in a line; `phases show` and `--json` have the full message.
const LONGEST_MESSAGE: usize = 500;

/// Cleans a text for a terminal: no control characters, no escape sequences, a single line.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_trickery(c) { ' ' } else { c }).collect()
}

/// Cleans a multi-line text in the same way; lines stay, tabs become spaces.
pub fn printable_lines(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => printable(line.trim_end_matches('\r')) + "\n",
            None => printable(line),
        })
        .collect()
}

/// Cleans a multi-line text in the same way, and removes escape sequences whole. Of a line that redraws itself, the last
/// state stays.
pub fn without_escapes(text: &str) -> String {
    let text = strip_escapes(text);
    let last = |line: &str| {
        let line = line.trim_end_matches('\r');
        line.rsplit_once('\r').map_or(line, |(_, last)| last).to_owned()
    };
    printable_lines(&text.split('\n').map(last).collect::<Vec<_>>().join("\n"))
}

/// Removes escape sequences. One that does not end in its line ends with the line.
fn strip_escapes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        // The introducers have two forms each: of 7 bits and of 8.
        let introducer = match c {
            '\u{1b}' => rest.next_if(|c| *c != '\n'),
            '\u{9b}' => Some('['),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => Some(']'),
            c => {
                kept.push(c);
                continue;
            }
        };
        match introducer {
            Some('[') => {
                while rest.next_if(|c| matches!(c, '\u{20}'..='\u{3f}')).is_some() {}
                rest.next_if(|c| matches!(c, '\u{40}'..='\u{7e}'));
            }
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(c) = rest.next_if(|c| *c != '\n') {
                    if matches!(c, '\u{7}' | '\u{9c}') {
                        break;
                    }
                    if c == '\u{1b}' {
                        rest.next_if_eq(&'\\');
                        break;
                    }
                }
            }
            // Intermediate characters before the final one, as in the choice of a character set.
            Some('\u{20}'..='\u{2f}') => {
                while rest.next_if(|c| matches!(c, '\u{20}'..='\u{2f}')).is_some() {}
                rest.next_if(|c| matches!(c, '\u{30}'..='\u{7e}'));
            }
            _ => {}
        }
    }
    kept
}

/// Checks for marks that change the displayed order of text, and separators that some terminals break lines
/// at.
fn is_trickery(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Formats an id for people.
pub fn shown_id(id: &str) -> String {
    fit(id, LONGEST_ID)
}

/// Names a phase for people: `RUN/PHASE` where the run is not clear.
pub fn shown_phase(run: &RunId, phase: &PhaseId, with_run: bool) -> String {
    let phase = shown_id(phase.as_str());
    if with_run { format!("{}/{phase}", shown_id(run.as_str())) } else { phase }
}

/// Formats an untrusted message for a line.
pub fn shown_message(text: &str) -> String {
    fit(text, LONGEST_MESSAGE)
}

/// Cleans a text and cuts it to the given width; a cut text ends in `…`.
pub fn fit(text: &str, columns: usize) -> String {
    // Limits the number of zero-width marks.
    let most = columns.saturating_mul(4);
    let whole = text.chars().take(most + 1).count() <= most;
    let clean = printable(&text.chars().take(most).collect::<String>());
    if whole && width(&clean) <= columns {
        return clean;
    }
    let (mut cut, mut used) = (String::new(), 0);
    for c in clean.chars() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        cut.push(c);
    }
    // Some characters change the width of the previous character.
    while width(&cut) >= columns && cut.pop().is_some() {}
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// Cuts a text like [`fit`], between words if one ends in the second half.
pub fn fit_words(text: &str, columns: usize) -> String {
    let cut = fit(text, columns);
    let Some(kept) = cut.strip_suffix('…') else { return cut };
    match kept.rfind(' ').filter(|space| width(&kept[..*space]) * 2 >= columns) {
        Some(space) => format!("{}…", kept[..space].trim_end()),
        None => cut,
    }
}

/// Returns the width of a printable text in columns.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a text to the given width, or pads it with spaces.
pub fn fill(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    let room = columns.saturating_sub(width(&text));
    text + &" ".repeat(room)
}

/// Wraps a text between words; a word longer than a line is cut at the end of the line.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if !line.is_empty() && width(&line) + c.width().unwrap_or(0) > columns {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}

/// Formats a duration for people.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Formats a running time: minutes and seconds, `4:05`, or also hours.
pub fn stopwatch(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Formats a count: `9999`, `10.0k`, `1.25M`.
pub fn thousands(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.1}k", n as f64 / 1e3),
        _ => format!("{:.2}M", n as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("CI failed: 2 tests of 90", 10), ["CI failed:", "2 tests of", "90"]);
        assert_eq!(wrap("see src/very/deep.rs now", 8), ["see", "src/very", "/deep.rs", "now"]);
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrap("", 5), [""]);
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_keep_all_text(text in "[a-z漢 ]{0,60}", columns in 2_usize..20) {
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| width(line) <= columns), "{lines:?}");
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }

    #[test]
    fn durations_read_naturally() {
        let texts: Vec<String> =
            [400, 12_000, 75_000, 7_260_000].map(|ms| duration(Duration::from_millis(ms))).into();
        assert_eq!(texts, ["0.4 s", "12 s", "1 min 15 s", "2 h 01 min"]);
        let texts: Vec<String> = [9, 245, 7_325].map(|s| stopwatch(Duration::from_secs(s))).into();
        assert_eq!(texts, ["0:09", "4:05", "2:02:05"]);
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\nc"), "a [31mb c");
        assert_eq!(printable("a\u{202e}b\u{9b}c\u{2028}d"), "a b c d");
        assert_eq!(printable_lines("a\x1bb\r\n\tc"), "a b\n c");
    }

    #[test]
    fn escape_sequences_are_removed_whole() {
        let cases = [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\link", "alink"),
            ("\u{9b}31mred \u{9d}title\u{9c}b", "red b"),
            ("\u{1b}(Ba\u{1b}=b\u{1b}", "ab"),
            ("a\u{1b}]never ended\nb\u{1b}[\nc", "a\nb\nc"),
            ("10%\r50%\r\n99%\r", "50%\n99%"),
            ("a\tb\u{8}\u{202e}", "a b  "),
        ];
        for (text, expected) in cases {
            assert_eq!(without_escapes(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_text_is_cut_by_columns() {
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("longer", 5), "long…");
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(fit("漢字漢字", 4), "漢…");
        assert_eq!(fit("x", 0), "");
        assert_eq!(fill("漢字", 6), "漢字  ");
    }

    #[test]
    fn text_is_cut_between_words_where_possible() {
        assert_eq!(fit_words("running cargo test --all", 21), "running cargo test…");
        assert_eq!(fit_words("running cargo test", 18), "running cargo test");
        assert_eq!(fit_words("a /very/long/path/without/a/space", 12), "a /very/lon…");
    }

    proptest! {
        #[test]
        fn cut_text_fits_the_columns(text in "\\PC{0,60}|.{0,60}|e\u{301}{0,400}", columns in 0usize..50) {
            let shown = fit(&text, columns);
            prop_assert!(width(&shown) <= columns, "{shown:?}");
            prop_assert!(shown.chars().count() <= 4 * columns + 1);
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(width(&fill(&text, columns)), columns);
        }
    }
}
