//! The result of `publish`, for people and as JSON.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::forge::{CheckResults, TrackerName};
use crate::phase::RunId;
use crate::phase::words::{counted, first_few, short_commit};
use crate::progress::{shown_id, shown_message};
use crate::publish::{
    BranchResult, Publication, PullAction, PullResult, PushOutcome, RemarkAction, RemarkResult,
    SupersededBranch,
};

/// Checks and issues named in a line.
const NAMED: usize = 5;

/// A publication to show; `None` if the run has no branch yet.
pub(super) struct ShownPublication<'a> {
    pub run: &'a RunId,
    pub publication: Option<Publication>,
    /// Why the rest is missing.
    pub error: Option<String>,
    pub dry_run: bool,
}

impl ShownPublication<'_> {
    /// Returns the lines for people.
    pub fn lines(&self) -> Vec<String> {
        let run = shown_id(self.run.as_str());
        let Some(publication) = &self.publication else {
            return vec![format!("{run}: nothing has landed")];
        };
        let mut lines = Vec::new();
        if self.dry_run {
            lines.push(format!("dry run of {run}: nothing was written"));
        }
        let (words, mark) = pull_words(publication);
        for branch in &publication.branches {
            lines.extend(push_line(branch, &publication.remote));
            lines.extend(pull_lines(branch, words, mark));
        }
        for SupersededBranch { branch, pull } in &publication.superseded {
            let branch = shown_id(branch);
            lines.push(match pull {
                Some((number, _)) => {
                    format!("{branch} is no longer published: close {words} {mark}{number}")
                }
                None => format!("{branch} is no longer published: delete it there"),
            });
            lines.extend(pull.iter().map(|(_, url)| format!("  {}", shown_message(url))));
        }
        if !publication.has_landings {
            lines.push(format!("{run}: nothing has landed"));
        } else if publication.branches.is_empty() && self.error.is_none() {
            lines.push(format!("{run}: no landing is on its branch"));
        }
        lines.extend(remark_lines(&publication.remarks));
        lines
    }

    /// Returns the JSON object.
    pub fn json(&self) -> Value {
        let found = self.publication.as_ref();
        let outcome = match found {
            _ if self.error.is_some() => "failed",
            Some(publication) if publication.has_landings => "published",
            _ => "nothing_landed",
        };
        let branches = found.map_or(&[][..], |found| &found.branches);
        let superseded = found.map_or(&[][..], |found| &found.superseded);
        let remarks = found.map_or(&[][..], |found| &found.remarks);
        json!({
            "run_id": self.run,
            "outcome": outcome,
            "error": self.error,
            "dry_run": self.dry_run,
            "remote": found.map(|found| &found.remote),
            "forge": found.map(|found| &found.forge),
            "base": found.map(|found| &found.base),
            "branches": branches.iter().map(branch_json).collect::<Vec<_>>(),
            "superseded": superseded.iter().map(|one| &one.branch).collect::<Vec<_>>(),
            "comments": remarks.iter().map(remark_json).collect::<Vec<_>>(),
        })
    }
}

fn pull_words(publication: &Publication) -> (&'static str, char) {
    let forge = publication.forge.as_deref().and_then(TrackerName::parse);
    match forge {
        Some(Ok(forge)) => forge.pull_request_words(),
        _ => ("pull request", '#'),
    }
}

fn push_line(result: &BranchResult, remote: &str) -> Option<String> {
    let (branch, remote) = (shown_id(&result.branch), shown_id(remote));
    let commit = short_commit(&result.commit);
    Some(match &result.push {
        PushOutcome::Pushed { commits: 0, .. } => {
            format!("pushed {branch} to {remote}: no new commits, {commit}")
        }
        PushOutcome::Pushed { commits, .. } => {
            format!("pushed {branch} to {remote}: {}, {commit}", counted(*commits, "commit"))
        }
        PushOutcome::UpToDate => format!("{branch} at {remote} is up to date: {commit}"),
        PushOutcome::Ahead { commits } => format!(
            "{branch} at {remote} has all landings, and {} of others",
            counted(*commits, "commit")
        ),
        PushOutcome::Skipped => return None,
    })
}

