//! The statements sent for a claim, a finish and the end of a batch, and SQLite's plan for each.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::*;
use crate::store::backend::{Pool, query_as};

/// Collects statements from sqlx's log events.
#[derive(Clone, Default)]
struct StatementRecorder(Arc<Mutex<BTreeSet<String>>>);

impl<S: tracing::Subscriber> Layer<S> for StatementRecorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            event.record(&mut StatementVisitor(&mut self.0.lock().unwrap()));
        }
    }
}

/// Extracts the statement from an event; short statements are their own summary.
struct StatementVisitor<'a>(&'a mut BTreeSet<String>);

impl Visit for StatementVisitor<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        let text = text.trim();
        if matches!(field.name(), "summary" | "db.statement")
            && !text.is_empty()
            && !text.ends_with('…')
        {
            self.0.insert(text.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Enables statement logging on the store's connections.
fn log_statements(bed: &mut StoreFixture) {
    let options = SqliteConnectOptions::new()
        .filename(bed.store.file().unwrap())
        .foreign_keys(true)
        .log_statements("trace".parse().unwrap());
    let pool = || SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options.clone());
    let pool = || Pool::Sqlite(pool());
    (bed.store.writer, bed.store.reader) = (pool(), pool());
}

/// Returns the steps of `EXPLAIN QUERY PLAN`.
async fn steps(store: &Store, sql: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows: Vec<(i64, i64, i64, String)> =
        query_as(explain).fetch_all(&store.notes).await.unwrap();
    rows.into_iter().map(|row| row.3).collect()
}

/// Checks whether the cost of a step grows with the number of phases, or of attempts of other phases.
fn grows(step: &str) -> bool {
    // Over a whole run, these have as many entries as the run has phases.
    let whole_run =
        ["phases_by_position (run=?)", "phases_by_state (run=?", "phases_claimable (run=?)"];
    let scans = step.starts_with("SCAN ") && !few(step);
    scans || step.contains("TEMP B-TREE") || whole_run.iter().any(|index| step.contains(index))
}

/// Checks for tables known to be small or as large as the given list.
fn few(step: &str) -> bool {
    let few = ["asked", "new", "running", "named", "owners", "key_limits"];
    let is_scan_of = |table: &&str| step.starts_with(&format!("SCAN {table}"));
    few.iter().any(is_scan_of) || ["json_each", "CONSTANT ROW"].iter().any(|at| step.contains(at))
}

#[tokio::test]
async fn statements_of_claim_and_finish_do_not_scan_the_backlog() {
    let heard = StatementRecorder::default();
    let subscriber = tracing_subscriber::registry().with(heard.clone());
    // The events come from threads of the connections.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut bed = StoreFixture::with((0..30).map(|n| phase(&format!("p{n}"), &[])).collect()).await;
    let late = phase("late", &["p0"]);
    bed.store.import(&plan(vec![late, broken("bad")]), false, NOW).await.unwrap();
    log_statements(&mut bed);
    statements_of_a_drain(&bed).await;
    let heard = heard.0.lock().unwrap().clone();
    let mut growing = Vec::new();
    for sql in &heard {
        if sql.starts_with("BEGIN")
            || sql.starts_with("COMMIT")
            || sql.starts_with("ROLLBACK")
            || sql.starts_with("PRAGMA")
        {
            continue;
        }
        let steps = steps(&bed.store, sql).await;
        // Named phases are sorted after the look-up.
        let named = sql.contains("CROSS JOIN");
        let grows = |step: &String| grows(step) && !(named && step.contains("TEMP B-TREE"));
        growing.extend(steps.into_iter().filter(grows).map(|step| format!("{step}: {sql}")));
    }
    assert!(heard.len() > 15, "{heard:#?}");
    assert!(heard.iter().any(|sql| sql.contains("footprint NOT IN")), "{heard:#?}");
    assert!(growing.is_empty(), "{growing:#?}");
}

/// Claims with and without executing phases; deferred, refused and skipped phases; ends of all kinds; the end of a
/// batch.
async fn statements_of_a_drain(bed: &StoreFixture) {
    let runs = [run()];
    let claimer = Claimer { spending: true, ..claimer(&bed.owner, &runs) };
    let first = claimed(bed.store.claim_next(&claimer, NOW).await.unwrap());
    let second = claimed(bed.store.claim_next(&claimer, NOW).await.unwrap());
    let third = claimed(bed.store.claim_next(&claimer, NOW).await.unwrap());
    for claim in [&first, &second] {
        bed.store.record_agent(claim, "noop", Some(900), None).await.unwrap();
    }
    bed.finish(first, passed()).await;
    bed.finish(second, red()).await;
    let limited =
        RequeueReason::RateLimited { not_before: UnixMs(NOW.0 + 9), message: "429".into() };
    bed.finish(third, Verdict::Requeued(limited)).await;
    let later =
        Claimer { admit: &|_| Admission::Later { until: UnixMs(NOW.0 + 9), key: None }, ..claimer };
    assert!(matches!(
        bed.store.claim_next(&later, NOW).await,
        Ok(ClaimOutcome::Unfixable { .. } | ClaimOutcome::Waiting { .. })
    ));
    while let ClaimOutcome::Unfixable { .. } = bed.store.claim_next(&later, NOW).await.unwrap() {}
    let hold = Claimer { admit: &|_| Admission::Hold, ..claimer };
    bed.store.claim_next(&hold, UnixMs(NOW.0 + 9)).await.unwrap();
    assert!(bed.store.has_work(&runs).await.unwrap());
    bed.store.stopped_phases(&bed.owner).await.unwrap();
    let only = [(run(), PhaseId::new("p20")), (run(), PhaseId::new("late"))];
    let named = Claimer { only: &only, ..claimer };
    for _ in 0..2 {
        bed.store.claim_next(&named, NOW).await.unwrap();
    }
    bed.store.claim_next(&claimer, UnixMs(NOW.0 + 9)).await.unwrap();
}
