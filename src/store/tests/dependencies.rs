//! Counters of dependencies after arbitrary steps.

use proptest::prelude::*;

use super::*;
use crate::store::backend::query_scalar;

#[derive(Clone, Debug)]
enum StoreOperation {
    Claim,
    Finish(usize, u8),
    Skip(usize),
    Retry(usize),
    /// Replaces the dependencies of a phase.
    Rewire(usize, Vec<usize>),
}

const PHASES: usize = 7;

fn op() -> impl Strategy<Value = StoreOperation> {
    prop_oneof![
        3 => Just(StoreOperation::Claim),
        3 => (0..PHASES, 0..4u8).prop_map(|(at, how)| StoreOperation::Finish(at, how)),
        1 => (0..PHASES).prop_map(StoreOperation::Skip),
        1 => (0..PHASES).prop_map(StoreOperation::Retry),
        1 => (0..PHASES, prop::collection::vec(0..PHASES, 0..3)).prop_map(|(at, to)| StoreOperation::Rewire(at, to)),
    ]
}

/// Creates phase `at`, with dependencies only on earlier phases in `on`: no cycle.
fn wired(at: usize, on: &[usize]) -> PlanPhase {
    let mut needs: Vec<String> =
        on.iter().filter(|need| **need < at).map(|need| format!("p{need}")).collect();
    needs.sort();
    needs.dedup();
    let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
    PlanPhase { max_attempts: Some(2), ..phase(&format!("p{at}"), &needs) }
}

async fn apply(bed: &StoreFixture, held: &mut Vec<Claim>, op: StoreOperation) {
    let name = |at: usize| [PhaseId::new(format!("p{at}"))];
    match op {
        StoreOperation::Claim => {
            if let ClaimOutcome::Claimed(claim) = bed.next().await {
                held.push(*claim);
            }
        }
        StoreOperation::Finish(at, how) if !held.is_empty() => {
            let claim = held.swap_remove(at % held.len());
            let verdict = match how {
                0 => red(),
                1 => crashed(),
                2 => Verdict::Passed { commit: None },
                _ => passed(),
            };
            bed.finish(claim, verdict).await;
        }
        StoreOperation::Finish(..) => {}
        // Refused in some states; the counters must hold then too.
        StoreOperation::Skip(at) => {
            drop(bed.store.operator().skip(&run(), PhaseSelector::Ids(&name(at))).await)
        }
        StoreOperation::Retry(at) => {
            drop(bed.store.operator().retry(&run(), PhaseSelector::Ids(&name(at)), true).await)
        }
        StoreOperation::Rewire(at, on) => {
            bed.store
                .import(&Plan { runs: vec![with_new_dependencies(at, &on)] }, true, NOW)
                .await
                .unwrap();
        }
    }
}

/// Creates the plan; the other phases are included because a plan has to name all references.
fn with_new_dependencies(at: usize, on: &[usize]) -> PlanRun {
    plan_run("r", vec![wired(at, on)])
}

/// Compares waits and blocked phases with values recomputed from states and dependencies.
async fn check(bed: &StoreFixture) {
    let wrong: i64 = query_scalar(
        "SELECT COUNT(*) FROM phases p WHERE p.unmet <>
           (SELECT COUNT(*) FROM dependencies d JOIN phases n ON n.id = d.needs
             WHERE d.phase = p.id AND n.state NOT IN ('COMPLETE', 'SKIPPED'))",
    )
    .fetch_one(&bed.store.reader)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    let rows = bed.store.phases(&run(), None).await.unwrap();
    let mut dead: Vec<PhaseId> = Vec::new();
    // Dependencies precede their dependents here, so one pass suffices.
    for row in &rows {
        let behind = row.depends_on.iter().any(|need| dead.contains(need));
        if row.state == PhaseState::Failed || (row.state == PhaseState::Queued && behind) {
            dead.push(row.phase_id.clone());
        }
    }
    let failed = rows.iter().filter(|row| row.state == PhaseState::Failed).count();
    let summary = bed.store.run(&run()).await.unwrap();
    assert_eq!(summary.blocked as usize, dead.len() - failed);
    let waiting = bed.store.waiting_phases(&run(), NOW).await.unwrap();
    assert_eq!(waiting.iter().filter(|phase| phase.blocked).count(), dead.len() - failed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn dependency_counters_equal_a_recount(
        wiring in prop::collection::vec(prop::collection::vec(0..PHASES, 0..3), PHASES),
        ops in prop::collection::vec(op(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let phases = wiring.iter().enumerate().map(|(at, on)| wired(at, on)).collect();
            let bed = StoreFixture::with(phases).await;
            let mut held = Vec::new();
            for op in ops {
                apply(&bed, &mut held, op).await;
                check(&bed).await;
            }
        });
    }
}
