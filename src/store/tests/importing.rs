//! Import of plans: new, repeated, and with other specs.

use super::*;
use crate::phase::plan::ImportedSample;
use crate::phase::{Tokens, Usage};

fn other_spec(id: &str) -> PlanPhase {
    PlanPhase { spec: RawSpec(json!({"phase_id": id, "goal": "another"})), ..phase(id, &[]) }
}

fn sample(origin: &str) -> ImportedSample {
    ImportedSample {
        origin: origin.into(),
        phase_id: PhaseId::new("a"),
        timestamp: NOW,
        category: "docs".into(),
        complexity: "low".into(),
        deliverables: vec!["a.md".into()],
        predicted_output_tokens: Some(5),
        success: true,
        usage: Usage {
            tokens: Tokens { output: Some(6), ..Tokens::default() },
            ..Usage::default()
        },
    }
}

#[tokio::test]
async fn importing_twice_adds_nothing() {
    let bed = StoreFixture::new().await;
    let mut plan = plan(vec![phase("a", &[]), phase("b", &["a"])]);
    plan.runs[0].samples = vec![sample("1"), sample("2")];
    let first = bed.store.import(&plan, false, NOW).await.unwrap();
    assert_eq!(first, ImportReport { runs: 1, added: 2, samples: 2, ..ImportReport::default() });
    for update in [false, true] {
        let again = bed.store.import(&plan, update, NOW).await.unwrap();
        assert_eq!(again, ImportReport { unchanged: 2, ..ImportReport::default() });
    }
    assert_eq!(bed.row("b").await.depends_on, ids(&["a"]));
    let samples = bed.samples().await;
    assert_eq!(samples.len(), 2);
    assert_eq!((samples[0].attempt, samples[0].actual_output_tokens), (None, Some(6)));
}

#[tokio::test]
async fn import_does_not_overwrite_advanced_phases() {
    let bed =
        StoreFixture::with(vec![phase("done", &[]), phase("runs", &[]), phase("waits", &[])]).await;
    let done = bed.claim().await;
    bed.finish(done, passed()).await;
    let _runs = bed.claim().await;
    let changed = plan(vec![other_spec("done"), other_spec("runs"), other_spec("waits")]);
    let without = bed.store.import(&changed, false, NOW).await.unwrap();
    assert_eq!(without, ImportReport { kept: 2, differing: 1, ..ImportReport::default() });
    assert_eq!(bed.row("waits").await.spec, phase("waits", &[]).spec);
    let with = bed.store.import(&changed, true, NOW).await.unwrap();
    assert_eq!(with, ImportReport { kept: 2, updated: 1, ..ImportReport::default() });
    assert_eq!(bed.row("waits").await.spec, other_spec("waits").spec);
    let done = bed.store.phase(&run(), &PhaseId::new("done")).await.unwrap();
    assert_eq!((done.raw, done.row.state), (phase("done", &[]).spec, PhaseState::Complete));
}

#[tokio::test]
async fn update_discards_the_repair_and_keeps_state_and_attempts() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    bed.finish(claim, red()).await;
    assert!(bed.row("a").await.repaired);
    bed.store.import(&plan(vec![other_spec("a")]), true, NOW).await.unwrap();
    let detail = bed.store.phase(&run(), &PhaseId::new("a")).await.unwrap();
    assert!(!detail.row.repaired && detail.fixes.is_empty());
    assert_eq!((detail.row.attempts, detail.attempt_log.len()), (1, 1));
    assert_eq!(detail.row.spec, other_spec("a").spec);
}

#[tokio::test]
async fn new_phases_follow_existing_phases() {
    let bed = StoreFixture::with(vec![phase("m", &[])]).await;
    bed.store.import(&plan(vec![phase("a", &[]), phase("m", &[])]), false, NOW).await.unwrap();
    let rows = bed.store.phases(&run(), None).await.unwrap();
    let order: Vec<&str> = rows.iter().map(|row| row.phase_id.as_str()).collect();
    assert_eq!(order, ["m", "a"]);
}

