//! CI timeouts: filled in by complexity and category, raised after CI ran out of time.

use serde_json::{Map, Value, json};

use super::draft::{Draft, is_blank, words};
use crate::phase::spec::Complexity;
use crate::phase::verdict::{Failure, FailureKind};

const PER_TEST: u64 = 60;
const RAISED_TIMEOUT: u64 = 1200;
const RAISED_PER_TEST: u64 = 90;
/// What a process ends with that was sent SIGTERM, and what `timeout(1)` ends with.
const TIMEOUT_EXIT_CODES: [i32; 2] = [143, 124];

pub(super) const TIMEOUT: &str = "timeout_seconds";
pub(super) const PER_TEST_TIMEOUT: &str = "per_test_timeout";

pub(super) fn complexity(written: &str) -> Complexity {
    match written.trim().to_ascii_lowercase().as_str() {
        "low" | "simple" | "easy" | "trivial" | "small" => Complexity::Low,
        "high" | "medium-high" | "medium_high" | "critical" | "complex" | "hard" | "large" => {
            Complexity::High
        }
        _ => Complexity::Medium,
    }
}

/// What a phase of this complexity and category gets.
fn default_timeout(complexity: Complexity, category: &str) -> u64 {
    let base = match complexity {
        Complexity::Low => 600,
        Complexity::Medium => 900,
        Complexity::High => 1200,
    };
    let category = category.trim().to_ascii_lowercase().replace('-', "_");
    base + match category.as_str() {
        "integration" | "docker" => 300,
        other if other == "frontend" || other.starts_with("frontend_") => 300,
        "testing" | "test" | "tests" => 200,
        _ => 0,
    }
}

/// Where a setting stands: in `ci` of the phase or of its scope, directly or under `pytest`.
#[derive(Clone, Copy)]
enum Spot {
    Phase,
    Scope,
}

/// Makes `ci` and `ci.pytest` objects and their timeouts whole seconds.
pub(super) fn normalize(draft: &mut Draft) {
    shape(draft, Spot::Phase);
    shape(draft, Spot::Scope);
}

/// Adds what is missing.
pub(super) fn fill(draft: &mut Draft) {
    let timeout = default_timeout(complexity(draft.text("complexity")), draft.text("category"));
    for (key, seconds) in [(TIMEOUT, timeout), (PER_TEST_TIMEOUT, PER_TEST)] {
        if get(draft, key).is_none() {
            set_in_scope(draft, key, seconds);
            draft.fixed(format!("scope.ci.pytest.{key}: {seconds}"));
        }
    }
}

/// Raises the timeouts after CI ran out of time. Depends on what ran out, not on what is set now, so that
/// the same failure raises them once.
pub(super) fn escalate(draft: &mut Draft, last_failure: Option<&Failure>) {
    let Some(failure) = last_failure.filter(|failure| ran_out_of_time(failure)) else { return };
    let written = default_timeout(complexity(draft.text("complexity")), draft.text("category"));
    let ran_out = failure.detail.timeout_seconds.unwrap_or(written);
    let half_more = ran_out.saturating_add(ran_out.div_ceil(2));
    let wanted = half_more.max(RAISED_TIMEOUT).min(draft.limits.max_timeout_seconds);
    raise(draft, TIMEOUT, wanted);
    raise(draft, PER_TEST_TIMEOUT, RAISED_PER_TEST.min(draft.limits.max_timeout_seconds));
}

fn ran_out_of_time(failure: &Failure) -> bool {
    use FailureKind as K;
    match failure.kind {
        K::CiTimeout => true,
        K::CiFailed | K::CiNoTests | K::CiCollectionError | K::CiCannotStart => {
            failure.exit_code.is_some_and(|code| TIMEOUT_EXIT_CODES.contains(&code))
        }
        _ => false,
    }
}

fn raise(draft: &mut Draft, key: &str, wanted: u64) {
    let Some((current, value)) = get(draft, key) else { return };
    if current < wanted {
        *value = Value::from(wanted);
        draft.fixed(format!("ci: {key} {current} -> {wanted}, since CI ran out of time"));
    }
}

