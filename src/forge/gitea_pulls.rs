//! The REST API of Gitea and Forgejo, version 1: pull requests, issue comments and commit statuses.

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::{Value, json};

use super::answer_fields::list_of;
use super::forge_error::ForgeError;
use super::gitea::{Gitea, LIMIT};
use super::github_pulls::{add_statuses, changed_fields, comment_on, comments_of, read};
use super::gone_as_none;
use super::pull_request::{
    CheckResults, IssueComment, NewPullRequest, PullRequest, PullRequestChange, PullRequests,
    marked, newest_first,
};

/// Start of a draft's title.
const DRAFT: &str = "WIP: ";

impl PullRequests for Gitea {
    fn pull_requests_of<'a>(
        &'a self,
        branch: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PullRequest>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/pulls", self.repo());
            let found = self.0.get_all(&path, &[("state", "open"), LIMIT], list_of).await?;
            // Forks have branches of the same name.
            let is_own = |value: &&Value| value["head"]["repo_id"] == value["base"]["repo_id"];
            let pulls = found.iter().filter(is_own).map(|value| self.pull_of(value));
            Ok(newest_first(pulls.collect::<Result<_, _>>()?, branch))
        })
    }

    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<Option<PullRequest>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/pulls/{number}", self.repo());
            let page = gone_as_none(self.0.get(&path, &[]).await)?;
            page.map(|page| self.pull_of(&page.value)).transpose()
        })
    }

    fn open_pull_request<'a>(
        &'a self,
        new: NewPullRequest<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            let title = marked(DRAFT, new.title, new.is_draft);
            let object =
                json!({"title": title, "body": new.body, "head": new.branch, "base": new.base});
            let path = format!("{}/pulls", self.repo());
            self.pull_of(&self.0.write(Method::POST, &path, &object).await?)
        })
    }

    fn change_pull_request<'a>(
        &'a self,
        pull: &'a PullRequest,
        change: PullRequestChange<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            let title = change.title.map(|title| marked(DRAFT, title, pull.is_draft));
            let change = PullRequestChange { title: title.as_deref(), ..change };
            let path = format!("{}/pulls/{}", self.repo(), pull.number);
            self.pull_of(&self.0.write(Method::PATCH, &path, &changed_fields(change)).await?)
        })
    }

    fn comments(&self, issue: u64) -> BoxFuture<'_, Result<Vec<IssueComment>, ForgeError>> {
        Box::pin(async move { comments_of(&self.0, &self.repo(), issue, &[]).await })
    }

    fn add_comment<'a>(
        &'a self,
        issue: u64,
        body: &'a str,
    ) -> BoxFuture<'a, Result<IssueComment, ForgeError>> {
        Box::pin(async move { comment_on(&self.0, &self.repo(), issue, body).await })
    }

    fn checks<'a>(&'a self, commit: &'a str) -> BoxFuture<'a, Result<CheckResults, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/commits/{commit}/status", self.repo());
            let combined = self.0.get(&path, &[LIMIT]).await?.value;
            let mut results = CheckResults::default();
            add_statuses(&mut results, &combined["statuses"], "status");
            Ok(results)
        })
    }
}

impl Gitea {
    fn pull_of(&self, value: &Value) -> Result<PullRequest, ForgeError> {
        Ok(read(&self.0, value)?.without_mark(DRAFT))
    }
}
