//! JSON Schema of the events of `drain --json`.
//!
//! A test compares the schema with the events of drains: a field that the schema lacks fails the test.

use serde_json::{Map, Value, json};

use crate::phase::scope_request::RequestDecision;
use crate::phase::{FailureKind, PhaseState};

/// Shape of a field.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    MaybeText,
    Count,
    MaybeCount,
    MaybeNumber,
    MaybeFlag,
    /// A list of texts.
    Texts,
    State,
    Tokens,
    /// A failure, or null.
    Failure,
    /// Counters of each run.
    Counts,
    /// Requested files with the decision.
    Requests,
    /// Published branches with their pull requests.
    Branches,
    /// Comments on issues.
    Comments,
}

/// Name, shape and meaning of a field.
type Field = (&'static str, Shape, &'static str);

/// The events with their fields, in the order in which they occur.
const EVENTS: [(&str, &str, &[Field]); 7] = [
    (
        "drain_started",
        "The drain started.",
        &[
            ("runs", Shape::Texts, "runs to drain"),
            ("workspace", Shape::Text, "root of the workspace"),
            ("database", Shape::Text, "URL or path of the database"),
            ("agent", Shape::Text, "name of the agent"),
            ("queued", Shape::Count, "number of queued phases"),
            ("left_behind", Shape::Count, "phases left by a dead drain and reclaimed"),
            ("phases", Shape::Count, "number of phases in these runs"),
            ("settled", Shape::Count, "phases that are complete, failed or skipped"),
            ("batch_size", Shape::Count, "phases per batch"),
            ("jobs", Shape::Count, "number of workers"),
            ("memory_backend", Shape::Text, "qdrant, faiss or off"),
            ("memory", Shape::MaybeText, "why this backend is used"),
        ],
    ),
    (
        "batch_started",
        "A batch started.",
        &[
            ("batch", Shape::Count, "number of the batch, from 1"),
            ("batch_size", Shape::Count, "maximum number of phases in the batch"),
        ],
    ),
    (
        "phase_started",
        "An attempt of a phase started.",
        &[
            ("run_id", Shape::Text, "run of the phase"),
            ("phase_id", Shape::Text, "id of the phase"),
            ("name", Shape::Text, "name of the phase"),
            ("attempt", Shape::Count, "number of the attempt"),
            ("try", Shape::Count, "number of the counted attempt"),
            ("max_attempts", Shape::Count, "maximum number of counted attempts"),
            ("agent", Shape::Text, "name of the agent"),
        ],
    ),
    (
        "phase_finished",
        "An attempt ended, or the spec of the phase was refused.",
        &[
            ("run_id", Shape::Text, "run of the phase"),
            ("phase_id", Shape::Text, "id of the phase"),
            ("attempt", Shape::MaybeCount, "number of the attempt; null without one"),
            ("max_attempts", Shape::Count, "maximum number of counted attempts"),
            ("tries", Shape::Count, "number of counted attempts"),
            ("state", Shape::State, "new state of the phase"),
            ("verdict", Shape::Text, "verdict of the attempt"),
            ("commit", Shape::MaybeText, "landed commit"),
            ("failure", Shape::Failure, "why the attempt failed"),
            ("duration_ms", Shape::Count, "duration of the attempt in milliseconds"),
            ("tokens", Shape::Tokens, "tokens used"),
            ("cost_usd", Shape::MaybeNumber, "cost of the attempt; null if unknown"),
            ("scope_requests", Shape::Requests, "files that the agent asked for"),
        ],
    ),
    (
        "batch_finished",
        "A batch ended.",
        &[
            ("batch", Shape::Count, "number of the batch, from 1"),
            ("done", Shape::Count, "completed phases"),
            ("failed", Shape::Count, "failed phases"),
            ("left", Shape::Count, "phases that are queued or running"),
            ("blocked", Shape::Count, "remaining phases blocked by a failed phase"),
            ("tokens", Shape::Count, "input, output and cache writes of the batch"),
            ("cost_usd", Shape::MaybeNumber, "known cost of the batch; null if unknown"),
            ("phases_per_hour", Shape::MaybeNumber, "completed phases per hour"),
        ],
    ),
    (
        "drain_finished",
        "The drain ended.",
        &[
            ("counts", Shape::Counts, "counters of each run"),
            ("reason", Shape::Text, "why the drain ended"),
            ("exit_code", Shape::Count, "exit code of the program"),
            ("message", Shape::MaybeText, "reason of an early end, for people"),
            ("duration_ms", Shape::Count, "duration of the drain in milliseconds"),
        ],
    ),
    (
        "run_published",
        "A run was published after the drain (--publish), or this failed.",
        &[
            ("run_id", Shape::Text, "id of the run"),
            ("outcome", Shape::Text, "published, nothing_landed or failed"),
            ("error", Shape::MaybeText, "why it failed; the exit code is then not 0"),
            ("remote", Shape::MaybeText, "name of the git remote"),
            ("forge", Shape::MaybeText, "repository on the forge"),
            ("base", Shape::MaybeText, "branch into which the pull request goes"),
            ("branches", Shape::Branches, "branches with their pull requests"),
            ("superseded", Shape::Texts, "branches whose landing is published no more"),
            ("comments", Shape::Comments, "comments on issues of failed phases"),
        ],
    ),
];

