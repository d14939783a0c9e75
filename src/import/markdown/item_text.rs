//! Titles and ids from the texts of list items and headings.

use std::collections::HashMap;

use crate::phase::ids::slug;

/// Maximum length of a title, in characters.
const TITLE: usize = 100;
/// Maximum length of an id from a text, in bytes.
const ID: usize = 60;

/// Returns the title of a text: the bold words before a colon or dash, else all of it, shortened at a word.
pub(in crate::import) fn title(text: &str) -> String {
    let text = without_comments(text);
    let text = text.trim();
    let bold = text.strip_prefix("**").and_then(|rest| rest.split_once("**"));
    let chosen = match bold {
        // `**Step 1:** text` has its title after the bold words.
        Some((lead, rest)) if lead.split_whitespace().count() > 2 => {
            let separators = [':', '-', '–', '—', '.'];
            let is_apart = lead.ends_with([':', '.']) || rest.trim_start().starts_with(separators);
            if is_apart { lead.trim_end_matches([':', '.']) } else { text }
        }
        _ => text,
    };
    let plain = chosen.replace("**", "").replace("~~", "");
    shortened(plain.trim().trim_end_matches(':').trim_end())
}

/// Returns a text without the `~~` and `**` around all of it: a struck-out item keeps its id.
pub(in crate::import) fn without_strikes(text: &str) -> &str {
    fn inside<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
        let inner = text.strip_prefix(mark)?.strip_suffix(mark)?;
        (!inner.is_empty() && !inner.contains(mark)).then_some(inner.trim())
    }
    let mut text = text.trim();
    while let Some(inner) = inside(text, "~~").or_else(|| inside(text, "**")) {
        text = inner;
    }
    text
}

/// Returns a line without its comments: `text <!-- note -->`.
pub(in crate::import) fn without_comments(line: &str) -> String {
    let (mut kept, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once("<!--") {
        let Some((_, after)) = after.split_once("-->") else { break };
        kept += before;
        rest = after;
    }
    kept + rest
}

fn shortened(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(TITLE) else { return text.to_owned() };
    let head = &text[..end];
    let cut = head.rfind(' ').unwrap_or(end);
    format!("{} ...", head[..cut].trim_end())
}

/// Gives out ids: the first of a name is the name itself, the next ones are numbered.
#[derive(Default)]
pub(in crate::import) struct UniqueIds {
    used: HashMap<String, usize>,
}

impl UniqueIds {
    /// Returns an id that was not given out before.
    pub fn next(&mut self, wanted: &str) -> String {
        let mut id = wanted.to_owned();
        while self.used.contains_key(&id) {
            let number = self.used.entry(wanted.to_owned()).or_insert(1);
            *number += 1;
            id = format!("{wanted}-{number}");
        }
        self.used.insert(id.clone(), 1);
        id
    }
}

/// Returns the id for a text: its first words.
pub(in crate::import) fn text_id(text: &str) -> String {
    let whole = slug(text);
    if whole.len() <= ID {
        return whole;
    }
    let end = (0..=ID).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
    let head = &whole[..end];
    head.rsplit_once('-').map_or(head, |(head, _)| head).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_the_bold_words_or_the_text() {
        assert_eq!(title("Add `a.py`"), "Add `a.py`");
        assert_eq!(title("**Add the login page**: with a form"), "Add the login page");
        assert_eq!(title("**Step 1:** Write it <!-- soon -->"), "Step 1: Write it");
        assert_eq!(title("**All of it**"), "All of it");
        assert_eq!(title("~~gone~~"), "gone");
        let long = title(&"word ".repeat(40));
        assert!(long.chars().count() <= TITLE + 4 && long.ends_with("word ..."), "{long}");
    }

    #[test]
    fn marks_around_the_whole_text_are_removed() {
        assert_eq!(without_strikes("~~T007 foo~~"), "T007 foo");
        assert_eq!(without_strikes(" **~~1.2 a b~~** "), "1.2 a b");
        for kept in ["**A**: b **c**", "~~a~~ b ~~c~~", "a ~~b~~", "~~~~", "**", ""] {
            assert_eq!(without_strikes(kept), kept);
        }
    }

    #[test]
    fn ids_are_numbered_and_short() {
        let mut ids = UniqueIds::default();
        let all: Vec<_> = ["a", "a", "a-2", "a", "b"].map(|id| ids.next(id)).into();
        assert_eq!(all, ["a", "a-2", "a-2-2", "a-3", "b"]);
        let id = text_id(&"Überlange Wörter ".repeat(9));
        assert!(id.len() <= ID && id.ends_with("wörter"), "{id}");
        assert_eq!(text_id("!!"), "phase");
    }
}
