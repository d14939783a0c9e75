//! The REST API of Gitea and Forgejo, version 1: pull requests, issue comments and commit statuses.

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::json;

use super::answer_fields::list_of;
use super::forge_error::ForgeError;
use super::gitea::{Gitea, LIMIT};
use super::github_pulls::{add_statuses, changed_fields, comment, read};
use super::gone_as_none;
use super::pull_request::{
    CheckResults, IssueComment, NewPullRequest, PullRequest, PullRequestChange, PullRequests,
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
            let own = found.iter().filter(|value| {
                value["head"]["ref"] == branch
                    && value["head"]["repo_id"] == value["base"]["repo_id"]
            });
            let mut pulls = Vec::new();
            for value in own {
                pulls.push(without_mark(read(&self.0, value)?));
            }
            pulls.sort_by_key(|pull| std::cmp::Reverse(pull.number));
            Ok(pulls)
        })
    }

    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<Option<PullRequest>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/pulls/{number}", self.repo());
            let page = gone_as_none(self.0.get(&path, &[]).await)?;
            page.map(|page| read(&self.0, &page.value).map(without_mark)).transpose()
        })
    }

    fn open_pull_request<'a>(
        &'a self,
        new: NewPullRequest<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            let title = marked(new.title, new.is_draft);
            let object =
                json!({"title": title, "body": new.body, "head": new.branch, "base": new.base});
            let path = format!("{}/pulls", self.repo());
            read(&self.0, &self.0.write(Method::POST, &path, &object).await?).map(without_mark)
        })
    }

    fn change_pull_request<'a>(
        &'a self,
        pull: &'a PullRequest,
        change: PullRequestChange<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            let title = change.title.map(|title| marked(title, pull.is_draft));
            let change = PullRequestChange { title: title.as_deref(), ..change };
            let path = format!("{}/pulls/{}", self.repo(), pull.number);
            let changed = self.0.write(Method::PATCH, &path, &changed_fields(change)).await?;
            read(&self.0, &changed).map(without_mark)
        })
    }

    fn comments(&self, issue: u64) -> BoxFuture<'_, Result<Vec<IssueComment>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/issues/{issue}/comments", self.repo());
            Ok(self.0.get_all(&path, &[], list_of).await?.iter().map(comment).collect())
        })
    }

    fn add_comment<'a>(
        &'a self,
        issue: u64,
        body: &'a str,
    ) -> BoxFuture<'a, Result<IssueComment, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/issues/{issue}/comments", self.repo());
            let object = json!({"body": body});
            Ok(comment(&self.0.write(Method::POST, &path, &object).await?))
        })
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

fn marked(title: &str, is_draft: bool) -> String {
    if is_draft { format!("{DRAFT}{title}") } else { title.to_owned() }
}

/// Old servers do not say whether it is a draft.
fn without_mark(pull: PullRequest) -> PullRequest {
    match pull.title.strip_prefix(DRAFT) {
        Some(title) => PullRequest { title: title.to_owned(), is_draft: true, ..pull },
        None => pull,
    }
}
