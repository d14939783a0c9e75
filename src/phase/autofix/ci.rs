//! CI timeouts: defaults by complexity and category, raised after CI timed out.

use serde_json::{Map, Value};

use super::draft::{SpecDraft, is_blank, words};
use super::field;
use crate::phase::spec::Complexity;
use crate::phase::{Failure, FailureKind};

const PER_TEST: u64 = 60;
const RAISED_TIMEOUT: u64 = 1200;
const RAISED_PER_TEST: u64 = 90;
/// Exit codes of a process killed by SIGTERM and of `timeout(1)`.
const TIMEOUT_EXIT_CODES: [i32; 2] = [143, 124];

pub(super) const TIMEOUT: &str = "timeout_seconds";
pub(super) const PER_TEST_TIMEOUT: &str = "per_test_timeout";

pub(super) fn complexity(written: &str) -> Complexity {
    const LOW: [&str; 5] = ["low", "simple", "easy", "trivial", "small"];
    const HIGH: [&str; 7] =
        ["high", "medium-high", "medium_high", "critical", "complex", "hard", "large"];
    let written = written.trim();
    let is_one_of = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(written));
    if is_one_of(&LOW) {
        Complexity::Low
    } else if is_one_of(&HIGH) {
        Complexity::High
    } else {
        Complexity::Medium
    }
}

/// Returns the default timeout for a complexity and category, in seconds.
fn default_timeout(complexity: Complexity, category: &str) -> u64 {
    let base = match complexity {
        Complexity::Low => 600,
        Complexity::Medium => 900,
        Complexity::High => 1200,
    };
    // `frontend_ui` is of the kind `frontend`.
    let category = category.trim();
    let kind = category.split(['_', '-']).next().unwrap_or(category);
    let named = |names: &[&str]| names.iter().any(|name| category.eq_ignore_ascii_case(name));
    if named(&["integration", "docker"]) || kind.eq_ignore_ascii_case("frontend") {
        base + 300
    } else if named(&["testing", "test", "tests"]) {
        base + 200
    } else {
        base
    }
}

/// Where a CI setting is: in `ci` of the phase or of its scope, directly or under `pytest`.
#[derive(Clone, Copy)]
enum SettingLocation {
    Phase,
    Scope,
}

/// Converts `ci` and `ci.pytest` to objects and their timeouts to whole seconds.
pub(super) fn normalize(draft: &mut SpecDraft) {
    shape(draft, SettingLocation::Phase);
    shape(draft, SettingLocation::Scope);
}

/// Adds missing timeouts.
pub(super) fn fill(draft: &mut SpecDraft) {
    for key in [TIMEOUT, PER_TEST_TIMEOUT] {
        if get(draft, key).is_none() {
            let seconds = if key == TIMEOUT { written_timeout(draft) } else { PER_TEST };
            set_in_scope(draft, key, seconds);
            draft.filled_in(format!("scope.ci.pytest.{key}: {seconds}"));
        }
    }
}

fn written_timeout(draft: &SpecDraft) -> u64 {
    default_timeout(complexity(draft.text("complexity")), draft.text("category"))
}

