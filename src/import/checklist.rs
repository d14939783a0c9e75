//! Checklists in Markdown: TODO.md, fix_plan.md, PRD.md.
//!
//! A box outside of others is a phase. Boxes inside it are its criteria, and open ones inside a ticked one are phases
//! again. A heading with the id of a story (`### US-001: title`) is a phase with the boxes below as criteria. The id of
//! a phase is its number, else the first words of its text, so that it stays the same when other lines are added.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};
use super::item_fields::rank_of_word;
use super::markdown::MarkdownText;
use super::markdown::box_outline::{BoxItem, criteria_inside, items};
use super::markdown::item_text::{UniqueIds, text_id, title, without_comments, without_strikes};
use super::markdown::task_sections::{TaskSection, sections};
use super::markdown_kind::MarkdownKind;
use super::source_place::SourcePosition;
use super::source_text::SourceText;
use super::standing::SourceStatus;
use super::task_directories::put;

/// Headings over finished items.
const DONE: [&str; 7] = [
    "done",
    "completed",
    "complete",
    "finished",
    "already done",
    "completed tasks",
    "completed items",
];
/// Headings over items that are not wanted now.
const DROPPED: [&str; 8] = [
    "cancelled",
    "canceled",
    "deferred",
    "out of scope",
    "wont do",
    "won t do",
    "rejected",
    "non goals",
];

/// An id at the beginning of a text: `ABC-12: text`, `[ABC-12] text`, `1.2 text`, `#12 text`.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^\**(?:\[([A-Z][A-Z0-9]+-\d+)\]:?|([A-Z][A-Z0-9]+-\d+)\**:|(\d+(?:\.\d+)+)[:.)]?|#(\d+)[:.)]?)\**:?\s+(?:[-–—]\s+)?",
    )
    .expect("a valid pattern")
});
/// Heading of a story: `US-001: title`, `Story 1.2: title`.
static STORY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:\[?([A-Z][A-Z0-9]+-\d+)\]?|(?:User )?(Story \d+(?:\.\d+)*))\s*[:.–—-]\s*(.+)$")
        .expect("a valid pattern")
});
static PRIORITY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\[(]?(P[0-4])[\])]?:?\s+").expect("a valid pattern"));

/// The format: recognized by boxes.
pub(crate) struct Checklist;

impl Format for Checklist {
    fn name(&self) -> &'static str {
        "checklist"
    }

    fn description(&self) -> Description {
        Description {
            files: "TODO.md, fix_plan.md, PRD.md",
            content: "boxes, `- [ ] text` and `- [x] text`",
            words: &["- [ ] "],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        MarkdownKind::Checklist.recognize(input)
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let source = SourceText::of_input(input)?;
        let markdown = MarkdownText::of(source.text);
        if !markdown.has_box() {
            let why = "has no boxes; write open items as `- [ ] text`, done ones as `- [x] text`";
            return Err(ImportError::malformed(source.name, why));
        }
        source.warn_of_near_boxes(&markdown, draft);
        let title = markdown.title().unwrap_or_default();
        let mut reader = ChecklistReader { source, title, ids: UniqueIds::default(), draft };
        let stories = sections(&markdown, story_heading);
        let in_story = |line: usize| {
            let before = stories.partition_point(|story| story.line <= line);
            before.checked_sub(1).is_some_and(|at| {
                let story = &stories[at];
                line <= story.lines.last().map_or(story.line, |line| line.number)
            })
        };
        let outline = items(&markdown);
        let mut stories = stories.iter().peekable();
        for item in outline.iter().filter(|item| !in_story(item.line) && is_phase(item, &outline)) {
            while let Some(story) = stories.next_if(|story| story.line < item.line) {
                reader.story(story);
            }
            reader.item(item, &outline);
        }
        stories.for_each(|story| reader.story(story));
        Ok(())
    }
}

/// Whether a box is a phase: outside of others, or open inside ticked ones.
fn is_phase(item: &BoxItem<'_>, outline: &[BoxItem<'_>]) -> bool {
    let Some(parent) = item.parent.map(|at| &outline[at]) else { return true };
    item.is_open() && parent.status() == SourceStatus::Done && is_whole(parent, outline)
}

/// Whether no item around this one is open.
fn is_whole(item: &BoxItem<'_>, outline: &[BoxItem<'_>]) -> bool {
    let mut at = item.parent;
    while let Some(outer) = at.map(|at| &outline[at]) {
        if outer.is_open() {
            return false;
        }
        at = outer.parent;
    }
    true
}

