//! GitLab's merge requests, notes and statuses. Shapes: docs.gitlab.com, REST API: "Merge requests API", "Notes API",
//! "Commits API" (statuses).

use serde_json::{Value, json};

use super::gitlab::{list, not_found};
use super::pulls::{PullState, TestComment, TestPull, new_pull};
use super::{Answer, Asked, Knowledge};

const DRAFT: &str = "Draft: ";

/// Answers requests about merge requests; `None` for others.
pub fn answer(knowledge: &mut Knowledge, asked: &Asked, rest: &[&str]) -> Option<Answer> {
    if asked.method != "GET" && asked.token().is_none() {
        return Some(Answer::of(401, r#"{"message": "401 Unauthorized"}"#));
    }
    let object = asked.object();
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    Some(match (asked.method.as_str(), rest) {
        ("GET", ["merge_requests"]) => {
            let branch = asked.get("source_branch").unwrap();
            let own = knowledge.pulls.iter().rev().filter(|pull| pull.branch == branch);
            let own: Vec<Value> = own.map(|pull| shape(knowledge, pull)).collect();
            list(knowledge, asked, &own)
        }
        ("POST", ["merge_requests"]) => {
            let title = text("title").strip_prefix(DRAFT);
            if text("title").chars().count() > 255 {
                let why = "title is too long (maximum is 255 characters)";
                return Some(Answer::of(400, &json!({"message": [why]}).to_string()));
            }
            let (branch, base) = (text("source_branch"), text("target_branch"));
            let plain = title.unwrap_or(text("title"));
            let new = new_pull(plain, text("description"), branch, base, title.is_some());
            match knowledge.open_pull(new) {
                Ok(pull) => Answer::of(201, &shape(knowledge, &pull).to_string()),
                Err(why) => Answer::of(409, &json!({"message": [why]}).to_string()),
            }
        }
        ("GET", ["merge_requests", number]) => match find(knowledge, number) {
            Some(at) => Answer::json(&shape(knowledge, &knowledge.pulls[at])),
            None => not_found(),
        },
        ("PUT", ["merge_requests", number]) => {
            let Some(at) = find(knowledge, number) else { return Some(not_found()) };
            let pull = &mut knowledge.pulls[at];
            if let Some(title) = object["title"].as_str() {
                pull.is_draft = title.starts_with(DRAFT);
                pull.title = title.trim_start_matches(DRAFT).to_owned();
            }
            for (name, field) in
                [("description", &mut pull.body), ("target_branch", &mut pull.base)]
            {
                if let Some(text) = object[name].as_str() {
                    *field = text.to_owned();
                }
            }
            Answer::json(&shape(knowledge, &knowledge.pulls[at]))
        }
        ("GET", ["issues", number, "notes"]) => {
            let own = knowledge.comments.iter().zip(1..);
            let own = own.filter(|(comment, _)| comment.issue.to_string() == *number);
            let own: Vec<Value> = own
                .map(|(comment, id): (_, u64)| json!({"id": id, "body": comment.body}))
                .collect();
            list(knowledge, asked, &own)
        }
        ("POST", ["issues", number, "notes"]) => {
            let Some(issue) = knowledge.find(number) else { return Some(not_found()) };
            let comment = TestComment { issue: issue.number, body: text("body").to_owned() };
            knowledge.comments.push(comment.clone());
            let note = json!({"id": knowledge.comments.len(), "body": comment.body});
            Answer::of(201, &note.to_string())
        }
        ("GET", ["repository", "commits", _, "statuses"]) => {
            let statuses = knowledge.checks.iter().map(|(name, status)| {
                json!({"id": 1, "name": name, "status": status, "allow_failure": false})
            });
            list(knowledge, asked, &statuses.collect::<Vec<_>>())
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
        "iid": number,
        "project_id": 7,
        "source_project_id": 7,
        "target_project_id": 7,
        "title": format!("{mark}{}", pull.title),
        "description": pull.body,
        "state": match pull.state {
            PullState::Open => "opened",
            PullState::Merged => "merged",
            PullState::Closed => "closed",
        },
        "draft": pull.is_draft,
        "source_branch": pull.branch,
        "target_branch": pull.base,
        "sha": knowledge.head_of(pull),
        "web_url": format!("https://gitlab.com/group/sub/p/-/merge_requests/{number}"),
    })
}
