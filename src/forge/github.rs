//! GitHub's REST API, version 2022-11-28: issues, search, dependencies and sub-issues.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::answer_fields::{list_of, milestone, text, texts};
use super::forge_error::ForgeError;
use super::issue::{ForgeIssue, IssueFilter, IssueState};
use super::issue_answers::{chosen_issues, find_issue};
use super::rest_client::RestClient;
use super::{Forge, gone_as_none};

/// Associations of authors whose issues count (REST: `author_association`).
const MEMBERS: [&str; 3] = ["OWNER", "MEMBER", "COLLABORATOR"];

/// A repository on GitHub.
#[derive(Debug)]
pub(super) struct GitHub(pub RestClient);

impl GitHub {
    pub(super) fn repo(&self) -> String {
        format!("repos/{}", self.0.tracker().path)
    }

    async fn list(&self, filter: &IssueFilter) -> Result<Vec<Value>, ForgeError> {
        let labels = filter.labels.join(",");
        let assignee = self.assignee(filter).await?;
        let mut query = vec![("state", "open"), ("per_page", "100")];
        if !labels.is_empty() {
            query.push(("labels", &labels));
        }
        if let Some(name) = &assignee {
            query.push(("assignee", name));
        }
        self.0.get_all(&format!("{}/issues", self.repo()), &query, list_of).await
    }

    /// Searches issues; GitHub finds at most 1,000.
    async fn search(&self, filter: &IssueFilter, text: &str) -> Result<Vec<Value>, ForgeError> {
        let mut terms = vec![format!("repo:{}", self.0.tracker().path)];
        terms.extend(["is:issue", "is:open"].map(str::to_owned));
        terms.extend(filter.labels.iter().map(|label| format!("label:{}", quoted(label))));
        terms.extend(filter.milestone.iter().map(|title| format!("milestone:{}", quoted(title))));
        terms.extend(self.assignee(filter).await?.map(|name| format!("assignee:{name}")));
        terms.push(text.to_owned());
        let query = [("q", terms.join(" ")), ("per_page", "100".to_owned())];
        let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
        let items = |mut page: Value| list_of(page["items"].take());
        self.0.get_all("search/issues", &query, items).await
    }

    async fn assignee(&self, filter: &IssueFilter) -> Result<Option<String>, ForgeError> {
        match filter.assignee.as_deref() {
            Some("me") => Ok(Some(text(&self.0.get("user", &[]).await?.value, "login"))),
            name => Ok(name.map(str::to_owned)),
        }
    }

    fn issue_of(&self, value: &Value) -> Result<ForgeIssue, ForgeError> {
        let number = value["number"].as_u64().ok_or_else(|| self.0.malformed("no issue number"))?;
        let open_of = |summary: &str, all: &str| value[summary][all].as_u64().unwrap_or_default();
        Ok(ForgeIssue {
            number,
            title: text(value, "title"),
            body: text(value, "body"),
            url: text(value, "html_url"),
            // Deleted accounts have no user.
            author: value["user"]["login"].as_str().unwrap_or("ghost").to_owned(),
            labels: labels_of(&value["labels"]),
            milestone: milestone(value),
            state: match (value["state"].as_str(), value["state_reason"].as_str()) {
                (Some("closed"), Some("not_planned")) => IssueState::NotPlanned,
                (Some("closed"), Some("duplicate")) => IssueState::Duplicate,
                (Some("closed"), _) => IssueState::Completed,
                _ => IssueState::Open,
            },
            is_by_member: Some(
                value["author_association"].as_str().is_some_and(|name| MEMBERS.contains(&name)),
            ),
            may_be_blocked: open_of("issue_dependencies_summary", "blocked_by") > 0
                || open_of("sub_issues_summary", "total") > 0,
        })
    }
}

impl Forge for GitHub {
    fn open_issues<'a>(
        &'a self,
        filter: &'a IssueFilter,
    ) -> BoxFuture<'a, Result<Vec<ForgeIssue>, ForgeError>> {
        Box::pin(async move {
            let values = match &filter.query {
                Some(text) => self.search(filter, text).await?,
                None => self.list(filter).await?,
            };
            chosen_issues(&values, filter, |value| self.issue_of(value))
        })
    }

    fn issue(&self, number: u64) -> BoxFuture<'_, Result<Option<ForgeIssue>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/issues/{number}", self.repo());
            find_issue(&self.0, &path, number, |value| self.issue_of(value)).await
        })
    }

    fn latest_change(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>> {
        Box::pin(async move {
            let latest =
                [("state", "all"), ("sort", "updated"), ("direction", "desc"), ("per_page", "1")];
            let page = self.0.get(&format!("{}/issues", self.repo()), &latest).await?;
            Ok(RestClient::mark_of_changes(&page))
        })
    }

    fn members(&self) -> BoxFuture<'_, Result<HashSet<String>, ForgeError>> {
        // Each issue says who its author is.
        Box::pin(async { Ok(HashSet::new()) })
    }

    fn blockers<'a>(
        &'a self,
        issue: &'a ForgeIssue,
    ) -> BoxFuture<'a, Result<Vec<u64>, ForgeError>> {
        Box::pin(async move {
            let mut numbers = Vec::new();
            for list in ["dependencies/blocked_by", "sub_issues"] {
                let path = format!("{}/issues/{}/{list}", self.repo(), issue.number);
                let found = self.0.get_all(&path, &[("per_page", "100")], list_of).await;
                for value in gone_as_none(found)?.unwrap_or_default() {
                    // Issues of other repositories have numbers of their own.
                    let is_here = same_repository(&text(&value, "html_url"), &issue.url);
                    numbers.extend(value["number"].as_u64().filter(|_| is_here));
                }
            }
            Ok(numbers)
        })
    }

    fn present_name(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>> {
        Box::pin(async move { self.0.present_name(&self.repo(), "full_name").await })
    }

    fn keep_pages(&self) {
        self.0.keep_pages();
    }
}

/// Labels are objects, in old answers texts.
fn labels_of(labels: &Value) -> Vec<String> {
    let plain = labels.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts(labels, "name").into_iter().chain(plain.map(str::to_owned)).collect()
}

fn same_repository(one: &str, other: &str) -> bool {
    let repository = |url: &str| url.rsplit_once("/issues/").map(|(start, _)| start.to_lowercase());
    repository(one).is_some() && repository(one) == repository(other)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', ""))
}
