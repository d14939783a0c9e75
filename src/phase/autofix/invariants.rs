//! Invariants of every repair, for property tests and the fuzzer.

use serde_json::{Map, Value, json};

use super::{Limits, Unscoped, autofix, spelled};
use crate::phase::path::invariants::stays_inside;
use crate::phase::path::reserved;
use crate::phase::{Failure, FailureKind};
use crate::phase::{FixedSpec, RawSpec};

/// Workspace path used by the fuzzer.
const WORKSPACE: &str = "/home/u/project";
/// Prefix of an input that consists of lines of paths.
const LINES: &[u8] = b"lines:\n";

/// Checks arbitrary bytes: read as JSON if valid, else as lines of paths or as a spelled spec.
pub fn bytes(input: &[u8]) {
    let spec = serde_json::from_slice(input).unwrap_or_else(|_| match input.strip_prefix(LINES) {
        Some(lines) => of_lines(lines),
        None => spelled::spec(input),
    });
    let mut timeout = Failure::new(FailureKind::CiTimeout, "ran out of time");
    timeout.detail.timeout_seconds = Some(input.len() as u64 * 37);
    for (workspace, unscoped) in
        [(None, Unscoped::Allow), (None, Unscoped::Propose), (Some(WORKSPACE), Unscoped::Refuse)]
    {
        let limits = Limits { workspace, max_timeout_seconds: 3600, unscoped };
        repair(spec.clone(), workspace.and(Some(&timeout)), &limits);
    }
}

/// Builds a spec with each line as a deliverable, a scope path and a protected path, and all lines as prose.
fn of_lines(input: &[u8]) -> Value {
    let text = String::from_utf8_lossy(input);
    let lines: Vec<&str> = text.lines().collect();
    json!({"phase_id": "p", "deliverables": lines, "scope": {"paths": lines, "protected_paths": lines}, "goal": text})
}

/// Checks that a repair is idempotent, its result can be executed, and all paths stay inside the repository.
pub fn repair(spec: Value, failure: Option<&Failure>, limits: &Limits) {
    let once = autofix(&RawSpec(spec), failure, limits);
    let twice = autofix(&RawSpec(Value::clone(&once.spec)), failure, limits);
    assert_eq!(twice.spec, once.spec);
    assert_eq!(twice.result, once.result);
    assert!(twice.fixes.is_empty(), "{:?}", twice.fixes);
    assert!(twice.defaults.is_empty(), "{:?}", twice.defaults);
    // A past failure does not change a spec that was repaired before.
    let before = autofix(&RawSpec(Value::clone(&once.spec)), None, limits);
    assert_eq!(before.spec, once.spec);
    if let Ok(fixed) = once.result {
        executable(&fixed);
    }
}

fn executable(fixed: &FixedSpec) {
    assert!(fixed.ci().timeout_seconds > 0 && fixed.ci().per_test_timeout > 0);
    for path in fixed.deliverables().iter().chain(fixed.scope_paths()) {
        let path = path.as_str();
        assert!(stays_inside(path), "{path:?}");
        assert!(reserved(path).is_none(), "{path:?}");
    }
    for path in fixed.read_only().iter().chain(fixed.protected()) {
        assert!(stays_inside(path.as_str()), "{path:?}");
    }
}

/// Checks that every word in the lists and texts is still present in the repaired spec. `spec` must contain
/// only texts, none of them with `..` or a path outside the repository.
pub fn loses_no_word(spec: Map<String, Value>) {
    let limits = Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Allow };
    let spec = Value::Object(spec);
    let before: Vec<String> =
        spec.as_object().into_iter().flatten().flat_map(|(_, value)| words(value)).collect();
    let after = words(&autofix(&RawSpec(spec), None, &limits).spec);
    for word in before {
        assert!(after.contains(&word), "{word:?} is gone");
    }
}

fn words(value: &Value) -> Vec<String> {
    let text = value.to_string().replace("\\n", " ").replace("\\\\", "/");
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}