fn story_heading(level: usize, heading: &str) -> Option<(String, String)> {
    let found = STORY.captures(heading).filter(|_| (2..=4).contains(&level))?;
    let id = found.get(1).or_else(|| found.get(2))?.as_str();
    Some((id.replace(' ', "-").to_owned(), found[3].to_owned()))
}

struct ChecklistReader<'a, 'd> {
    source: SourceText<'a>,
    /// Title of the text.
    title: &'a str,
    ids: UniqueIds,
    draft: &'d mut PlanDraftBuilder,
}

impl ChecklistReader<'_, '_> {
    fn item(&mut self, item: &BoxItem<'_>, outline: &[BoxItem<'_>]) {
        let place = self.source.at_line(item.line);
        let whole = without_comments(item.item.text);
        let whole = without_strikes(&whole);
        let priority = PRIORITY.captures(whole);
        let text = priority.as_ref().map_or(whole, |found| &whole[found[0].len()..]);
        let number = NUMBER.captures(text);
        let (id, text) = match &number {
            Some(found) => {
                let id = found.iter().skip(1).flatten().next().map_or("", |id| id.as_str());
                (id.to_owned(), &text[found[0].len()..])
            }
            None => (text_id(&title(text)), text),
        };
        if !text.contains(char::is_alphanumeric) {
            return self.draft.warn(format!("{place}: an item without a text; not imported"));
        }
        let mut phase = BacklogItem::new(self.id(&place, &id, number.is_some()), title(text));
        let headings = item.headings.clone();
        phase.status = status_below(item.status(), &headings);
        phase.priority = match priority {
            Some(found) => found[1].to_owned(),
            None => {
                headings.iter().rev().find_map(|heading| priority_of(heading)).unwrap_or_default()
            }
        };
        phase.rank = rank_of_word(&phase.priority);
        phase.acceptance_criteria =
            criteria_inside(item, outline, &|inner| is_phase(inner, outline));
        let shown = if phase.title == text { "" } else { text };
        phase.body = [shown, &item.body_text()].join("\n\n").trim().to_owned();
        phase.labels = labels(&headings, self.title);
        let outer = item.parent.map(|at| title(outline[at].item.text));
        put(&mut phase.extra, "part_of", outer.map(|outer| json!(outer)));
        self.draft.item(place, phase, None);
    }

    fn story(&mut self, story: &TaskSection<'_, '_>) {
        let place = self.source.at_line(story.line);
        let mut phase = BacklogItem::new(self.id(&place, &story.id, true), title(&story.title));
        phase.status = story.status();
        phase.acceptance_criteria = story.criteria();
        phase.body = story.body();
        self.draft.item(place, phase, None);
    }

    /// An id that is new; warns if a number is used twice.
    fn id(&mut self, place: &SourcePosition, wanted: &str, is_number: bool) -> String {
        let id = self.ids.next(wanted);
        if is_number && id != wanted {
            self.draft.warn(format!("{place}: {wanted} is used twice; this item is `{id}`"));
        }
        id
    }
}

/// The words of a heading in lower case, without signs.
fn plain_heading(heading: &str) -> String {
    let words = heading.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// An open box below a heading such as `Done` is not open.
fn status_below(own: SourceStatus, headings: &[&str]) -> SourceStatus {
    let plain: Vec<String> = headings.iter().map(|heading| plain_heading(heading)).collect();
    let find = |known: &[&str]| plain.iter().position(|heading| known.contains(&heading.as_str()));
    match own {
        SourceStatus::Open | SourceStatus::Unknown(_) => match (find(&DONE), find(&DROPPED)) {
            (Some(_), _) => SourceStatus::Done,
            (None, Some(at)) => SourceStatus::Dropped(plain[at].clone()),
            (None, None) => own,
        },
        settled => settled,
    }
}

/// The priority in a heading: `High Priority`, `P1`.
fn priority_of(heading: &str) -> Option<String> {
    let plain = plain_heading(heading);
    let word = plain
        .strip_suffix(" priority")
        .or_else(|| plain.strip_prefix("priority "))
        .unwrap_or(&plain);
    let known = ["critical", "urgent", "high", "medium", "low", "p0", "p1", "p2", "p3", "p4"];
    known.contains(&word).then(|| word.to_owned())
}

/// The headings above an item, except the title of the text.
fn labels(headings: &[&str], title: &str) -> Vec<String> {
    let below_title = headings.iter().filter(|heading| **heading != title);
    below_title.map(|heading| (*heading).to_owned()).collect()
}
