//! Gitea's answers, the same as Forgejo's. Shapes: the servers' Swagger documents, `/repos/{owner}/{repo}/issues`,
//! `/collaborators`, `/orgs/{org}/members`, `/issues/{index}/dependencies`. Gitea sends no ETags.

use serde_json::{Value, json};

use super::{Answer, Asked, Knowledge, TestIssue, gitea_pulls, time};

pub fn answer(knowledge: &mut Knowledge, asked: &Asked) -> Answer {
    match knowledge.may_see(asked) {
        None => return Answer::of(401, r#"{"message": "user does not exist"}"#),
        Some(false) => return not_found(),
        Some(true) => {}
    }
    let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", "v1", "user"] => Answer::json(&json!({"id": 1, "login": knowledge.me})),
        ["api", "v1", "orgs", "o", "members"] => {
            list(knowledge, asked, &[json!({"id": 5, "login": "Org-Member"})])
        }
        ["api", "v1", "repos", "o", "r", rest @ ..] => repository(knowledge, asked, rest),
        _ => not_found(),
    }
}

pub fn not_found() -> Answer {
    Answer::of(404, r#"{"message": "The target couldn't be found.", "errors": []}"#)
}

fn repository(knowledge: &mut Knowledge, asked: &Asked, rest: &[&str]) -> Answer {
    if let Some(answer) = gitea_pulls::answer(knowledge, asked, rest) {
        return answer;
    }
    match rest {
        [] => Answer::json(&json!({"id": 1, "full_name": "o/r"})),
        ["collaborators"] if asked.token().is_none() => {
            Answer::of(403, r#"{"message": "user should have permission"}"#)
        }
        ["collaborators"] => {
            let members = knowledge.members.iter().map(|login| json!({"id": 1, "login": login}));
            list(knowledge, asked, &members.collect::<Vec<_>>())
        }
        ["issues"] => {
            assert_eq!(asked.get("type"), Some("issues"), "{asked:?}");
            let mut issues = knowledge.chosen(asked, asked.get("state") == Some("open"));
            issues.retain(|issue| !issue.is_pull_request);
            if let Some(login) = asked.get("assigned_by") {
                issues.retain(|issue| issue.assignee == Some(login));
            }
            if let Some(text) = asked.get("q") {
                issues.retain(|issue| issue.title.contains(text));
            }
            let issues: Vec<Value> = issues.into_iter().map(shape).collect();
            list(knowledge, asked, &issues)
        }
        ["issues", number] => match knowledge.find(number) {
            Some(issue) => Answer::json(&shape(issue)),
            None => not_found(),
        },
        ["issues", number, "dependencies"] => {
            let Some(issue) = knowledge.find(number) else { return not_found() };
            let found = issue.blocked_by.iter().filter_map(|n| knowledge.find(&n.to_string()));
            list(knowledge, asked, &found.map(shape).collect::<Vec<_>>())
        }
        _ => not_found(),
    }
}

pub fn list(knowledge: &Knowledge, asked: &Asked, all: &[Value]) -> Answer {
    let (page, has_more) = knowledge.page(all, asked, "limit");
    let answer = Answer::json(&json!(page)).header("x-total-count", all.len());
    if !has_more {
        return answer;
    }
    let mut pairs: Vec<String> = asked
        .query
        .iter()
        .filter(|(name, _)| *name != "page")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.push(format!("page={}", asked.number("page", 1) + 1));
    // A server behind a proxy may name its inner address.
    let link = format!("<http://inner:3000{}?{}>; rel=\"next\"", asked.path, pairs.join("&"));
    answer.header("link", link)
}

fn shape(issue: &TestIssue) -> Value {
    let number = issue.number;
    let labels = issue.labels.iter().map(|name| json!({"id": 1, "name": name, "color": "ee0701"}));
    json!({
        "id": 500 + number,
        "number": number,
        "url": format!("https://codeberg.org/api/v1/repos/o/r/issues/{number}"),
        "html_url": format!("https://codeberg.org/o/r/issues/{number}"),
        "user": {"id": 1, "login": issue.author, "username": issue.author},
        "title": issue.title,
        "body": issue.body,
        "labels": labels.collect::<Vec<_>>(),
        "milestone": issue.milestone.map(|title| json!({"id": 1, "title": title})),
        "assignees": issue.assignee.map(|login| vec![json!({"login": login})]),
        "state": if issue.is_closed { "closed" } else { "open" },
        "is_locked": false,
        "comments": 0,
        "created_at": time(0),
        "updated_at": time(issue.changed),
        "pull_request": null,
        "repository": {"id": 1, "name": "r", "owner": "o", "full_name": "o/r"},
    })
}
