//! Converts a row of `phases` to the spec as an author would have written it, and the progress.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::phase::plan::PlanPhase;
use crate::phase::{Failure, FailureKind, PhaseId, PhaseState, RawSpec};

use super::super::error::ImportError;
use super::super::spec_keys;
use super::foreign_rows::Row;

/// Bookkeeping columns of the executor. Every other non-null column belongs to the author and becomes part of the spec,
/// including columns of unknown versions.
const BOOKKEEPING: [&str; 24] = [
    "id",
    "run_id",
    "tier_id",
    "state",
    "builder_attempts",
    "auditor_attempts",
    "tokens_used",
    "minor_issues_count",
    "major_issues_count",
    "issue_state",
    "quality_level",
    "quality_blocked",
    "created_at",
    "updated_at",
    "started_at",
    "completed_at",
    "retry_attempt",
    "revision_epoch",
    "escalation_level",
    "last_attempt_timestamp",
    "last_failure_reason",
    "attempts_used",
    "last_heartbeat",
    "claimed_by",
];

pub(super) fn read(
    row: &Row,
    tier: Option<&String>,
    run_goal: Option<&String>,
) -> Result<PlanPhase, ImportError> {
    let phase_id = PhaseId::new(row.needed("phase_id")?.trim());
    let mut notes = Vec::new();
    let state = state(row, &mut notes);
    let spec = spec(row, tier, run_goal, &mut notes);
    Ok(PlanPhase {
        name: row.text("name").unwrap_or_else(|| phase_id.to_string()),
        phase_id,
        max_attempts: spec_keys::max_attempts(&spec),
        spec: RawSpec(Value::Object(spec)),
        depends_on: Vec::new(),
        state,
        attempts: attempts(row),
        last_failure: row.text("last_failure_reason").and_then(|reason| failure(&reason)),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

/// Returns the state; phases executing, waiting at a gate or in an unknown state are queued again.
fn state(row: &Row, notes: &mut Vec<String>) -> PhaseState {
    let written = row.text("state").unwrap_or_default();
    match written.trim().to_ascii_uppercase().parse() {
        Ok(PhaseState::Executing) | Err(_) => {
            notes
                .push(format!("was {} in the Python Autopack; queued again", or_nothing(&written)));
            PhaseState::Queued
        }
        Ok(state) => state,
    }
}

fn or_nothing(text: &str) -> &str {
    if text.trim().is_empty() { "without a state" } else { text.trim() }
}

/// Returns the larger of two counters, because both miss attempts. `retry_attempt` came with a later version (older
/// rows have 0, however often they ran) and counts only failed attempts: a phase that then passed has one more in
/// `builder_attempts`. `builder_attempts` in turn falls behind if the executor died or skipped the builder: real rows
/// with 5 retries have 0, 1 and 4. `max_builder_attempts` is no limit: rows with 10 gave up after 5, so the value stays
/// text in the spec.
fn attempts(row: &Row) -> u32 {
    let counters = ["retry_attempt", "builder_attempts", "attempts_used"];
    let most = counters.iter().filter_map(|column| row.count(column)).max().unwrap_or(0);
    u32::try_from(most).unwrap_or(u32::MAX)
}

static EXIT_CODE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)exit[ _-]?(?:code|status)\D{0,3}(\d{1,3})\b")
        .expect("the pattern is a constant")
});

fn failure(reason: &str) -> Option<Failure> {
    let reason = reason.trim();
    let first = reason.lines().next()?;
    let mut failure = Failure::new(FailureKind::Imported, first.trim_end());
    if first.len() < reason.len() {
        reason.clone_into(&mut failure.detail.log_tail);
    }
    failure.exit_code =
        EXIT_CODE.captures(reason).and_then(|found| found.get(1)?.as_str().parse().ok());
    Some(failure)
}

