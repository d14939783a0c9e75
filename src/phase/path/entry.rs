//! Parser for an entry of a list of paths: a path, a path with a note, or a sentence about a path.
//!
//! `lead` finds the end of the path and the kind of note; this module interprets the result.

use std::borrow::Cow;

use super::bullet::strip_bullet;
use super::lead::{Note, set_off};
use super::shape::{Shape, shape_of_normal};
use super::text::{self, Token};
use super::{Escape, NormalizedPath, PathError, PathSigns, is_plain, normalize, reserved};

/// Kind of list with the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Files to produce: a single word is a thing, not a path.
    Deliverables,
    /// Paths: `src` alone is a directory.
    Scope,
    /// Read-only paths, so `.git` is allowed.
    Context,
}

/// Contents of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Paths the entry is about.
    pub paths: Vec<String>,
    /// A bare file name in a sentence, used only as a fallback.
    pub hint: Option<String>,
    /// Paths mentioned in a sentence without being clearly meant.
    pub mentions: Vec<String>,
    /// Paths no phase may have.
    pub escapes: Vec<Escape>,
    /// Whether there are words besides the path.
    pub prose: bool,
}

/// Parses a line.
pub fn read(line: &str, list: List, workspace: Option<&str>) -> Entry {
    let reader = Reader { list, workspace };
    let slashed = text::slashed(line);
    if reader.is_settled(&slashed) {
        return Entry { paths: vec![slashed.into_owned()], ..Entry::default() };
    }
    reader.read_whole(line)
}

/// Checks whether a line is a path that would be read unchanged, without parsing. Most lines are, including
/// all lines read before.
pub fn is_settled(line: &str, list: List, workspace: Option<&str>) -> bool {
    Reader { list, workspace }.is_settled(line)
}

impl Reader<'_> {
    /// In a normalized path, only a final full stop could be stripped.
    fn is_settled(&self, line: &str) -> bool {
        let Some(signs) = PathSigns::of(line).filter(|signs| signs.is_normal(line)) else {
            return false;
        };
        !line.ends_with('.')
            && within(line, self.workspace).len() == line.len()
            && (self.list != List::Deliverables || shape_of_normal(line) != Shape::Word)
            && (self.list == List::Context || !signs.may_hide || reserved(line).is_none())
    }

    fn read_whole(&self, line: &str) -> Entry {
        let mut entry = self.read(line);
        // A path that would be read differently the next time (`/workspace/word`) is only a mention.
        let settled =
            |path: &String| path == line || self.is_settled(path) || self.read(path).is_only(path);
        if !entry.paths.iter().all(settled) {
            entry.mentions.append(&mut entry.paths);
            entry.prose = true;
        }
        // A sentence that consists of the path has no other content.
        entry.prose &= !entry.paths.iter().eq([line]);
        entry
    }
}

impl Entry {
    fn is_only(&self, path: &str) -> bool {
        self.paths.iter().eq([path]) && !self.prose
    }
}

/// Strips the workspace prefix, which may contain any character, including spaces.
fn within<'a>(line: &'a str, workspace: Option<&str>) -> &'a str {
    let inside = || line.strip_prefix(workspace?.trim_end_matches('/'))?.strip_prefix('/');
    inside().filter(|rest| !rest.trim_start().is_empty()).unwrap_or(line)
}

struct Reader<'a> {
    list: List,
    workspace: Option<&'a str>,
}

