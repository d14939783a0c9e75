//! GitHub's answers. Shapes: docs.github.com, REST API version 2022-11-28: "Issues", "Issue dependencies", "Sub-issues",
//! "Search issues and pull requests", "Using pagination", "Best practices" (conditional requests), "Rate limits".

use serde_json::{Value, json};

use super::{Answer, Asked, Knowledge, TestIssue, etag, github_pulls, time};

pub fn answer(knowledge: &mut Knowledge, asked: &Asked) -> Answer {
    if !asked.headers["accept"].contains("application/vnd.github+json") {
        return Answer::of(415, "{}");
    }
    match knowledge.may_see(asked) {
        None => return Answer::of(401, r#"{"message": "Bad credentials"}"#),
        Some(false) => return not_found(),
        Some(true) => {}
    }
    let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    match (parts.as_slice(), knowledge.renamed_to) {
        (["user"], _) => Answer::json(&json!({"login": knowledge.me, "id": 1})),
        (["search", "issues"], _) => search(knowledge, asked),
        (["repos", "o", "r", rest @ ..], Some(_)) => {
            let query = query_text(asked);
            let target = ["repositories", "1"].iter().chain(rest).copied().collect::<Vec<_>>();
            Answer::of(301, r#"{"message": "Moved Permanently"}"#)
                .header("location", format!("{}/{}{query}", knowledge.url, target.join("/")))
        }
        (["repos", "o", "r", rest @ ..], None) | (["repositories", "1", rest @ ..], Some(_)) => {
            repository(knowledge, asked, rest)
        }
        _ => not_found(),
    }
}

pub fn not_found() -> Answer {
    Answer::of(404, r#"{"message": "Not Found", "status": "404"}"#)
}

fn repository(knowledge: &mut Knowledge, asked: &Asked, rest: &[&str]) -> Answer {
    if let Some(answer) = github_pulls::answer(knowledge, asked, rest) {
        return answer;
    }
    match rest {
        [] => Answer::json(&json!({"id": 1, "full_name": knowledge.renamed_to.unwrap_or("o/r")})),
        ["issues"] => {
            let is_open_only = asked.get("state") == Some("open");
            let mut issues = knowledge.chosen(asked, is_open_only);
            if let Some(login) = asked.get("assignee") {
                issues.retain(|issue| issue.assignee == Some(login));
            }
            if asked.get("sort") == Some("updated") {
                issues.sort_by_key(|issue| std::cmp::Reverse(issue.changed));
            }
            let issues: Vec<Value> = issues.iter().map(|issue| shape(knowledge, issue)).collect();
            list(knowledge, asked, &issues)
        }
        ["issues", number] => match knowledge.find(number) {
            Some(issue) => with_etag(Answer::json(&shape(knowledge, issue))),
            None => not_found(),
        },
        ["issues", number, "dependencies", "blocked_by"] => {
            linked(knowledge, asked, number, |issue| &issue.blocked_by)
        }
        ["issues", number, "sub_issues"] => {
            linked(knowledge, asked, number, |issue| &issue.sub_issues)
        }
        _ => not_found(),
    }
}

fn linked(
    knowledge: &Knowledge,
    asked: &Asked,
    number: &str,
    numbers: impl Fn(&TestIssue) -> &[u64],
) -> Answer {
    let Some(issue) = knowledge.find(number) else { return not_found() };
    let found = numbers(issue).iter().filter_map(|number| knowledge.find(&number.to_string()));
    let found: Vec<Value> = found.map(|issue| shape(knowledge, issue)).collect();
    list(knowledge, asked, &found)
}

fn search(knowledge: &Knowledge, asked: &Asked) -> Answer {
    let terms = asked.get("q").unwrap();
    let has = |term: &str| terms.split(' ').any(|own| own == term);
    assert!(has("repo:o/r") && has("is:issue") && has("is:open"), "{terms}");
    let word = terms.split(' ').find(|term| !term.contains(':')).unwrap_or_default();
    let mut found = knowledge.chosen(asked, true);
    found.retain(|issue| !issue.is_pull_request && issue.title.contains(word));
    let items: Vec<Value> = found.iter().map(|issue| shape(knowledge, issue)).collect();
    let (page, _) = knowledge.page(&items, asked, "per_page");
    Answer::json(&json!({"total_count": items.len(), "incomplete_results": false, "items": page}))
}

pub fn list(knowledge: &Knowledge, asked: &Asked, all: &[Value]) -> Answer {
    let (page, has_more) = knowledge.page(all, asked, "per_page");
    let answer = Answer::json(&json!(page)).header("x-ratelimit-remaining", 4999);
    if !has_more {
        return with_etag(answer);
    }
    let mut next = asked.clone();
    next.query.insert("page".to_owned(), (asked.number("page", 1) + 1).to_string());
    let link = format!(
        "<{}/repositories/1/issues{}>; rel=\"next\", <{}/x>; rel=\"last\"",
        knowledge.url,
        query_text(&next),
        knowledge.url
    );
    with_etag(answer.header("link", link))
}

fn with_etag(answer: Answer) -> Answer {
    let etag = etag(&answer.body);
    answer.header("etag", etag)
}

fn query_text(asked: &Asked) -> String {
    let mut pairs: Vec<String> =
        asked.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn shape(knowledge: &Knowledge, issue: &TestIssue) -> Value {
    let number = issue.number;
    let repo = knowledge.renamed_to.unwrap_or("o/r");
    let association = match issue.author {
        "owner" => "OWNER",
        author if knowledge.members.contains(&author) => "COLLABORATOR",
        _ => "NONE",
    };
    let labels = issue.labels.iter().map(|name| json!({"id": 1, "name": name, "color": "f29513"}));
    let blocked = issue.blocked_by.len();
    let mut value = json!({
        "id": 9000 + number,
        "node_id": "I_kwDO",
        "url": format!("https://api.github.com/repos/{repo}/issues/{number}"),
        "repository_url": format!("https://api.github.com/repos/{repo}"),
        "html_url": format!("https://github.com/{repo}/issues/{number}"),
        "number": number,
        "title": issue.title,
        "user": {"login": issue.author, "id": 1, "type": "User"},
        "labels": labels.collect::<Vec<_>>(),
        "state": if issue.is_closed { "closed" } else { "open" },
        "state_reason": issue.reason,
        "locked": false,
        "assignee": issue.assignee.map(|login| json!({"login": login})),
        "assignees": issue.assignee.map(|login| json!({"login": login})).into_iter().collect::<Vec<_>>(),
        "milestone": issue.milestone.map(|title| json!({"number": 1, "title": title, "state": "open"})),
        "comments": 0,
        "created_at": time(0),
        "updated_at": time(issue.changed),
        "author_association": association,
        "sub_issues_summary": {"total": issue.sub_issues.len(), "completed": 0, "percent_completed": 0},
        "issue_dependencies_summary": {"blocked_by": blocked, "total_blocked_by": blocked, "blocking": 0,
                                       "total_blocking": 0},
        "body": if issue.body.is_empty() { Value::Null } else { json!(issue.body) },
    });
    if issue.is_pull_request {
        value["pull_request"] =
            json!({"url": format!("https://api.github.com/repos/{repo}/pulls/{number}")});
    }
    value
}
