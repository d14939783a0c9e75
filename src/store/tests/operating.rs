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

#[tokio::test]
async fn held_phase_is_not_claimed_and_holds_back_its_dependents() {
    let bed =
        StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"]), phase("c", &["b"])]).await;
    let claim = bed.claim().await;
    let named = [(run(), PhaseId::new("a"))];
    let held = bed.store.operator().hold(&named, Hold::Now).await.unwrap();
    assert_eq!(held[0].state, PhaseState::Executing);
    let stopped = bed.store.stopped_phases(&bed.owner).await.unwrap();
    assert_eq!(stopped, [(run(), PhaseId::new("a"), Hold::Now)]);
    // A weaker request changes nothing.
    bed.store.operator().hold(&named, Hold::Graceful).await.unwrap();
    assert_eq!(bed.store.stopped_phases(&bed.owner).await.unwrap(), stopped);
    bed.finish(claim, Verdict::Requeued(RequeueReason::Interrupted)).await;
    assert!(matches!(bed.next().await, ClaimOutcome::Nothing));
    assert!(!bed.store.has_work(&[run()]).await.unwrap());
    let summary = bed.store.run(&run()).await.unwrap();
    assert_eq!((summary.held, summary.blocked, summary.has_work()), (3, 0, false));

    assert_eq!(bed.store.operator().release(&named).await.unwrap(), named);
    assert_eq!(bed.store.operator().release(&named).await.unwrap(), []);
    assert_eq!(bed.claim().await.phase_id.as_str(), "a");
}

#[tokio::test]
async fn phase_behind_a_failure_and_a_held_phase_counts_as_blocked() {
    let bed =
        StoreFixture::with(vec![phase("a", &[]), phase("b", &[]), phase("c", &["a", "b"])]).await;
    fail(&bed).await;
    bed.store.operator().hold(&[(run(), PhaseId::new("b"))], Hold::Graceful).await.unwrap();
    let summary = bed.store.run(&run()).await.unwrap();
    assert_eq!((summary.held, summary.blocked), (1, 1));
    let refused = bed.store.operator().hold(&[(run(), PhaseId::new("a"))], Hold::Graceful).await;
    assert!(matches!(refused, Err(StoreError::WrongState { .. })), "{refused:?}");
}

#[tokio::test]
async fn paused_run_is_not_claimed_while_phases_run_or_wait() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &[])]).await;
    let claim = bed.claim().await;
    assert_eq!(bed.store.operator().pause_run(&run(), NOW).await.unwrap(), None);
    let next = bed.next().await;
    let ClaimOutcome::Held { paused, .. } = &next else { panic!("{next:?}") };
    assert_eq!(paused, &[run()]);
    let later = UnixMs(NOW.0 + 9);
    assert_eq!(bed.store.operator().pause_run(&run(), later).await.unwrap(), Some(NOW));
    bed.finish(claim, passed()).await;
    let next = bed.next().await;
    let ClaimOutcome::Paused { runs, until: None } = &next else { panic!("{next:?}") };
    assert_eq!(runs, &[run()]);
    assert_eq!(bed.store.run(&run()).await.unwrap().paused_at, Some(NOW));
    assert_eq!(bed.store.operator().resume_run(&run()).await.unwrap(), Some(NOW));
    let claim = bed.claim().await;
    bed.finish(claim, passed()).await;
    // A run without claimable phases keeps no drain waiting.
    bed.store.operator().pause_run(&run(), NOW).await.unwrap();
    assert!(matches!(bed.next().await, ClaimOutcome::Nothing));
}

#[tokio::test]
async fn moves_keep_positions_unique_and_bands_apart() {
    let names = ["a", "b", "c", "d", "e"];
    let bed = StoreFixture::with(names.iter().map(|name| phase(name, &[])).collect()).await;
    let order = async || {
        let rows = bed.store.phases(&run(), None).await.unwrap();
        rows.iter().map(|row| row.phase_id.as_str().to_owned()).collect::<Vec<_>>().concat()
    };
    let at = |name: &str| PhaseId::new(name);
    for (moved, before, expected) in [
        ("e", "a", "eabcd"),
        ("e", "c", "abecd"),
        ("a", "d", "becad"),
        ("d", "c", "bedca"),
        ("b", "e", "bedca"),
    ] {
        let next = at(before);
        let place = NewPlace::Before(&next);
        bed.store.operator().move_phase(&run(), &at(moved), place).await.unwrap();
        assert_eq!(order().await, expected, "{moved} before {before}");
    }
    bed.store.operator().move_phase(&run(), &at("a"), NewPlace::First).await.unwrap();
    bed.store.operator().move_phase(&run(), &at("a"), NewPlace::First).await.unwrap();
    assert_eq!(order().await, "abedc");
    assert_eq!(bed.claim().await.phase_id.as_str(), "a");
    let refused = bed.store.operator().move_phase(&run(), &at("a"), NewPlace::First).await;
    assert!(matches!(refused, Err(StoreError::WrongState { .. })), "{refused:?}");
}
