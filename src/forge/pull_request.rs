//! Pull requests (merge requests on GitLab), comments on issues and checks of commits, in one form for all forges.

use futures_util::future::BoxFuture;

use super::forge_error::ForgeError;

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Number within the repository.
    pub number: u64,
    /// Link for people.
    pub url: String,
    /// Title, without a mark of a draft.
    pub title: String,
    /// Text, in Markdown.
    pub body: String,
    /// Whether the pull request can still be merged.
    pub state: PullRequestState,
    /// Whether the pull request is a draft.
    pub is_draft: bool,
    /// Commit to be merged, or already merged.
    pub head_commit: String,
    /// Branch with the commits.
    pub branch: String,
    /// Target branch.
    pub base: String,
}

/// State of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestState {
    /// Neither merged nor closed.
    Open,
    /// Merged.
    Merged,
    /// Closed without a merge.
    Closed,
}

/// A pull request to open.
#[derive(Clone, Copy, Debug)]
pub struct NewPullRequest<'a> {
    /// Branch with the commits.
    pub branch: &'a str,
    /// Target branch.
    pub base: &'a str,
    /// Title.
    pub title: &'a str,
    /// Text, in Markdown.
    pub body: &'a str,
    /// Whether the pull request is a draft.
    pub is_draft: bool,
}

/// Changes of an open pull request; fields with `None` stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct PullRequestChange<'a> {
    /// Title.
    pub title: Option<&'a str>,
    /// Text.
    pub body: Option<&'a str>,
    /// Target branch.
    pub base: Option<&'a str>,
}

/// A comment on an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueComment {
    /// Text, in Markdown.
    pub body: String,
    /// Link for people.
    pub url: String,
}

/// Results of the forge's CI for a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckResults {
    /// Checks that passed or were skipped.
    pub passed: u64,
    /// Checks waiting or running.
    pub pending: u64,
    /// Names of failed checks.
    pub failed: Vec<String>,
}

/// Result of a single check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckState {
    Passed,
    Pending,
    Failed,
}

impl PullRequest {
    /// Removes the mark of a draft from the title. Not all servers say whether a pull request is a draft.
    pub(super) fn without_mark(self, mark: &str) -> Self {
        match self.title.strip_prefix(mark) {
            Some(title) => Self { title: title.to_owned(), is_draft: true, ..self },
            None => self,
        }
    }
}

/// Returns a title, with a mark for a draft.
pub(super) fn marked(mark: &str, title: &str, is_draft: bool) -> String {
    if is_draft { format!("{mark}{title}") } else { title.to_owned() }
}

/// Sorts pull requests by their age, and drops pull requests of other branches: forges ignore unknown parameters.
pub(super) fn newest_first(mut pulls: Vec<PullRequest>, branch: &str) -> Vec<PullRequest> {
    pulls.retain(|pull| pull.branch == branch);
    pulls.sort_by_key(|pull| std::cmp::Reverse(pull.number));
    pulls
}

impl PullRequestState {
    /// Returns the name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Merged => "merged",
            Self::Closed => "closed",
        }
    }
}

impl CheckResults {
    /// Adds a check.
    pub(super) fn add(&mut self, name: String, state: CheckState) {
        match state {
            CheckState::Passed => self.passed += 1,
            CheckState::Pending => self.pending += 1,
            CheckState::Failed => self.failed.push(name),
        }
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Operations of a forge on pull requests and comments.
pub trait PullRequests: Send + Sync {
    /// Returns the pull requests from a branch of the repository, newest first. Gitea cannot choose by branch: there,
    /// only open pull requests are found.
    ///
    /// # Errors
    /// Any error of a request.
    fn pull_requests_of<'a>(
        &'a self,
        branch: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PullRequest>, ForgeError>>;

    /// Returns a pull request; `None` if no pull request has this number.
    ///
    /// # Errors
    /// Any error of a request.
    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<Option<PullRequest>, ForgeError>>;

    /// Opens a pull request.
    ///
    /// # Errors
    /// Any error of a request. After [`ForgeError::is_passing`], the pull request may be open.
    fn open_pull_request<'a>(
        &'a self,
        new: NewPullRequest<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>>;

    /// Changes an open pull request. The draft state stays as before.
    ///
    /// # Errors
    /// Any error of a request.
    fn change_pull_request<'a>(
        &'a self,
        pull: &'a PullRequest,
        change: PullRequestChange<'a>,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>>;

    /// Returns the comments on an issue, oldest first.
    ///
    /// # Errors
    /// Any error of a request.
    fn comments(&self, issue: u64) -> BoxFuture<'_, Result<Vec<IssueComment>, ForgeError>>;

    /// Adds a comment to an issue.
    ///
    /// # Errors
    /// Any error of a request. After [`ForgeError::is_passing`], the comment may be there.
    fn add_comment<'a>(
        &'a self,
        issue: u64,
        body: &'a str,
    ) -> BoxFuture<'a, Result<IssueComment, ForgeError>>;

    /// Returns the results of the forge's CI for a commit.
    ///
    /// # Errors
    /// Any error of a request.
    fn checks<'a>(&'a self, commit: &'a str) -> BoxFuture<'a, Result<CheckResults, ForgeError>>;
}
