//! Reclaiming the work of a dead drain.

use super::*;

#[tokio::test]
async fn crashed_attempt_is_requeued_and_a_late_finish_refused() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let stale = bed.claim().await;
    bed.store.record_agent(&stale, "default", None, None).await.unwrap();
    let orphan = bed.in_flight().await.remove(0);
    assert_eq!((orphan.attempt, orphan.agent.as_deref()), (1, Some("default")));
    let state =
        bed.store.reclaim_attempt(&orphan, ReclaimOutcome::Crashed, NOW, true).await.unwrap();
    assert_eq!(state, Some(PhaseState::Queued));
    assert!(matches!(
        bed.record_landing(&stale, "c0ffee").await,
        Err(StoreError::LeaseLost { .. })
    ));
    let refused = bed.store.finish(stale, &Finish::of(passed(), NOW, true)).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost { attempt: 1, .. })), "{refused:?}");
    let row = bed.row("a").await;
    assert_eq!((row.state, row.attempts), (PhaseState::Queued, 0));
    assert_eq!(bed.log("a").await[0].outcome, Some(AttemptOutcome::Crashed));
    let samples = bed.samples().await;
    assert_eq!(samples[0].failure_kind.as_deref(), Some("crashed"));
}

/// The phase is EXECUTING again, even for the same owner: only the attempt's number differs.
#[tokio::test]
async fn stale_finish_is_refused_during_the_next_attempt() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let stale = bed.claim().await;
    let orphan = bed.in_flight().await.remove(0);
    bed.store.reclaim_attempt(&orphan, ReclaimOutcome::Crashed, NOW, true).await.unwrap();
    let current = bed.claim().await;
    let refused = bed.store.finish(stale, &Finish::of(red(), NOW, true)).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost { .. })), "{refused:?}");
    let again =
        bed.store.reclaim_attempt(&orphan, ReclaimOutcome::Crashed, NOW, true).await.unwrap();
    assert_eq!(again, None);
    assert_eq!(bed.finish(current, passed()).await, PhaseState::Complete);
    assert_eq!(bed.row("a").await.attempts, 1);
}

#[tokio::test]
async fn landed_attempt_is_recognized_and_releases_dependents() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    let claim = bed.claim().await;
    bed.record_landing(&claim, "c0ffee").await.unwrap();
    let orphan = bed.in_flight().await.remove(0);
    let commit = orphan.landing_commit.clone().unwrap();
    let state = bed
        .store
        .reclaim_attempt(&orphan, ReclaimOutcome::Landed(commit), NOW, true)
        .await
        .unwrap();
    assert_eq!(state, Some(PhaseState::Complete));
    let row = bed.row("a").await;
    assert_eq!((row.commit.as_deref(), row.attempts), (Some("c0ffee"), 1));
    assert_eq!(bed.claim().await.phase_id.as_str(), "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_one_of_two_drains_reclaims_an_attempt() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let _dead = bed.claim().await;
    let orphan = bed.in_flight().await.remove(0);
    let mut drains = Vec::new();
    for _ in 0..4 {
        let (store, orphan) = (bed.database.open().await, orphan.clone());
        drains.push(tokio::spawn(async move {
            store.reclaim_attempt(&orphan, ReclaimOutcome::Crashed, NOW, true).await.unwrap()
        }));
    }
    let mut won = 0;
    for drain in drains {
        won += usize::from(drain.await.unwrap().is_some());
    }
    assert_eq!(won, 1);
    assert_eq!(bed.log("a").await.len(), 1);
}

#[tokio::test]
async fn finished_attempt_is_not_reclaimed() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    let orphan = bed.in_flight().await.remove(0);
    bed.finish(claim, passed()).await;
    let late =
        bed.store.reclaim_attempt(&orphan, ReclaimOutcome::Crashed, NOW, true).await.unwrap();
    assert_eq!(late, None);
    assert_eq!(bed.row("a").await.state, PhaseState::Complete);
}

#[tokio::test]
async fn fenced_owner_is_notified_and_records_no_landing() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    let control = bed.store.record_heartbeat(&bed.owner, 2).await.unwrap();
    assert_eq!(control, Control { fenced: false, stop: StopRequest::None });
    bed.store.fence_owner(&bed.owner).await.unwrap();
    assert!(bed.store.record_heartbeat(&bed.owner, 3).await.unwrap().fenced);
    let landing = bed.record_landing(&claim, "c0ffee").await;
    assert!(matches!(landing, Err(StoreError::LeaseLost { .. })), "{landing:?}");
    assert_eq!(bed.store.owners().await.unwrap()[0].heartbeat_boot_ms, 2);
    let failed = Verdict::Failed(Failure::new(FailureKind::NoChange, "its agent was killed"));
    let finished = bed.store.finish(claim, &Finish::of(failed, NOW, true)).await;
    assert!(matches!(finished, Err(StoreError::LeaseLost { .. })), "{finished:?}");
    assert_eq!(bed.row("a").await.attempts, 0);
}

#[tokio::test]
async fn owner_is_unregistered_only_without_work() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    assert!(!bed.store.unregister_owner(&bed.owner).await.unwrap());
    bed.finish(claim, passed()).await;
    assert!(bed.store.unregister_owner(&bed.owner).await.unwrap());
    assert!(bed.store.owners().await.unwrap().is_empty());
    assert!(bed.store.record_heartbeat(&bed.owner, 9).await.unwrap().fenced);
}

#[tokio::test]
async fn stop_request_reaches_drains_of_the_run_and_only_escalates() {
    let bed = StoreFixture::new().await;
    let stop =
        async |runs: &[RunId], how| bed.store.request_stop(runs, None, how).await.unwrap().len();
    assert_eq!(stop(&[RunId::new("other")], StopRequest::Now).await, 0);
    assert_eq!(stop(&[run()], StopRequest::Now).await, 1);
    assert_eq!(stop(&[], StopRequest::Graceful).await, 1);
    assert_eq!(bed.store.record_heartbeat(&bed.owner, 2).await.unwrap().stop, StopRequest::Now);
}
