//! `deliverables`: a list of unique paths.

use serde_json::Value;

use super::draft::SpecDraft;
use super::field;
use super::lists::{self, Item};
use crate::phase::path::entry::{self, Entry, List};

const KEY: &str = "deliverables";

pub(super) fn normalize(draft: &mut SpecDraft) {
    let Some(given) = field::get_mut(&mut draft.json, KEY) else { return };
    if lists::is_settled(given, List::Deliverables, draft.limits.workspace) {
        return;
    }
    let given = given.take();
    let written = lists::texts(&given);
    let mut kept = Vec::new();
    let mut hints = Vec::new();
    for item in lists::items(&given) {
        let (text, about) = match item {
            Item::Line(text) => (text, Vec::new()),
            Item::About { path, fields, .. } => {
                let remarks = lists::remarks(path, &fields);
                (path.into(), remarks)
            }
        };
        let entry = entry::read(&text, List::Deliverables, draft.limits.workspace);
        take(draft, &text, entry, &mut kept, &mut hints);
        draft.prose.extend(about);
    }
    if kept.is_empty() && !super::scope::has_paths(draft) {
        take_hints(draft, &hints, &mut kept);
    }
    let paths: Vec<&str> = kept.iter().map(String::as_str).collect();
    lists::report(draft, KEY, written.as_deref(), &paths);
    field::put(&mut draft.json, KEY, kept.into_iter().map(Value::String).collect());
}

fn take(
    draft: &mut SpecDraft,
    text: &str,
    mut entry: Entry,
    kept: &mut Vec<String>,
    hints: &mut Vec<String>,
) {
    draft.refuse(KEY, text, &mut entry);
    if entry.prose && text.contains(char::is_alphanumeric) {
        draft.prose.push(text.trim().to_owned());
    }
    if entry.escapes.is_empty() {
        entry.paths.into_iter().for_each(|path| lists::push_path(kept, path));
    } else {
        draft.refused.extend_from_slice(&entry.paths);
        entry.paths.into_iter().for_each(|written| lists::push_refused(kept, written));
    }
    draft.mentions.extend(entry.mentions);
    hints.extend(entry.hint);
}

/// Uses files mentioned in sentences if there are no better entries.
fn take_hints(draft: &mut SpecDraft, hints: &[String], kept: &mut Vec<String>) {
    for hint in hints {
        let entry = entry::read(hint, List::Deliverables, draft.limits.workspace);
        take(draft, hint, entry, kept, &mut Vec::new());
    }
}
