//! A run of CI with a permit, which learns how the run ended.

use crate::ci::{self, CiError, CiOutcome, CiPlan, CiRequest, CiRun};
use crate::merge_queue::ci_company::RunEnd;
use crate::merge_queue::ci_permits::{CiPermit, TestRuns};
use crate::process::StopReceiver;

/// Runs CI with a permit, and returns what tells of the runs beside it. Without a permit, after a stop, CI ends at once.
pub(super) async fn run_permitted(
    mut permit: Option<CiPermit>,
    plan: &CiPlan,
    request: CiRequest<'_>,
    stop: &StopReceiver,
) -> (Result<CiRun, CiError>, TestRuns) {
    let lent = permit.as_mut().map(CiPermit::lend).unwrap_or_default();
    let run = ci::run(plan, CiRequest { lent, ..request }, stop).await;
    let end = run.as_ref().map_or(RunEnd::Unknown, end_of);
    let beside = permit.map(|permit| permit.end(end)).unwrap_or_default();
    (run, beside)
}

fn end_of(run: &CiRun) -> RunEnd {
    match run.outcome() {
        CiOutcome::Passed | CiOutcome::NoTests | CiOutcome::NotConfigured => RunEnd::Green,
        CiOutcome::Failed | CiOutcome::CollectionError => RunEnd::Red,
        _ => RunEnd::Unknown,
    }
}
