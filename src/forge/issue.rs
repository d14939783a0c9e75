//! Issues of a forge, in one form for all kinds, and the choice among them.

use serde::{Deserialize, Serialize};

/// An issue. Title and text are written by anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgeIssue {
    /// Number within the repository.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Text, in Markdown.
    pub body: String,
    /// Link for people.
    pub url: String,
    /// Login of the author.
    pub author: String,
    /// Names of the labels.
    pub labels: Vec<String>,
    /// Title of the milestone.
    pub milestone: Option<String>,
    /// Whether the issue is open.
    pub state: IssueState,
    /// Whether the author is an owner, member or collaborator, if the issue says so; else [`super::Forge::members`] does.
    pub is_by_member: Option<bool>,
    /// Whether [`super::Forge::blockers`] may know issues that must be done first.
    pub may_be_blocked: bool,
}

/// State of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueState {
    /// Not closed.
    Open,
    /// Closed as done, or without a reason.
    Completed,
    /// Closed as not planned.
    NotPlanned,
    /// Closed as a duplicate.
    Duplicate,
}

/// Choice of open issues; empty takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IssueFilter {
    /// Labels; an issue needs all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Title of the milestone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
    /// Search, in the syntax of the forge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Login of an assignee; `me` is the owner of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
}

impl IssueFilter {
    /// Returns whether the issue has the labels and the milestone. Both are the same on all forges.
    pub(super) fn matches(&self, issue: &ForgeIssue) -> bool {
        let has = |label: &String| issue.labels.iter().any(|own| own.eq_ignore_ascii_case(label));
        let milestone = self.milestone.as_ref();
        self.labels.iter().all(has)
            && milestone.is_none_or(|title| issue.milestone.as_ref() == Some(title))
    }

    /// Describes the choice, as in ` with label "a"`; empty for all issues.
    pub fn describe(&self) -> String {
        let labels = self.labels.iter().map(|label| format!("label {label:?}"));
        let milestone = self.milestone.iter().map(|title| format!("milestone {title:?}"));
        let query = self.query.iter().map(|query| format!("query {query:?}"));
        let assignee = self.assignee.iter().map(|name| format!("assignee {name:?}"));
        let parts: Vec<String> = labels.chain(milestone).chain(query).chain(assignee).collect();
        if parts.is_empty() { String::new() } else { format!(" with {}", parts.join(" and ")) }
    }
}
