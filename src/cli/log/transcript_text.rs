//! Formats a transcript for people: texts as written, tool calls in a line, results cut to a few lines.
//!
//! ```text
//! I will run the tests.
//!
//! ● running pytest -q
//!   │ 3 failed, 12 passed in 0.21s
//! ```

use console::{Style, style};

use crate::agent::TranscriptEntry;
use crate::progress::{fit, width, without_escapes, wrap};

/// Lines of a result that are shown; longer results keep their first and last lines.
const SHOWN: usize = 8;
/// Number of first lines of a longer result.
const FIRST: usize = 3;
/// Width of a line of a result in a pipe.
const WIDEST: usize = 200;

/// The text of a transcript, entry by entry.
pub(super) struct TranscriptText {
    /// Width of the terminal; `None` in a pipe.
    columns: Option<usize>,
    last: Option<Spacing>,
}

/// Kind of an entry, as far as blank lines are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spacing {
    /// A blank line before and after.
    Block,
    /// Follows the previous line.
    Dense,
}

impl TranscriptText {
    pub fn new(columns: Option<usize>) -> Self {
        Self { columns, last: None }
    }

    /// Formats the next entry, with line ends.
    pub fn format(&mut self, entry: &TranscriptEntry) -> String {
        let clean = without_escapes(entry.text());
        let (spacing, lines) = match entry {
            TranscriptEntry::Text(_) => (Spacing::Block, self.message(&clean)),
            TranscriptEntry::Line(_) => (Spacing::Dense, vec![clean]),
            TranscriptEntry::Tool(_) => {
                (Spacing::Dense, vec![self.short("● ", &clean, &Style::new().cyan())])
            }
            TranscriptEntry::Output(_) => (Spacing::Dense, self.result(&clean)),
            TranscriptEntry::Error(_) => {
                (Spacing::Dense, self.marked("✗ ", &clean, &Style::new().red()))
            }
            TranscriptEntry::Note(_) => {
                (Spacing::Dense, self.marked("· ", &clean, &Style::new().dim()))
            }
        };
        let is_apart = self.last.is_some_and(|last| last == Spacing::Block || last != spacing);
        self.last = Some(spacing);
        let mut text = String::from(if is_apart { "\n" } else { "" });
        for line in lines {
            text += line.trim_end();
            text += "\n";
        }
        text
    }

    /// Wraps long lines; others keep their indentation.
    fn message(&self, text: &str) -> Vec<String> {
        let lines = text.trim_matches('\n').lines();
        lines
            .flat_map(|line| match self.columns {
                Some(columns) if width(line) > columns => wrap(line, columns),
                _ => vec![line.to_owned()],
            })
            .collect()
    }

    fn short(&self, mark: &str, text: &str, look: &Style) -> String {
        let room = self.columns.unwrap_or(WIDEST).saturating_sub(width(mark));
        format!("{mark}{}", look.apply_to(fit(text, room)))
    }

    fn marked(&self, mark: &str, text: &str, look: &Style) -> Vec<String> {
        let room = self.columns.unwrap_or(usize::MAX).saturating_sub(width(mark));
        let parts = wrap(text, room);
        let indent = " ".repeat(width(mark));
        let first = std::iter::once(mark).chain(std::iter::repeat(indent.as_str()));
        first.zip(parts).map(|(start, part)| format!("{start}{}", look.apply_to(part))).collect()
    }

    fn result(&self, text: &str) -> Vec<String> {
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let room = self.columns.unwrap_or(WIDEST).saturating_sub(4);
        let shown = |line: &&str| format!("  │ {}", style(fit(line, room)).dim());
        if lines.len() <= SHOWN {
            return lines.iter().map(shown).collect();
        }
        let last = lines.len() - (SHOWN - FIRST - 1);
        let hidden = last - FIRST;
        let mut folded: Vec<String> = lines[..FIRST].iter().map(shown).collect();
        folded.push(format!("  │ {}", style(format!("… {hidden} more lines")).dim()));
        folded.extend(lines[last..].iter().map(shown));
        folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(columns: Option<usize>, entries: &[TranscriptEntry]) -> String {
        let mut text = TranscriptText::new(columns);
        entries.iter().map(|entry| text.format(entry)).collect()
    }

    #[test]
    fn a_long_result_keeps_its_first_and_last_lines() {
        let lines: Vec<String> = (1..=20).map(|n| format!("line {n}")).collect();
        let text = formatted(None, &[TranscriptEntry::Output(lines.join("\n"))]);
        let expected = "  │ line 1\n  │ line 2\n  │ line 3\n  │ … 13 more lines\n  │ line 17\n  │ line 18\n\
                          │ line 19\n  │ line 20\n";
        assert_eq!(text, expected.replace("\n│", "\n  │"));
    }

    #[test]
    fn every_line_fits_a_terminal() {
        let long = "word ".repeat(40);
        let entries = [
            TranscriptEntry::Text(long.clone()),
            TranscriptEntry::Tool(long.clone()),
            TranscriptEntry::Output(long.clone()),
            TranscriptEntry::Error(long),
        ];
        let text = formatted(Some(40), &entries);
        assert!(text.lines().all(|line| width(line) <= 40), "{text}");
    }

    #[test]
    fn escape_sequences_are_removed_whole() {
        let entry = TranscriptEntry::Output("\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}".to_owned());
        assert_eq!(formatted(None, &[entry]), "  │ red\n");
    }
}
