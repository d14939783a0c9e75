//! Order and owner of claims.

use super::*;

fn runs(names: &[&str]) -> Vec<RunId> {
    names.iter().map(|name| RunId::new(*name)).collect()
}

#[tokio::test]
async fn phases_are_claimed_in_plan_order() {
    let bed = StoreFixture::with(vec![phase("b", &[]), phase("a", &[]), phase("c", &[])]).await;
    for (id, number) in [("b", 1), ("a", 1), ("c", 1)] {
        let claim = bed.claim().await;
        assert_eq!((claim.phase_id.as_str(), claim.attempt), (id, number));
        assert_eq!(claim.phase.phase_id().as_str(), id);
        assert_eq!(bed.row(id).await.state, PhaseState::Executing);
    }
    assert!(matches!(bed.next().await, ClaimOutcome::Held { by_another: None, until: None, .. }));
}

#[tokio::test]
async fn runs_are_claimed_in_the_given_order() {
    let bed = StoreFixture::new().await;
    let two = Plan {
        runs: vec![plan_run("one", vec![phase("a", &[])]), plan_run("two", vec![phase("b", &[])])],
    };
    bed.store.import(&two, false, NOW).await.unwrap();
    for expected in ["two", "one"] {
        let next = claim(&bed.store, &bed.owner, &runs(&["two", "one"]), NOW).await.unwrap();
        assert_eq!(claimed(next).run_id.as_str(), expected);
    }
}

#[tokio::test]
async fn dependencies_come_first() {
    let bed = StoreFixture::with(vec![phase("late", &["early"]), phase("early", &[])]).await;
    let claim = bed.claim().await;
    assert_eq!(claim.phase_id.as_str(), "early");
    assert!(matches!(bed.next().await, ClaimOutcome::Held { by_another: None, until: None, .. }));
    bed.finish(claim, passed()).await;
    let late = bed.claim().await;
    assert_eq!(late.phase_id.as_str(), "late");
    bed.finish(late, passed()).await;
    assert!(matches!(bed.next().await, ClaimOutcome::Nothing));
}

#[tokio::test]
async fn phase_with_crashes_is_claimed_last() {
    let bed = StoreFixture::with(vec![phase("poison", &[]), phase("good", &[])]).await;
    for _ in 0..3 {
        let claim = bed.claim().await;
        assert_eq!(claim.phase_id.as_str(), "poison");
        bed.finish(claim, crashed()).await;
    }
    assert_eq!(bed.claim().await.phase_id.as_str(), "good");
    let claim = bed.claim().await;
    assert_eq!((claim.phase_id.as_str(), claim.attempt, claim.counted_attempts), ("poison", 4, 0));
}

#[tokio::test]
async fn rate_limited_phase_waits_and_others_continue() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &[])]).await;
    let later = UnixMs(NOW.0 + 60_000);
    for _ in 0..2 {
        let claim = bed.claim().await;
        let limited = RequeueReason::RateLimited { not_before: later, message: "429".into() };
        bed.finish(claim, Verdict::Requeued(limited)).await;
    }
    assert!(matches!(bed.next().await, ClaimOutcome::Waiting { until } if until == later));
    assert_eq!(claimed(bed.next_at(later).await).phase_id.as_str(), "a");
    assert_eq!(bed.log("a").await[0].note.as_deref(), Some("429"));
}

#[tokio::test]
async fn unfixable_spec_fails_when_claimed() {
    let bed = StoreFixture::with(vec![broken("bad"), phase("good", &[])]).await;
    let ClaimOutcome::Unfixable { phase_id, failure, .. } = bed.next().await else {
        panic!("the spec was taken")
    };
    assert_eq!((phase_id.as_str(), failure.message.as_str()), ("bad", "no path"));
    let row = bed.row("bad").await;
    assert_eq!((row.state, row.attempts, row.executions), (PhaseState::Failed, 0, 0));
    assert_eq!(row.last_failure.unwrap().kind, FailureKind::Unfixable);
    assert_eq!(bed.claim().await.phase_id.as_str(), "good");
}

#[tokio::test]
async fn repair_is_stored_with_the_claim_and_not_repeated() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    for _ in 0..2 {
        let claim = bed.claim().await;
        bed.finish(claim, red()).await;
    }
    let detail = bed.store.phase(&run(), &PhaseId::new("a")).await.unwrap();
    assert_eq!(detail.fixes, ["marked as fixed"]);
    assert!(detail.row.repaired);
    assert_eq!(detail.row.spec.0["fixed"], true);
    assert_eq!(detail.raw, phase("a", &[]).spec);
}

