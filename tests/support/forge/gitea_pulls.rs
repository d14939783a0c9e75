//! Gitea's pull requests, comments and statuses. Shapes: the servers' Swagger documents, `/repos/{owner}/{repo}/pulls`,
//! `/issues/{index}/comments`, `/commits/{ref}/status`.

use serde_json::{Value, json};

use super::gitea::{list, not_found};
use super::pulls::{PullState, TestComment, TestPull, new_pull};
use super::{Answer, Asked, Knowledge};

const DRAFT: &str = "WIP: ";

/// Answers requests about pull requests; `None` for others.
pub fn answer(knowledge: &mut Knowledge, asked: &Asked, rest: &[&str]) -> Option<Answer> {
    if asked.method != "GET" && asked.token().is_none() {
        return Some(Answer::of(401, r#"{"message": "token is required"}"#));
    }
    let object = asked.object();
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    Some(match (asked.method.as_str(), rest) {
        // All branches: there is no choice by branch.
        ("GET", ["pulls"]) => {
            assert_eq!(asked.get("state"), Some("open"));
            let open = knowledge.pulls.iter().filter(|pull| pull.state == PullState::Open);
            let open: Vec<Value> = open.map(|pull| shape(knowledge, pull)).collect();
            list(knowledge, asked, &open)
        }
        ("POST", ["pulls"]) => {
            let title = text("title").strip_prefix(DRAFT);
            let plain = title.unwrap_or(text("title"));
            let new = new_pull(plain, text("body"), text("head"), text("base"), title.is_some());
            match knowledge.open_pull(new) {
                Ok(pull) => Answer::of(201, &shape(knowledge, &pull).to_string()),
                Err(why) => Answer::of(409, &json!({"message": why}).to_string()),
            }
        }
        ("GET", ["pulls", number]) => match find(knowledge, number) {
            Some(at) => Answer::json(&shape(knowledge, &knowledge.pulls[at])),
            None => not_found(),
        },
        ("PATCH", ["pulls", number]) => {
            let Some(at) = find(knowledge, number) else { return Some(not_found()) };
            let pull = &mut knowledge.pulls[at];
            if let Some(title) = object["title"].as_str() {
                pull.is_draft = title.starts_with(DRAFT);
                pull.title = title.trim_start_matches(DRAFT).to_owned();
            }
            for (name, field) in [("body", &mut pull.body), ("base", &mut pull.base)] {
                if let Some(text) = object[name].as_str() {
                    *field = text.to_owned();
                }
            }
            Answer::of(201, &shape(knowledge, &knowledge.pulls[at]).to_string())
        }
        ("GET", ["issues", number, "comments"]) => {
            let own = knowledge.comments.iter().zip(1..);
            let own = own.filter(|(comment, _)| comment.issue.to_string() == *number);
            let own: Vec<Value> = own.map(|(comment, id)| comment_shape(comment, id)).collect();
            Answer::json(&json!(own))
        }
        ("POST", ["issues", number, "comments"]) => {
            let Some(issue) = knowledge.find(number) else { return Some(not_found()) };
            let comment = TestComment { issue: issue.number, body: text("body").to_owned() };
            knowledge.comments.push(comment.clone());
            let shape = comment_shape(&comment, knowledge.comments.len());
            Answer::of(201, &shape.to_string())
        }
        ("GET", ["commits", sha, "status"]) => {
            let statuses = knowledge.checks.iter().map(|(name, result)| {
                let status = match *result {
                    "failed" => "failure",
                    "running" => "pending",
                    other => other,
                };
                json!({"id": 1, "context": name, "status": status})
            });
            let statuses: Vec<Value> = statuses.collect();
            Answer::json(&json!({"state": "pending", "sha": sha, "statuses": statuses}))
        }
        _ => return None,
    })
}

fn find(knowledge: &Knowledge, number: &str) -> Option<usize> {
    knowledge.pulls.iter().position(|pull| pull.number.to_string() == number)
}

fn shape(knowledge: &Knowledge, pull: &TestPull) -> Value {
    let number = pull.number;
    let mark = if pull.is_draft { DRAFT } else { "" };
    json!({
        "id": 4000 + number,
        "number": number,
        "state": if pull.state == PullState::Open { "open" } else { "closed" },
        "title": format!("{mark}{}", pull.title),
        "body": pull.body,
        "html_url": format!("https://codeberg.org/o/r/pulls/{number}"),
        "merged": pull.state == PullState::Merged,
        "merged_at": (pull.state == PullState::Merged).then_some("2026-01-02T00:00:00Z"),
        "head": {"label": pull.branch, "ref": pull.branch, "repo_id": 1, "sha": knowledge.head_of(pull)},
        "base": {"label": pull.base, "ref": pull.base, "repo_id": 1, "sha": ""},
    })
}

fn comment_shape(comment: &TestComment, id: usize) -> Value {
    json!({
        "id": id,
        "html_url": format!("https://codeberg.org/o/r/issues/{}#issuecomment-{id}", comment.issue),
        "body": comment.body,
    })
}
