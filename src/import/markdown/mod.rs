//! Markdown as lines: headings, list items with boxes, code and comments.
//!
//! Backlogs in Markdown are lists of lines, so a reader of lines is enough. It knows fences, comments, front matter and
//! nesting. An unclosed fence or comment hides nothing: lost items are worse than examples that are read as items.

pub(super) mod box_outline;
pub(super) mod front_matter;
pub(super) mod item_text;
pub(super) mod list_item;
pub(super) mod task_sections;

use std::collections::HashMap;

use list_item::ListItem;

/// The lines of a text.
pub(super) struct MarkdownText<'a> {
    pub lines: Vec<MarkdownLine<'a>>,
}

/// A line and its kind.
pub(super) struct MarkdownLine<'a> {
    /// Counted from 1.
    pub number: usize,
    /// The line as written, without its end.
    pub text: &'a str,
    pub kind: LineKind<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineKind<'a> {
    Blank,
    Heading {
        level: usize,
        text: &'a str,
    },
    Item(ListItem<'a>),
    Text,
    /// A fence or a line inside a fence.
    Code,
    /// A line of a comment, or of the front matter.
    Hidden,
}

impl<'a> MarkdownText<'a> {
    pub fn of(text: &'a str) -> Self {
        let raw: Vec<&str> = text.lines().map(|line| line.trim_end_matches('\r')).collect();
        let hidden = front_matter::lines(&raw).map_or(0, |lines| lines.end + 1);
        let last_comment_end = raw.iter().rposition(|line| line.contains("-->")).unwrap_or(0);
        let mut fences = Fences::default();
        let mut lines: Vec<MarkdownLine<'_>> = Vec::with_capacity(raw.len());
        // First line after the current fence or comment.
        let mut end = hidden;
        let mut inside = LineKind::Hidden;
        for (index, text) in raw.iter().copied().enumerate() {
            if index >= end {
                let bare = text.trim_start();
                if let Some(close) = fences.close(&raw, index) {
                    (end, inside) = (close + 1, LineKind::Code);
                } else if bare.starts_with("<!--")
                    && !bare.contains("-->")
                    && index < last_comment_end
                {
                    let after = raw[index..].iter().position(|line| line.contains("-->"));
                    (end, inside) = (index + after.unwrap_or(0) + 1, LineKind::Hidden);
                }
            }
            let kind = if index < end { inside.clone() } else { kind(text) };
            lines.push(MarkdownLine { number: index + 1, text, kind });
        }
        Self { lines }
    }

    /// Whether an item has a box.
    pub fn has_box(&self) -> bool {
        self.lines.iter().any(|line| line.item().is_some_and(|item| item.state.is_some()))
    }

    /// Numbers of the lines that look like a box and are none.
    pub fn near_boxes(&self) -> impl Iterator<Item = usize> {
        let is_text = |kind: &LineKind<'_>| matches!(kind, LineKind::Text | LineKind::Item(_));
        let near = self.lines.iter().filter(move |line| is_text(&line.kind));
        near.filter(|line| list_item::is_nearly_box(line.text)).map(|line| line.number)
    }

    /// Splits the text at headings of this level; those of lower levels are part of the sections.
    pub fn sections_of_level(&self, wanted: usize) -> Vec<Section<'_, 'a>> {
        let title = |line: &MarkdownLine<'a>| match line.kind {
            LineKind::Heading { level, text } if level == wanted => Some(text),
            _ => None,
        };
        let mut sections = Vec::new();
        let (mut start, mut current) = (0, "");
        for (index, line) in self.lines.iter().enumerate() {
            if let Some(next) = title(line) {
                sections.push(Section { title: current, lines: &self.lines[start..index] });
                (start, current) = (index + 1, next);
            }
        }
        sections.push(Section { title: current, lines: &self.lines[start..] });
        sections
    }

    /// The text of the first heading of level 1.
    pub fn title(&self) -> Option<&'a str> {
        self.lines.iter().find_map(|line| match line.kind {
            LineKind::Heading { level: 1, text } => Some(text),
            _ => None,
        })
    }
}

/// The lines below a heading.
pub(super) struct Section<'t, 'a> {
    /// The heading; empty for the lines above the first heading.
    pub title: &'a str,
    pub lines: &'t [MarkdownLine<'a>],
}

impl Section<'_, '_> {
    /// The text without hidden lines.
    pub fn text(&self) -> String {
        shown_text(self.lines)
    }
}