#[tokio::test]
async fn fixer_and_claim_receive_the_last_failure() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let first = bed.claim().await;
    assert_eq!(first.last_failure, None);
    bed.finish(first, red()).await;
    let seen = std::sync::Mutex::new(None);
    let watching = |raw: &RawSpec, last: Option<&Failure>| {
        *seen.lock().unwrap() = last.cloned();
        fix(raw, last)
    };
    let runs = [run()];
    let claimer = Claimer {
        owner: &bed.owner,
        runs: &runs,
        max_attempts: 3,
        fix: &watching,
        only: &[],
        admit: &|_| Admission::Go,
        spending: true,
        keys: &[],
    };
    let second = claimed(bed.store.claim_next(&claimer, NOW).await.unwrap());
    assert_eq!(second.last_failure.as_ref().unwrap().message, "1 test failed");
    assert_eq!(*seen.lock().unwrap(), second.last_failure);
    assert_eq!((second.attempt, second.counted_attempts), (2, 1));
}

#[tokio::test]
async fn max_attempts_of_the_phase_takes_precedence() {
    let own = PlanPhase { max_attempts: Some(1), ..phase("a", &[]) };
    let bed = StoreFixture::with(vec![own]).await;
    let claim = bed.claim().await;
    assert_eq!(claim.max_attempts, 1);
    assert_eq!(bed.finish(claim, red()).await, PhaseState::Failed);
}

#[tokio::test]
async fn only_registered_unfenced_owners_can_claim() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let stranger = claim(&bed.store, &OwnerId::new("stranger"), &[run()], NOW).await;
    assert!(matches!(stranger, Err(StoreError::Fenced { .. })), "{stranger:?}");
    bed.store.fence_owner(&bed.owner).await.unwrap();
    let fenced = claim(&bed.store, &bed.owner, &[run()], NOW).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    assert_eq!(bed.row("a").await.state, PhaseState::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_claimers_claim_each_phase_once() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    let phases = (0..600).map(|n| phase(&format!("p{n}"), &[])).collect();
    store.import(&plan(phases), false, NOW).await.unwrap();
    let mut claimers = Vec::new();
    for n in 0..20 {
        // Every fifth claim uses a handle of its own, like another process.
        let store = if n % 5 == 0 { database.open().await } else { store.clone() };
        let owner = register(&store, &format!("owner-{n}")).await;
        claimers.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            while let ClaimOutcome::Claimed(claim) =
                claim(&store, &owner, &[run()], NOW).await.unwrap()
            {
                mine.push(claim.phase_id.clone());
                let finish = Finish::of(passed(), NOW, true);
                assert_eq!(store.finish(*claim, &finish).await.unwrap(), PhaseState::Complete);
            }
            mine
        }));
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), 600);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 600);
    assert_eq!(store.run(&run()).await.unwrap().counts.complete, 600);
}

#[tokio::test]
async fn overlapping_phase_waits_until_the_executing_phase_ends() {
    let phases = vec![within("a", "src/a"), within("b", "src/a/deep"), within("c", "src/c")];
    let bed = StoreFixture::with(phases).await;
    let a = bed.claim_within().await.unwrap();
    let c = bed.claim_within().await.unwrap();
    assert_eq!((a.phase_id.as_str(), c.phase_id.as_str()), ("a", "c"));
    let runs = [run()];
    let claimer = Claimer { fix: &fix_within, ..claimer(&bed.owner, &runs) };
    let next = bed.store.claim_next(&claimer, NOW).await.unwrap();
    assert!(matches!(
        next,
        ClaimOutcome::Held { by_another: None, until: None, overlapping: true, .. }
    ));
    bed.finish(c, passed()).await;
    assert!(bed.claim_within().await.is_none(), "the other one still runs");
    bed.finish(a, passed()).await;
    assert_eq!(bed.claim_within().await.unwrap().phase_id.as_str(), "b");
}

