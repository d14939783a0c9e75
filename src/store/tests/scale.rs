use std::time::Instant;

use super::*;
use crate::store::claim::CANDIDATE;

const MANY: usize = 10_000;

/// What SQLite means to do for a statement.
async fn query_plan(store: &Store, sql: &'static str) -> String {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(explain).bind("r").bind(NOW.0).fetch_all(&store.reader).await.unwrap();
    rows.into_iter().map(|row| row.3).collect::<Vec<_>>().join("; ")
}

/// Claims are as fast at the end of a backlog as at its start, because they look up and neither scan nor sort. The
/// times are printed for people and prove nothing.
#[tokio::test]
async fn a_claim_looks_up_however_many_phases_there_are() {
    let bed = Bed::with((0..MANY).map(|n| phase(&format!("p{n}"), &[])).collect()).await;
    let plan = query_plan(&bed.store, CANDIDATE).await;
    assert!(plan.contains("USING COVERING INDEX phases_claimable (run=?)"), "{plan}");
    assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    let at_start = claim_a_hundred(&bed).await;
    sqlx::query("UPDATE phases SET state = 'COMPLETE' WHERE state = 'QUEUED' AND position < ?")
        .bind(MANY as i64 - 200)
        .execute(&bed.store.writer)
        .await
        .unwrap();
    let at_end = claim_a_hundred(&bed).await;
    println!("100 claims and finishes: first {at_start:?}, last {at_end:?}");
    let plan = query_plan(&bed.store, CANDIDATE).await;
    assert!(!plan.contains("SCAN"), "{plan}");
}

async fn claim_a_hundred(bed: &Bed) -> std::time::Duration {
    let started = Instant::now();
    for _ in 0..100 {
        let claim = bed.claim().await;
        bed.finish(claim, passed()).await;
    }
    started.elapsed()
}
