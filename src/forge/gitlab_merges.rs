//! GitLab's REST API, version 4: merge requests, notes on issues, and statuses of commits.

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::answer_fields::{list_of, text};
use super::forge_error::ForgeError;
use super::gitlab::GitLab;
use super::gone_as_none;
use super::pull_request::{
    CheckResults, CheckState, IssueComment, NewPullRequest, PullRequest, PullRequestChange,
    PullRequestState, PullRequests, marked, newest_first,
};

const PAGE: (&str, &str) = ("per_page", "100");
/// Start of a draft's title.
const DRAFT: &str = "Draft: ";

impl PullRequests for GitLab {
    fn pull_requests_of<'a>(
        &'a self,
        branch: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PullRequest>, ForgeError>> {
        Box::pin(async move {
            let query = [("source_branch", branch), ("state", "all"), PAGE];
            let path = format!("{}/merge_requests", self.project());
            let found = self.0.get_all(&path, &query, list_of).await?;
            // Forks have branches of the same name.
            let is_own = |value: &&Value| value["source_project_id"] == value["target_project_id"];
            let pulls = found.iter().filter(is_own).map(|value| self.merge_of(value));
            Ok(newest_first(pulls.collect::<Result<_, _>>()?, branch))
        })
    }

    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<Option<PullRequest>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/merge_requests/{number}", self.project());
            let page = gone_as_none(self.0.get(&path, &[]).await)?;
            page.map(|page| self.merge_of(&page.value)).transpose()
        })
    }

    fn open_pull_request<'a>(
        &'a self,
        new: NewPullRequest<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            let object = json!({
                "source_branch": new.branch, "target_branch": new.base, "description": new.body,
                "title": marked(DRAFT, new.title, new.is_draft),
            });
            let path = format!("{}/merge_requests", self.project());
            self.merge_of(&self.0.write(Method::POST, &path, &object).await?)
        })
    }

    fn change_pull_request<'a>(
        &'a self,
        pull: &'a PullRequest,
        change: PullRequestChange<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(async move {
            let mut fields = Map::new();
            if let Some(title) = change.title {
                fields.insert("title".to_owned(), json!(marked(DRAFT, title, pull.is_draft)));
            }
            if let Some(body) = change.body {
                fields.insert("description".to_owned(), json!(body));
            }
            if let Some(base) = change.base {
                fields.insert("target_branch".to_owned(), json!(base));
            }
            let path = format!("{}/merge_requests/{}", self.project(), pull.number);
            self.merge_of(&self.0.write(Method::PUT, &path, &Value::Object(fields)).await?)
        })
    }

    fn comments(&self, issue: u64) -> BoxFuture<'_, Result<Vec<IssueComment>, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/issues/{issue}/notes", self.project());
            let query = [("sort", "asc"), PAGE];
            let notes = self.0.get_all(&path, &query, list_of).await?;
            Ok(notes.iter().map(|note| self.note_of(issue, note)).collect())
        })
    }

    fn add_comment<'a>(
        &'a self,
        issue: u64,
        body: &'a str,
    ) -> BoxFuture<'a, Result<IssueComment, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/issues/{issue}/notes", self.project());
            let object = json!({"body": body});
            Ok(self.note_of(issue, &self.0.write(Method::POST, &path, &object).await?))
        })
    }

    fn checks<'a>(&'a self, commit: &'a str) -> BoxFuture<'a, Result<CheckResults, ForgeError>> {
        Box::pin(async move {
            let path = format!("{}/repository/commits/{commit}/statuses", self.project());
            let mut results = CheckResults::default();
            for status in self.0.get_all(&path, &[PAGE], list_of).await? {
                let state = match status["status"].as_str() {
                    Some("success" | "skipped") => CheckState::Passed,
                    Some("failed") if status["allow_failure"] == true => CheckState::Passed,
                    Some("failed" | "canceled") => CheckState::Failed,
                    _ => CheckState::Pending,
                };
                results.add(text(&status, "name"), state);
            }
            Ok(results)
        })
    }
}

impl GitLab {
    fn merge_of(&self, value: &Value) -> Result<PullRequest, ForgeError> {
        let number = value["iid"].as_u64();
        let number = number.ok_or_else(|| self.0.malformed("no number of a merge request"))?;
        let pull = PullRequest {
            number,
            url: text(value, "web_url"),
            title: text(value, "title"),
            body: text(value, "description"),
            state: match value["state"].as_str() {
                Some("merged") => PullRequestState::Merged,
                Some("closed") => PullRequestState::Closed,
                _ => PullRequestState::Open,
            },
            is_draft: value["draft"] == true,
            head_commit: text(value, "sha"),
            branch: text(value, "source_branch"),
            base: text(value, "target_branch"),
        };
        Ok(pull.without_mark(DRAFT))
    }

    /// Notes have no link of their own.
    fn note_of(&self, issue: u64, note: &Value) -> IssueComment {
        let (tracker, id) = (self.0.tracker(), &note["id"]);
        let (host, path) = (tracker.host_name(), &tracker.path);
        let url = format!("https://{host}/{path}/-/issues/{issue}#note_{id}");
        IssueComment { body: text(note, "body"), url }
    }
}
