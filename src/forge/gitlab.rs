//! GitLab's REST API, version 4: issues, members and linked issues of a project.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::answer_fields::{list_of, milestone, text};
use super::forge_error::ForgeError;
use super::issue::{ForgeIssue, IssueFilter, IssueState};
use super::issue_answers::{chosen_issues, find_issue};
use super::rest_client::RestClient;
use super::{Forge, gone_as_none};

/// Access level of a reporter. Guests of a project may be anybody.
const REPORTER: u64 = 20;

/// A project on GitLab.
#[derive(Debug)]
pub(super) struct GitLab(pub RestClient);

impl GitLab {
    pub(super) fn project(&self) -> String {
        format!("projects/{}", self.0.tracker().path.replace('/', "%2F"))
    }

    async fn list(&self, filter: &IssueFilter) -> Result<Vec<Value>, ForgeError> {
        let labels = filter.labels.join(",");
        let assignee = match filter.assignee.as_deref() {
            Some("me") => Some(text(&self.0.get("user", &[]).await?.value, "username")),
            name => name.map(str::to_owned),
        };
        let mut query = vec![("state", "opened"), ("scope", "all"), ("per_page", "100")];
        if !labels.is_empty() {
            query.push(("labels", &labels));
        }
        let named = [
            ("milestone", &filter.milestone),
            ("search", &filter.query),
            ("assignee_username", &assignee),
        ];
        query.extend(named.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))));
        self.0.get_all(&format!("{}/issues", self.project()), &query, list_of).await
    }

    fn issue_of(&self, value: &Value) -> Result<ForgeIssue, ForgeError> {
        let number = value["iid"].as_u64().ok_or_else(|| self.0.malformed("no issue number"))?;
        let labels = value["labels"].as_array().into_iter().flatten();
        let is_duplicate = value["_links"]["closed_as_duplicate_of"].is_string();
        Ok(ForgeIssue {
            number,
            title: text(value, "title"),
            body: text(value, "description"),
            url: text(value, "web_url"),
            author: text(&value["author"], "username"),
            labels: labels.filter_map(|label| Some(label.as_str()?.to_owned())).collect(),
            milestone: milestone(value),
            state: match value["state"].as_str() {
                Some("closed") if is_duplicate => IssueState::Duplicate,
                Some("closed") if !value["moved_to_id"].is_null() => IssueState::NotPlanned,
                Some("closed") => IssueState::Completed,
                _ => IssueState::Open,
            },
            is_by_member: None,
            // The blocking issue counts its dependents, not the blocked one its blockers: see `blockers`.
            may_be_blocked: true,
        })
    }
}

impl Forge for GitLab {
    fn open_issues<'a>(
        &'a self,
        filter: &'a IssueFilter,
    ) -> BoxFuture<'a, Result<Vec<ForgeIssue>, ForgeError>> {
        Box::pin(async move {
            let values = self.list(filter).await?;
            chosen_issues(&values, filter, |value| self.issue_of(value))
        })
    }

    fn issue(&self, number: u64) -> BoxFuture<'_, Result<Option<ForgeIssue>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/issues/{number}", self.project());
            find_issue(&self.0, &path, number, |value| self.issue_of(value)).await
        })
    }

    fn latest_change(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>> {
        Box::pin(async move {
            let latest =
                [("scope", "all"), ("order_by", "updated_at"), ("sort", "desc"), ("per_page", "1")];
            let page = self.0.get(&format!("{}/issues", self.project()), &latest).await?;
            Ok(RestClient::mark_of_changes(&page))
        })
    }

    fn members(&self) -> BoxFuture<'_, Result<HashSet<String>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/members/all", self.project());
            let members = self.0.get_all(&path, &[("per_page", "100")], list_of).await?;
            let counts = |member: &&Value| member["access_level"].as_u64() >= Some(REPORTER);
            Ok(members.iter().filter(counts).map(|member| text(member, "username")).collect())
        })
    }

    fn blockers<'a>(
        &'a self,
        issue: &'a ForgeIssue,
    ) -> BoxFuture<'a, Result<Vec<u64>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/issues/{}/links", self.project(), issue.number);
            let links = self.0.get_all(&path, &[("per_page", "100")], list_of).await;
            let links = gone_as_none(links)?.unwrap_or_default();
            let blocking = links.iter().filter(|link| {
                link["link_type"] == "is_blocked_by"
                    && same_project(&text(link, "web_url"), &issue.url)
            });
            Ok(blocking.filter_map(|link| link["iid"].as_u64()).collect())
        })
    }

    fn present_name(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>> {
        Box::pin(async move { self.0.present_name(&self.project(), "path_with_namespace").await })
    }

    fn keep_pages(&self) {
        self.0.keep_pages();
    }
}

fn same_project(one: &str, other: &str) -> bool {
    let project = |url: &str| url.split_once("/-/").map(|(start, _)| start.to_lowercase());
    project(one).is_some() && project(one) == project(other)
}
