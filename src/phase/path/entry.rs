//! One entry of a list of paths, as people write it: a path, a path with a note, a sentence about one.
//!
//! Where its path ends and the note begins is told by `lead`; here is what that makes of the entry.

use std::borrow::Cow;

use super::bullet::strip_bullet;
use super::lead::{Note, set_off};
use super::shape::{Shape, shape};
use super::text::{self, Token};
use super::{Escape, Place, Why, is_normal, normalize, reserved};

/// What sort of list the entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Things to produce: a lone word is a thing, not a place.
    Deliverables,
    /// Places: `src` alone is a directory.
    Scope,
    /// Places that are not written to, so `.git` may be among them.
    Context,
}

/// What an entry says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub paths: Vec<String>,
    /// A lone file name in a sentence: to be used only where there is nothing better.
    pub hint: Option<String>,
    /// Paths that a sentence speaks of without it being clear that they are what is wanted.
    pub mentions: Vec<String>,
    /// Paths that no phase can be given.
    pub escapes: Vec<Escape>,
    /// There are words besides the path.
    pub prose: bool,
}

/// Reads one line.
pub fn read(line: &str, list: List, workspace: Option<&str>) -> Entry {
    let reader = Reader { list, workspace };
    let slashed = text::slashed(line);
    if reader.is_settled(&slashed) {
        return Entry { paths: vec![slashed.into_owned()], ..Entry::default() };
    }
    reader.read_whole(line)
}

/// Whether a line is a path as it would be read from it, told without taking it apart: most are, and all that were
/// read before.
pub fn is_settled(line: &str, list: List, workspace: Option<&str>) -> bool {
    Reader { list, workspace }.is_settled(line)
}

impl Reader<'_> {
    /// Of a path in normal form there is nothing to strip, but for a full stop at its end.
    fn is_settled(&self, line: &str) -> bool {
        is_normal(line)
            && !line.ends_with('.')
            && within(line, self.workspace).len() == line.len()
            && (self.list != List::Deliverables || shape(line) != Shape::Word)
            && (self.list == List::Context || reserved(line).is_none())
    }

    fn read_whole(&self, line: &str) -> Entry {
        let mut entry = self.read(line);
        // What would be read differently the next time (`/workspace/word`) is only spoken of.
        let settled =
            |path: &String| path == line || self.is_settled(path) || self.read(path).is_only(path);
        if !entry.paths.iter().all(settled) {
            entry.mentions.append(&mut entry.paths);
            entry.prose = true;
        }
        // A sentence of nothing but a path says nothing else.
        entry.prose &= !entry.paths.iter().eq([line]);
        entry
    }
}

impl Entry {
    fn is_only(&self, path: &str) -> bool {
        self.paths.iter().eq([path]) && !self.prose
    }
}

/// The line without the workspace's path before it, which may hold anything, spaces too.
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
        if let Some(entry) = self.several(line, &first) {
            return entry;
        }
        if let Some(entry) = self.parts(line) {
            return entry;
        }
        let (token, rest) = set_off(line).unwrap_or(first);
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

    /// Whether the leading token is the path that the entry is about.
    fn accepts(&self, token: &Token, note: &Note) -> bool {
        let place = self.list != List::Deliverables;
        match token.shape {
            Shape::Firm | Shape::FileName => true,
            Shape::Dotted => *note != Note::Words,
            Shape::Slashed => place || *note != Note::Words,
            Shape::Word => place && *note == Note::None && !token.text.contains(text::is_odd),
        }
    }

    /// Whether what would be taken is the half of something in brackets. What leaves the repository is refused all the same.
    fn is_half(&self, token: &Token, rest: &str) -> bool {
        text::cuts_brackets(&token.text, rest) && self.place(&token.text).is_ok()
    }

    /// `src/a.py, src/b.py and docs/`: nothing but paths.
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

    /// `src/a.py, src/b.py (new)`: several paths, each with a note of its own or none. A note that is not in brackets
    /// names no path itself: where it does, which of them is meant is not clear.
    fn parts(&self, line: &str) -> Option<Entry> {
        let parts = text::parts(line);
        let (_, others) = parts.split_last().filter(|(_, others)| !others.is_empty())?;
        let mut entry = Entry::default();
        let mut set_off_by_words = Vec::new();
        for part in parts.iter().copied() {
            let (token, rest) = set_off(part).unwrap_or_else(|| text::first_token(part));
            let rest = rest.trim();
            let bracketed = rest.starts_with(['(', '[']) && rest.ends_with([')', ']']);
            let plain = rest.is_empty() || bracketed || token.cut && rest == ":";
            let is_path = token.is_path() && !removal(&token.text) && !self.is_half(&token, rest);
            if !is_path || is_arrow(rest) {
                return None;
            }
            entry.prose |= !rest.is_empty();
            if begins_with_removal(rest) {
                self.mention(&token.text, &mut entry);
                continue;
            }
            if !plain {
                let named = text::named(rest);
                let says_paths = !named.paths.is_empty() || !named.names.is_empty();
                if says_paths {
                    return None;
                }
                set_off_by_words.push(part);
            }
            self.take(&token.text, &mut entry);
        }
        // `src/a.py - why, src/b.py` may go on with why: either each says so, or the last one alone.
        let clear = set_off_by_words.len() == parts.len()
            || others.iter().all(|part| !set_off_by_words.contains(part));
        clear.then_some(entry)
    }

    /// `gone`: it is about something that goes away or moves, so its path need not be there afterwards.
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
        // `name).txt` is the other half of something.
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
            Ok(Place::Inside(path)) => entry.paths.push(path),
            Ok(Place::Root) => {}
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
        if let Ok(Place::Inside(path)) = self.place(token) {
            entry.mentions.push(path);
        }
    }

    fn place(&self, token: &str) -> Result<Place, Why> {
        place(token, self.list, self.workspace)
    }
}

/// Where a token leads, by the rules of its list.
fn place(token: &str, list: List, workspace: Option<&str>) -> Result<Place, Why> {
    let mut path = Cow::Borrowed(token);
    // What normalising uncovers (`./**a.py**`) is cleaned too, so that reading it again changes nothing.
    loop {
        let Place::Inside(normal) = normalize(&path, workspace)? else { return Ok(Place::Root) };
        let clean = text::clean(&normal);
        if let Some(dir) = reserved(&normal).filter(|_| list != List::Context) {
            return Err(Why::Reserved(dir));
        }
        if clean.chars().all(|c| matches!(c, '*' | '/')) {
            return Ok(Place::Root);
        }
        if clean.len() == normal.len() && normal == path {
            return Ok(Place::Inside(normal));
        }
        path = Cow::Owned(clean.to_owned());
    }
}

fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "&" | "+" | "or")
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
        /// The short way is only short.
        #[test]
        fn what_is_settled_is_read_as_it_stands(line in "[-a-zA-Z0-9_./\\\\]{1,24}", odd in "\\PC{0,12}", list in 0..3_usize) {
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