fn pull_lines(result: &BranchResult, words: &str, mark: char) -> Vec<String> {
    let PullResult { action, number, url, is_draft, base: _, checks, is_cut } = &result.pull;
    let branch = shown_id(&result.branch);
    let draft = if *is_draft { "draft " } else { "" };
    let number = number.map_or(String::new(), |number| format!(" {mark}{number}"));
    let is_over = matches!(action, PullAction::AlreadyMerged | PullAction::Closed);
    let page = result.compare_url.as_deref().filter(|_| !is_over);
    let link = url.as_deref().or(page).map(shown_message);
    let head = match action {
        PullAction::Opened => format!("opened {draft}{words}{number}"),
        PullAction::Updated => format!("updated {draft}{words}{number}"),
        PullAction::Unchanged => format!("{draft}{words}{number} is up to date"),
        PullAction::AlreadyMerged => format!("{branch} is already merged{}", by(words, &number)),
        PullAction::Failed => format!("the {words} is missing or as it was: see the error"),
        PullAction::Closed => format!("{words}{number} was closed, and nothing landed since"),
        PullAction::NoForge if link.is_some() => {
            "autopack opens no pull requests there: open it in a browser".to_owned()
        }
        PullAction::NoForge => {
            "no pull request: the remote is no known GitHub, GitLab or Gitea (publish.forge)"
                .to_owned()
        }
        PullAction::NoToken => format!("no token: open the {words} in a browser"),
    };
    let mut lines = vec![head];
    lines.extend(link.map(|link| format!("  {link}")));
    let is_open =
        matches!(action, PullAction::Opened | PullAction::Updated | PullAction::Unchanged);
    if is_open && !result.closes.is_empty() {
        lines.push(format!("  its merge closes {}", first_few(&result.closes, NAMED)));
    }
    if is_open && !result.part_of.is_empty() {
        let issues = first_few(&result.part_of, NAMED);
        lines.push(format!("  part of {issues}: other phases are not complete"));
    }
    if !checks.is_empty() {
        lines.push(format!("  checks: {}", describe_checks(checks)));
    }
    if *is_cut {
        lines.push("  the end of its text is cut off: forges limit the length".to_owned());
    }
    lines
}

fn by(words: &str, number: &str) -> String {
    if number.is_empty() { String::new() } else { format!(", by {words}{number}") }
}

fn describe_checks(checks: &CheckResults) -> String {
    let CheckResults { passed, pending, failed } = checks;
    let mut parts = vec![format!("{passed} passed")];
    if *pending > 0 {
        parts.push(format!("{pending} pending"));
    }
    if !failed.is_empty() {
        let names: Vec<String> = failed.iter().map(|name| shown_id(name)).collect();
        parts.push(format!("{} failed ({})", failed.len(), first_few(&names, NAMED)));
    }
    parts.join(", ")
}

fn remark_lines(remarks: &[RemarkResult]) -> Vec<String> {
    let of = |wanted: RemarkAction| {
        let chosen = remarks.iter().filter(move |remark| remark.action == wanted);
        let mut issues: Vec<String> = chosen.map(|remark| shown_id(&remark.issue)).collect();
        let mut seen = HashSet::new();
        issues.retain(|issue| seen.insert(issue.clone()));
        issues
    };
    let line = |action: RemarkAction, start: &str| {
        let issues = of(action);
        let count = counted(issues.len() as u64, "failed issue");
        (!issues.is_empty()).then(|| format!("{start} {count}: {}", first_few(&issues, NAMED)))
    };
    [
        line(RemarkAction::Added, "commented on"),
        line(RemarkAction::Refused, "could not comment on"),
        line(RemarkAction::NoToken, "no token to comment on"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn branch_json(result: &BranchResult) -> Value {
    let PullResult { action, number, url, is_draft, base, checks, is_cut } = &result.pull;
    let from = match &result.push {
        PushOutcome::Pushed { from, .. } => from.as_deref(),
        _ => None,
    };
    let pull_request = number.map(|number| {
        json!({
            "number": number,
            "url": url,
            "draft": is_draft,
            "cut": is_cut,
        })
    });
    let checks = (!checks.is_empty()).then(
        || json!({"passed": checks.passed, "pending": checks.pending, "failed": checks.failed}),
    );
    json!({
        "branch": result.branch,
        "phase_id": result.phase_id,
        "commit": result.commit,
        "push": result.push.as_str(),
        "before": from,
        "action": action.as_str(),
        "base": base,
        "pull_request": pull_request,
        "checks": checks,
        "closes": result.closes,
        "part_of": result.part_of,
        "compare_url": result.compare_url,
    })
}

fn remark_json(remark: &RemarkResult) -> Value {
    json!({
        "phase_id": remark.phase_id,
        "issue": remark.issue,
        "action": remark.action.as_str(),
        "url": remark.url,
    })
}
