//! Synchronization of a run with its tracker, against changes of others.

use super::*;
use crate::phase::plan::PlanRun;
use crate::store::{RunSource, SyncMode, SyncReport, SyncRequest};

const TRACKER: &str = "github:o/r";

fn issue(number: u64, digest: &str) -> PlanPhase {
    let id = number.to_string();
    let tracker = json!({"name": TRACKER, "issue": number, "digest": digest});
    let spec = RawSpec(json!({"phase_id": id, "name": id, "tracker": tracker}));
    PlanPhase { spec, ..phase(&id, &[]) }
}

fn issues(phases: Vec<PlanPhase>) -> PlanRun {
    PlanRun { origin: TRACKER.to_owned(), ..plan_run("r", phases) }
}

#[tokio::test]
async fn an_issue_that_another_synchronization_added_is_no_phase_of_the_operator() {
    let bed = StoreFixture::new().await;
    let source = RunSource {
        tracker: TRACKER.to_owned(),
        choice: json!({}),
        seen: None,
        compared_at: Some(NOW),
    };
    let first = issues(vec![issue(1, "a")]);
    bed.store.import_from_tracker(&first, false, &source, NOW).await.unwrap();
    bed.store.import(&plan(vec![phase("3", &[])]), false, NOW).await.unwrap();
    let request = SyncRequest {
        tracker: TRACKER.to_owned(),
        plan: Some(issues(vec![issue(1, "a"), issue(2, "b"), issue(3, "c")])),
        ..SyncRequest::default()
    };
    let sync = async |request: &SyncRequest| {
        bed.store.sync_run(&run(), request, SyncMode::Write, NOW).await.unwrap()
    };
    let taken = ids(&["3"]);
    let synced = sync(&request).await;
    let expected = SyncReport { added: ids(&["2"]), taken, ..SyncReport::default() };
    assert_eq!(synced, expected);
    // The same issues again, fetched before the first synchronization was stored.
    let expected = SyncReport { added: Vec::new(), ..expected };
    assert_eq!(sync(&request).await, expected);
    let changed = SyncRequest { plan: Some(issues(vec![issue(2, "d")])), ..request };
    assert_eq!(sync(&changed).await.updated, ids(&["2"]));
    assert_eq!(bed.row("3").await.spec, phase("3", &[]).spec);
}