/// Raises the timeouts after CI timed out. The new value depends on the timeout of the failed attempt, not on
/// the current setting, so the same failure raises it only once.
pub(super) fn escalate(draft: &mut SpecDraft, last_failure: Option<&Failure>) {
    let Some(failure) = last_failure.filter(|failure| ran_out_of_time(failure)) else { return };
    let ran_out = failure.detail.timeout_seconds.unwrap_or_else(|| written_timeout(draft));
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

fn raise(draft: &mut SpecDraft, key: &str, wanted: u64) {
    let Some(current) = get(draft, key).filter(|current| *current < wanted) else { return };
    let ci = [&mut draft.json, &mut draft.scope].map(|object| field::get_mut(object, "ci"));
    let Some(value) = ci.into_iter().flatten().find_map(|ci| setting_mut(ci, key)) else { return };
    *value = Value::from(wanted);
    draft.fixed(format!("ci: {key} {current} -> {wanted}, because CI timed out"));
}

/// Returns the effective setting: the phase's own has precedence over its scope's.
pub(super) fn get(draft: &SpecDraft, key: &str) -> Option<u64> {
    let ci = [&draft.json, &draft.scope].map(|object| field::get(object, "ci"));
    ci.into_iter().flatten().find_map(|ci| setting(ci, key))
}

/// A value under `pytest` has precedence over a value beside `pytest`.
fn setting(ci: &Value, key: &str) -> Option<u64> {
    let pytest = field::of(ci, "pytest").and_then(|pytest| field::of(pytest, key)?.as_u64());
    pytest.or_else(|| field::of(ci, key)?.as_u64())
}

fn setting_mut<'m>(ci: &'m mut Value, key: &str) -> Option<&'m mut Value> {
    setting(ci, key)?;
    let ci = ci.as_object_mut()?;
    let nested = field::get(ci, "pytest").and_then(|pytest| field::of(pytest, key)?.as_u64());
    match nested {
        Some(_) => field::get_mut(field::get_mut(ci, "pytest")?.as_object_mut()?, key),
        None => field::get_mut(ci, key),
    }
}

fn set_in_scope(draft: &mut SpecDraft, key: &str, seconds: u64) {
    let empty = || Value::Object(Map::new());
    let ci = field::get_or_put(&mut draft.scope, "ci", empty).and_then(Value::as_object_mut);
    let pytest = ci.and_then(|ci| field::get_or_put(ci, "pytest", empty)?.as_object_mut());
    if let Some(pytest) = pytest {
        field::put(pytest, key, Value::from(seconds));
    }
}

fn shape(draft: &mut SpecDraft, spot: SettingLocation) {
    let (object, name) = match spot {
        SettingLocation::Phase => (&mut draft.json, "ci"),
        SettingLocation::Scope => (&mut draft.scope, "scope.ci"),
    };
    let Some(given) = field::get_mut(object, "ci") else { return };
    if is_shaped(given) {
        return;
    }
    let given = given.take();
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
    field::put(object, "ci", ci);
    draft.prose.extend(lost);
    if changed {
        draft.fixed(format!("{name}: normalized"));
    }
}

/// Checks whether both are objects and all timeouts are whole seconds, so no change is needed.
fn is_shaped(ci: &Value) -> bool {
    let timed = |object: &Value| {
        object.is_object()
            && [TIMEOUT, PER_TEST_TIMEOUT].iter().all(|key| {
                field::of(object, key).is_none_or(|value| value.as_u64().is_some_and(|s| s > 0))
            })
    };
    timed(ci) && field::of(ci, "pytest").is_none_or(timed)
}

/// Reads `ci`; a text or list is taken as the command.
fn open_ci(given: Value, name: &str, lost: &mut Vec<String>) -> Map<String, Value> {
    match given {
        Value::Object(ci) => ci,
        Value::Null => Map::new(),
        command @ (Value::String(_) | Value::Array(_)) if !is_blank(&command) => {
            Map::from_iter([("command".to_owned(), command)])
        }
        other => {
            lost.extend(describe_setting(name, &other));
            Map::new()
        }
    }
}

/// Reads `ci.pytest`; a number is taken as the timeout.
fn open_pytest(given: Value, name: &str, lost: &mut Vec<String>) -> Map<String, Value> {
    match given {
        Value::Object(pytest) => pytest,
        seconds @ Value::Number(_) => Map::from_iter([(TIMEOUT.to_owned(), seconds)]),
        other => {
            lost.extend(describe_setting(&format!("{name}.pytest"), &other));
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
                lost.extend(describe_setting(&format!("{name}: {key}"), value));
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

fn describe_setting(what: &str, value: &Value) -> Option<String> {
    Some(words(value)).filter(|text| !text.is_empty()).map(|text| format!("{what}: {text}"))
}
