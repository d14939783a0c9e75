//! Progress of phases according to the plan: work done elsewhere is not repeated.

use compact_str::CompactString;
use serde_json::{Map, Value};

/// Status of a phase in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SourceStatus {
    /// Not done, or no status given.
    Open,
    Done,
    /// Cancelled, deferred or deleted, with the source's word.
    Dropped(String),
    /// An unknown status, with the source's word.
    Unknown(String),
}

// Keys in their plain form, see `plain_key`.
/// Keys for the status.
const STATUS: [&str; 5] = ["status", "state", "taskstatus", "phasestatus", REASON];
const REASON: &str = "statereason";
/// Flags of done phases; `is_done`, `isDone` are the same.
const DONE_FLAGS: [&str; 10] = [
    "passes",
    "passed",
    "completed",
    "complete",
    "done",
    "closed",
    "merged",
    "resolved",
    "finished",
    "checked",
];
const DROPPED_FLAGS: [&str; 7] =
    ["cancelled", "canceled", "deferred", "deleted", "skipped", "archived", "abandoned"];
/// Timestamps present only on done phases.
const DONE_AT: [&str; 7] =
    ["completedat", "closedat", "mergedat", "doneat", "finishedat", "resolvedat", "completedon"];
const TITLES: [&str; 5] = ["name", "title", "taskname", "phasename", "displayname"];
/// Objects of a phase read for a status if the phase has none beside them.
const WITHIN: [&str; 5] = ["metadata", "fields", "meta", "attributes", "properties"];
/// Parts and ends of keys that look like a status.
const LIKE_STATUS: [&str; 2] = ["status", "state"];
const LIKE_DONE: [&str; 8] =
    ["passes", "passed", "completed", "complete", "done", "closed", "resolved", "finished"];

const DONE: [&str; 27] = [
    "accepted",
    "approved",
    "checked",
    "closed",
    "complete",
    "completed",
    "delivered",
    "deployed",
    "done",
    "finished",
    "fixed",
    "implemented",
    "landed",
    "merged",
    "ok",
    "pass",
    "passed",
    "passing",
    "released",
    "resolved",
    "shipped",
    "solved",
    "succeeded",
    "success",
    "successful",
    "verified",
    "x",
];
const DROPPED: [&str; 28] = [
    "abandoned",
    "archived",
    "cancelled",
    "canceled",
    "declined",
    "deferred",
    "deleted",
    "discarded",
    "dropped",
    "duplicate",
    "invalid",
    "notplanned",
    "obsolete",
    "outofscope",
    "postponed",
    "rejected",
    "removed",
    "skip",
    "skipped",
    "stale",
    "superseded",
    "tombstone",
    "voided",
    "wontdo",
    "wontfix",
    "wontimplement",
    "withdrawn",
    "notneeded",
];
const OPEN: [&str; 55] = [
    "",
    "active",
    "assigned",
    "backlog",
    "blocked",
    "ci",
    "created",
    "doing",
    "draft",
    "error",
    "executing",
    "failed",
    "failing",
    "gate",
    "hooked",
    "icebox",
    "inbox",
    "incomplete",
    "indevelopment",
    "inprogress",
    "inreview",
    "later",
    "new",
    "next",
    "notdone",
    "notstarted",
    "onhold",
    "ongoing",
    "open",
    "opened",
    "paused",
    "pending",
    "pinned",
    "planned",
    "planning",
    "proposed",
    "queued",
    "ready",
    "reopened",
    "retry",
    "review",
    "running",
    "scheduled",
    "selected",
    "selectedfordevelopment",
    "started",
    "testing",
    "todo",
    "triage",
    "unstarted",
    "upnext",
    "waiting",
    "wip",
    "none",
    "needsreview",
];

/// Returns the status of a spec: its own, else that of `metadata`, `fields` and so on.
pub(super) fn of(spec: &Map<String, Value>) -> SourceStatus {
    let nested = || objects(spec).filter(|(key, _)| is_one_of(key, &WITHIN));
    stated(spec)
        .or_else(|| nested().find_map(|(_, fields)| stated(fields)))
        .unwrap_or(SourceStatus::Open)
}

/// Completes the status that a format read: a word that the format does not know may be known here, and an open item may
/// have a flag of finished work such as `completed: true`.
pub(super) fn completed(own: SourceStatus, item: &Map<String, Value>) -> SourceStatus {
    match (&own, of(item)) {
        (SourceStatus::Open | SourceStatus::Unknown(_), SourceStatus::Done) => SourceStatus::Done,
        (SourceStatus::Unknown(_), found @ SourceStatus::Dropped(_)) => found,
        _ => own,
    }
}

