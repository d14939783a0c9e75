//! Title and text of a branch's pull request: only landings that nobody merged before count.

use std::collections::HashSet;

use crate::failure::Failure;
use crate::phase::PhaseId;

use super::pull_request_text::title_for_forge;
use super::stack::StackMember;
use super::{IssueOrigin, LandedPhase, Publisher, RunToPublish};

/// Title and text of a pull request.
#[derive(Clone, Debug)]
pub(super) struct MemberText {
    pub title: String,
    pub report: String,
    /// Issues that the merge closes, as the pull request names them.
    pub closes: Vec<String>,
    /// Issues of which a part is still open.
    pub part_of: Vec<String>,
}

impl Publisher<'_> {
    /// Describes a branch. `outside` are its commits that nobody merged; `above` are the branches after it.
    pub(super) async fn member_text(
        &self,
        run: &RunToPublish,
        member: &StackMember,
        outside: &HashSet<String>,
        above: &[StackMember],
    ) -> Result<MemberText, Failure> {
        let (new, merged): (Vec<&LandedPhase>, Vec<&LandedPhase>) =
            member.landed.iter().partition(|phase| outside.contains(&phase.commit));
        let (title, report) = if member.phase_id.is_none() {
            let merged: HashSet<PhaseId> =
                merged.iter().map(|phase| phase.phase_id.clone()).collect();
            (run.describe)(&merged)
        } else if new.is_empty() {
            let subject = self.repo.subject_of(&member.commit).await?;
            (subject, "No new landing: a revert, or commits of yours.".to_owned())
        } else {
            let join = |part: fn(&LandedPhase) -> &str, between: &str| {
                new.iter().map(|phase| part(phase)).collect::<Vec<_>>().join(between)
            };
            (join(|phase| &phase.title, "; "), join(|phase| &phase.text, "\n"))
        };
        let later: HashSet<&IssueOrigin> = above
            .iter()
            .flat_map(|member| &member.landed)
            .filter_map(|p| p.issue.as_ref())
            .collect();
        let issues = new.iter().filter_map(|phase| phase.issue.as_ref());
        let is_open =
            |issue: &&IssueOrigin| run.open_issues.contains(issue) || later.contains(issue);
        let (open, settled): (Vec<_>, Vec<_>) = issues.partition(is_open);
        Ok(MemberText {
            title: title_for_forge(&title),
            report,
            closes: self.references(settled),
            part_of: self.references(open),
        })
    }

    /// Returns issues as a pull request names them, each once. Those on other forges are left out.
    fn references(&self, issues: Vec<&IssueOrigin>) -> Vec<String> {
        let Some(forge) = self.target.forge_name() else { return Vec::new() };
        let mut seen = HashSet::new();
        let named = issues.into_iter().filter(|issue| seen.insert((*issue).clone()));
        named.filter_map(|issue| forge.reference_to(&issue.tracker, issue.number)).collect()
    }
}