/// A branch, in `run_published`.
const BRANCH: [Field; 9] = [
    ("branch", Shape::Text, "name of the branch"),
    ("phase_id", Shape::MaybeText, "the landing, if each has a branch"),
    ("commit", Shape::Text, "last commit"),
    ("push", Shape::Text, "pushed, up_to_date, ahead or skipped"),
    ("action", Shape::Text, "what was done with the pull request; failed: see error"),
    ("base", Shape::MaybeText, "branch into which it goes"),
    ("closes", Shape::Texts, "issues that its merge closes"),
    ("part_of", Shape::Texts, "issues of which other phases are not complete"),
    ("compare_url", Shape::MaybeText, "page that compares the branch with its base"),
];

/// A comment, in `run_published`.
const COMMENT: [Field; 4] = [
    ("phase_id", Shape::Text, "the failed phase"),
    ("issue", Shape::Text, "the issue"),
    ("action", Shape::Text, "added, unchanged, no_token or refused"),
    ("url", Shape::MaybeText, "link to the comment"),
];

/// Counters of a run, in `drain_finished`.
const COUNTS: [Field; 12] = [
    ("run_id", Shape::Text, "id of the run"),
    ("branch", Shape::MaybeText, "branch of the run"),
    ("tip", Shape::MaybeText, "ref to merge"),
    ("complete", Shape::Count, "complete phases"),
    ("failed", Shape::Count, "failed phases"),
    ("blocked", Shape::Count, "blocked phases"),
    ("held", Shape::Count, "phases stopped by the operator"),
    ("queued", Shape::Count, "queued phases, including blocked and held ones"),
    ("skipped", Shape::Count, "skipped phases"),
    ("clean_clone", Shape::MaybeText, "result of CI for the tip in a clean clone"),
    ("clean_clone_commit", Shape::MaybeText, "the commit with this result"),
    ("changed_since_test", Shape::MaybeFlag, "whether the branch has another commit now"),
];

/// Returns the schema of an event. Later versions add fields.
pub fn schema() -> Value {
    let event = |(name, meaning, fields): (&str, &str, &[Field])| {
        let mut schema = object(fields);
        schema["description"] = json!(meaning);
        schema["properties"]["event"] = json!({"const": name});
        if let Some(required) = schema["required"].as_array_mut() {
            required.insert(0, json!("event"));
        }
        schema
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "autopack: event of a drain",
        "description": "A line of `drain --json`. Fields may be added.",
        "oneOf": EVENTS.map(event),
    })
}

fn object(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for (name, shape, meaning) in fields {
        let mut schema = of_shape(*shape);
        schema["description"] = json!(meaning);
        properties.insert((*name).to_owned(), schema);
    }
    let required: Vec<&str> = fields.iter().map(|(name, ..)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn of_shape(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::MaybeText => json!({"type": ["string", "null"]}),
        Shape::Count => json!({"type": "integer", "minimum": 0}),
        Shape::MaybeCount => json!({"type": ["integer", "null"], "minimum": 0}),
        Shape::MaybeNumber => json!({"type": ["number", "null"]}),
        Shape::MaybeFlag => json!({"type": ["boolean", "null"]}),
        Shape::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Shape::State => json!({"enum": PhaseState::ALL}),
        Shape::Tokens => {
            let keys = ["input", "output", "cache_read", "cache_write"];
            let count = |key| (key, json!({"type": ["integer", "null"], "minimum": 0}));
            let properties: Map<String, Value> =
                keys.map(count).into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
            json!({"type": "object", "properties": properties})
        }
        Shape::Failure => json!({
            "type": ["object", "null"],
            "properties": {
                "kind": {"enum": FailureKind::ALL.map(FailureKind::as_str)},
                "exit_code": {"type": ["integer", "null"]},
                "message": {"type": "string"},
                "detail": {"type": "object"},
            },
            "required": ["kind", "message"],
        }),
        Shape::Requests => json!({"type": "array", "items": {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "reason": {"type": ["string", "null"]},
                "decision": {"enum": RequestDecision::ALL},
                "why": {"type": "string"},
            },
            "required": ["path", "decision", "why"],
        }}),
        Shape::Branches => json!({"type": "array", "items": object(&BRANCH)}),
        Shape::Comments => json!({"type": "array", "items": object(&COMMENT)}),
        Shape::Counts => json!({"type": "array", "items": object(&COUNTS)}),
    }
}
