//! Tokenizer for prose that may contain paths.

use std::borrow::Cow;

use super::shape::{Shape, extension, shape};
use super::{has_drive, is_plain};

/// A piece of text without white space, cleaned of surrounding punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The cleaned text.
    pub text: Cow<'a, str>,
    /// Shape of the text.
    pub shape: Shape,
    /// Whether a suffix was cut off, as in `a.py:12` and `a.py(new)`.
    pub cut: bool,
}

impl<'a> Token<'a> {
    /// Creates a token from cleaned text.
    pub fn of(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        Self { shape: shape(&text), text, cut: false }
    }

    /// Returns a token that borrows the text.
    pub fn borrowed(&self) -> Token<'_> {
        Token { text: Cow::Borrowed(&self.text), ..*self }
    }

    fn into_owned(self) -> Token<'static> {
        Token { text: self.text.into_owned().into(), shape: self.shape, cut: self.cut }
    }

    /// Checks whether the token is a path in any context.
    pub fn is_path(&self) -> bool {
        matches!(self.shape, Shape::Firm | Shape::FileName)
    }

    /// Creates a token from quoted text, where white space belongs to the path. A path indistinguishable from
    /// words without quotes gets a wildcard for each space.
    pub fn quoted(inner: &str) -> Token<'static> {
        let inner = slashed(inner);
        let inner = clean(&inner);
        if !inner.contains(char::is_whitespace) || end_of_token(inner) == inner.len() {
            return first_token(inner).0.into_owned();
        }
        let words = inner.split_whitespace().count();
        let path = inner.contains('/') || words <= 4 && extension(inner).is_some();
        let text = if path && !inner.contains(is_odd) {
            inner.split(char::is_whitespace).collect::<Vec<_>>().join("?")
        } else {
            String::new()
        };
        Token::of(text)
    }

    /// Creates a token from text with `/` between components.
    fn within(stretch: &'a str) -> Self {
        let cleaned = clean(stretch);
        if cleaned.bytes().all(is_plain) {
            return Self::of(cleaned);
        }
        let (kept, cut) = cut_glued(cleaned);
        let address = kept.as_bytes().contains(&b':') && kept.contains("://") && !has_drive(kept);
        let text = if address || kept.contains(is_odd) { "" } else { kept };
        Self { cut, ..Self::of(text) }
    }
}

/// Checks for letters that never occur in a path.
pub fn is_odd(c: char) -> bool {
    c.is_control() && c != '\0'
        || matches!(c, '"' | '`' | '<' | '>' | '|' | '“' | '”' | '«' | '»' | '=')
}

/// Returns the first token of `text` and the rest.
pub fn first_token(text: &str) -> (Token<'_>, &str) {
    let (token, rest) = split_token(text.trim_start());
    // A glued note still counts as a note.
    let rest = if token.cut && rest.trim_start().is_empty() { ": " } else { rest };
    (token, rest)
}

fn split_token(text: &str) -> (Token<'_>, &str) {
    let (raw, rest) = text.split_at(end_of_token(text));
    let token = match slashed(raw) {
        Cow::Borrowed(stretch) => Token::within(stretch),
        Cow::Owned(stretch) => match Token::within(&stretch) {
            Token { text, shape, cut } if text.len() == stretch.len() => {
                drop(text);
                Token { text: stretch.into(), shape, cut }
            }
            token => token.into_owned(),
        },
    };
    (token, rest)
}

/// Replaces `\` with `/`, for Windows paths.
pub fn slashed(raw: &str) -> Cow<'_, str> {
    match raw.bytes().any(|byte| byte == b'\\') {
        true => raw.replace('\\', "/").into(),
        false => raw.into(),
    }
}

/// Returns all tokens of a text.
pub fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || separates(c));
        if rest.is_empty() {
            return None;
        }
        let token;
        (token, rest) = split_token(rest);
        Some(token)
    })
}

/// Checks for separators between tokens, besides white space.
pub fn separates(c: char) -> bool {
    matches!(c, ',' | ';' | ':')
}

/// Splits an entry at `,`, `;`, `and`, `&`, `+` and line breaks, except within brackets or quotes.
pub fn parts(line: &str) -> Vec<&str> {
    // Most lines have one part.
    let separates = |byte| matches!(byte, b',' | b';' | b'\n' | b'&' | b'+');
    if !line.bytes().any(separates) && !line.contains("and ") {
        return Vec::from_iter(Some(line.trim()).filter(|part| !part.is_empty()));
    }
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0_usize, None);
    for (at, c) in line.char_indices() {
        match c {
            _ if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '`' | '"' => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' | ';' | '\n' if depth == 0 => {
                parts.push(&line[start..at]);
                start = at + c.len_utf8();
            }
            c if depth == 0 && c.is_whitespace() => {
                let joint = ["and ", "& ", "+ "]
                    .iter()
                    .find(|joint| line[at + c.len_utf8()..].starts_with(*joint));
                if let Some(joint) = joint.filter(|_| start <= at) {
                    parts.push(&line[start..at]);
                    start = at + c.len_utf8() + joint.len();
                }
            }
            _ => {}
        }
    }
    parts.push(&line[start..]);
    // `, and` is a single separator.
    let bare = parts.into_iter().map(|part| {
        let part = part.trim();
        part.strip_prefix("and ").unwrap_or(part).trim_start()
    });
    bare.filter(|part| !part.is_empty()).collect()
}

