//! `scope`: converted to an object, lists of paths normalized, `scope.paths` derived if missing.

use serde_json::{Map, Value, json};

use super::draft::{SpecDraft, is_blank, words};
use super::lists::{self, Item};
use super::{Unscoped, aliases, criteria, field};
use crate::phase::path::bullet::{has_bullet, strip_bullet};
use crate::phase::path::entry::{self, List};
use crate::phase::path::parent;
use crate::phase::path::shape::has_wildcard;
use crate::phase::path::text::{self, NamedPaths};
use crate::phase::spec::{RawSpec, is_from_tracker};

const PATHS: &str = "paths";
pub(super) const NO_PATH: &str = "the phase names no path to work on: add `deliverables` or `scope.paths`, \
     or have a scope proposed with `executor.unscoped: propose`";

/// Text fields searched for paths if nothing else names a path.
const TEXT_FIELDS: [&str; 8] = [
    "name",
    "description",
    "instructions",
    "acceptance_criteria",
    "goals",
    "features",
    "tasks",
    "notes",
];

/// Removes the scope from the spec, as an object. Returns a scope written as text.
pub(super) fn open(draft: &mut SpecDraft) -> Option<String> {
    match field::get_mut(&mut draft.json, "scope").map(Value::take) {
        None | Some(Value::Null) => None,
        Some(Value::Object(scope)) => {
            draft.scope = scope;
            None
        }
        Some(paths @ Value::Array(_)) => {
            draft.scope = Map::from_iter([(PATHS.to_owned(), paths)]);
            draft.fixed("scope: used the list as `scope.paths`");
            None
        }
        Some(other) => Some(words(&other)).filter(|text| !text.is_empty()),
    }
}

/// Distributes a scope written as text: paths to `scope.paths`, words to the description.
pub(super) fn place_text(draft: &mut SpecDraft, text: Option<String>) {
    let Some(text) = text else { return };
    let whole = entry::read(&text, List::Deliverables, draft.limits.workspace);
    let places = whole.paths.len() + whole.escapes.len();
    if places > 0 && !whole.prose && !text.contains('\n') {
        add(&mut draft.scope, PATHS, Value::String(text));
        draft.fixed("scope: used the text as a path");
        return;
    }
    let named: Vec<Value> = text.lines().filter_map(bullet_path).map(Value::from).collect();
    if !named.is_empty() {
        draft.fixed(format!("deliverables: took {} from the scope's text", named.len()));
        add(&mut draft.json, "deliverables", Value::Array(named));
    }
    let description = match words(draft.json.get("description").unwrap_or(&Value::Null)) {
        description if description.is_empty() => text,
        description => format!("{description}\n\n{text}"),
    };
    draft.json.insert("description".to_owned(), Value::String(description));
    draft.fixed("scope: moved its text to the description");
}

fn add(object: &mut Map<String, Value>, key: &str, value: Value) {
    let merged = match object.get_mut(key).map(Value::take) {
        Some(first) if !is_blank(&first) => lists::concat(first, value),
        _ => value,
    };
    object.insert(key.to_owned(), merged);
}

/// Returns the path at the beginning of a bullet line.
fn bullet_path(line: &str) -> Option<String> {
    let item = has_bullet(line).then(|| strip_bullet(line))?;
    let (token, _) = text::first_token(item);
    token.is_path().then(|| token.text.into_owned())
}

/// Normalizes every list of paths in the scope.
pub(super) fn normalize(draft: &mut SpecDraft) {
    for (key, list) in [
        (PATHS, List::Scope),
        ("read_only_context", List::Context),
        ("protected_paths", List::Context),
    ] {
        match field::get_mut(&mut draft.scope, key) {
            None => {}
            Some(given) if lists::is_settled(given, list, draft.limits.workspace) => {}
            Some(given) => {
                let given = given.take();
                let kept = normalize_list(draft, key, list, &given);
                field::put(&mut draft.scope, key, Value::Array(kept));
            }
        }
    }
}

fn normalize_list(draft: &mut SpecDraft, key: &str, list: List, given: &Value) -> Vec<Value> {
    let field = format!("scope.{key}");
    let mut kept = Vec::new();
    for item in lists::items(given) {
        let (line, about) = match item {
            Item::Line(line) => (line, None),
            Item::About { key, path, fields } => (path.into(), Some((key, fields))),
        };
        let mut entry = entry::read(&line, list, draft.limits.workspace);
        draft.refuse(&field, &line, &mut entry);
        if entry.prose && line.contains(char::is_alphanumeric) {
            // Keeps the text from reading as a criterion.
            let label = if list == List::Context { format!("{field}: ") } else { String::new() };
            draft.prose.push(format!("{label}{}", line.trim()));
        }
        if list == List::Scope {
            draft.mentions.extend(entry.mentions);
        }
        match (about, entry.paths.as_slice()) {
            (Some((key, fields)), [path]) if list == List::Context => {
                kept.push(with_reason(key, path, fields));
                continue;
            }
            (Some((_, fields)), _) => draft.prose.extend(lists::remarks(&line, &fields)),
            (None, _) => {}
        }
        for path in entry.paths.into_iter().map(Value::String) {
            match entry.escapes.is_empty() {
                true => push(&mut kept, path),
                false => lists::push_refused(&mut kept, path),
            }
        }
    }
    say_what_changed(draft, &field, given, &kept);
    kept
}