#[tokio::test]
async fn history_of_another_system_is_imported() {
    let bed = StoreFixture::new().await;
    let old = PlanPhase {
        state: PhaseState::Failed,
        attempts: 4,
        last_failure: Some(Failure::new(FailureKind::Imported, "BUILDER_FAILED")),
        note: Some("was EXECUTING".into()),
        ..phase("old", &[])
    };
    let done = PlanPhase { state: PhaseState::Complete, ..phase("done", &[]) };
    bed.store.import(&plan(vec![old, done, phase("new", &["done"])]), false, NOW).await.unwrap();
    let detail = bed.store.phase(&run(), &PhaseId::new("old")).await.unwrap();
    assert_eq!((detail.row.state, detail.row.attempts), (PhaseState::Failed, 4));
    assert_eq!(detail.row.last_failure.unwrap().message, "BUILDER_FAILED");
    assert_eq!(detail.note.as_deref(), Some("was EXECUTING"));
    assert_eq!(bed.claim().await.phase_id.as_str(), "new");
}

/// Imports a plan with one bad phase at the end, and checks that nothing was stored.
async fn nothing_of(phases: Vec<PlanPhase>) -> StoreError {
    let bed = StoreFixture::new().await;
    let plan = Plan { runs: vec![plan_run("fine", vec![phase("x", &[])]), plan_run("r", phases)] };
    let error = bed.store.import(&plan, false, NOW).await.unwrap_err();
    assert!(bed.store.runs().await.unwrap().is_empty());
    error
}

#[tokio::test]
async fn import_is_atomic() {
    let unknown = nothing_of(vec![phase("a", &[]), phase("b", &["ghost"])]).await;
    assert_eq!(
        unknown.to_string(),
        "run r, phase b: it depends on \"ghost\", which the run does not have"
    );
    let executing = PlanPhase { state: PhaseState::Executing, ..phase("b", &[]) };
    assert!(matches!(nothing_of(vec![executing]).await, StoreError::WrongState { .. }));
    let cycle = nothing_of(vec![phase("a", &["b"]), phase("b", &["a"]), phase("c", &["b"])]).await;
    assert!(cycle.to_string().contains("wait for each other: a -> b -> a"), "{cycle}");
    let twice = nothing_of(vec![phase("a", &[]), phase("a", &[])]).await;
    assert!(matches!(twice, StoreError::Database { .. }), "{twice}");
}

#[tokio::test]
async fn update_with_a_cycle_is_refused() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    let error = bed.store.import(&plan(vec![phase("a", &["b"])]), true, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Cycle { .. }), "{error}");
    assert!(bed.row("a").await.depends_on.is_empty());
}

#[tokio::test]
async fn samples_without_phases_create_no_run() {
    let bed = StoreFixture::new().await;
    let mut plan = plan(Vec::new());
    plan.runs[0].samples = vec![sample("1")];
    bed.store.import(&plan, false, NOW).await.unwrap();
    assert!(bed.store.runs().await.unwrap().is_empty());
    assert_eq!(bed.samples().await.len(), 1);
}

#[tokio::test]
async fn a_phase_that_its_source_opens_again_before_its_attempt_ended_is_not_settled() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    let state = PhaseState::Complete;
    let done = PlanPhase { state, note: Some("done in plan.yaml".into()), ..phase("a", &[]) };
    let stopped = bed.store.import(&plan(vec![done]), true, NOW).await.unwrap();
    assert_eq!(stopped, ImportReport { stopped: 1, ..ImportReport::default() });
    let open = plan(vec![phase("a", &[])]);
    let reopened = bed.store.import(&open, true, NOW).await.unwrap();
    assert_eq!(reopened, ImportReport { reopened: 1, ..ImportReport::default() });
    let again = bed.store.import(&open, true, NOW).await.unwrap();
    assert_eq!(again, ImportReport { unchanged: 1, ..ImportReport::default() });
    assert!(bed.store.stopped_phases(&bed.owner).await.unwrap().is_empty());
    assert_eq!(bed.finish(claim, red()).await, PhaseState::Queued);
}
