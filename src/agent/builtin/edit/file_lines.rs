//! A file's text as lines with their line ends, so that an edit keeps untouched lines byte for byte.

pub(super) const BOM: char = '\u{feff}';

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub text: String,
    pub end: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub bom: bool,
    pub lines: Vec<Line>,
}

impl Lines {
    pub fn of(text: &str) -> Self {
        let (bom, text) = split_bom(text);
        let lines = text.split_inclusive('\n').map(Line::of).collect();
        Self { bom, lines }
    }

    /// Returns the most frequent line end.
    pub fn ending(&self) -> &'static str {
        let ended = self.lines.iter().filter(|line| !line.end.is_empty()).count();
        let crlf = self.lines.iter().filter(|line| line.end == "\r\n").count();
        if crlf * 2 > ended { "\r\n" } else { "\n" }
    }

    pub fn is_ended(&self) -> bool {
        self.lines.last().is_none_or(|line| !line.end.is_empty())
    }

    /// Joins the lines; `ended` decides whether the last line has an end, all others have.
    pub fn into_text(mut self, ended: bool) -> String {
        let ending = self.ending();
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter_mut().enumerate() {
            match (index == last, line.end.is_empty()) {
                (true, _) if !ended => line.end = "",
                (_, true) => line.end = ending,
                _ => {}
            }
        }
        let bom = self.bom.then_some(BOM);
        let lines = self.lines.iter().flat_map(|line| [line.text.as_str(), line.end]);
        bom.map(String::from).into_iter().chain(lines.map(str::to_owned)).collect()
    }
}

impl Line {
    fn of(raw: &str) -> Self {
        let (text, end) = match raw.strip_suffix("\r\n") {
            Some(text) => (text, "\r\n"),
            None => match raw.strip_suffix('\n') {
                Some(text) => (text, "\n"),
                None => (raw, ""),
            },
        };
        Self { text: text.to_owned(), end }
    }
}

pub(super) fn split_bom(text: &str) -> (bool, &str) {
    match text.strip_prefix(BOM) {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_give_back_the_text_they_came_from() {
        for text in ["", "a", "a\n", "a\r\nb", "\u{feff}a\r\n\r\nb\n", "\n\n"] {
            let lines = Lines::of(text);
            let ended = lines.is_ended();
            assert_eq!(lines.into_text(ended), text, "{text:?}");
        }
        assert_eq!(Lines::of("a\r\nb\r\nc\n").ending(), "\r\n");
        assert_eq!(Lines::of("").ending(), "\n");
    }
}
