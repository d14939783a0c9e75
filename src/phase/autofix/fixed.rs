//! Conversion of the repaired JSON to a [`FixedSpec`].

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::aliases::as_text;
use super::ci::{self, PER_TEST_TIMEOUT, TIMEOUT};
use super::draft::{SpecDraft, is_blank, words};
use super::{field, lists};
use crate::phase::ids::{PhaseId, slug};
use crate::phase::json::count;
use crate::phase::needs::Needs;
use crate::phase::repair::{Repair, Unfixable};
use crate::phase::shell;
use crate::phase::spec::{FixedSpec, PathPattern, PhaseCi};

const MARKER: &str = "_autofix_v1_applied";

/// Reinserts the scope and reads the typed fields from the JSON.
pub(super) fn finish(mut draft: SpecDraft) -> Repair {
    if draft.problems.is_empty() && field::get(&draft.scope, MARKER) != Some(&Value::Bool(true)) {
        draft.scope.insert(MARKER.to_owned(), Value::Bool(true));
        draft.filled_in("scope: marked as checked");
    }
    let ci = phase_ci(&draft);
    let scope = std::mem::take(&mut draft.scope);
    field::put(&mut draft.json, "scope", Value::Object(scope));
    let spec = Arc::new(Value::Object(draft.json));
    let result = match draft.problems.is_empty() {
        true => Ok(typed(&spec, ci, draft.needs_scope)),
        false => Err(Unfixable(draft.problems.join("; "))),
    };
    Repair { spec, fixes: draft.fixes, defaults: draft.defaults, result }
}

fn typed(json: &Arc<Value>, ci: PhaseCi, needs_scope: bool) -> FixedSpec {
    let field = |key: &str| field::of(json, key);
    let text = |key: &str| as_text(field(key));
    let scope = field("scope");
    let scope = |key: &str| patterns(scope.and_then(|scope| field::of(scope, key)));
    let name = text("name");
    FixedSpec {
        phase_id: phase_id(text("phase_id"), &name),
        description: text("description"),
        category: text("category"),
        complexity: ci::complexity(&short_text(field("complexity"))),
        deliverables: patterns(field("deliverables")),
        scope_paths: scope("paths"),
        read_only: scope("read_only_context"),
        protected: scope("protected_paths"),
        acceptance_criteria: criteria(field("acceptance_criteria")),
        depends_on: depends_on(field("depends_on")),
        ci,
        max_attempts: field("max_attempts").and_then(count),
        agent: Some(text("agent")).filter(|agent| !agent.is_empty()),
        allow_no_change: field("allow_no_change").is_some_and(is_true),
        allow_protected: field("allow_protected").is_some_and(is_true),
        needs_scope,
        name: if name.is_empty() { text("phase_id") } else { name },
        json: Arc::clone(json),
    }
}

/// Like [`as_text`], for a text that is read once.
fn short_text(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        Some(Value::String(text)) => text.into(),
        other => as_text(other).into(),
    }
}

fn patterns(list: Option<&Value>) -> Vec<PathPattern> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(lists::path_of).map(|path| PathPattern(path.to_owned())).collect()
}

/// Returns the given id, or else a slug of the name.
fn phase_id(given: String, name: &str) -> PhaseId {
    PhaseId::new(if given.is_empty() { slug(name) } else { given })
}

fn criteria(given: Option<&Value>) -> Vec<String> {
    let list = given.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().map(words).filter(|text| !text.is_empty()).collect()
}

/// Returns the entries that are ids; all others are notes.
fn depends_on(given: Option<&Value>) -> Vec<PhaseId> {
    given.map(Needs::of).unwrap_or_default().names.into_iter().map(PhaseId::new).collect()
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::String(text) => matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on"),
        _ => false,
    }
}

fn phase_ci(draft: &SpecDraft) -> PhaseCi {
    let seconds = |key| ci::get(draft, key).unwrap_or_default();
    let own = |key: &str| field::get(&draft.json, key).filter(|value| !is_blank(value));
    let (phase, scope) = (own("ci"), field::get(&draft.scope, "ci"));
    let in_ci = |key: &str| {
        let held = [phase, scope].into_iter().flatten().filter_map(|ci| field::of(ci, key));
        held.into_iter().find(|value| !is_blank(value))
    };
    PhaseCi {
        timeout_seconds: seconds(TIMEOUT),
        per_test_timeout: seconds(PER_TEST_TIMEOUT),
        command: in_ci("command").and_then(command),
        test_cmd: Some(as_text(own("test_cmd").or_else(|| in_ci("test_cmd"))))
            .filter(|line| !line.is_empty()),
        args: own("ci_args").or_else(|| in_ci("args")).map(args).unwrap_or_default(),
    }
}

/// Reads a command: a list of arguments, or a text for the shell.
fn command(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(shell::argv(text)),
        Value::Array(_) => Some(args(value)).filter(|argv| !argv.is_empty()),
        _ => None,
    }
}

fn args(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(words).collect(),
        Value::String(line) => line.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