/// Returns the combined status in the fields of one object: done takes precedence over dropped, and both over an
/// unknown word.
fn stated(fields: &Map<String, Value>) -> Option<SourceStatus> {
    let mut stated: Vec<SourceStatus> = Vec::new();
    let (mut is_ticked_off, mut is_dated) = (false, false);
    for (key, value) in fields {
        let key = plain_key(key);
        match key.as_str() {
            // `state: CLOSED, state_reason: not_planned` is not done.
            REASON if matches!(status(value), Some(SourceStatus::Dropped(_))) => {
                return status(value);
            }
            key if STATUS.contains(&key) => stated.extend(status(value)),
            key if is_flag(key, &DONE_FLAGS) => stated.extend(flag(value)),
            key if is_flag(key, &DROPPED_FLAGS) && is_yes(value) => {
                stated.push(SourceStatus::Dropped(key.to_owned()));
            }
            key if TITLES.contains(&key) => {
                is_ticked_off |= value.as_str().is_some_and(is_ticked);
            }
            key => is_dated |= DONE_AT.contains(&key) && is_date(value),
        }
    }
    // A reopened issue keeps its date.
    if is_ticked_off || is_dated && stated.is_empty() {
        stated.push(SourceStatus::Done);
    }
    let rank = |standing: &SourceStatus| match standing {
        SourceStatus::Done => 0,
        SourceStatus::Dropped(_) => 1,
        SourceStatus::Unknown(_) => 2,
        SourceStatus::Open => 3,
    };
    stated.into_iter().min_by_key(rank)
}

/// Returns the keys that look like a status of done work but are not read, with their values.
pub(super) fn unread(spec: &Map<String, Value>) -> Vec<String> {
    let mut found = unread_of("", spec, true);
    for (name, fields) in objects(spec) {
        found.extend(unread_of(&format!("{name}."), fields, is_one_of(name, &WITHIN)));
    }
    found
}

/// `is_read`: the known keys of the object are read.
fn unread_of(within: &str, fields: &Map<String, Value>, is_read: bool) -> Vec<String> {
    let looks_done = |key: &str, value: &Value| {
        let key = plain_key(key);
        let is_known = STATUS.contains(&key.as_str()) || is_flag(&key, &DONE_FLAGS);
        let like_flag = LIKE_DONE.iter().any(|end| key.ends_with(end))
            && !["incomplete", "notdone"].iter().any(|end| key.ends_with(end));
        let like_status = LIKE_STATUS.iter().any(|part| key.contains(part));
        let is_short = value.as_str().is_none_or(|text| text.split_whitespace().count() <= 2);
        match value {
            _ if is_known && is_read || !(like_status || like_flag) => false,
            Value::Bool(yes) => like_flag && *yes,
            Value::Number(_) => false,
            value => is_short && status(value) == Some(SourceStatus::Done),
        }
    };
    let found = fields.iter().filter(|(key, value)| looks_done(key, value));
    found.map(|(key, value)| format!("`{within}{key}`: {value}")).collect()
}

/// Returns a key without case, spaces, `_` and `-`: names differ in these from tool to tool.
pub(super) fn plain_key(key: &str) -> CompactString {
    let words = key.split(|c: char| c.is_whitespace() || matches!(c, '_' | '-'));
    if !key.is_ascii() {
        return words.flat_map(str::chars).flat_map(char::to_lowercase).collect();
    }
    let mut plain: CompactString = words.collect();
    plain.make_ascii_lowercase();
    plain
}

fn is_one_of(key: &str, plain: &[&str]) -> bool {
    plain.contains(&plain_key(key).as_str())
}

/// Whether a plain key is read for the status.
pub(super) fn is_key(plain: &str) -> bool {
    STATUS.contains(&plain)
        || is_flag(plain, &DONE_FLAGS)
        || is_flag(plain, &DROPPED_FLAGS)
        || DONE_AT.contains(&plain)
}

/// Checks a plain key: `done`, `isdone`.
fn is_flag(key: &str, flags: &[&str]) -> bool {
    flags.contains(&key.strip_prefix("is").unwrap_or(key))
}

fn objects(spec: &Map<String, Value>) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
    spec.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_object()?)))
}

