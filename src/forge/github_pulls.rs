//! GitHub's REST API, version 2022-11-28: pull requests, issue comments, check runs and commit statuses.

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::answer_fields::{list_of, text};
use super::forge_error::ForgeError;
use super::github::GitHub;
use super::gone_as_none;
use super::pull_request::{
    CheckResults, CheckState, IssueComment, NewPullRequest, PullRequest, PullRequestChange,
    PullRequestState, PullRequests, newest_first,
};
use super::rest_client::RestClient;

const PAGE: (&str, &str) = ("per_page", "100");

impl PullRequests for GitHub {
    fn pull_requests_of<'a>(
        &'a self,
        branch: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PullRequest>, ForgeError>> {
        Box::pin(async move {
            let owner = self.0.tracker().path.split('/').next().unwrap_or_default();
            let head = format!("{owner}:{branch}");
            let query = [("head", head.as_str()), ("state", "all"), ("sort", "created"), PAGE];
            let found = self.0.get_all(&format!("{}/pulls", self.repo()), &query, list_of).await?;
            let pulls = found.iter().map(|value| read(&self.0, value));
            Ok(newest_first(pulls.collect::<Result<_, _>>()?, branch))
        })
    }

    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<Option<PullRequest>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/pulls/{number}", self.repo());
            let page = gone_as_none(self.0.get(&path, &[]).await)?;
            page.map(|page| read(&self.0, &page.value)).transpose()
        })
    }

    fn open_pull_request<'a>(
        &'a self,
        new: NewPullRequest<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            let object = json!({
                "title": new.title, "body": new.body, "head": new.branch, "base": new.base,
                "draft": new.is_draft,
            });
            let path = format!("{}/pulls", self.repo());
            read(&self.0, &self.0.write(Method::POST, &path, &object).await?)
        })
    }

    fn change_pull_request<'a>(
        &'a self,
        pull: &'a PullRequest,
        change: PullRequestChange<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/pulls/{}", self.repo(), pull.number);
            read(&self.0, &self.0.write(Method::PATCH, &path, &changed_fields(change)).await?)
        })
    }

    fn comments(&self, issue: u64) -> BoxFuture<'_, Result<Vec<IssueComment>, ForgeError>> {
        Box::pin(async move { comments_of(&self.0, &self.repo(), issue, &[PAGE]).await })
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
            let commit = format!("{}/commits/{commit}", self.repo());
            let mut results = CheckResults::default();
            let runs = |mut page: Value| list_of(page["check_runs"].take());
            for run in self.0.get_all(&format!("{commit}/check-runs"), &[PAGE], runs).await? {
                results.add(text(&run, "name"), state_of_run(&run));
            }
            let statuses = self.0.get(&format!("{commit}/status"), &[PAGE]).await?.value;
            add_statuses(&mut results, &statuses["statuses"], "state");
            Ok(results)
        })
    }
}

/// Returns the fields of a change; Gitea has the same.
pub(super) fn changed_fields(change: PullRequestChange<'_>) -> Value {
    let PullRequestChange { title, body, base } = change;
    let fields = [("title", title), ("body", body), ("base", base)];
    let fields =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// Reads a pull request; Gitea's have the same fields.
pub(super) fn read(client: &RestClient, value: &Value) -> Result<PullRequest, ForgeError> {
    let number = value["number"].as_u64();
    let number = number.ok_or_else(|| client.malformed("no number of a pull request"))?;
    let is_merged = value["merged_at"].is_string() || value["merged"] == true;
    Ok(PullRequest {
        number,
        url: text(value, "html_url"),
        title: text(value, "title"),
        body: text(value, "body"),
        state: match value["state"].as_str() {
            _ if is_merged => PullRequestState::Merged,
            Some("closed") => PullRequestState::Closed,
            _ => PullRequestState::Open,
        },
        is_draft: value["draft"] == true,
        head_commit: text(&value["head"], "sha"),
        branch: text(&value["head"], "ref"),
        base: text(&value["base"], "ref"),
    })
}

/// Returns the comments on an issue; Gitea has the same address.
pub(super) async fn comments_of(
    client: &RestClient,
    repo: &str,
    issue: u64,
    query: &[(&str, &str)],
) -> Result<Vec<IssueComment>, ForgeError> {
    let path = format!("{repo}/issues/{issue}/comments");
    Ok(client.get_all(&path, query, list_of).await?.iter().map(comment).collect())
}

/// Adds a comment to an issue, as [`comments_of`].
pub(super) async fn comment_on(
    client: &RestClient,
    repo: &str,
    issue: u64,
    body: &str,
) -> Result<IssueComment, ForgeError> {
    let path = format!("{repo}/issues/{issue}/comments");
    Ok(comment(&client.write(Method::POST, &path, &json!({"body": body})).await?))
}

fn comment(value: &Value) -> IssueComment {
    IssueComment { body: text(value, "body"), url: text(value, "html_url") }
}

/// Adds the latest status of each context; Gitea has another name for the state.
pub(super) fn add_statuses(results: &mut CheckResults, statuses: &Value, field: &str) {
    for status in statuses.as_array().into_iter().flatten() {
        let state = match status[field].as_str() {
            Some("success" | "warning" | "skipped") => CheckState::Passed,
            Some("pending") => CheckState::Pending,
            _ => CheckState::Failed,
        };
        results.add(text(status, "context"), state);
    }
}

fn state_of_run(run: &Value) -> CheckState {
    match (run["status"].as_str(), run["conclusion"].as_str()) {
        (Some("completed"), Some("success" | "neutral" | "skipped")) => CheckState::Passed,
        (Some("completed"), _) => CheckState::Failed,
        _ => CheckState::Pending,
    }
}
