//! List items of Markdown, and the boxes before their texts.

use crate::import::standing::SourceStatus;

/// Columns of a tab.
const TAB: usize = 4;

/// An item: `- [ ] text`, `* text`, `1. [x] text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct ListItem<'a> {
    /// Columns before the marker.
    pub indent: usize,
    /// The box; `None` for items without one.
    pub state: Option<BoxState>,
    /// The text after marker and box.
    pub text: &'a str,
}

/// The sign inside a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum BoxState {
    Open,
    Done,
    /// Cancelled or deferred.
    Dropped(&'static str),
    /// A sign without an agreed meaning.
    Other(char),
}

impl<'a> ListItem<'a> {
    pub fn of(line: &'a str) -> Option<Self> {
        let bare = line.trim_start();
        let rest = without_marker(bare)?;
        let (state, text) = match without_box(rest) {
            Some((state, text)) => (Some(state), text),
            None => (None, rest),
        };
        Some(Self { indent: indent(line), state, text: text.trim() })
    }

    /// The status: the box, unless the whole text is struck out.
    pub fn status(&self) -> SourceStatus {
        let is_struck = self.text.len() > 4
            && self.text.starts_with("~~")
            && self.text.find("~~ ").is_none()
            && self.text.ends_with("~~");
        match self.state {
            Some(BoxState::Done) => SourceStatus::Done,
            Some(BoxState::Dropped(word)) => SourceStatus::Dropped(word.to_owned()),
            _ if is_struck => SourceStatus::Dropped("struck out".to_owned()),
            Some(BoxState::Other(sign)) => SourceStatus::Unknown(format!("[{sign}]")),
            Some(BoxState::Open) | None => SourceStatus::Open,
        }
    }
}

/// Columns of white space before the text.
pub(in crate::import) fn indent(line: &str) -> usize {
    let mut columns = 0;
    for c in line.chars() {
        match c {
            ' ' => columns += 1,
            '\t' => columns += TAB - columns % TAB,
            _ => break,
        }
    }
    columns
}

/// Whether a line looks like a box and is none: `- [*] a`, `-[ ] a`, `- [ ]tight`.
pub(in crate::import) fn is_nearly_box(line: &str) -> bool {
    let inside = |line: &str| {
        let rest = line.trim_start().strip_prefix(['-', '*', '+'])?.trim_start();
        let (sign, after) = rest.strip_prefix('[')?.split_once(']')?;
        // Links have a target behind the bracket.
        let is_link = after.starts_with(['(', '[', ':']);
        Some(!is_link && matches!(sign.trim(), "" | "x" | "X" | "*" | "+" | "o"))
    };
    let is_box = ListItem::of(line).is_some_and(|item| item.state.is_some());
    !is_box && inside(line).unwrap_or_default()
}

fn without_marker(bare: &str) -> Option<&str> {
    let digits = bare.bytes().take_while(u8::is_ascii_digit).count();
    let rest = match digits {
        0 => bare.strip_prefix(['-', '*', '+'])?,
        1..=9 => bare[digits..].strip_prefix(['.', ')'])?,
        _ => return None,
    };
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| rest.trim_start())
}

fn without_box(text: &str) -> Option<(BoxState, &str)> {
    let inside = text.strip_prefix('[')?;
    let (sign, rest) = inside.split_once(']')?;
    // `[ x ]`, `[  ]`.
    let mut signs = sign.trim().chars();
    let (sign, more) = (signs.next().unwrap_or(' '), signs.next());
    let state = match sign {
        _ if more.is_some() => return None,
        ' ' | '/' => BoxState::Open,
        'x' | 'X' | '✓' | '✔' | '✅' => BoxState::Done,
        '-' => BoxState::Dropped("cancelled"),
        '>' => BoxState::Dropped("deferred"),
        '~' | '!' | '?' => BoxState::Other(sign),
        _ => return None,
    };
    // `[x](https://...)` is a link.
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some((state, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_boxes_of_all_kinds() {
        let item = |line| ListItem::of(line).map(|item| (item.indent, item.status(), item.text));
        let dropped = |word: &str| SourceStatus::Dropped(word.to_owned());
        assert_eq!(item("- [ ] a"), Some((0, SourceStatus::Open, "a")));
        assert_eq!(item("  * [X]  a "), Some((2, SourceStatus::Done, "a")));
        assert_eq!(item("\t12) [] a"), Some((4, SourceStatus::Open, "a")));
        assert_eq!(item("- [ x ] a"), Some((0, SourceStatus::Done, "a")));
        assert_eq!(item("- [  ] a"), Some((0, SourceStatus::Open, "a")));
        assert_eq!(item("- [\t\u{a0}] a"), Some((0, SourceStatus::Open, "a")));
        assert_eq!(item("- [-] a"), Some((0, dropped("cancelled"), "a")));
        assert_eq!(item("- [ ] ~~a b~~"), Some((0, dropped("struck out"), "~~a b~~")));
        assert_eq!(item("- [~] a"), Some((0, SourceStatus::Unknown("[~]".to_owned()), "a")));
        let state = |line| ListItem::of(line).and_then(|item| item.state);
        for plain in ["- a", "- [x](y)", "- [1] a", "1. a", "- [ab] c", "+ [", "-"] {
            assert_eq!((state(plain), ListItem::of(plain).is_some()), (None, true), "{plain}");
        }
        for near in ["- [*] a", "-[ ] a", "  - [ ]tight", "*[x] a"] {
            assert!(is_nearly_box(near), "{near}");
        }
        for other in ["- [ ] a", "- [x](y)", "- [1] a", "- a", "[ ] a", "- [x]: y"] {
            assert!(!is_nearly_box(other), "{other}");
        }
        for none in ["-a", "a", "", "1234567890. a", "**b**", "1.a"] {
            assert!(ListItem::of(none).is_none(), "{none}");
        }
    }
}
