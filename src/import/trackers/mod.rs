//! Issues of a forge as phases. The forge is asked in `tracker_issues`; `issue_items` makes a phase of an issue.

mod changed_spec;
mod issue_items;
mod issue_order;
mod tracker_issues;

use crate::forge::TrackerName;
use crate::phase::RunId;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::input::Input;
use super::plan_draft::PlanDraft;
use super::source_place::SourcePosition;

pub use changed_spec::merge_changed_issue;
pub use tracker_issues::{TrackerChoice, TrackerIssues, TrackerRequest};

/// Converts issues to the phases of a run. Dependencies are not yet checked, see [`PlanDraft::resolve`].
///
/// # Errors
/// There are no issues.
pub fn draft_issues(
    tracker: &TrackerName,
    found: &TrackerIssues,
    run: &RunId,
) -> Result<PlanDraft, ImportError> {
    let input = Input::of_tracker(&tracker.repository().to_string());
    let mut builder = PlanDraftBuilder::new(&input, Some(run));
    let blockers = issue_order::without_cycles(found, |waiting, needed| {
        builder.warn(format!(
            "{tracker}: #{waiting} does not wait for #{needed}, which waits for #{waiting} itself"
        ));
    });
    for (issue, blockers) in found.issues.iter().zip(blockers) {
        let place = SourcePosition::File(format!("{}#{}", input.name(), issue.number).into());
        builder.item(place, issue_items::item(tracker, issue, &blockers), None);
    }
    builder.finish()
}