/// The setting in force and where it stands: the phase's own goes before its scope's.
pub(super) fn get<'d>(draft: &'d mut Draft, key: &str) -> Option<(u64, &'d mut Value)> {
    let phase = draft.json.get_mut("ci").and_then(|ci| ci.as_object_mut());
    let scope = draft.scope.get_mut("ci").and_then(|ci| ci.as_object_mut());
    phase.and_then(|ci| in_object(ci, key)).or_else(|| scope.and_then(|ci| in_object(ci, key)))
}

fn in_object<'m>(ci: &'m mut Map<String, Value>, key: &str) -> Option<(u64, &'m mut Value)> {
    let nested = ci.get("pytest").and_then(|pytest| pytest.get(key)?.as_u64());
    let value = match nested {
        Some(_) => ci.get_mut("pytest")?.get_mut(key)?,
        None => ci.get_mut(key)?,
    };
    Some((value.as_u64()?, value))
}

fn set_in_scope(draft: &mut Draft, key: &str, seconds: u64) {
    let ci = draft.scope.entry("ci").or_insert_with(|| json!({}));
    if let Some(pytest) =
        ci.as_object_mut().map(|ci| ci.entry("pytest").or_insert_with(|| json!({})))
        && let Some(pytest) = pytest.as_object_mut()
    {
        pytest.insert(key.to_owned(), Value::from(seconds));
    }
}

fn shape(draft: &mut Draft, spot: Spot) {
    let (object, name) = match spot {
        Spot::Phase => (&mut draft.json, "ci"),
        Spot::Scope => (&mut draft.scope, "scope.ci"),
    };
    let Some(given) = object.get_mut("ci").map(Value::take) else { return };
    let mut lost = Vec::new();
    let before = given.clone();
    let mut ci = open_ci(given, name, &mut lost);
    if let Some(pytest) = ci.get_mut("pytest") {
        let mut inner = open_pytest(pytest.take(), name, &mut lost);
        whole_seconds(&mut inner, name, &mut lost);
        *pytest = Value::Object(inner);
    }
    whole_seconds(&mut ci, name, &mut lost);
    let ci = Value::Object(ci);
    let changed = ci != before;
    object.insert("ci".to_owned(), ci);
    draft.prose.extend(lost);
    if changed {
        draft.fixed(format!("{name}: brought into shape"));
    }
}

/// A text or a list is the command.
fn open_ci(given: Value, name: &str, lost: &mut Vec<String>) -> Map<String, Value> {
    match given {
        Value::Object(ci) => ci,
        Value::Null => Map::new(),
        command @ (Value::String(_) | Value::Array(_)) if !is_blank(&command) => {
            Map::from_iter([("command".to_owned(), command)])
        }
        other => {
            lost.extend(said(name, &other));
            Map::new()
        }
    }
}

/// A number is the timeout.
fn open_pytest(given: Value, name: &str, lost: &mut Vec<String>) -> Map<String, Value> {
    match given {
        Value::Object(pytest) => pytest,
        seconds @ Value::Number(_) => Map::from_iter([(TIMEOUT.to_owned(), seconds)]),
        other => {
            lost.extend(said(&format!("{name}.pytest"), &other));
            Map::new()
        }
    }
}

fn whole_seconds(object: &mut Map<String, Value>, name: &str, lost: &mut Vec<String>) {
    for key in [TIMEOUT, PER_TEST_TIMEOUT] {
        let Some(value) = object.get(key) else { continue };
        match seconds(value) {
            Some(seconds) => {
                object.insert(key.to_owned(), Value::from(seconds));
            }
            None => {
                lost.extend(said(&format!("{name}: {key}"), value));
                object.shift_remove(key);
            }
        }
    }
}

fn seconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Number(number) => number.as_u64().or_else(|| rounded_up(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim().trim_end_matches("seconds").trim_end_matches('s').trim();
            text.parse().ok()
        }
        _ => None,
    };
    seconds.filter(|seconds| *seconds > 0)
}

fn rounded_up(seconds: f64) -> Option<u64> {
    (seconds > 0.0 && seconds < 1e9).then(|| seconds.ceil() as u64)
}

fn said(what: &str, value: &Value) -> Option<String> {
    Some(words(value)).filter(|text| !text.is_empty()).map(|text| format!("{what}: {text}"))
}
