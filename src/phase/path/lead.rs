//! Beginning of an entry: a path delimited by quotes, brackets or words, and the kind of note behind the
//! path.

use super::shape::{Shape, shape};
use super::text::{self, Token};

/// Kind of text behind the leading token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    None,
    /// In brackets, or separated by a dash or a colon: a note about the text before.
    SetOff,
    /// Only words.
    Words,
}

impl Note {
    /// Classifies the text behind the leading token.
    pub fn of(rest: &str) -> Self {
        let rest = rest.trim_start();
        match rest.chars().next() {
            None => Self::None,
            Some('(' | '[' | '{' | '-' | '–' | '—' | ':' | '#' | '=' | '|') => Self::SetOff,
            Some(',' | ';') if rest.len() == 1 => Self::None,
            Some(_) => Self::Words,
        }
    }
}

/// Returns the path at the beginning of the line, possibly with spaces, and the rest.
pub(super) fn set_off(line: &str) -> Option<(Token<'_>, &str)> {
    if let Some((inner, rest)) = quoted(line) {
        let inner = inner.trim();
        let plain = spaced_path(inner).map(Token::of);
        return Some((plain.unwrap_or_else(|| Token::quoted(inner)), rest));
    }
    spaced_path(line).map(|words| (Token::of(words), ""))
}

/// Matches `"docs/My File.md" - why`, also in backticks and as a Markdown link.
fn quoted(line: &str) -> Option<(&str, &str)> {
    const PAIRS: [(&str, &str); 7] =
        [("`", "`"), ("\"", "\""), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("**", "**")];
    if let Some((name, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once("](")) {
        let (target, rest) = rest.split_once(')')?;
        // `[x](group)/page.tsx` is a path instead of a link.
        let whole = !name.contains(['[', ']']) && !rest.starts_with('/');
        return whole.then_some((target, rest));
    }
    PAIRS.iter().find_map(|(open, close)| {
        let (inner, rest) = line.strip_prefix(open)?.split_once(close)?;
        // `**/*.py` is a glob instead of bold text.
        let whole = !inner.is_empty() && !inner.starts_with('/') && !rest.starts_with('/');
        whole.then_some((inner, rest))
    })
}

/// Matches `docs/Release Notes.md`: a path with spaces but without function words.
fn spaced_path(line: &str) -> Option<&str> {
    const FUNCTION_WORDS: [&str; 18] = [
        "a", "also", "an", "and", "at", "by", "for", "from", "in", "into", "of", "on", "or", "the",
        "to", "using", "via", "with",
    ];
    let wordy = |word: &str| {
        word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '&'))
    };
    // Most lines return here.
    let (first, _) = line.split_once(' ')?;
    if !wordy(first) || shape(first) != Shape::Slashed {
        return None;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let ([first, middle @ .., last], true) = (words.as_slice(), words.len() <= 4) else {
        return None;
    };
    let plain = |word: &&str| {
        !word.is_empty()
            && wordy(word)
            && word.contains(char::is_alphanumeric)
            && !FUNCTION_WORDS.contains(&word.to_ascii_lowercase().as_str())
    };
    let stem = last.rsplit_once('.').map(|(stem, _)| stem);
    let ends = matches!(shape(last), Shape::FileName) && stem.as_ref().is_some_and(plain);
    let path = std::iter::once(first).chain(middle).all(plain);
    (path && ends && text::clean(line) == line).then_some(line)
}