fn spec(
    row: &Row,
    tier: Option<&String>,
    run_goal: Option<&String>,
    notes: &mut Vec<String>,
) -> Map<String, Value> {
    let mut spec = Map::new();
    for (column, value) in row.cells.iter().filter(|(c, _)| !BOOKKEEPING.contains(&c.as_str())) {
        let (key, value) = match column.as_str() {
            "phase_id" => (
                "phase_id",
                value.as_str().map_or_else(|| value.to_string(), |v| v.trim().to_owned()).into(),
            ),
            // The author's name for the column.
            "task_category" => ("category", value.clone()),
            column => (column, nested(column, value, notes)),
        };
        spec.insert(key.to_owned(), value);
    }
    if let Some(tier) = tier {
        spec.insert("tier_id".to_owned(), tier.as_str().into());
    }
    if let Some(goal) = run_goal {
        spec.entry("goal_anchor").or_insert_with(|| goal.as_str().into());
    }
    spec.retain(|_, value| !value.is_null());
    // Only the author of a plan for autopack can open protected paths.
    if spec.shift_remove("allow_protected").is_some() {
        notes.push(
            "`allow_protected` was not imported; set it with `autopack phases edit`".to_owned(),
        );
    }
    spec
}

/// Parses JSON in a text column. An invalid scope stays text: the auto-fixer can read text scopes, and one bad row must
/// not block 455 good rows.
fn nested(column: &str, value: &Value, notes: &mut Vec<String>) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    if column != "scope" && !text.trim_start().starts_with(['{', '[']) {
        return value.clone();
    }
    match serde_json::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) if column == "scope" => {
            notes.push(format!("its scope is not valid JSON ({error}) and was kept as text"));
            value.clone()
        }
        Err(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::source_place::SourcePosition;
    use super::*;

    fn phase(cells: Value) -> PlanPhase {
        let place =
            SourcePosition::Row { file: "x.db".into(), table: "phases", row: "1".to_owned() };
        let cells = cells.as_object().unwrap().clone();
        read(&Row { place, cells }, Some(&"T1".to_owned()), Some(&"a goal".to_owned())).unwrap()
    }

    #[test]
    fn columns_become_the_spec_that_an_author_wrote() {
        let phase = phase(
            json!({"id": 1, "phase_id": "p", "run_id": "r", "tier_id": 7, "phase_index": 0,
            "name": "N", "description": "{not json}", "state": "QUEUED", "task_category": "backend",
            "builder_mode": "BUILD", "tokens_used": 9, "scope": "{\"paths\":[\"src/\"]}", "later": "[1]"}),
        );
        assert_eq!(
            phase.spec.0.to_string(),
            r#"{"phase_id":"p","phase_index":0,"name":"N","description":"{not json}","#.to_owned()
                + r#""category":"backend","builder_mode":"BUILD","scope":{"paths":["src/"]},"later":[1],"#
                + r#""tier_id":"T1","goal_anchor":"a goal"}"#
        );
        assert_eq!((phase.name.as_str(), phase.note), ("N", None));
    }

    #[test]
    fn states_of_work_under_way_become_queued_with_a_note() {
        let state = |state: &str| {
            let phase = phase(json!({"phase_id": "p", "state": state}));
            (phase.state, phase.note)
        };
        for known in ["COMPLETE", "FAILED", "QUEUED", "SKIPPED"] {
            assert_eq!(state(known), (known.parse().unwrap(), None));
        }
        for unknown in ["EXECUTING", "GATE", "CI_RUNNING"] {
            let note = format!("was {unknown} in the Python Autopack; queued again");
            assert_eq!(state(unknown), (PhaseState::Queued, Some(note)));
        }
        assert_eq!(state("complete").0, PhaseState::Complete);
    }

    #[test]
    fn failures_keep_their_words_and_exit_code() {
        let failure = failure("CI failed, exit code: 143\nlog").unwrap();
        assert_eq!(failure.message, "CI failed, exit code: 143");
        assert_eq!(failure.exit_code, Some(143));
        assert_eq!(failure.detail.log_tail, "CI failed, exit code: 143\nlog");
        assert_eq!(super::failure("PATCH_FAILED").unwrap().exit_code, None);
        assert_eq!(super::failure(" \n"), None);
    }

    #[test]
    fn a_scope_that_is_no_json_stays_text_and_is_noted() {
        let broken = phase(json!({"phase_id": "p", "state": "QUEUED", "scope": "{\"paths\": ["}));
        assert_eq!(broken.spec.0["scope"], "{\"paths\": [");
        assert!(broken.note.unwrap().starts_with("its scope is not valid JSON"));
        assert_eq!(
            phase(json!({"phase_id": "p", "state": "QUEUED", "scope": "null"})).spec.0.get("scope"),
            None
        );
    }
}