/// Builds `{path, reason}`, keeping the author's other fields.
fn with_reason(key: &str, path: &str, mut fields: Map<String, Value>) -> Value {
    if key.is_empty() {
        return json!({"path": path, "reason": fields.remove("").unwrap_or_default()});
    }
    let mut object = Map::from_iter([(key.to_owned(), Value::from(path))]);
    object.extend(fields);
    Value::Object(object)
}

fn push(kept: &mut Vec<Value>, path: Value) {
    let bare = |value: &Value| value.as_str().map(|path| path.trim_end_matches('/').to_owned());
    if !kept.iter().any(|other| bare(other) == bare(&path)) {
        kept.push(path);
    }
}

fn say_what_changed(draft: &mut SpecDraft, field: &str, before: &Value, kept: &[Value]) {
    if before.as_array().is_some_and(|list| list == kept) {
        return;
    }
    let kept: Option<Vec<&str>> = kept.iter().map(Value::as_str).collect();
    match (lists::texts(before), kept) {
        (Some(before), Some(kept)) => lists::report(draft, field, Some(&before), &kept),
        _ => draft.fixed(format!("{field}: normalized")),
    }
}

/// Checks whether the author gave a non-empty scope.
pub(super) fn has_paths(draft: &SpecDraft) -> bool {
    field::get(&draft.scope, PATHS).is_some_and(|paths| !is_blank(paths))
}

/// Checks whether the author of a spec, as written, gave a scope under any name.
pub fn authors_scope(raw: &RawSpec) -> bool {
    let Some(spec) = raw.0.as_object() else { return false };
    let is_list = |scope: &Value| !scope.is_object() && !is_blank(scope);
    field::get(spec, "scope").is_some_and(is_list)
        || aliases::written(spec, "scope.paths").any(|(_, paths)| !is_blank(paths))
}

/// Fills `scope.paths` if the author gave none.
pub(super) fn derive(draft: &mut SpecDraft) {
    if has_paths(draft) {
        return;
    }
    let mut paths = parents(draft);
    let mut is_of_text = false;
    let refused = field::get(&draft.json, "deliverables").is_some_and(|given| !is_blank(given));
    // In an issue of other people, paths are hints for a proposal; only without any limit they are better than none.
    let is_own_text = !is_from_tracker(&draft.json) || draft.limits.unscoped == Unscoped::Allow;
    if paths.is_empty() && !refused && is_own_text {
        paths = named_in_text(draft);
        is_of_text = true;
    }
    if paths.is_empty() {
        match draft.limits.unscoped {
            Unscoped::Refuse if draft.problems.is_empty() => {
                draft.problems.push(NO_PATH.to_owned());
            }
            Unscoped::Propose => draft.needs_scope = true,
            Unscoped::Refuse | Unscoped::Allow => {}
        }
        return;
    }
    let listed = paths.join(", ");
    match is_of_text {
        true => draft.fixed(["scope.paths: ", &listed, " from paths named in the text"].concat()),
        // As documented for phases that list deliverables only.
        false => draft.filled_in(["scope.paths: ", &listed, " from the deliverables"].concat()),
    }
    let paths = paths.into_iter().map(Value::String).collect();
    draft.scope.insert(PATHS.to_owned(), paths);
}

fn parents(draft: &SpecDraft) -> Vec<String> {
    let mut unique = Vec::new();
    for path in draft.deliverables().chain(draft.mentions.iter().map(String::as_str)) {
        add_place(draft, scope_of(path), &mut unique);
    }
    unique
}

/// Adds a path as read from an author's list, so that reading the list again changes nothing.
fn add_place(draft: &SpecDraft, place: &str, unique: &mut Vec<String>) {
    if unique.iter().any(|known| known == place) {
        return;
    }
    if entry::is_settled(place, List::Scope, draft.limits.workspace) {
        return lists::push_path(unique, place.to_owned());
    }
    let entry = entry::read(place, List::Scope, draft.limits.workspace);
    if !entry.prose && entry.escapes.is_empty() {
        entry.paths.into_iter().for_each(|path| lists::push_path(unique, path));
    }
}

/// Returns the scope of a deliverable: the parent directory of a file, a directory itself, or the directory
/// above a glob's first wildcard. An entry at the root is its own scope: the root itself is never a scope.
pub(in crate::phase) fn scope_of(path: &str) -> &str {
    let mut scope = match path.strip_suffix('/') {
        Some(directory) => directory,
        None => parent(path).unwrap_or(path),
    };
    while has_wildcard(scope) {
        match parent(scope) {
            Some(above) => scope = above,
            None => return path.trim_end_matches('/'),
        }
    }
    scope
}

/// Searches each text separately, so that brackets opened in a text and closed in another never form a path.
fn named_in_text(draft: &SpecDraft) -> Vec<String> {
    let fields = TEXT_FIELDS.iter().filter_map(|key| field::get(&draft.json, key));
    let texts = fields.flat_map(criteria::texts).chain(draft.prose.iter().cloned());
    let named: Vec<NamedPaths> = texts.map(|text| text::find_paths(&text)).collect();
    let mut unique = Vec::new();
    for path in named.iter().flat_map(|named| &named.paths) {
        add_place(draft, path, &mut unique);
    }
    if unique.is_empty() {
        // A bare file name has no directory, so any file of this name matches.
        let names = named.iter().flat_map(|named| &named.names);
        names.for_each(|name| add_place(draft, &format!("**/{name}"), &mut unique));
    }
    unique
}
