//! JSON of a phase: a stable shape for scripts, also for specs not repaired yet.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::open_database::time;
use crate::phase::autofix::aliases::written;
use crate::phase::{Failure, PhaseId, PhaseState, RunId};
use crate::store::{AttemptRow, KeptRequest, PhaseDetail, PhaseRow, PhaseUsage};
use crate::workspace::ChangedFile;

/// JSON object of a phase.
#[derive(Serialize)]
pub(super) struct PhaseView {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub name: String,
    pub description: String,
    pub state: PhaseState,
    pub category: String,
    pub complexity: String,
    pub deliverables: Vec<String>,
    pub scope: Map<String, Value>,
    pub depends_on: Vec<PhaseId>,
    pub attempts: u32,
    pub max_attempts: u32,
    /// `{kind, exit_code, message}`.
    pub last_failure: Option<Value>,
    pub commit: Option<String>,
    /// Reason why the spec will be refused.
    pub unfixable: Option<String>,
    /// Agent of the latest attempt.
    pub agent: Option<String>,
    /// Known cost of all attempts.
    pub cost_usd: Option<f64>,
    /// Duration of all ended attempts.
    pub duration_ms: u64,
    /// Start of the latest attempt.
    pub started_at: Option<String>,
    /// End of the latest ended attempt.
    pub ended_at: Option<String>,
    /// Whether the operator stopped the phase.
    pub held: bool,
}

impl PhaseView {
    /// `usage`: usage of the phase; `None` without an attempt.
    pub(super) fn new(
        row: &PhaseRow,
        usage: Option<&PhaseUsage>,
        default_max_attempts: u32,
    ) -> Self {
        let empty = Map::new();
        let spec = row.spec.0.as_object().unwrap_or(&empty);
        Self {
            run_id: row.run_id.clone(),
            phase_id: row.phase_id.clone(),
            name: row.name.clone(),
            description: text(spec, "description"),
            state: row.state,
            category: text(spec, "category"),
            complexity: complexity(spec),
            deliverables: deliverables(spec),
            scope: scope(spec),
            depends_on: row.depends_on.clone(),
            attempts: row.attempts,
            max_attempts: row.max_attempts.unwrap_or(default_max_attempts),
            last_failure: row.last_failure.as_ref().map(Failure::as_json),
            commit: row.commit.clone(),
            unfixable: row.unfixable.clone(),
            agent: usage.and_then(|usage| usage.agent.clone()),
            cost_usd: usage.and_then(|usage| usage.cost_usd),
            duration_ms: usage.map_or(0, |usage| usage.duration_ms),
            started_at: usage.map(|usage| time(usage.started_at)),
            ended_at: usage.and_then(|usage| usage.ended_at).map(time),
            held: row.held,
        }
    }
}

/// Returns the complexity as written, or the default.
fn complexity(spec: &Map<String, Value>) -> String {
    let written = text(spec, "complexity");
    if written.is_empty() { "medium".to_owned() } else { written }
}

/// Returns a text field of the spec, also under an alias.
fn text(spec: &Map<String, Value>, field: &str) -> String {
    let mut texts = written(spec, field).filter_map(|(_, value)| value.as_str());
    texts.find(|text| !text.trim().is_empty()).unwrap_or_default().to_owned()
}

/// Returns all deliverables as written, from any shape.
fn deliverables(spec: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    let nested = spec.get("scope").and_then(|scope| scope.get("deliverables"));
    for value in [spec.get("deliverables"), nested].into_iter().flatten() {
        collect(value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => match fields.get("path").and_then(Value::as_str) {
            Some(path) => found.push(path.to_owned()),
            None => fields.values().for_each(|value| collect(value, found)),
        },
        other => found.push(other.to_string()),
    }
}

/// Returns the scope; a scope that is not an object is returned as `text`.
fn scope(spec: &Map<String, Value>) -> Map<String, Value> {
    match spec.get("scope") {
        Some(Value::Object(scope)) => scope.clone(),
        None | Some(Value::Null) => Map::new(),
        Some(other) => Map::from_iter([("text".to_owned(), other.clone())]),
    }
}

/// Returns the JSON of a phase with its history.
pub(super) fn detail(
    detail: &PhaseDetail,
    requests: &[KeptRequest],
    files: &[ChangedFile],
    default_max_attempts: u32,
) -> Value {
    let usage = detail.usage();
    let mut view = json!(PhaseView::new(&detail.row, usage.as_ref(), default_max_attempts));
    let more = json!({
        "files_changed": files.iter().map(|file| json!({
            "path": file.path, "added": file.added, "removed": file.removed,
        })).collect::<Vec<_>>(),
        "attempt_log": detail.attempt_log.iter().map(attempt).collect::<Vec<_>>(),
        "scope_requests": requests.iter().map(scope_request).collect::<Vec<_>>(),
        "fixes": detail.fixes,
        "note": detail.note,
        "spec": detail.row.spec,
        "spec_as_written": detail.raw,
    });
    if let (Value::Object(view), Value::Object(more)) = (&mut view, more) {
        view.extend(more);
    }
    view
}

fn scope_request(request: &KeptRequest) -> Value {
    let mut value = json!(request.decided);
    value["attempt"] = request.attempt.into();
    value["at"] = time(request.at).into();
    value
}

fn attempt(row: &AttemptRow) -> Value {
    let tokens = row.usage.tokens;
    json!({
        "attempt": row.attempt,
        "agent": row.agent,
        "started_at": time(row.started_at),
        "ended_at": row.ended_at.map(time),
        "outcome": row.outcome.map(|outcome| outcome.as_str()),
        "reverted_by": row.reverted_by,
        "failure": row.failure,
        "note": row.note,
        "tokens": {
            "input": tokens.input,
            "output": tokens.output,
            "cache_read": tokens.cache_read,
            "estimated_output": row.estimated_output,
        },
        "cost_usd": row.usage.cost_usd,
        "model": row.usage.model,
        "truncated": row.usage.truncated,
        "log_dir": row.log_dir,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(spec: Value) -> PhaseView {
        PhaseView::new(&PhaseRow::sample("p", spec), None, 3)
    }

    #[test]
    fn list_json_has_the_same_shape_for_every_spec() {
        let of = |spec: Value| {
            let view = view(spec);
            json!([view.category, view.deliverables, view.scope])
        };
        assert_eq!(
            of(
                json!({"task_category": "docs", "scope": {"deliverables": {"code": ["a.py (x)"], "n": 3}}})
            ),
            json!(["docs", ["a.py (x)", "3"], {"deliverables": {"code": ["a.py (x)"], "n": 3}}])
        );
        assert_eq!(
            of(
                json!({"deliverables": [{"path": "a", "why": "b"}, null, ["c"]], "scope": "- a\n- b"})
            ),
            json!(["", ["a", "c"], {"text": "- a\n- b"}])
        );
        assert_eq!(of(json!([1])), json!(["", [], {}]));
    }
}