/// Returns the status under a key for statuses: `"Done"`, `{"name": "Done"}`, `["done"]`.
fn status(value: &Value) -> Option<SourceStatus> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(of_word(text.trim())),
        Value::Bool(_) | Value::Number(_) => Some(of_word(&value.to_string())),
        Value::Object(fields) => {
            let named = |(key, value): (&String, &Value)| {
                is_one_of(key, &["name", "status", "state", "label", "value", "title"])
                    .then(|| status(value))?
            };
            let unknown = || SourceStatus::Unknown(value.to_string());
            (!fields.is_empty()).then(|| fields.iter().find_map(named).unwrap_or_else(unknown))
        }
        Value::Array(items) => {
            let mut all = items.iter().filter_map(status);
            let first = all.next()?;
            let agree = all.all(|other| other == first);
            Some(if agree { first } else { SourceStatus::Unknown(value.to_string()) })
        }
    }
}

/// Returns the status under a key for done phases; `None` for "no".
fn flag(value: &Value) -> Option<SourceStatus> {
    const NO: [&str; 8] = ["", "false", "no", "n", "off", "0", "never", "pending"];
    let text = value.as_str().map(str::trim);
    match text.map(of_word) {
        _ if is_yes(value) => Some(SourceStatus::Done),
        Some(standing @ SourceStatus::Done) => Some(standing),
        // A sentence is a definition of done, not a status.
        Some(standing @ SourceStatus::Unknown(_)) => text
            .filter(|text| text.split_whitespace().count() <= 2)
            .filter(|text| !NO.contains(&text.to_lowercase().as_str()))
            .map(|_| standing),
        _ => None,
    }
}

/// Returns the status that a word means: `Done`, `In progress`.
pub(super) fn of_word(written: &str) -> SourceStatus {
    if written.chars().any(|c| matches!(c, '✓' | '✔' | '✅' | '☑')) {
        return SourceStatus::Done;
    }
    let word: String =
        written.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    // `Done (#12)`, `closed: 2026-01-02`, `in progress - waits`: the first word decides.
    let first: String = written
        .chars()
        .skip_while(|c| !c.is_alphanumeric())
        .take_while(|c| c.is_alphanumeric())
        .collect();
    let first = first.to_lowercase();
    let is = |words: &[&str]| words.contains(&word.as_str());
    let begins = |words: &[&str]| {
        written.contains(|c: char| !c.is_alphanumeric() && c != '_')
            && words.contains(&first.as_str())
    };
    match () {
        () if is(&OPEN) => SourceStatus::Open,
        () if is(&DONE) => SourceStatus::Done,
        () if is(&DROPPED) => SourceStatus::Dropped(written.to_owned()),
        () if matches!(word.as_str(), "true" | "yes" | "false" | "no" | "0" | "1") => {
            SourceStatus::Unknown(written.to_owned())
        }
        () if begins(&["not", "partially", "partly", "almost", "to", "in"]) => {
            SourceStatus::Unknown(written.to_owned())
        }
        () if begins(&DONE) => SourceStatus::Done,
        () if begins(&DROPPED) => SourceStatus::Dropped(written.to_owned()),
        () if begins(&OPEN) && !first.is_empty() => SourceStatus::Open,
        () => SourceStatus::Unknown(written.to_owned()),
    }
}

/// Checks for true in any notation: a ticked box, or the date of completion.
fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            matches!(
                text.as_str(),
                "true" | "yes" | "y" | "on" | "1" | "x" | "[x]" | "done" | "✓" | "✔" | "✅" | "☑"
            ) || is_date(value)
        }
        _ => false,
    }
}

/// Checks for a date: `2026-01-02`, `2026-01-02T03:04:05Z`.
fn is_date(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let parts: Vec<&str> = text.trim().splitn(3, '-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let digits = |text: &str, count: usize| {
        text.len() >= count && text.bytes().take(count).all(|b| b.is_ascii_digit())
    };
    year.len() == 4 && digits(year, 4) && month.len() == 2 && digits(month, 2) && digits(day, 2)
}

/// Checks for a ticked box: `[x] Add a parser`, `- [X] ...`, `✅ ...`.
fn is_ticked(title: &str) -> bool {
    let title = title.trim_start().trim_start_matches(['-', '*', '+']).trim_start();
    ["[x]", "[X]", "☑", "✅", "✔"].iter().any(|box_| title.starts_with(box_))
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