/// Returns the end of the first token: at white space, `:`, `,` or `;`, but not within `{a,b}` or `(a
/// b).txt`, nor after a drive.
fn end_of_token(text: &str) -> usize {
    let from = if has_drive(text) { 2 } else { 0 };
    let (mut depth, mut bracketed) = (0_usize, 0);
    let ends_nothing = |byte: &u8| is_plain(*byte) || *byte == b'\\';
    let plain = text.bytes().take_while(ends_nothing).count();
    for (at, c) in text[plain..].char_indices().map(|(at, c)| (plain + at, c)) {
        match c {
            _ if at < bracketed => {}
            '(' => bracketed = end_of_brackets(text, at).unwrap_or_default(),
            c if c.is_whitespace() => return at,
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if at >= from && !text[at..].starts_with("://") => return at.max(1),
            ',' if depth > 0 && text[at..].contains('}') => {}
            ',' | ';' => return at.max(1),
            _ => {}
        }
    }
    text.len()
}

/// Returns the end of brackets that belong to a path, as in `src/(two words)/a.txt`, where the path continues
/// directly behind them.
fn end_of_brackets(text: &str, open: usize) -> Option<usize> {
    let end = open + text[open..].split('\n').next()?.find(')')? + 1;
    let tail = text[end..].split(char::is_whitespace).next()?;
    let goes_on = tail.contains(['/', '\\']) || extension(tail).is_some();
    let plain = open > 0 && !text[..end].contains(is_odd) && !ends_in_file(&text[..open]);
    (goes_on && plain).then_some(end)
}

/// Checks whether the text ends in a file name, so that a glued suffix is a note.
fn ends_in_file(before: &str) -> bool {
    let name = before.rsplit('/').next().unwrap_or(before);
    !name.starts_with('.') && extension(name).is_some()
}

/// Checks whether brackets open within the first text and close in the rest, so the token was cut at a space.
pub fn cuts_brackets(text: &str, rest: &str) -> bool {
    let count = |bracket: u8| text.bytes().filter(|byte| *byte == bracket).count();
    text.contains('(') && rest.contains(')') && count(b'(') > count(b')')
}

/// Cuts the suffix of `a.py(new)` and `a.md#section`. `app/(auth)/page.tsx` stays.
fn cut_glued(token: &str) -> (&str, bool) {
    for (at, c) in token.char_indices() {
        if at > 0 && matches!(c, '(' | '#' | '[' | '\'' | '’') {
            let before = &token[..at];
            if !token[at..].contains('/') && ends_in_file(before) {
                return (before, true);
            }
        }
    }
    (token, false)
}

/// Strips surrounding quotes, brackets, emphasis and punctuation.
pub fn clean(token: &str) -> &str {
    if is_clean(token) { token } else { clean_whole(token) }
}

/// Checks whether neither end can be stripped, as for most paths.
fn is_clean(token: &str) -> bool {
    let stays = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/');
    let bytes = token.as_bytes();
    bytes.first().is_some_and(|b| stays(b) || *b == b'.') && bytes.last().is_some_and(stays)
}

fn clean_whole(token: &str) -> &str {
    let mut token = token;
    loop {
        let before = token;
        token = token.trim();
        token = token.trim_matches(['`', '"', '\'', '“', '”', '‘', '’', '«', '»', '\u{feff}']);
        token = token.trim_end_matches([',', ';', ':', '!', '…']);
        token = without_pair(token, "**", "**")
            .filter(|t| !t.starts_with('/') && !t.ends_with('/'))
            .unwrap_or(token);
        token = without_pair(token, "<", ">").unwrap_or(token);
        token = without_pair(token, "(", ")").filter(|t| !t.contains(['(', ')'])).unwrap_or(token);
        token = token.strip_prefix('(').filter(|t| !t.contains(')')).unwrap_or(token);
        token = token.strip_suffix(')').filter(|t| !t.contains('(')).unwrap_or(token);
        token = token.strip_suffix('?').filter(|t| ends_in_known_name(t)).unwrap_or(token);
        token =
            token.strip_suffix('.').filter(|t| t.ends_with(char::is_alphanumeric)).unwrap_or(token);
        if token == before {
            return token;
        }
    }
}

fn without_pair<'a>(token: &'a str, open: &str, close: &str) -> Option<&'a str> {
    token.strip_prefix(open)?.strip_suffix(close).filter(|inner| !inner.is_empty())
}

fn ends_in_known_name(token: &str) -> bool {
    !token.contains(['*', '?']) && matches!(shape(token), Shape::Firm | Shape::FileName)
}

/// Paths named in a text, in order.
pub struct NamedPaths {
    /// Paths with a slash and an extension, and directories with their `/`.
    pub paths: Vec<String>,
    /// Bare file names, for use only without any such path.
    pub names: Vec<String>,
}

/// Returns the paths named in a text.
pub fn find_paths(text: &str) -> NamedPaths {
    let mut named = NamedPaths { paths: Vec::new(), names: Vec::new() };
    for Token { text, shape, .. } in tokens(text) {
        match shape {
            Shape::Firm if !is_host(&text) => named.paths.push(text.into_owned()),
            Shape::FileName if !text.contains('*') => named.names.push(text.into_owned()),
            _ => {}
        }
    }
    named
}

/// Checks for an internet host, as in `github.com/x/y.git`.
fn is_host(token: &str) -> bool {
    let first = token.split('/').next().unwrap_or(token);
    let host = [".com", ".org", ".net", ".io", ".dev"].iter().any(|end| first.ends_with(end));
    host || first.starts_with("www.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The fast path agrees with the full cleaning.
        #[test]
        fn clean_tokens_are_unchanged(token in "[-a-z0-9_./*?()`'\",:!]{0,12}", odd in "\\PC{0,8}") {
            for token in [&token, &odd, &format!("a{token}a"), &format!(".{odd}/")] {
                prop_assert_eq!(clean(token), clean_whole(token), "{:?}", token);
            }
        }
    }
}
