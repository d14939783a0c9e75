//! Effects of a verdict on attempt, phase and samples.

use super::*;
use crate::phase::{Tokens, Usage};
use crate::store::backend::query;

fn full(verdict: Verdict) -> Finish {
    let tokens =
        Tokens { input: Some(10), output: Some(20), cache_read: None, cache_write: Some(0) };
    let usage = Usage {
        tokens,
        cost_usd: Some(0.5),
        model: Some("m".into()),
        truncated: true,
        stop_reason: Some("length".into()),
    };
    Finish {
        usage,
        agent_ms: Some(1500),
        ci_ms: None,
        ..Finish::of(verdict, UnixMs(NOW.0 + 9), true)
    }
}

#[tokio::test]
async fn landed_attempt_completes_its_phase_and_is_stored_in_full() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    bed.store.record_slot(&claim, "slot-1", "/logs/1").await.unwrap();
    bed.store.record_agent(&claim, "default", Some(40), None).await.unwrap();
    bed.record_landing(&claim, "c0ffee").await.unwrap();
    let finish = full(passed());
    assert_eq!(bed.store.finish(claim, &finish).await.unwrap(), PhaseState::Complete);
    let row = bed.row("a").await;
    assert_eq!((row.commit.as_deref(), row.attempts), (Some("c0ffee"), 1));
    let expected = AttemptRow {
        attempt: 1,
        owner: bed.owner.clone(),
        started_at: NOW,
        ended_at: Some(finish.ended),
        outcome: Some(AttemptOutcome::Landed),
        failure: None,
        note: None,
        agent: Some("default".into()),
        slot: Some("slot-1".into()),
        log_dir: Some("/logs/1".into()),
        host: Some("host".into()),
        landing_commit: Some("c0ffee".into()),
        reverted_by: None,
        usage: finish.usage,
        estimated_output: Some(40),
        agent_ms: Some(1500),
        ci_ms: None,
    };
    assert_eq!(bed.log("a").await, [expected]);
}

#[tokio::test]
async fn each_verdict_has_its_outcome() {
    let failure = Failure::new(FailureKind::CiFailed, "red");
    let message = || "why".to_owned();
    let cases = [
        (Verdict::Passed { commit: None }, "no_change_needed", PhaseState::Complete),
        (Verdict::Failed(failure), "failed", PhaseState::Queued),
        (Verdict::Requeued(RequeueReason::Interrupted), "interrupted", PhaseState::Queued),
        (crashed(), "crashed", PhaseState::Queued),
        (
            Verdict::Requeued(RequeueReason::BaseMoved { message: message() }),
            "base_moved",
            PhaseState::Queued,
        ),
        (
            Verdict::Requeued(RequeueReason::Systemic { message: message() }),
            "systemic",
            PhaseState::Queued,
        ),
    ];
    for (verdict, outcome, state) in cases {
        let bed = StoreFixture::with(vec![phase("a", &[])]).await;
        let claim = bed.claim().await;
        assert_eq!(bed.finish(claim, verdict).await, state, "{outcome}");
        assert_eq!(bed.log("a").await[0].outcome.unwrap().as_str(), outcome);
        assert_eq!(bed.row("a").await.commit, None);
    }
}

#[tokio::test]
async fn used_up_attempts_fail_the_phase_with_the_last_failure() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    for (tries, state) in
        [(0, PhaseState::Queued), (1, PhaseState::Queued), (2, PhaseState::Failed)]
    {
        let claim = bed.claim().await;
        assert_eq!(claim.counted_attempts, tries);
        assert_eq!(bed.finish(claim, red()).await, state);
    }
    let row = bed.row("a").await;
    assert_eq!((row.attempts, row.executions), (3, 3));
    assert_eq!(row.last_failure.unwrap().message, "1 test failed");
    assert_eq!(bed.log("a").await[2].failure.as_ref().unwrap().kind, FailureKind::CiFailed);
}

#[tokio::test]
async fn uncounted_requeues_are_bounded_across_attempts() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    for _ in 0..9 {
        let claim = bed.claim().await;
        assert_eq!(bed.finish(claim, crashed()).await, PhaseState::Queued);
    }
    let claim = bed.claim().await;
    assert_eq!(bed.finish(claim, crashed()).await, PhaseState::Failed);
    let row = bed.row("a").await;
    assert_eq!((row.attempts, row.executions), (0, 10));
    assert_eq!(row.last_failure.unwrap().kind, FailureKind::GaveUp);
    assert_eq!(bed.log("a").await[9].failure.as_ref().unwrap().kind, FailureKind::GaveUp);
}

