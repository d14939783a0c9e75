//! Issues of a forge as phases. The forge is asked in `tracker_issues`; `issue_items` makes a phase of an issue.

mod issue_items;
mod tracker_issues;

use crate::forge::TrackerName;
use crate::phase::RunId;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::input::Input;
use super::plan_draft::PlanDraft;
use super::read_options::ReadOptions;
use super::source_place::SourcePosition;

pub use tracker_issues::{TrackerChoice, TrackerIssues, TrackerRequest};

/// Name of the format in messages.
const FORMAT: &str = "tracker";

/// Converts issues to the phases of a run. `break_cycles`: a dependency of each cycle is dropped. Dependencies are not yet checked, see [`PlanDraft::resolve`].
///
/// # Errors
/// There are no issues.
pub fn draft_issues(
    tracker: &TrackerName,
    found: &TrackerIssues,
    run: &RunId,
    break_cycles: bool,
) -> Result<PlanDraft, ImportError> {
    let input = Input::of_tracker(&tracker.repository().to_string());
    let options = ReadOptions { run_id: Some(run.clone()), break_cycles, ..ReadOptions::default() };
    let mut builder = PlanDraftBuilder::new(&input, FORMAT, &options);
    for issue in &found.issues {
        let blockers = found.blockers.get(&issue.number).map(Vec::as_slice).unwrap_or_default();
        let place = SourcePosition::File(format!("{}#{}", input.name(), issue.number).into());
        builder.item(place, issue_items::item(tracker, issue, blockers), None);
    }
    for (numbers, word) in [(&found.gone, "gone"), (&found.uncounted, "no longer chosen")] {
        numbers.iter().for_each(|number| builder.leave_out(None, &number.to_string(), word));
    }
    builder.finish()
}
