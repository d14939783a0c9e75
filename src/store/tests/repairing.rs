//! The auto-fixer over all queued phases.

use super::*;
use crate::store::backend::{query, query_scalar};

async fn repair(bed: &StoreFixture, dry_run: bool) -> (RepairCounts, Vec<RepairedPhase>) {
    let mut reported = Vec::new();
    let counts = bed
        .store
        .repair_queued(Some(&run()), &fix, dry_run, &mut |one| reported.push(one))
        .await
        .unwrap();
    (counts, reported)
}

#[tokio::test]
async fn queued_phases_are_repaired_and_reported_once() {
    let bed = StoreFixture::with(vec![phase("a", &[]), broken("b"), phase("c", &[])]).await;
    let _executing = bed.claim().await;
    let (counts, reported) = repair(&bed, false).await;
    assert_eq!(counts, RepairCounts { examined: 2, changed: 2, unfixable: 1, needs_scope: 0 });
    assert_eq!(reported[0].phase_id.as_str(), "b");
    assert_eq!(reported[0].unfixable.as_deref(), Some("no path"));
    assert_eq!(reported[1].before, phase("c", &[]).spec.0);
    assert_eq!(reported[1].after["fixed"], true);
    assert_eq!(bed.row("b").await.state, PhaseState::Queued);
    let (counts, reported) = repair(&bed, false).await;
    assert_eq!(counts, RepairCounts { examined: 2, changed: 0, unfixable: 1, needs_scope: 0 });
    assert_eq!(reported.len(), 1);
}

#[tokio::test]
async fn dry_run_reports_the_same_and_changes_nothing() {
    let bed = StoreFixture::with(vec![phase("a", &[]), broken("b")]).await;
    let (dry, told_dry) = repair(&bed, true).await;
    let rows = bed.store.phases(&run(), None).await.unwrap();
    assert!(rows.iter().all(|row| !row.repaired && row.unfixable.is_none()));
    assert_eq!((dry, told_dry), repair(&bed, false).await);
}

/// Claims with a handle of its own, like another drain, and waits for the claim.
fn claim_elsewhere(url: &DatabaseUrl) {
    let url = url.clone();
    let work = async move {
        let store = Store::open(&url).await.unwrap();
        claimed(claim(&store, &OwnerId::new("owner-1"), &[run()], NOW).await.unwrap());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(work)).join().unwrap();
}

#[tokio::test]
async fn phase_claimed_meanwhile_is_left_to_the_claim() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let url = bed.database.url();
    let slow = |raw: &RawSpec, last: Option<&Failure>| {
        claim_elsewhere(&url);
        let repair = fix(raw, last);
        Repair { fixes: vec!["out of date".into()], ..repair }
    };
    bed.store.repair_queued(None, &slow, false, &mut |_| {}).await.unwrap();
    let detail = bed.store.phase(&run(), &PhaseId::new("a")).await.unwrap();
    assert_eq!(detail.row.state, PhaseState::Executing);
    assert_eq!(detail.fixes, ["marked as fixed"]);
}

#[tokio::test]
async fn all_phases_beyond_one_batch_are_examined_in_order() {
    let phases = (0..2600).map(|n| phase(&format!("p{n}"), &[])).collect();
    let bed = StoreFixture::with(phases).await;
    let (counts, reported) = repair(&bed, false).await;
    assert_eq!(
        counts,
        RepairCounts { examined: 2600, changed: 2600, unfixable: 0, needs_scope: 0 }
    );
    assert_eq!(reported.len(), 2600);
    let rows = bed.store.phases(&run(), None).await.unwrap();
    assert!(rows.iter().all(|row| row.repaired && row.spec.0["fixed"] == true));
    assert!(rows.iter().all(|row| row.spec.0["phase_id"] == row.phase_id.as_str()));
    assert!(reported.iter().enumerate().all(|(n, one)| one.phase_id.as_str() == format!("p{n}")));
}

#[tokio::test]
async fn repairs_before_an_unreadable_row_are_kept_and_reported() {
    let phases = (0..1100).map(|n| phase(&format!("p{n}"), &[])).collect();
    let bed = StoreFixture::with(phases).await;
    query("UPDATE phases SET fixes = 'no list' WHERE phase_id = 'p1050'")
        .execute(&bed.store.writer)
        .await
        .unwrap();
    let mut reported = 0;
    let on = &mut |_| reported += 1;
    let error = bed.store.repair_queued(None, &fix, false, on).await.unwrap_err();
    assert!(error.to_string().contains("p1050"), "{error}");
    assert_eq!(reported, 1024);
    let repaired: i64 = query_scalar("SELECT count(*) FROM phases WHERE spec IS NOT NULL")
        .fetch_one(&bed.store.reader)
        .await
        .unwrap();
    assert_eq!(repaired, 1024);
}