impl Reader<'_> {
    fn read(&self, line: &str) -> Entry {
        let line = within(strip_bullet(line), self.workspace);
        if line.is_empty() {
            return Entry::default();
        }
        let first = text::first_token(line);
        let (token, rest) = match has_bracketed_remark(line, first.1) {
            true => first,
            false => {
                if let Some(entry) = self.several(line, &first) {
                    return entry;
                }
                if let Some(entry) = self.parts(line) {
                    return entry;
                }
                set_off(line).unwrap_or(first)
            }
        };
        let note = Note::of(rest);
        if token.text.is_empty() || !self.accepts(&token, &note) || self.is_half(&token, rest) {
            return self.sentence(line, begins_with_removal(line));
        }
        if begins_with_removal(rest) || is_arrow(rest) {
            return self.sentence(line, true);
        }
        let mut entry = Entry { prose: note != Note::None, ..Entry::default() };
        self.take(&token.text, &mut entry);
        entry
    }

    /// Checks whether the leading token is the path of the entry.
    fn accepts(&self, token: &Token, note: &Note) -> bool {
        let place = self.list != List::Deliverables;
        match token.shape {
            Shape::Firm | Shape::FileName => true,
            Shape::Dotted => *note != Note::Words,
            Shape::Slashed => place || *note != Note::Words,
            Shape::Word => place && *note == Note::None && !token.text.contains(text::is_odd),
        }
    }

    /// Checks whether the token is only half of a bracketed text. A path outside the repository is refused
    /// nevertheless.
    fn is_half(&self, token: &Token, rest: &str) -> bool {
        text::cuts_brackets(&token.text, rest) && self.place(&token.text).is_ok()
    }

    /// Parses a line of paths only: `src/a.py, src/b.py and docs/`.
    fn several(&self, line: &str, (first, rest): &(Token, &str)) -> Option<Entry> {
        if !line.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';')) {
            return None;
        }
        let (first, rest) = match line.trim_start().starts_with(text::separates) {
            true => (None, line),
            false => (Some(first.borrowed()), *rest),
        };
        let mut found = Vec::new();
        let tokens = first.into_iter().chain(text::tokens(rest));
        for token in tokens.filter(|token| !is_joint(&token.text)) {
            if !token.is_path() || token.cut || removal(&token.text) {
                return None;
            }
            found.push(token.text);
        }
        let mut entry = Entry::default();
        found.iter().for_each(|path| self.take(path, &mut entry));
        (found.len() > 1).then_some(entry)
    }

    /// Parses several paths, each with an optional note: `src/a.py, src/b.py (new)`. A note without brackets
    /// must not name a path; otherwise the intended path is unclear.
    fn parts(&self, line: &str) -> Option<Entry> {
        let parts = text::parts(line);
        let (_, others) = parts.split_last().filter(|(_, others)| !others.is_empty())?;
        let mut entry = Entry::default();
        let mut set_off_by_words = Vec::new();
        // The sign before the last note, which may go on behind a comma.
        let mut sign = None;
        for part in parts.iter().copied() {
            let (token, rest) = set_off(part).unwrap_or_else(|| text::first_token(part));
            let rest = rest.trim();
            let bracketed = rest.starts_with(['(', '[']) && rest.ends_with([')', ']']);
            let plain = rest.is_empty() || bracketed || token.cut && rest == ":";
            // In `src/a.py: why, b.py`, the bare name may belong to the note.
            let is_clear = sign != Some(':') || token.shape == Shape::Firm || !rest.is_empty();
            let is_path =
                token.is_path() && is_clear && !removal(&token.text) && !self.is_half(&token, rest);
            if !is_path && sign.is_some() && names_nothing(part) {
                continue;
            }
            if !is_path || is_arrow(rest) {
                return None;
            }
            entry.prose |= !rest.is_empty();
            sign = rest.chars().next().filter(|c| !plain && matches!(c, '-' | '–' | '—' | ':'));
            if begins_with_removal(rest) {
                self.mention(&token.text, &mut entry);
                continue;
            }
            if !plain {
                if !names_nothing(rest) {
                    return None;
                }
                if sign.is_none() {
                    set_off_by_words.push(part);
                }
            }
            self.take(&token.text, &mut entry);
        }
        // In `src/a.py with b, src/c.py` the rest may belong to the note: either each part has a note, or only
        // the last.
        let clear = set_off_by_words.len() == parts.len()
            || others.iter().all(|part| !set_off_by_words.contains(part));
        clear.then_some(entry)
    }

    /// Parses a sentence. `gone`: the sentence is about a deletion or a move, so the path need not exist
    /// afterwards.
    fn sentence(&self, line: &str, gone: bool) -> Entry {
        let mut entry = Entry { prose: true, ..Entry::default() };
        let mut firm = Vec::new();
        let mut names = Vec::new();
        for token in text::tokens(line) {
            match token.shape {
                Shape::Firm if token.text.ends_with('/') => self.mention(&token.text, &mut entry),
                Shape::Firm => firm.push(token.text),
                Shape::FileName => names.push(token.text),
                _ => {}
            }
        }
        // `name).txt` is the second half of a bracketed text.
        names.retain(|name| !name.contains(')') || name.contains('('));
        firm.dedup();
        match firm.as_slice() {
            [one] if !gone => self.take(one, &mut entry),
            [] if names.len() == 1 && !gone => entry.hint = names.pop().map(Cow::into_owned),
            many => many.iter().for_each(|path| self.mention(path, &mut entry)),
        }
        entry
    }

    fn take(&self, token: &str, entry: &mut Entry) {
        match self.place(token) {
            Ok(NormalizedPath::Inside(path)) => entry.paths.push(path),
            Ok(NormalizedPath::Root) => {}
            Err(why) => {
                let path = match token.trim_end_matches('/') {
                    "" => "/",
                    path => path,
                };
                entry.escapes.push(Escape { path: path.to_owned(), why });
            }
        }
    }

    fn mention(&self, token: &str, entry: &mut Entry) {
        if let Ok(NormalizedPath::Inside(path)) = self.place(token) {
            entry.mentions.push(path);
        }
    }

    fn place(&self, token: &str) -> Result<NormalizedPath, PathError> {
        place(token, self.list, self.workspace)
    }
}

