//! Costs independent of the number of phases.

use std::time::Instant;

use super::*;
use crate::store::backend::{query, query_as};
use crate::store::queue::claim::candidates::CANDIDATES;

const MANY: usize = 10_000;

/// Returns SQLite's plan for a statement.
async fn query_plan(store: &Store, sql: &'static str) -> String {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows: Vec<(i64, i64, i64, String)> = query_as(explain)
        .bind("r")
        .bind(NOW.0)
        .bind(-1)
        .bind(0)
        .bind("[]")
        .bind(1)
        .fetch_all(&store.reader)
        .await
        .unwrap();
    rows.into_iter().map(|row| row.3).collect::<Vec<_>>().join("; ")
}

/// Claims are as fast at the end of a backlog as at the start, because they look up and neither scan nor sort. The
/// times are printed for people and prove nothing.
#[tokio::test]
async fn claim_cost_is_independent_of_the_backlog_size() {
    let bed = StoreFixture::with((0..MANY).map(|n| phase(&format!("p{n}"), &[])).collect()).await;
    let plan = query_plan(&bed.store, CANDIDATES).await;
    let by_index = "USING COVERING INDEX phases_claimable (run=? AND (band,position)>(?,?))";
    assert!(plan.contains(by_index), "{plan}");
    // The excluded footprints are a table of their own, with a row per footprint.
    let plan = plan.replace("SCAN json_each", "");
    assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    let at_start = claim_a_hundred(&bed).await;
    query("UPDATE phases SET state = 'COMPLETE' WHERE state = 'QUEUED' AND position < ?")
        .bind(MANY as i64 - 200)
        .execute(&bed.store.writer)
        .await
        .unwrap();
    let at_end = claim_a_hundred(&bed).await;
    println!("100 claims and finishes: first {at_start:?}, last {at_end:?}");
    let plan = query_plan(&bed.store, CANDIDATES).await.replace("SCAN json_each", "");
    assert!(!plan.contains("SCAN"), "{plan}");
}

async fn claim_a_hundred(bed: &StoreFixture) -> std::time::Duration {
    let started = Instant::now();
    for _ in 0..100 {
        let claim = bed.claim().await;
        bed.finish(claim, passed()).await;
    }
    started.elapsed()
}

/// Ten thousand phases, all but the last in the directory of an executing phase: the claim finds the last phase, and
/// the next claim finds none, each with one walk along the index.
#[tokio::test]
async fn any_number_of_overlapping_phases_is_skipped() {
    for directories in [1, 50, MANY] {
        let mut phases = vec![within("all", "src")];
        phases.extend(
            (1..MANY).map(|n| within(&format!("p{n}"), &format!("src/d{}", n % directories))),
        );
        phases.push(within("free", "docs"));
        let bed = StoreFixture::with(phases).await;
        bed.store.repair_queued(None, &fix_within, false, &mut |_| {}).await.unwrap();
        let all = bed.claim_within().await.unwrap();
        assert_eq!(all.phase_id.as_str(), "all");
        let started = Instant::now();
        assert_eq!(bed.claim_within().await.unwrap().phase_id.as_str(), "free");
        let with_free_phase = started.elapsed();
        let started = Instant::now();
        assert!(bed.claim_within().await.is_none());
        println!(
            "{MANY} phases over {directories} directories: the free one {with_free_phase:?}, none {:?}",
            started.elapsed()
        );
    }
}

/// Unknown footprints are computed once each, several per transaction.
#[tokio::test]
async fn unrepaired_phases_are_examined_once() {
    let mut phases = vec![within("all", "src")];
    phases.extend((1..2000).map(|n| within(&format!("p{n}"), "src/deep")));
    phases.push(within("free", "docs"));
    let bed = StoreFixture::with(phases).await;
    bed.claim_within().await.unwrap();
    assert_eq!(bed.claim_within().await.unwrap().phase_id.as_str(), "free");
    let fixed = std::sync::atomic::AtomicUsize::new(0);
    let counting = |raw: &RawSpec, last: Option<&Failure>| {
        fixed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        fix_within(raw, last)
    };
    assert!(bed.claim_fixed_by(&counting).await.is_none());
    assert_eq!(fixed.into_inner(), 0, "their footprints are known by now");
}