/// The text of lines, without hidden lines and comments.
pub(super) fn shown_text(lines: &[MarkdownLine<'_>]) -> String {
    let shown = lines.iter().filter(|line| line.kind != LineKind::Hidden);
    let shown = shown.map(|line| match line.kind {
        LineKind::Code => line.text.to_owned(),
        _ => item_text::without_comments(line.text),
    });
    shown.collect::<Vec<_>>().join("\n").trim().to_owned()
}

impl<'a> MarkdownLine<'a> {
    pub fn item(&self) -> Option<&ListItem<'a>> {
        match &self.kind {
            LineKind::Item(item) => Some(item),
            _ => None,
        }
    }
}

fn kind(text: &str) -> LineKind<'_> {
    let bare = text.trim();
    if bare.is_empty() {
        return LineKind::Blank;
    }
    if bare.starts_with("<!--") && bare.ends_with("-->") {
        return LineKind::Hidden;
    }
    if let Some(heading) = heading(text) {
        return heading;
    }
    ListItem::of(text).map_or(LineKind::Text, LineKind::Item)
}

/// `## Title ##`
fn heading(text: &str) -> Option<LineKind<'_>> {
    let bare = text.trim();
    let level = bare.bytes().take_while(|byte| *byte == b'#').count();
    let title = &bare[level..];
    let is_heading = (1..=6).contains(&level)
        && list_item::indent(text) < 4
        && (title.is_empty() || title.starts_with([' ', '\t']));
    let title = title.trim().trim_end_matches('#').trim_end();
    is_heading.then_some(LineKind::Heading { level, text: title })
}

/// Finds the ends of fences. Remembers fences that are never closed, to search each once.
#[derive(Default)]
struct Fences {
    /// The shortest unclosed fence, by character.
    unclosed: HashMap<char, usize>,
}

impl Fences {
    /// Returns the line of the closing fence, if a fence opens at `index`.
    fn close(&mut self, lines: &[&str], index: usize) -> Option<usize> {
        let (sign, length) = opening_fence(lines[index])?;
        if self.unclosed.get(&sign).is_some_and(|shortest| length >= *shortest) {
            return None;
        }
        let closes = |line: &&str| {
            let bare = line.trim();
            bare.len() >= length && bare.chars().all(|c| c == sign)
        };
        let after = lines[index + 1..].iter().position(closes);
        if after.is_none() {
            self.unclosed.insert(sign, length);
        }
        Some(index + 1 + after?)
    }
}

fn opening_fence(line: &str) -> Option<(char, usize)> {
    let bare = line.trim_start();
    let sign = bare.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = bare.chars().take_while(|c| *c == sign).count();
    let is_inline = sign == '`' && bare[length..].contains('`');
    (length >= 3 && !is_inline).then_some((sign, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> String {
        let lines = MarkdownText::of(text).lines;
        let letter = |line: &MarkdownLine<'_>| match line.kind {
            LineKind::Blank => '_',
            LineKind::Heading { .. } => 'h',
            LineKind::Item(ListItem { state: Some(_), .. }) => 'b',
            LineKind::Item(_) => 'i',
            LineKind::Text => 't',
            LineKind::Code => 'c',
            LineKind::Hidden => '-',
        };
        lines.iter().map(letter).collect()
    }

    #[test]
    fn lines_have_kinds() {
        assert_eq!(kinds("# A #\n\ntext\n- [ ] a\n* b\r\n1. [x] c\n#no\n"), "h_tbibt");
        assert_eq!(kinds("---\nid: a\n---\n- [ ] a"), "---b");
        assert_eq!(kinds("---\n- [ ] a"), "tb");
        assert_eq!(MarkdownText::of("## B\n# A #\n").title(), Some("A"));
    }

    #[test]
    fn code_and_comments_are_no_items() {
        assert_eq!(kinds("```\n- [ ] a\n```\n- [ ] b"), "cccb");
        assert_eq!(kinds("- [ ] a\n  ````md\n  ```\n  - [ ] b\n  ````\n- [ ] c"), "bccccb");
        assert_eq!(kinds("<!--\n- [ ] a\n-->\n- [ ] b <!-- c -->"), "---b");
        assert_eq!(kinds("~~~\n```\n~~~\n- [ ] b"), "cccb");
    }

    #[test]
    fn unclosed_fences_and_comments_hide_nothing() {
        assert_eq!(kinds("```sh\n- [ ] a\n<!-- b\n- [ ] c"), "tbtb");
        assert_eq!(kinds("```a``` b\n- [ ] a\n```"), "tbt");
    }
}
