//! Text within a paragraph: code, emphasis and links, as words that can be wrapped.

use console::{Style, style};

use crate::progress::{width, wrap};

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextStyle {
    /// As the terminal has it.
    Plain,
    /// Between backticks.
    Code,
    /// Between asterisks.
    Strong,
}

/// Text without a space: pieces, each with its style.
pub(super) type Word = Vec<(String, TextStyle)>;

/// Splits Markdown into words. Links are reduced to their texts.
pub(super) fn words(markdown: &str) -> Vec<Word> {
    let mut words: Vec<Word> = vec![Vec::new()];
    for (text, kind) in split_marks(markdown) {
        for (index, part) in text.split([' ', '\n']).enumerate() {
            if index > 0 {
                words.push(Vec::new());
            }
            if let Some(word) = words.last_mut().filter(|_| !part.is_empty()) {
                word.push((part.to_owned(), kind));
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Returns the targets of links, in order.
pub(super) fn links(markdown: &str) -> Vec<&str> {
    let targets = markdown.split("](").skip(1);
    targets.filter_map(|rest| Some(rest.split_once(')')?.0)).collect()
}

/// Splits Markdown at the marks of code, emphasis and links.
fn split_marks(markdown: &str) -> Vec<(String, TextStyle)> {
    let mut pieces = Vec::new();
    let (mut rest, mut kind, mut plain) = (markdown, TextStyle::Plain, String::new());
    while let Some(c) = rest.chars().next() {
        if c == '`' {
            let ticks = rest.len() - rest.trim_start_matches('`').len();
            let mark = &rest[..ticks];
            if let Some(end) = rest[ticks..].find(mark) {
                pieces.push((std::mem::take(&mut plain), kind));
                let code = rest[ticks..ticks + end].trim();
                pieces.push((format!("`{code}`"), TextStyle::Code));
                rest = &rest[ticks + end + ticks..];
                continue;
            }
        }
        let mark = if rest.starts_with("**") { "**" } else { "*" };
        let closes = kind == TextStyle::Strong;
        if rest.starts_with('*') && (closes || opens_emphasis(&rest[mark.len()..], mark)) {
            pieces.push((std::mem::take(&mut plain), kind));
            kind = if closes { TextStyle::Plain } else { TextStyle::Strong };
            rest = &rest[mark.len()..];
            continue;
        }
        if let Some((text, after)) = link(rest) {
            pieces.push((std::mem::take(&mut plain), kind));
            pieces.extend(split_marks(text));
            rest = after;
            continue;
        }
        // A backslash keeps a mark of Markdown as it is.
        let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
        let kept = escaped.filter(char::is_ascii_punctuation);
        plain.push(kept.unwrap_or(c));
        rest = &rest[kept.map_or(c.len_utf8(), |kept| 1 + kept.len_utf8())..];
    }
    pieces.push((plain, kind));
    pieces
}

/// Checks whether the text after a mark begins with emphasis that ends with the same mark.
fn opens_emphasis(rest: &str, mark: &str) -> bool {
    !rest.starts_with([' ', '*']) && rest.contains(mark)
}

/// Splits a link at the start into its text and the rest.
fn link(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.trim_start_matches('!').strip_prefix('[')?;
    let (text, rest) = rest.split_once("](")?;
    let (_, rest) = rest.split_once(')')?;
    (!text.contains("[")).then_some((text, rest))
}

/// Returns the width of a word in columns.
pub(super) fn word_width(word: &Word) -> usize {
    word.iter().map(|(text, _)| width(text)).sum()
}

/// Returns the width of words in one line.
pub(super) fn line_width(words: &[Word]) -> usize {
    words.iter().map(|word| word_width(word) + 1).sum::<usize>().saturating_sub(1)
}

/// Wraps words into lines, each with its width. Longer words are cut.
pub(super) fn wrap_words(words: &[Word], columns: usize) -> Vec<(String, usize)> {
    let mut lines = vec![(String::new(), 0)];
    for word in words.iter().flat_map(|word| cut(word, columns)) {
        let room = word_width(&word);
        let (line, used) = lines.last_mut().expect("there is a line");
        if *used > 0 && *used + 1 + room > columns {
            lines.push((shown(&word), room));
            continue;
        }
        if *used > 0 {
            line.push(' ');
            *used += 1;
        }
        *line += &shown(&word);
        *used += room;
    }
    lines
}

/// Cuts a word that is longer than a line.
fn cut(word: &Word, columns: usize) -> Vec<Word> {
    if word_width(word) <= columns {
        return vec![word.clone()];
    }
    let parts = word.iter().flat_map(|(text, kind)| {
        wrap(text, columns.max(2)).into_iter().map(|part| vec![(part, *kind)])
    });
    parts.collect()
}

fn shown(word: &Word) -> String {
    let piece = |(text, kind): &(String, TextStyle)| match kind {
        TextStyle::Plain => text.clone(),
        TextStyle::Code => style(text).cyan().to_string(),
        TextStyle::Strong => style(text).bold().to_string(),
    };
    word.iter().map(piece).collect()
}

/// Returns how headings look.
pub(super) fn heading_style() -> Style {
    Style::new().bold().green()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(markdown: &str) -> String {
        let words = words(markdown);
        let text = |word: &Word| word.iter().map(|(text, _)| text.as_str()).collect::<String>();
        words.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn marks_are_removed_and_code_keeps_its_ticks() {
        assert_eq!(plain("a **b c** and *d*, e"), "a b c and d, e");
        assert_eq!(plain("see [the `x` page](a.md#b), or\nnot"), "see the `x` page, or not");
        assert_eq!(plain("`a * b` costs 2 * 3"), "`a * b` costs 2 * 3");
        assert_eq!(plain("`` a`b `` and `.git*`"), "`a`b` and `.git*`");
        assert_eq!(
            plain("`init\\|drain`, a \\| b, *unfinished"),
            "`init\\|drain`, a | b, *unfinished"
        );
    }

    #[test]
    fn links_are_found_in_order() {
        assert_eq!(links("[a](b.md) and [c](d.md#e)"), ["b.md", "d.md#e"]);
    }

    #[test]
    fn lines_fit_and_long_words_are_cut() {
        let lines = wrap_words(&words("one two `three-four-five` six"), 9);
        let lines: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(lines, ["one two", "`three-fo", "ur-five`", "six"]);
    }
}
