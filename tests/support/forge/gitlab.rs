//! GitLab's answers. Shapes: docs.gitlab.com, REST API: "Issues API", "Members API", "Issue links API", "REST API"
//! (pagination headers).

use serde_json::{Value, json};

use super::{Answer, Asked, Knowledge, TestIssue, etag, gitlab_merges, time};

pub fn answer(knowledge: &mut Knowledge, asked: &Asked) -> Answer {
    match knowledge.may_see(asked) {
        None => return Answer::of(401, r#"{"message": "401 Unauthorized"}"#),
        Some(false) => return not_found(),
        Some(true) => {}
    }
    let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", "v4", "user"] => Answer::json(&json!({"id": 1, "username": knowledge.me})),
        ["api", "v4", "projects", "group%2Fsub%2Fp", rest @ ..] => project(knowledge, asked, rest),
        _ => not_found(),
    }
}

pub fn not_found() -> Answer {
    Answer::of(404, r#"{"message": "404 Project Not Found"}"#)
}

fn project(knowledge: &mut Knowledge, asked: &Asked, rest: &[&str]) -> Answer {
    if let Some(answer) = gitlab_merges::answer(knowledge, asked, rest) {
        return answer;
    }
    match rest {
        [] => Answer::json(&json!({"id": 7, "path_with_namespace": "group/sub/p"})),
        ["members", "all"] => {
            let members = knowledge.members.iter().zip(1..);
            let members = members.map(
                |(name, id)| json!({"id": id, "username": name, "state": "active", "access_level": 40}),
            );
            // Guests are on the list of a public project as well.
            let guest =
                json!({"id": 99, "username": "guest", "state": "active", "access_level": 10});
            list(knowledge, asked, &members.chain([guest]).collect::<Vec<_>>())
        }
        ["issues"] => {
            let mut issues = knowledge.chosen(asked, asked.get("state") == Some("opened"));
            if let Some(login) = asked.get("assignee_username") {
                issues.retain(|issue| issue.assignee == Some(login));
            }
            if let Some(text) = asked.get("search") {
                issues.retain(|issue| issue.title.contains(text));
            }
            if let Some(title) = asked.get("milestone") {
                issues.retain(|issue| issue.milestone == Some(title));
            }
            if asked.get("order_by") == Some("updated_at") {
                issues.sort_by_key(|issue| std::cmp::Reverse(issue.changed));
            }
            let issues: Vec<Value> = issues.into_iter().map(shape).collect();
            list(knowledge, asked, &issues)
        }
        ["issues", number] => match knowledge.find(number) {
            Some(issue) => Answer::json(&shape(issue)),
            None => Answer::of(404, r#"{"message": "404 Not found"}"#),
        },
        ["issues", number, "links"] => {
            let Some(issue) = knowledge.find(number) else { return not_found() };
            let link = |number: &u64, kind: &str| {
                let other = knowledge.find(&number.to_string())?;
                let mut link = shape(other);
                link["link_type"] = json!(kind);
                Some(link)
            };
            let blocking = issue.blocked_by.iter().filter_map(|n| link(n, "is_blocked_by"));
            let related = issue.sub_issues.iter().filter_map(|n| link(n, "relates_to"));
            list(knowledge, asked, &blocking.chain(related).collect::<Vec<_>>())
        }
        _ => not_found(),
    }
}

pub fn list(knowledge: &Knowledge, asked: &Asked, all: &[Value]) -> Answer {
    let (page, has_more) = knowledge.page(all, asked, "per_page");
    let number = asked.number("page", 1);
    let next = if has_more { (number + 1).to_string() } else { String::new() };
    let answer = Answer::json(&json!(page))
        .header("x-page", number)
        .header("x-next-page", next)
        .header("x-total", all.len());
    let etag = etag(&answer.body);
    answer.header("etag", etag)
}

fn shape(issue: &TestIssue) -> Value {
    let number = issue.number;
    json!({
        "id": 7000 + number,
        "iid": number,
        "project_id": 7,
        "title": issue.title,
        "description": if issue.body.is_empty() { Value::Null } else { json!(issue.body) },
        "state": if issue.is_closed { "closed" } else { "opened" },
        "created_at": time(0),
        "updated_at": time(issue.changed),
        "closed_at": issue.is_closed.then(|| time(issue.changed)),
        "labels": issue.labels,
        "milestone": issue.milestone.map(|title| json!({"id": 1, "iid": 1, "title": title})),
        "assignees": issue.assignee.map(|login| json!({"username": login})).into_iter().collect::<Vec<_>>(),
        "author": {"id": 1, "username": issue.author, "state": "active"},
        "type": "ISSUE",
        "issue_type": "issue",
        "web_url": format!("https://gitlab.com/group/sub/p/-/issues/{number}"),
        "user_notes_count": 0,
        "confidential": false,
        "moved_to_id": null,
        "_links": {"self": format!("https://gitlab.com/api/v4/projects/7/issues/{number}"),
                   "closed_as_duplicate_of": match issue.reason {
                       Some("duplicate") => json!("https://gitlab.com/api/v4/projects/7/issues/1"),
                       _ => Value::Null,
                   }},
    })
}