#[tokio::test]
async fn overlaps_with_phases_of_other_owners_are_named() {
    let bed = StoreFixture::with(vec![within("a", "src"), within("b", "src")]).await;
    let other = register(&bed.store, "owner-2").await;
    let _theirs = claimed(claim(&bed.store, &other, &[run()], NOW).await.unwrap());
    let runs = [run()];
    let ours = Claimer { fix: &fix_within, ..claimer(&bed.owner, &runs) };
    let next = bed.store.claim_next(&ours, NOW).await.unwrap();
    let ClaimOutcome::Claimed(free) = next else {
        panic!("a.txt and src do not overlap: {next:?}")
    };
    bed.finish(*free, passed()).await;
    let next = bed.store.claim_next(&ours, NOW).await.unwrap();
    let ClaimOutcome::Held { by_another: Some(a), overlapping: false, .. } = next else {
        panic!("there is nothing but theirs: {next:?}")
    };
    assert_eq!(a.as_str(), "a");
}

#[tokio::test]
async fn skipped_phase_is_not_overtaken_by_overlapping_phases() {
    let phases = vec![
        within("runs", "src/a"),
        PlanPhase {
            spec: RawSpec(json!({"phase_id": "wide", "deliverables": ["src/"]})),
            ..phase("wide", &[])
        },
        within("narrow", "src/b"),
        within("apart", "docs"),
    ];
    let bed = StoreFixture::with(phases).await;
    let runs = bed.claim_within().await.unwrap();
    assert_eq!(bed.claim_within().await.unwrap().phase_id.as_str(), "apart");
    assert!(bed.claim_within().await.is_none(), "src/b would delay src");
    bed.finish(runs, passed()).await;
    let wide = bed.claim_within().await.unwrap();
    assert_eq!(wide.phase_id.as_str(), "wide");
    bed.finish(wide, passed()).await;
    assert_eq!(bed.claim_within().await.unwrap().phase_id.as_str(), "narrow");
}

#[tokio::test]
async fn runs_do_not_wait_for_each_other() {
    let bed = StoreFixture::new().await;
    let two = Plan {
        runs: vec![
            plan_run("one", vec![within("a", "src")]),
            plan_run("two", vec![within("a", "src")]),
        ],
    };
    bed.store.import(&two, false, NOW).await.unwrap();
    let names = runs(&["one", "two"]);
    for expected in ["one", "two"] {
        let claimer = Claimer { fix: &fix_within, ..claimer(&bed.owner, &names) };
        let next = bed.store.claim_next(&claimer, NOW).await.unwrap();
        assert_eq!(claimed(next).run_id.as_str(), expected);
    }
}

#[tokio::test]
async fn new_spec_gets_a_new_footprint() {
    let bed = StoreFixture::with(vec![within("a", "src"), within("b", "src/b")]).await;
    let a = bed.claim_within().await.unwrap();
    assert!(bed.claim_within().await.is_none());
    bed.store.import(&plan(vec![within("b", "docs")]), true, NOW).await.unwrap();
    assert_eq!(bed.claim_within().await.unwrap().phase_id.as_str(), "b");
    bed.finish(a, passed()).await;
}

#[tokio::test]
async fn held_admission_waits_for_an_executing_phase() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &[])]).await;
    let _a = bed.claim().await;
    let runs = [run()];
    let claimer = Claimer { admit: &|_| Admission::Hold, ..claimer(&bed.owner, &runs) };
    let next = bed.store.claim_next(&claimer, NOW).await.unwrap();
    assert!(matches!(next, ClaimOutcome::Held { by_another: None, until: None, .. }), "{next:?}");
    assert_eq!(bed.row("b").await.state, PhaseState::Queued);
}

/// Nothing later can fit, so nothing later is examined; the overlap is still reported.
#[tokio::test]
async fn phase_with_unlimited_scope_holds_all_others() {
    let phases = vec![within("a", "src"), within("all", "."), within("free", "docs")];
    let bed = StoreFixture::with(phases).await;
    let a = bed.claim_within().await.unwrap();
    assert!(bed.claim_within().await.is_none(), "`all` stays ahead of `free`");
    let runs = [run()];
    let claimer = Claimer { fix: &fix_within, ..claimer(&bed.owner, &runs) };
    let next = bed.store.claim_next(&claimer, NOW).await.unwrap();
    assert!(matches!(next, ClaimOutcome::Held { overlapping: true, .. }), "{next:?}");
    bed.finish(a, passed()).await;
    let all = bed.claim_within().await.unwrap();
    assert_eq!(all.phase_id.as_str(), "all");
    assert!(bed.claim_within().await.is_none());
    bed.finish(all, passed()).await;
    assert_eq!(bed.claim_within().await.unwrap().phase_id.as_str(), "free");
}
