//! Operator actions on phases and runs.

use super::*;

async fn fail(bed: &StoreFixture) {
    for _ in 0..3 {
        let claim = bed.claim().await;
        bed.finish(claim, red()).await;
    }
}

fn selector(names: &[PhaseId]) -> PhaseSelector<'_> {
    PhaseSelector::Ids(names)
}

#[tokio::test]
async fn retry_resets_attempts_and_keeps_the_history() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    fail(&bed).await;
    assert_eq!(bed.store.run(&run()).await.unwrap().blocked, 1);
    let changed = bed.store.operator().retry(&run(), PhaseSelector::Failed, false).await.unwrap();
    let expected = ChangedPhase {
        phase_id: PhaseId::new("a"),
        from: PhaseState::Failed,
        to: PhaseState::Queued,
    };
    assert_eq!(changed, [expected]);
    assert_eq!(bed.store.run(&run()).await.unwrap().blocked, 0);
    let claim = bed.claim().await;
    assert_eq!((claim.attempt, claim.counted_attempts), (4, 0));
    assert!(claim.last_failure.is_some());
    assert_eq!(bed.log("a").await.len(), 4);
}

#[tokio::test]
async fn retry_clears_the_refused_spec() {
    let bed = StoreFixture::with(vec![broken("a")]).await;
    bed.next().await;
    bed.store.operator().retry(&run(), PhaseSelector::Failed, false).await.unwrap();
    assert_eq!(bed.row("a").await.last_failure, None);
}

#[tokio::test]
async fn finished_phase_is_redone_only_with_redo() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    let claim = bed.claim().await;
    bed.finish(claim, passed()).await;
    let names = ids(&["a"]);
    let refused =
        bed.store.operator().retry(&run(), selector(&names), false).await.unwrap_err().to_string();
    assert!(refused.contains("--redo"), "{refused}");
    bed.store.operator().retry(&run(), selector(&names), true).await.unwrap();
    assert_eq!(bed.row("a").await.commit, None);
    // The dependent waits again.
    let claim = bed.claim().await;
    assert_eq!((claim.phase_id.as_str(), claim.attempt), ("a", 2));
    assert!(matches!(bed.next().await, ClaimOutcome::Held { .. }));
}

#[tokio::test]
async fn skip_releases_dependents_and_can_be_reverted() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    fail(&bed).await;
    let names = ids(&["a", "a"]);
    let changed = bed.store.operator().skip(&run(), selector(&names)).await.unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].from, changed[0].to), (PhaseState::Failed, PhaseState::Skipped));
    let waiting = bed.store.waiting_phases(&run(), NOW).await.unwrap();
    assert!(waiting.is_empty(), "{waiting:?}");
    bed.store.operator().retry(&run(), selector(&names), false).await.unwrap();
    assert_eq!(bed.claim().await.phase_id.as_str(), "a");
}

#[tokio::test]
async fn operator_actions_are_atomic() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &[])]).await;
    let _executing = bed.claim().await;
    for names in [ids(&["b", "ghost"]), ids(&["b", "a"])] {
        let error = bed.store.operator().skip(&run(), selector(&names)).await.unwrap_err();
        assert!(
            matches!(error, StoreError::UnknownPhase { .. } | StoreError::IllegalStep { .. }),
            "{error}"
        );
        assert_eq!(bed.row("b").await.state, PhaseState::Queued);
    }
}

#[tokio::test]
async fn edit_replaces_spec_and_dependencies() {
    let bed = StoreFixture::with(vec![phase("a", &[]), broken("b"), phase("c", &[])]).await;
    let edited = PlanPhase { name: "B".into(), ..phase("b", &["c"]) };
    bed.store.operator().edit(&run(), &edited).await.unwrap();
    let row = bed.row("b").await;
    assert_eq!((row.name.as_str(), row.depends_on), ("B", ids(&["c"])));
    assert_eq!(bed.claim().await.phase_id.as_str(), "a");
    assert_eq!(bed.claim().await.phase_id.as_str(), "c");
    let cycle = bed.store.operator().edit(&run(), &phase("b", &["b"])).await.unwrap_err();
    assert!(matches!(cycle, StoreError::Cycle { .. }), "{cycle}");
    let executing = bed.store.operator().edit(&run(), &phase("a", &[])).await.unwrap_err();
    assert!(executing.to_string().contains("it is running, so it cannot be edited"), "{executing}");
}

#[tokio::test]
async fn run_is_removed_with_history_unless_drained() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    let claim = bed.claim().await;
    bed.store.record_slot(&claim, "1", "/logs/a/1").await.unwrap();
    bed.store.record_agent(&claim, "default", None, None).await.unwrap();
    let busy = bed.store.remove_run(&run()).await.unwrap_err();
    assert!(matches!(busy, StoreError::RunIsBusy { .. }), "{busy}");
    // The store cannot tell a draining run from a run with a dead drain.
    assert!(busy.to_string().starts_with("run r has running phases (a); stop its drain"), "{busy}");
    bed.finish(claim, red()).await;
    let directories = bed.store.attempt_directories(Some(&run())).await.unwrap();
    assert_eq!((directories.len(), directories[0].log_dir.as_str()), (1, "/logs/a/1"));
    assert_eq!(directories[0].outcome, Some(AttemptOutcome::Failed));
    bed.store.put_base_result(&run(), &base_key("t"), "{}", NOW).await.unwrap();
    assert_eq!(bed.store.remove_run(&run()).await.unwrap(), 2);
    assert!(bed.store.runs().await.unwrap().is_empty());
    assert!(bed.store.attempt_directories(None).await.unwrap().is_empty());
    assert_eq!(bed.samples().await.len(), 1);
    assert!(bed.store.integrity_check().await.unwrap().is_empty());
}
