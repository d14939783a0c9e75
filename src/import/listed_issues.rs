//! Lists of issues that a forge's own program printed: what those of GitHub and GitLab have in common.
//!
//! The id of an issue is its number. In a list over several projects the id names the project too: `owner/repo#12`.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::backlog_item::BacklogItem;
use super::drafting::PlanDraftBuilder;
use super::issue_text;
use super::source_place::SourcePosition;
use super::standing::SourceStatus;

/// An issue of a list.
pub(super) struct ListedIssue {
    pub place: SourcePosition,
    /// Name of the forge.
    pub forge: &'static str,
    pub number: u64,
    /// Path of the project, such as `owner/repo`; empty if unknown.
    pub project: String,
    pub title: String,
    pub url: String,
    pub body: String,
    pub status: SourceStatus,
    pub labels: Vec<String>,
    pub milestone: Option<String>,
    pub author: String,
}

/// Adds issues as phases.
pub(super) fn add_issues(issues: Vec<ListedIssue>, draft: &mut PlanDraftBuilder) {
    let projects: HashSet<&str> = issues.iter().map(|issue| issue.project.as_str()).collect();
    let ids = IssueIds {
        is_mixed: projects.len() > 1,
        known: issues.iter().map(|issue| (issue.project.clone(), issue.number)).collect(),
    };
    if issues.is_empty() {
        draft.begin_run(None);
    }
    for issue in issues {
        let place = issue.place.clone();
        draft.item(place, item(issue, &ids), None);
    }
}

/// The project in the address of an issue: `owner/repo` in `https://github.com/owner/repo/issues/3`.
pub(super) fn project_of(url: &str, marker: &str) -> Option<String> {
    let (_, address) = url.split_once("://")?;
    let (project, _) = address.split_once('/')?.1.rsplit_once(marker)?;
    Some(project.strip_prefix("repos/").unwrap_or(project).to_owned())
}

struct IssueIds {
    is_mixed: bool,
    known: HashSet<(String, u64)>,
}

impl IssueIds {
    fn of(&self, project: &str, number: u64) -> String {
        match self.is_mixed && !project.is_empty() {
            true => format!("{project}#{number}"),
            false => number.to_string(),
        }
    }
}

fn item(issue: ListedIssue, ids: &IssueIds) -> BacklogItem {
    let ListedIssue { number, project, .. } = issue;
    let title = if issue.title.is_empty() { format!("#{number}") } else { issue.title };
    let mut item = BacklogItem::new(ids.of(&project, number), title);
    let waits_for = issue_text::dependencies(&issue.body, &issue.url).into_iter();
    item.depends_on = waits_for
        .filter(|other| *other != number && ids.known.contains(&(project.clone(), *other)))
        .map(|other| ids.of(&project, other))
        .collect();
    item.acceptance_criteria = issue_text::acceptance_criteria(&issue.body);
    item.rank = issue_text::rank_of_labels(&issue.labels).unwrap_or(issue_text::MEDIUM);
    item.status = issue.status;
    item.labels = issue.labels;
    item.body = issue.body;
    if let Some(milestone) = issue.milestone {
        item.extra.insert("milestone".to_owned(), json!(milestone));
    }
    let tracker = tracker(issue.forge, number, &issue.url, &issue.author);
    item.extra.insert("tracker".to_owned(), tracker);
    item.url = issue.url;
    item
}

/// Marks the text of a phase as an issue of a tracker.
fn tracker(name: &str, issue: u64, url: &str, author: &str) -> Value {
    let mut tracker = json!({"name": name, "issue": issue});
    for (key, text) in [("url", url), ("author", author)] {
        if !text.is_empty() {
            tracker[key] = json!(text);
        }
    }
    tracker
}
