//! Items with boxes as an outline: their texts, nested items and headings.

use super::list_item::{BoxState, ListItem, indent};
use super::{LineKind, MarkdownText};
use crate::import::standing::SourceStatus;

/// An item with a box.
#[derive(Debug)]
pub(in crate::import) struct BoxItem<'a> {
    /// Line in the text, counted from 1.
    pub line: usize,
    pub item: ListItem<'a>,
    /// Lines below the item and part of the item, without the item's indentation.
    pub body: Vec<&'a str>,
    /// Position of the surrounding item.
    pub parent: Option<usize>,
    /// Positions of the items directly inside.
    pub children: Vec<usize>,
    /// Headings above, outermost first.
    pub headings: Vec<&'a str>,
}

impl BoxItem<'_> {
    pub fn status(&self) -> SourceStatus {
        self.item.status()
    }

    pub fn is_open(&self) -> bool {
        matches!(self.status(), SourceStatus::Open | SourceStatus::Unknown(_))
    }

    /// The lines of the body as a text.
    pub fn body_text(&self) -> String {
        self.body.join("\n").trim_matches('\n').to_owned()
    }
}

/// Returns the items with boxes in order. Nested items come after the surrounding item.
pub(in crate::import) fn items<'a>(text: &MarkdownText<'a>) -> Vec<BoxItem<'a>> {
    let mut outline = Outline { items: Vec::new(), open: Vec::new(), headings: Vec::new() };
    let mut is_after_blank = false;
    let mut code_owner = None;
    for line in &text.lines {
        let depth = indent(line.text);
        match &line.kind {
            LineKind::Blank => outline.add_line(""),
            LineKind::Hidden => {}
            LineKind::Heading { level, text } => outline.enter(*level, text),
            LineKind::Item(item) if item.state.is_some() => outline.add_item(line.number, item),
            LineKind::Item(_) => {
                outline.close(depth);
                outline.add_line(line.text);
            }
            LineKind::Code => {
                // The first fence decides for the whole block.
                if code_owner.is_none() {
                    outline.close(depth);
                    code_owner = Some(());
                }
                outline.add_line(line.text);
            }
            LineKind::Text => {
                if is_after_blank || depth > 0 {
                    outline.close(depth);
                }
                outline.add_line(line.text);
            }
        }
        if line.kind != LineKind::Code {
            code_owner = None;
        }
        is_after_blank = line.kind == LineKind::Blank;
    }
    outline.items
}

struct Outline<'a> {
    items: Vec<BoxItem<'a>>,
    /// Positions of the items around the current line, outermost first.
    open: Vec<usize>,
    headings: Vec<(usize, &'a str)>,
}

impl<'a> Outline<'a> {
    fn enter(&mut self, level: usize, heading: &'a str) {
        self.open.clear();
        self.headings.retain(|(other, _)| *other < level);
        self.headings.push((level, heading));
    }

    /// Leaves the items that do not contain a line with this indentation.
    fn close(&mut self, depth: usize) {
        self.open.retain(|at| self.items[*at].item.indent < depth);
    }

    fn add_item(&mut self, line: usize, item: &ListItem<'a>) {
        self.close(item.indent);
        let parent = self.open.last().copied();
        let position = self.items.len();
        if let Some(parent) = parent {
            self.items[parent].children.push(position);
        }
        self.open.push(position);
        self.items.push(BoxItem {
            line,
            item: item.clone(),
            body: Vec::new(),
            parent,
            children: Vec::new(),
            headings: self.headings.iter().map(|(_, heading)| *heading).collect(),
        });
    }

    fn add_line(&mut self, line: &'a str) {
        if let Some(at) = self.open.last() {
            let item = &mut self.items[*at];
            item.body.push(without_indent(line, item.item.indent + 2));
        }
    }
}

/// Removes up to this many columns of white space.
fn without_indent(line: &str, columns: usize) -> &str {
    let mut rest = line;
    while indent(line) - indent(rest) < columns {
        match rest.strip_prefix([' ', '\t']) {
            Some(shorter) => rest = shorter,
            None => break,
        }
    }
    rest
}

/// The boxes inside an item as criteria, except boxes that are separate tasks.
pub(in crate::import) fn criteria_inside(
    item: &BoxItem<'_>,
    outline: &[BoxItem<'_>],
    is_task: &dyn Fn(&BoxItem<'_>) -> bool,
) -> Vec<String> {
    let children = item.children.iter().map(|at| &outline[*at]);
    let own = children.filter(|child| !is_task(child));
    own.flat_map(|child| {
        criterion(&child.item).into_iter().chain(criteria_inside(child, outline, is_task))
    })
    .collect()
}

/// The text of a box as a criterion: a done box is marked as done, a dropped box is left out.
pub(in crate::import) fn criterion(item: &ListItem<'_>) -> Option<String> {
    let text = super::item_text::without_comments(item.text);
    let text = text.trim();
    match item.status() {
        SourceStatus::Dropped(_) => None,
        _ if text.is_empty() => None,
        _ if item.state == Some(BoxState::Done) => Some(format!("{text} (done)")),
        _ => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Vec<(String, Option<usize>, String)> {
        let text = MarkdownText::of(text);
        let facts = |item: &BoxItem<'_>| (item.item.text.to_owned(), item.parent, item.body_text());
        items(&text).iter().map(facts).collect()
    }

    #[test]
    fn nesting_and_bodies_follow_the_indentation() {
        let text = "# A\n- [ ] one\n  more of one\n\n  - plain\n  - [ ] inner\n    text\n\
                    - [x] two\nlazy\n\nno item\n* [ ] three";
        let item = |text: &str, parent, body: &str| (text.to_owned(), parent, body.to_owned());
        let expected = [
            item("one", None, "more of one\n\n- plain"),
            item("inner", Some(0), "text"),
            item("two", None, "lazy"),
            item("three", None, ""),
        ];
        assert_eq!(outline(text), expected);
    }

    #[test]
    fn code_belongs_to_the_item_above_by_the_first_fence() {
        let text = "- [ ] one\n  ```\nleft\n  ```\n- [ ] two\n```\nx\n```\n- [ ] three\n";
        let bodies: Vec<_> = outline(text).into_iter().map(|(_, _, body)| body).collect();
        assert_eq!(bodies, ["```\nleft\n```", "", ""]);
    }

    #[test]
    fn headings_are_kept_by_level() {
        let text = MarkdownText::of("# A\n## B\n- [ ] one\n## C\n- [ ] two\n# D\n- [ ] three");
        let headings: Vec<_> = items(&text).into_iter().map(|item| item.headings).collect();
        assert_eq!(headings, [vec!["A", "B"], vec!["A", "C"], vec!["D"]]);
    }

    #[test]
    fn criteria_name_what_is_done() {
        let of = |line| criterion(&ListItem::of(line).unwrap());
        assert_eq!(of("- [x] a").as_deref(), Some("a (done)"));
        assert_eq!(of("- [ ] a <!-- b -->").as_deref(), Some("a"));
        assert_eq!((of("- [-] a"), of("- [ ]")), (None, None));
    }
}