/// Normalizes a token by the rules of its list.
fn place(token: &str, list: List, workspace: Option<&str>) -> Result<NormalizedPath, PathError> {
    let mut path = Cow::Borrowed(token);
    // Normalization may uncover more to clean (`./**a.py**`); repeated, so that reading the result again
    // changes nothing.
    loop {
        let NormalizedPath::Inside(normal) = normalize(&path, workspace)? else {
            return Ok(NormalizedPath::Root);
        };
        let clean = text::clean(&normal);
        if let Some(dir) = reserved(&normal).filter(|_| list != List::Context) {
            return Err(PathError::Reserved(dir));
        }
        if clean.chars().all(|c| matches!(c, '*' | '/')) {
            return Ok(NormalizedPath::Root);
        }
        if clean.len() == normal.len() && normal == path {
            return Ok(NormalizedPath::Inside(normal));
        }
        path = Cow::Owned(clean.to_owned());
    }
}

/// Checks for a plain path and a note in brackets that names no path, as `src/a.py (20+ tests)`: one path, whose end is
/// certain. Most notes are such.
fn has_bracketed_remark(line: &str, rest: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b' ' | b'+');
    let words = rest.trim().strip_prefix('(').and_then(|note| note.strip_suffix(')'));
    // `makefile` is a path.
    words.is_some_and(|words| words.bytes().all(plain) && !words.contains("file"))
        && line[..line.len() - rest.len()].bytes().all(|byte| is_plain(byte) || byte == b'\\')
}

fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "&" | "+" | "or")
}

fn names_nothing(text: &str) -> bool {
    let named = text::find_paths(text);
    named.paths.is_empty() && named.names.is_empty()
}

fn begins_with_removal(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    text.split(|c: char| c.is_whitespace() || matches!(c, ':' | ')' | ',' | ']'))
        .next()
        .is_some_and(removal)
}

fn is_arrow(text: &str) -> bool {
    ["->", "=>", "→"].iter().any(|arrow| text.trim_start().starts_with(arrow))
}

fn removal(word: &str) -> bool {
    const WORDS: [&str; 14] = [
        "delete", "deleted", "deletes", "drop", "dropped", "move", "moved", "moves", "remove",
        "removed", "removes", "rename", "renamed", "renames",
    ];
    WORDS.iter().any(|removal| word.eq_ignore_ascii_case(removal))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A line with a bracketed remark is no list, and its path ends where the first token does.
        #[test]
        fn a_bracketed_remark_is_about_one_path(
            path in "[-a-zA-Z0-9_./\\\\]{0,12}",
            words in "(a|b1|and|or|20\\+|[+]|delete|justfile|makefile|[ a-z+]{0,6}| ){0,4}",
            list in 0..3_usize,
        ) {
            let reader = Reader { list: [List::Deliverables, List::Scope, List::Context][list], workspace: None };
            for line in [format!("{path} ({words})"), format!("src/{path}.py ({words})"), format!("{path}({words})")] {
                let line = strip_bullet(&line);
                let first = text::first_token(line);
                if has_bracketed_remark(line, first.1) {
                    prop_assert_eq!(reader.several(line, &first), None, "{:?}", line);
                    prop_assert_eq!(reader.parts(line), None, "{:?}", line);
                    prop_assert_eq!(set_off(line), None, "{:?}", line);
                }
            }
        }

        /// The fast path agrees with the full parser.
        #[test]
        fn settled_phases_are_read_unchanged(line in "[-a-zA-Z0-9_./\\\\]{1,24}", odd in "\\PC{0,12}", list in 0..3_usize) {
            let list = [List::Deliverables, List::Scope, List::Context][list];
            for workspace in [None, Some("/w"), Some("a")] {
                let reader = Reader { list, workspace };
                for line in [&line, &odd, &format!("src/{line}.py"), &format!("a/{odd}")] {
                    prop_assert_eq!(read(line, list, workspace), reader.read_whole(line), "{:?}", line);
                }
            }
        }
    }
}
