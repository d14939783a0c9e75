//! Sections with a task in their heading and boxes below: `### Task 1: Add the parser`.

use super::{LineKind, MarkdownLine, MarkdownText, box_outline};
use crate::import::standing::SourceStatus;

/// A section under a heading that names a task.
pub(in crate::import) struct TaskSection<'t, 'a> {
    /// Line of the heading, counted from 1.
    pub line: usize,
    /// Id in the heading.
    pub id: String,
    pub title: String,
    /// Lines below the heading.
    pub lines: &'t [MarkdownLine<'a>],
}

impl TaskSection<'_, '_> {
    /// The status: done if all boxes are ticked, dropped if all others are dropped.
    pub fn status(&self) -> SourceStatus {
        let items = self.lines.iter().filter_map(MarkdownLine::item);
        let states: Vec<SourceStatus> =
            items.filter(|item| item.state.is_some()).map(super::ListItem::status).collect();
        let is_open =
            |state: &SourceStatus| matches!(state, SourceStatus::Open | SourceStatus::Unknown(_));
        if states.is_empty() || states.iter().any(is_open) {
            return SourceStatus::Open;
        }
        match states.contains(&SourceStatus::Done) {
            true => SourceStatus::Done,
            false => states.into_iter().next().unwrap_or(SourceStatus::Open),
        }
    }

    /// The boxes as criteria.
    pub fn criteria(&self) -> Vec<String> {
        let items = self.lines.iter().filter_map(MarkdownLine::item);
        items.filter(|item| item.state.is_some()).filter_map(box_outline::criterion).collect()
    }

    /// The text of the section as written, without hidden lines.
    pub fn body(&self) -> String {
        super::shown_text(self.lines)
    }
}

/// Returns the sections with headings that `task` reads as an id and a title. A section ends at the next heading of
/// its level or above, and at the next task.
pub(in crate::import) fn sections<'t, 'a>(
    text: &'t MarkdownText<'a>,
    task: impl Fn(usize, &'a str) -> Option<(String, String)>,
) -> Vec<TaskSection<'t, 'a>> {
    let mut sections: Vec<TaskSection<'t, 'a>> = Vec::new();
    let mut current: Option<(usize, usize, String, String)> = None;
    let mut close = |current: Option<(usize, usize, String, String)>, end: usize| {
        let Some((start, _, id, title)) = current else { return };
        let lines = &text.lines[start + 1..end];
        sections.push(TaskSection { line: text.lines[start].number, id, title, lines });
    };
    for (index, line) in text.lines.iter().enumerate() {
        let LineKind::Heading { level, text } = line.kind else { continue };
        let named = task(level, text);
        if named.is_some() || current.as_ref().is_some_and(|(_, outer, ..)| level <= *outer) {
            close(current.take(), index);
        }
        if let Some((id, title)) = named {
            current = Some((index, level, id, title));
        }
    }
    close(current, text.lines.len());
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(level: usize, heading: &str) -> Option<(String, String)> {
        let (id, title) = heading.strip_prefix("Task ")?.split_once(": ")?;
        (level == 3).then(|| (id.to_owned(), title.to_owned()))
    }

    #[test]
    fn sections_end_at_their_level_and_have_a_status() {
        let text = "## Plan\n### Task 1: A\nbody\n- [x] a\n#### More\n- [x] b\n### Task 2: B\n\
                    - [ ] c\n- [x] d\n## End\n- [ ] e\n### Task 3: C\n- [-] f\n### Task 4: D\n";
        let text = MarkdownText::of(text);
        let all = sections(&text, task);
        let facts: Vec<_> = all.iter().map(|s| (s.line, s.title.as_str(), s.status())).collect();
        let dropped = SourceStatus::Dropped("cancelled".to_owned());
        assert_eq!(
            facts,
            [
                (2, "A", SourceStatus::Done),
                (7, "B", SourceStatus::Open),
                (12, "C", dropped),
                (14, "D", SourceStatus::Open)
            ]
        );
        assert_eq!(all[0].body(), "body\n- [x] a\n#### More\n- [x] b");
        assert_eq!(all[1].criteria(), ["c", "d (done)"]);
    }
}
