//! Search and replace of a text that occurs exactly once in the file.

use super::Refusal;
use super::file_lines::{Lines, split_bom};
use super::nearest_lines::nearest;

/// Maximum number of places named for an ambiguous text.
const NAMED: usize = 10;

/// Replaces a text. The search ignores differences of line ends; the file's line ends are kept.
pub(super) fn replace(before: &str, old: &str, new: &str) -> Result<String, Refusal> {
    let (old, new) = (old.replace("\r\n", "\n"), new.replace("\r\n", "\n"));
    if old.is_empty() {
        return Err(Refusal::new(
            "the text to replace is empty; to write a whole file use `write`",
        ));
    }
    if old == new {
        return Err(Refusal::new("the replacement equals the text: nothing would change"));
    }
    let ending = Lines::of(before).ending();
    let (bom, body) = split_bom(before);
    let plain = body.replace("\r\n", "\n");
    match places(&plain, &old).as_slice() {
        [] => Err(not_found(&plain, &old)),
        [at] => {
            let raw = RawPositions::new(body);
            let (from, to) = (raw.offset(*at), raw.offset(at + old.len()));
            let new = if ending == "\r\n" { new.replace('\n', "\r\n") } else { new };
            let bom = if bom { &before[..before.len() - body.len()] } else { "" };
            Ok([bom, &body[..from], &new, &body[to..]].concat())
        }
        many => Err(ambiguous(&plain, many)),
    }
}

/// Returns every place, overlapping places included: no overlapping place is preferred.
fn places(text: &str, old: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(old) {
        found.push(from + at);
        let step = text[from + at..].chars().next().map_or(1, char::len_utf8);
        from += at + step;
    }
    found
}

fn ambiguous(text: &str, places: &[usize]) -> Refusal {
    let line = |at: &usize| (text[..*at].matches('\n').count() + 1).to_string();
    let named: Vec<String> = places.iter().take(NAMED).map(line).collect();
    let more = if places.len() > NAMED { ", ..." } else { "" };
    Refusal(format!(
        "the text to replace is found {} times, at lines {}{more}; add lines around it until it is unique",
        places.len(),
        named.join(", ")
    ))
}

fn not_found(text: &str, old: &str) -> Refusal {
    let why =
        "the text to replace is not found: it must match the file exactly, including indentation";
    match nearest(text, old) {
        Some(near) => Refusal(format!("{why}. The nearest lines are:\n{near}")),
        None => Refusal(format!("{why}. Nothing in the file is similar; read the file first")),
    }
}

/// Maps positions in the text with plain line ends to positions in the original text.
struct RawPositions {
    /// Positions in the plain text where a line end lost `\r`.
    lost: Vec<usize>,
}

impl RawPositions {
    fn new(body: &str) -> Self {
        let ends = body.match_indices("\r\n").enumerate();
        Self { lost: ends.map(|(before, (at, _))| at - before).collect() }
    }

    fn offset(&self, plain: usize) -> usize {
        plain + self.lost.partition_point(|at| *at < plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_text_is_replaced_and_line_ends_stay() {
        let replaced = |before, old, new| replace(before, old, new).unwrap();
        assert_eq!(replaced("a\nb\nc\n", "b\n", "x\ny\n"), "a\nx\ny\nc\n");
        assert_eq!(replaced("a\r\nb\r\nc", "a\nb", "a\nx\nb"), "a\r\nx\r\nb\r\nc");
        assert_eq!(replaced("\u{feff}a\r\nb\r\n", "b", "c"), "\u{feff}a\r\nc\r\n");
        assert_eq!(replaced("a\r\nb\r\nc\nd\r\n", "c\n", "x\n"), "a\r\nb\r\nx\r\nd\r\n");
        assert_eq!(replaced("größe = 1", "größe", "Länge"), "Länge = 1");
    }

    #[test]
    fn an_absent_or_ambiguous_text_is_refused_with_near_matches() {
        let why = |before, old| replace(before, old, "new").unwrap_err().0;
        let twice = why("x = 1\ny = 2\nx = 1\n", "x = 1");
        assert!(twice.contains("found 2 times, at lines 1, 3"), "{twice}");
        assert!(why("aaa", "aa").contains("found 2 times"));
        let near = why("fn main() {\n    let count = 1;\n}\n", "let counter = 1;");
        assert!(near.contains("2 |     let count = 1;"), "{near}");
        assert!(why("", "x").contains("Nothing in the file"));
        assert!(why("x", "").contains("use `write`"));
        assert!(replace("x", "x", "x").unwrap_err().0.contains("nothing would change"));
    }
}
