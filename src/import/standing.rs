//! Progress of phases according to the plan: work done elsewhere is not repeated.

use serde_json::{Map, Value};

/// Status of a phase in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not done, or no status given.
    Open,
    Done,
    /// Cancelled, deferred or deleted, with the source's word.
    Dropped(String),
    /// An unknown status, with the source's word.
    Unknown(String),
}

/// Keys for the status.
const STATUS: [&str; 6] =
    ["status", "state", "task_status", "phase_status", "state_reason", "stateReason"];
/// Flags of done phases.
const DONE_FLAGS: [&str; 14] = [
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
    "is_done",
    "is_complete",
    "is_completed",
    "isCompleted",
];
const DROPPED_FLAGS: [&str; 7] =
    ["cancelled", "canceled", "deferred", "deleted", "skipped", "archived", "abandoned"];
/// Timestamps present only on done phases.
const DONE_AT: [&str; 8] = [
    "completed_at",
    "completedAt",
    "closed_at",
    "closedAt",
    "merged_at",
    "mergedAt",
    "done_at",
    "finished_at",
];
const TITLES: [&str; 5] = ["name", "title", "task_name", "phase_name", "display_name"];

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

/// Returns the combined status of a spec: done takes precedence over dropped, and both over an unknown word.
pub(super) fn of(spec: &Map<String, Value>) -> Standing {
    let mut said: Vec<Standing> = Vec::new();
    for key in STATUS {
        said.extend(spec.get(key).and_then(status_text).map(|text| of_word(&text)));
    }
    if DONE_FLAGS.iter().any(|key| spec.get(*key).is_some_and(is_yes)) {
        said.push(Standing::Done);
    }
    if let Some(key) = DROPPED_FLAGS.iter().find(|key| spec.get(**key).is_some_and(is_yes)) {
        said.push(Standing::Dropped((*key).to_owned()));
    }
    if TITLES.iter().any(|key| spec.get(*key).and_then(Value::as_str).is_some_and(is_ticked)) {
        said.push(Standing::Done);
    }
    // A reopened issue keeps its date.
    let dated = DONE_AT.iter().any(|key| spec.get(*key).is_some_and(is_date));
    if dated && said.is_empty() {
        said.push(Standing::Done);
    }
    let dropped = |standing: &&Standing| matches!(standing, Standing::Dropped(_));
    let unknown = |standing: &&Standing| matches!(standing, Standing::Unknown(_));
    // `state: CLOSED, state_reason: not_planned` is not done.
    let reason = ["state_reason", "stateReason"].iter().find_map(|key| spec.get(*key));
    if let Some(standing @ Standing::Dropped(_)) =
        reason.and_then(status_text).map(|text| of_word(&text))
    {
        return standing;
    }
    match said.iter().find(|standing| **standing == Standing::Done) {
        Some(done) => done.clone(),
        None => said
            .iter()
            .find(dropped)
            .or_else(|| said.iter().find(unknown))
            .cloned()
            .unwrap_or(Standing::Open),
    }
}

/// Returns the status as text: `"Done"`, `{"name": "Done"}`.
fn status_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Object(fields) => ["name", "status", "label", "value"]
            .iter()
            .find_map(|key| status_text(fields.get(*key)?)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) => None,
    }
}

fn of_word(written: &str) -> Standing {
    if written.chars().any(|c| matches!(c, '✓' | '✔' | '✅' | '☑')) {
        return Standing::Done;
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
        () if is(&OPEN) => Standing::Open,
        () if is(&DONE) => Standing::Done,
        () if is(&DROPPED) => Standing::Dropped(written.to_owned()),
        () if matches!(word.as_str(), "true" | "yes" | "false" | "no" | "0" | "1") => {
            Standing::Unknown(written.to_owned())
        }
        () if begins(&["not", "partially", "partly", "almost", "to", "in"]) => {
            Standing::Unknown(written.to_owned())
        }
        () if begins(&DONE) => Standing::Done,
        () if begins(&DROPPED) => Standing::Dropped(written.to_owned()),
        () if begins(&OPEN) && !first.is_empty() => Standing::Open,
        () => Standing::Unknown(written.to_owned()),
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
