//! GitHub's pull requests, comments and checks. Shapes: docs.github.com, REST API version 2022-11-28: "Pulls", "Issue
//! comments", "Check runs", "Commit statuses".

use serde_json::{Value, json};

use super::github::{list, not_found};
use super::pulls::{PullState, TestComment, TestPull, new_pull};
use super::{Answer, Asked, Knowledge};

/// Answers requests about pull requests; `None` for others.
pub fn answer(knowledge: &mut Knowledge, asked: &Asked, rest: &[&str]) -> Option<Answer> {
    let is_write = asked.method != "GET";
    if is_write && asked.token().is_none() {
        return Some(Answer::of(401, r#"{"message": "Requires authentication"}"#));
    }
    let object = asked.object();
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    Some(match (asked.method.as_str(), rest) {
        ("GET", ["pulls"]) => {
            assert_eq!(asked.get("state"), Some("all"));
            let branch = asked.get("head").unwrap().strip_prefix("o:").unwrap();
            let own = knowledge.pulls.iter().rev().filter(|pull| pull.branch == branch);
            let own: Vec<Value> = own.map(|pull| shape(knowledge, pull)).collect();
            list(knowledge, asked, &own)
        }
        ("POST", ["pulls"]) => {
            let draft = object["draft"] == true;
            let new = new_pull(text("title"), text("body"), text("head"), text("base"), draft);
            if new.body.chars().count() > 65_536 {
                return Some(invalid("body is too long (maximum is 65536 characters)"));
            }
            if new.title.chars().count() > 256 {
                return Some(invalid("title is too long (maximum is 256 characters)"));
            }
            match knowledge.open_pull(new) {
                Ok(pull) => created(&shape(knowledge, &pull)),
                Err(why) => invalid(why),
            }
        }
        ("GET", ["pulls", number]) => match find(knowledge, number) {
            Some(at) => Answer::json(&shape(knowledge, &knowledge.pulls[at])),
            None => not_found(),
        },
        ("PATCH", ["pulls", number]) => {
            let Some(at) = find(knowledge, number) else { return Some(not_found()) };
            let pull = &mut knowledge.pulls[at];
            let fields =
                [("title", &mut pull.title), ("body", &mut pull.body), ("base", &mut pull.base)];
            for (name, field) in fields {
                if let Some(text) = object[name].as_str() {
                    *field = text.to_owned();
                }
            }
            Answer::json(&shape(knowledge, &knowledge.pulls[at]))
        }
        ("GET", ["issues", number, "comments"]) => {
            let own = knowledge.comments.iter().zip(1..);
            let own = own.filter(|(comment, _)| comment.issue.to_string() == *number);
            let own: Vec<Value> = own.map(|(comment, id)| comment_shape(comment, id)).collect();
            list(knowledge, asked, &own)
        }
        ("POST", ["issues", number, "comments"]) => {
            let Some(issue) = knowledge.find(number) else { return Some(not_found()) };
            let comment = TestComment { issue: issue.number, body: text("body").to_owned() };
            knowledge.comments.push(comment.clone());
            created(&comment_shape(&comment, knowledge.comments.len()))
        }
        ("GET", ["commits", _, "check-runs"]) => {
            let runs = knowledge.checks.iter().map(|(name, result)| {
                let conclusion = match *result {
                    "success" => json!("success"),
                    "failed" => json!("failure"),
                    _ => Value::Null,
                };
                let status = if conclusion.is_null() { "in_progress" } else { "completed" };
                json!({"id": 1, "name": name, "status": status, "conclusion": conclusion})
            });
            let runs: Vec<Value> = runs.collect();
            Answer::json(&json!({"total_count": runs.len(), "check_runs": runs}))
        }
        ("GET", ["commits", sha, "status"]) => {
            Answer::json(&json!({"state": "pending", "sha": sha, "statuses": [], "total_count": 0}))
        }
        _ => return None,
    })
}

fn find(knowledge: &Knowledge, number: &str) -> Option<usize> {
    knowledge.pulls.iter().position(|pull| pull.number.to_string() == number)
}

fn created(value: &Value) -> Answer {
    Answer::of(201, &value.to_string())
}

fn invalid(why: &str) -> Answer {
    let errors = json!([{"resource": "PullRequest", "code": "custom", "message": why}]);
    Answer::of(422, &json!({"message": "Validation Failed", "errors": errors}).to_string())
}

fn shape(knowledge: &Knowledge, pull: &TestPull) -> Value {
    let number = pull.number;
    let is_merged = pull.state == PullState::Merged;
    json!({
        "id": 4000 + number,
        "number": number,
        "state": if pull.state == PullState::Open { "open" } else { "closed" },
        "locked": false,
        "title": pull.title,
        "body": if pull.body.is_empty() { Value::Null } else { json!(pull.body) },
        "html_url": format!("https://github.com/o/r/pull/{number}"),
        "merged_at": is_merged.then_some("2026-01-02T00:00:00Z"),
        "draft": pull.is_draft,
        "user": {"login": knowledge.me},
        "head": {"label": format!("o:{}", pull.branch), "ref": pull.branch, "sha": knowledge.head_of(pull)},
        "base": {"label": format!("o:{}", pull.base), "ref": pull.base},
    })
}

fn comment_shape(comment: &TestComment, id: usize) -> Value {
    json!({
        "id": id,
        "html_url": format!("https://github.com/o/r/issues/{}#issuecomment-{id}", comment.issue),
        "body": comment.body,
        "user": {"login": "bot"},
    })
}
