//! Status words of many plans.

use serde_json::json;

use super::*;

fn standing(spec: Value) -> SourceStatus {
    of(spec.as_object().unwrap())
}

#[test]
fn many_spellings_mean_done() {
    for spec in [
        json!({"status": "done"}),
        json!({"status": "Closed"}),
        json!({"status": "completed"}),
        json!({"state": "COMPLETE"}),
        json!({"state": "MERGED"}),
        json!({"status": "resolved"}),
        json!({"passes": true}),
        json!({"completed": true}),
        json!({"status": "[x]"}),
        json!({"done": "x"}),
        json!({"title": "- [x] Add it"}),
        json!({"status": {"name": "Done"}}),
        json!({"status": "Done ✅"}),
        json!({"completed": "2026-01-02"}),
        json!({"closed_at": "2026-01-02T03:04:05Z"}),
        json!({"status": "done (#12)"}),
        json!({"status": "todo", "passes": true}),
        json!({"Status": "done"}),
        json!({"Task Status": "DONE."}),
        json!({"status": ["done"]}),
        json!({"STATE": {"Name": "Closed"}}),
        json!({"isDone": true}),
        json!({"is_closed": "yes"}),
        json!({"Is Completed": true}),
        json!({"completedAt": "2026-01-02"}),
        json!({"metadata": {"status": "done"}}),
        json!({"fields": {"status": {"name": "closed"}}}),
        json!({"Meta": {"isMerged": true}}),
        json!({"passes": false, "metadata": {"status": "done"}}),
    ] {
        assert_eq!(standing(spec.clone()), SourceStatus::Done, "{spec}");
    }
}

#[test]
fn open_dropped_and_unknown_states_are_distinguished() {
    for word in [
        "todo",
        "To Do",
        "open",
        "OPEN",
        "pending",
        "in_progress",
        "in-progress",
        "In Progress",
        "blocked",
        "ready",
        "backlog",
        "QUEUED",
        "EXECUTING",
        "FAILED",
        "review",
        "[ ]",
        "",
        "not done",
        "not started",
        "reopened",
    ] {
        assert_eq!(standing(json!({"status": word})), SourceStatus::Open, "{word}");
    }
    for word in [
        "cancelled",
        "Canceled",
        "deferred",
        "deleted",
        "won't fix",
        "SKIPPED",
        "tombstone",
        "not planned",
    ] {
        assert_eq!(standing(json!({"status": word})), SourceStatus::Dropped(word.to_owned()));
    }
    assert_eq!(
        standing(json!({"state": "CLOSED", "stateReason": "NOT_PLANNED"})),
        SourceStatus::Dropped("NOT_PLANNED".into())
    );
    assert_eq!(standing(json!({"deferred": true})), SourceStatus::Dropped("deferred".into()));
    for word in ["frobnicated", "almost done", "partly complete", "not quite done"] {
        assert_eq!(standing(json!({"status": word})), SourceStatus::Unknown(word.to_owned()));
    }
    for spec in [
        json!({}),
        json!({"passes": false}),
        json!({"completed": 0}),
        json!({"closed_at": null}),
        json!({"done": "no"}),
        json!({"status": "open", "closed_at": "2026-01-02"}),
        json!({"status": null, "title": "[ ] x"}),
        json!({"status": "todo", "metadata": {"status": "done"}}),
        json!({"done": "When all tests of the parser pass"}),
        json!({"isDone": false, "status": []}),
        json!({"jira": {"status": "done"}}),
    ] {
        assert_eq!(standing(spec.clone()), SourceStatus::Open, "{spec}");
    }
}

#[test]
fn a_status_that_cannot_be_understood_is_unknown() {
    for (spec, word) in [
        (json!({"status": 3}), "3"),
        (json!({"status": ["done", "todo"]}), r#"["done","todo"]"#),
        (json!({"status": {"code": 7}}), r#"{"code":7}"#),
        (json!({"completed": "80%"}), "80%"),
    ] {
        assert_eq!(standing(spec.clone()), SourceStatus::Unknown(word.to_owned()), "{spec}");
    }
}

#[test]
fn a_key_that_looks_like_a_status_and_is_not_read_is_named() {
    let unread = |spec: Value| unread(spec.as_object().unwrap());
    for (spec, named) in [
        (json!({"review_status": "done"}), r#"`review_status`: "done""#),
        (json!({"all-done": true}), "`all-done`: true"),
        (json!({"jira": {"status": "Done"}}), r#"`jira.status`: "Done""#),
    ] {
        assert_eq!(unread(spec), [named]);
    }
    for spec in [
        json!({"status": "done", "metadata": {"isDone": true}}),
        json!({"definition_of_done": "Done when the tests pass", "allow_incomplete": true}),
        json!({"stateless": true, "ci_status": "pending", "jira": {"status": "open"}}),
    ] {
        assert_eq!(unread(spec), [""; 0]);
    }
}
