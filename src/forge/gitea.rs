//! The REST API of Gitea and Forgejo, version 1: issues, collaborators and dependencies.

use std::collections::HashSet;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::answer_fields::{list_of, milestone, text, texts};
use super::forge_error::ForgeError;
use super::issue::{ForgeIssue, IssueFilter, IssueState};
use super::issue_answers::{chosen_issues, find_issue};
use super::rest_client::RestClient;
use super::{Forge, gone_as_none};

/// Items of a page; servers allow 50 by default.
pub(super) const LIMIT: (&str, &str) = ("limit", "50");

/// A repository on Gitea or Forgejo.
#[derive(Debug)]
pub(super) struct Gitea(pub RestClient);

impl Gitea {
    pub(super) fn repo(&self) -> String {
        format!("repos/{}", self.0.tracker().path)
    }

    fn owner(&self) -> &str {
        self.0.tracker().path.split('/').next().unwrap_or_default()
    }

    async fn list(&self, filter: &IssueFilter) -> Result<Vec<Value>, ForgeError> {
        let labels = filter.labels.join(",");
        let assignee = match filter.assignee.as_deref() {
            Some("me") => Some(text(&self.0.get("user", &[]).await?.value, "login")),
            name => name.map(str::to_owned),
        };
        let mut query = vec![("state", "open"), ("type", "issues"), LIMIT];
        if !labels.is_empty() {
            query.push(("labels", &labels));
        }
        let named =
            [("milestones", &filter.milestone), ("q", &filter.query), ("assigned_by", &assignee)];
        query.extend(named.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))));
        self.0.get_all(&format!("{}/issues", self.repo()), &query, list_of).await
    }

    fn issue_of(&self, value: &Value) -> Result<ForgeIssue, ForgeError> {
        let number = value["number"].as_u64().ok_or_else(|| self.0.malformed("no issue number"))?;
        Ok(ForgeIssue {
            number,
            title: text(value, "title"),
            body: text(value, "body"),
            url: text(value, "html_url"),
            author: text(&value["user"], "login"),
            labels: texts(&value["labels"], "name"),
            milestone: milestone(value),
            state: match value["state"].as_str() {
                Some("closed") => IssueState::Completed,
                _ => IssueState::Open,
            },
            is_by_member: None,
            may_be_blocked: true,
        })
    }
}

impl Forge for Gitea {
    fn open_issues<'a>(
        &'a self,
        filter: &'a IssueFilter,
    ) -> BoxFuture<'a, Result<Vec<ForgeIssue>, ForgeError>> {
        Box::pin(async move {
            let values = self.list(filter).await?;
            // Old servers do not know `type`.
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
        // Not all servers can sort by the last change.
        Box::pin(async { Ok(None) })
    }

    fn members(&self) -> BoxFuture<'_, Result<HashSet<String>, ForgeError>> {
        Box::pin(async move {
            let mut members = HashSet::from([self.owner().to_owned()]);
            let lists = [
                format!("{}/collaborators", self.repo()),
                format!("orgs/{}/members", self.owner()),
            ];
            for list in lists {
                // Only those with rights may see collaborators; a user is no organization.
                match gone_as_none(self.0.get_all(&list, &[LIMIT], list_of).await) {
                    Ok(found) => {
                        members.extend(texts(&found.into_iter().flatten().collect(), "login"))
                    }
                    Err(ForgeError::Refused { .. } | ForgeError::Unauthorized { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(members)
        })
    }

    fn blockers<'a>(
        &'a self,
        issue: &'a ForgeIssue,
    ) -> BoxFuture<'a, Result<Vec<u64>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/issues/{}/dependencies", self.repo(), issue.number);
            let found = gone_as_none(self.0.get_all(&path, &[LIMIT], list_of).await)?;
            let name = &self.0.tracker().path;
            let is_here = |value: &&Value| {
                let repository = value["repository"]["full_name"].as_str();
                repository.is_none_or(|other| other.eq_ignore_ascii_case(name))
            };
            let found = found.unwrap_or_default();
            Ok(found.iter().filter(is_here).filter_map(|value| value["number"].as_u64()).collect())
        })
    }

    fn present_name(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>> {
        Box::pin(async move { self.0.present_name(&self.repo(), "full_name").await })
    }

    fn keep_pages(&self) {
        self.0.keep_pages();
    }
}
