//! A phase of an issue. The text stays the text of its author: nothing in it becomes a setting of the phase.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::forge::{ForgeIssue, IssueState, TrackerName};
use crate::import::backlog_item::BacklogItem;
use crate::import::issue_text;
use crate::import::standing::SourceStatus;
use crate::phase::words::hex;

/// Makes a phase of an issue that waits for the `blockers`.
pub(super) fn item(tracker: &TrackerName, issue: &ForgeIssue, blockers: &[u64]) -> BacklogItem {
    let (rank, priority) = priority_of(&issue.labels);
    let mut extra = Map::new();
    if let Some(milestone) = &issue.milestone {
        extra.insert("milestone".to_owned(), json!(milestone));
    }
    let own = json!({
        "name": tracker.repository().to_string(),
        "issue": issue.number,
        "url": issue.url,
        "author": issue.author,
        "digest": content_digest(issue, blockers),
    });
    extra.insert("tracker".to_owned(), own);
    let title = in_one_line(&issue.title);
    BacklogItem {
        body: issue.body.clone(),
        status: status_of(issue.state),
        rank,
        priority,
        labels: issue.labels.clone(),
        acceptance_criteria: issue_text::acceptance_criteria(&issue.body),
        depends_on: blockers.iter().map(u64::to_string).collect(),
        url: issue.url.clone(),
        extra,
        ..BacklogItem::new(
            issue.number.to_string(),
            if title.is_empty() { format!("issue {}", issue.number) } else { title },
        )
    }
}

/// Returns a digest of everything that the phase takes from the issue: a comment does not change it.
fn content_digest(issue: &ForgeIssue, blockers: &[u64]) -> String {
    let content: Value = json!([
        issue.title,
        issue.body,
        issue.labels,
        issue.milestone,
        issue.author,
        issue.url,
        blockers
    ]);
    hex(&Sha256::digest(content.to_string().as_bytes()))[..16].to_owned()
}

fn status_of(state: IssueState) -> SourceStatus {
    match state {
        IssueState::Open => SourceStatus::Open,
        IssueState::Completed => SourceStatus::Done,
        IssueState::NotPlanned => SourceStatus::Dropped("not planned".to_owned()),
        IssueState::Duplicate => SourceStatus::Dropped("duplicate".to_owned()),
    }
}

/// A title with control characters could forge lines of a commit message or of a terminal.
fn in_one_line(title: &str) -> String {
    let plain = title.replace(|c: char| c.is_control(), " ");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns rank and label of the highest priority: `P1`, `priority: high`, `priority::2`, `urgent`.
fn priority_of(labels: &[String]) -> (i64, String) {
    let ranked =
        labels.iter().filter_map(|label| Some((issue_text::rank_of_label(label)?, label.clone())));
    ranked.min_by_key(|(rank, _)| *rank).unwrap_or((issue_text::MEDIUM, String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_read_from_labels() {
        let labels = ["priority: low", "P1", "bug"].map(str::to_owned);
        assert_eq!(priority_of(&labels), (1, "P1".to_owned()));
        assert_eq!(priority_of(&[]), (issue_text::MEDIUM, String::new()));
    }

    #[test]
    fn a_title_has_one_line_without_control_characters() {
        assert_eq!(in_one_line("a\r\n\nAutopack-Run: x\u{1b}[31m  b"), "a Autopack-Run: x [31m b");
    }
}