#[tokio::test]
async fn attempt_with_a_started_agent_creates_a_sample() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    for verdict in [red(), Verdict::Requeued(RequeueReason::Interrupted), passed()] {
        let claim = bed.claim().await;
        bed.store.record_agent(&claim, "default", Some(40), None).await.unwrap();
        bed.store.finish(claim, &full(verdict)).await.unwrap();
    }
    let samples = bed.samples().await;
    let reported: Vec<_> = samples
        .iter()
        .map(|s| (s.attempt.unwrap(), s.success, s.failure_kind.as_deref()))
        .collect();
    assert_eq!(
        reported,
        [(1, false, Some("ci_failed")), (2, false, Some("interrupted")), (3, true, None)]
    );
    let last = &samples[2];
    assert_eq!((last.run_id.as_str(), last.phase_id.as_str()), ("r", "a"));
    assert_eq!((last.category.as_str(), last.complexity.as_str()), ("implementation", "medium"));
    assert_eq!(last.deliverables, ["a.txt"]);
    assert_eq!((last.predicted_output_tokens, last.actual_output_tokens), (Some(40), Some(20)));
    assert_eq!((last.cache_read_tokens, last.ci_ms, last.agent_ms), (None, None, Some(1500)));
    assert!(last.truncated);
    let page =
        bed.store.samples_page(&SampleFilter::default(), Some(&samples[0]), 1).await.unwrap();
    assert_eq!(page, samples[1..2]);
}

#[tokio::test]
async fn attempt_without_agent_or_telemetry_creates_no_sample() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    bed.store.finish(claim, &full(red())).await.unwrap();
    let claim = bed.claim().await;
    bed.store.record_agent(&claim, "default", None, None).await.unwrap();
    bed.store.finish(claim, &Finish { note: None, telemetry: false, ..full(red()) }).await.unwrap();
    assert!(bed.samples().await.is_empty());
    assert_eq!(bed.log("a").await[1].usage.tokens.output, Some(20));
}

#[tokio::test]
async fn history_is_append_only() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    bed.finish(claim, red()).await;
    for (sql, why) in [
        ("UPDATE attempts SET outcome = 'landed'", "never changed"),
        ("UPDATE attempts SET log_dir = 'x'", "never changed"),
        ("UPDATE attempts SET attempt = 9", "keeps its phase"),
        ("DELETE FROM attempts", "only with its run"),
    ] {
        let error = query(sql).execute(&bed.store.writer).await.unwrap_err().to_string();
        assert!(error.contains(why) || error.contains("never changed"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn database_constraints_refuse_impossible_rows() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    for sql in [
        "UPDATE phases SET state = 'DONE'",
        "UPDATE phases SET state = 'EXECUTING'",
        "UPDATE phases SET owner = 'owner-1'",
        "UPDATE phases SET commit_id = 'c0ffee'",
        "UPDATE phases SET unmet = -1",
        "UPDATE phases SET attempts = 'many'",
        "UPDATE runs SET repo = '/x'",
        "INSERT INTO dependencies SELECT id, id FROM phases",
        "INSERT INTO dependencies SELECT id, 99 FROM phases",
    ] {
        assert!(query(sql).execute(&bed.store.writer).await.is_err(), "{sql}");
    }
}

/// Budget usage of a run counts each attempt with a started agent, once, at its end.
#[tokio::test]
async fn usage_of_a_run_grows_with_each_attempt() {
    let bed = StoreFixture::with((0..6).map(|n| phase(&format!("p{n}"), &[])).collect()).await;
    let limited =
        RequeueReason::RateLimited { not_before: UnixMs(NOW.0 + 60_000), message: "429".into() };
    let ends = [
        // Known tokens; no tokens, so the estimate counts; rate limited.
        (full(passed()), true),
        (Finish::of(red(), UnixMs(NOW.0 + 5), true), true),
        (Finish::of(Verdict::Requeued(limited), UnixMs(NOW.0 + 1), true), true),
        // The agent never started.
        (Finish::of(crashed(), UnixMs(NOW.0 + 1000), true), false),
    ];
    for (finish, reached) in ends {
        let claim = bed.claim().await;
        if reached {
            bed.store.record_agent(&claim, "default", Some(40), None).await.unwrap();
        }
        bed.store.finish(claim, &finish).await.unwrap();
    }
    let running = bed.claim().await;
    bed.store.record_agent(&running, "default", Some(7), None).await.unwrap();
    let runs = [run()];
    let claimer = Claimer { spending: true, ..claimer(&bed.owner, &runs) };
    let spent = claimed(bed.store.claim_next(&claimer, UnixMs(NOW.0 + 3)).await.unwrap()).spent.run;
    assert_eq!((spent.attempts, spent.running), (3, 1), "{spent:?}");
    // A running attempt is expected to use as much as an ended attempt.
    assert_eq!((spent.tokens, spent.cost_usd), (30 + 40 + 35, 0.5 + 0.25), "{spent:?}");
    assert_eq!(spent.wall.as_millis(), 9 + 5 + 1 + 3, "{spent:?}");
}
