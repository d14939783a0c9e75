//! A page of texts with labels on the left.

use console::Style;

use super::terminal_text::{fit, width, wrap};

/// Minimum width of a text beside a label.
const LEAST: usize = 20;
/// Width of prose without a terminal.
const DEFAULT_COLUMNS: usize = 80;
/// Lines of a message on a terminal.
const MESSAGE_LINES: usize = 2;

/// Lines with a label on the left; a text of several lines has its label once.
#[derive(Clone, Debug)]
pub struct LabeledPage {
    label_width: usize,
    columns: Option<usize>,
    color: bool,
    text: String,
}

impl LabeledPage {
    /// Creates an empty page. `columns`: width of the terminal, if any.
    pub fn new(label_width: usize, columns: Option<usize>, color: bool) -> Self {
        Self { label_width, columns, color, text: String::new() }
    }

    /// Returns the text of the page.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Returns the width beside the labels.
    pub fn room(&self) -> usize {
        self.columns.unwrap_or(DEFAULT_COLUMNS).saturating_sub(self.label_width).max(LEAST)
    }

    /// Adds a line as it is. Red labels name failures, green labels landings, yellow labels what waits.
    pub fn line(&mut self, label: &str, text: &str) {
        let style = match label {
            "failed" | "cannot run" | "error" => Style::new().red(),
            "landed" => Style::new().green(),
            "blocked" | "waiting" | "protected" => Style::new().yellow(),
            _ => Style::new(),
        };
        let padding = " ".repeat(self.label_width.saturating_sub(label.len()));
        let label = match label {
            "" => String::new(),
            label => style.force_styling(self.color).apply_to(label).to_string(),
        };
        self.text += format!("{label}{padding}{text}").trim_end();
        self.text.push('\n');
    }

    /// Adds prose of autopack's own, wrapped between words.
    pub fn prose(&mut self, label: &str, text: &str) {
        self.lines(label, &wrap(text, self.room()));
    }

    /// Adds a foreign message: a few wrapped lines on a terminal, else a single line.
    pub fn message(&mut self, label: &str, text: &str) {
        if self.columns.is_none() {
            return self.line(label, text);
        }
        let mut parts = wrap(text, self.room());
        if parts.len() > MESSAGE_LINES {
            let rest = parts.split_off(MESSAGE_LINES - 1).join(" ");
            parts.push(fit(&rest, self.room()));
        }
        self.lines(label, &parts);
    }

    /// Adds a message with its remedy: wrapped on a terminal, else a single line.
    pub fn whole(&mut self, label: &str, text: &str) {
        match self.columns {
            Some(_) => self.prose(label, text),
            None => self.line(label, text),
        }
    }

    /// Adds `CHANGE: autopack ...; then retry`. Commands stay on a line, to be copied; a line without room for both
    /// ends before the command.
    pub fn command(&mut self, label: &str, text: &str) {
        let before = [": autopack", ", then autopack", "; then autopack"];
        let cut =
            before.iter().find_map(|mark| Some(text.find(mark)? + mark.len() - "autopack".len()));
        match cut.filter(|_| width(text) > self.room()) {
            Some(cut) => self.lines(label, &[text[..cut].trim_end(), &text[cut..]]),
            None => self.line(label, text),
        }
    }

    fn lines(&mut self, label: &str, lines: &[impl AsRef<str>]) {
        for (n, line) in lines.iter().enumerate() {
            self.line(if n == 0 { label } else { "" }, line.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stays_whole_and_prose_wraps() {
        let mut page = LabeledPage::new(9, Some(40), false);
        page.prose("waiting", "31 wait for setup-db; 4 touch the same paths");
        page.command("failed", "widen scope.paths: autopack phases edit demo/p31");
        page.command("merge", "autopack merge demo");
        assert_eq!(
            page.into_text(),
            "waiting  31 wait for setup-db; 4 touch\n         the same paths\n\
             failed   widen scope.paths:\n         autopack phases edit demo/p31\nmerge    autopack merge demo\n"
        );
    }

    #[test]
    fn a_long_message_is_cut_on_a_terminal_only() {
        let text = "word ".repeat(60);
        let lines = |columns| {
            let mut page = LabeledPage::new(9, columns, false);
            page.message("failed", &text);
            page.into_text().lines().count()
        };
        assert_eq!((lines(Some(40)), lines(None)), (2, 1));
    }
}
