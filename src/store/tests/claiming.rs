use super::*;

fn runs(names: &[&str]) -> Vec<RunId> {
    names.iter().map(|name| RunId::new(*name)).collect()
}

#[tokio::test]
async fn phases_come_in_the_plans_order() {
    let bed = Bed::with(vec![phase("b", &[]), phase("a", &[]), phase("c", &[])]).await;
    for (id, number) in [("b", 1), ("a", 1), ("c", 1)] {
        let claim = bed.claim().await;
        assert_eq!((claim.phase_id.as_str(), claim.attempt), (id, number));
        assert_eq!(claim.phase.phase_id().as_str(), id);
        assert_eq!(bed.row(id).await.state, PhaseState::Executing);
    }
    assert!(matches!(bed.next().await, Next::Nothing));
}

#[tokio::test]
async fn runs_come_in_the_order_given() {
    let bed = Bed::new().await;
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
    let bed = Bed::with(vec![phase("late", &["early"]), phase("early", &[])]).await;
    let claim = bed.claim().await;
    assert_eq!(claim.phase_id.as_str(), "early");
    assert!(matches!(bed.next().await, Next::Nothing));
    bed.finish(claim, passed()).await;
    assert_eq!(bed.claim().await.phase_id.as_str(), "late");
}

#[tokio::test]
async fn a_phase_that_took_drains_down_goes_behind_the_others() {
    let bed = Bed::with(vec![phase("poison", &[]), phase("good", &[])]).await;
    for _ in 0..3 {
        let claim = bed.claim().await;
        assert_eq!(claim.phase_id.as_str(), "poison");
        bed.finish(claim, crashed()).await;
    }
    assert_eq!(bed.claim().await.phase_id.as_str(), "good");
    let claim = bed.claim().await;
    assert_eq!((claim.phase_id.as_str(), claim.attempt, claim.tries), ("poison", 4, 0));
}

#[tokio::test]
async fn a_rate_limited_phase_waits_and_others_do_not() {
    let bed = Bed::with(vec![phase("a", &[]), phase("b", &[])]).await;
    let later = UnixMs(NOW.0 + 60_000);
    for _ in 0..2 {
        let claim = bed.claim().await;
        let limited = Requeue::RateLimited { not_before: later, message: "429".into() };
        bed.finish(claim, Verdict::Requeued(limited)).await;
    }
    assert!(matches!(bed.next().await, Next::Waiting { until } if until == later));
    assert_eq!(claimed(bed.next_at(later).await).phase_id.as_str(), "a");
    assert_eq!(bed.log("a").await[0].note.as_deref(), Some("429"));
}

#[tokio::test]
async fn an_unfixable_spec_fails_when_its_turn_comes() {
    let bed = Bed::with(vec![broken("bad"), phase("good", &[])]).await;
    let Next::Unfixable { phase_id, failure, .. } = bed.next().await else {
        panic!("the spec was taken")
    };
    assert_eq!((phase_id.as_str(), failure.message.as_str()), ("bad", "no path"));
    let row = bed.row("bad").await;
    assert_eq!((row.state, row.attempts, row.executions), (PhaseState::Failed, 0, 0));
    assert_eq!(row.last_failure.unwrap().kind, FailureKind::Unfixable);
    assert_eq!(bed.claim().await.phase_id.as_str(), "good");
}

#[tokio::test]
async fn the_repair_is_kept_with_the_claim_and_not_repeated() {
    let bed = Bed::with(vec![phase("a", &[])]).await;
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
async fn the_fixer_learns_the_last_failure_and_so_does_the_claim() {
    let bed = Bed::with(vec![phase("a", &[])]).await;
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
    };
    let second = claimed(bed.store.claim_next(&claimer, NOW).await.unwrap());
    assert_eq!(second.last_failure.as_ref().unwrap().message, "1 test failed");
    assert_eq!(*seen.lock().unwrap(), second.last_failure);
    assert_eq!((second.attempt, second.tries), (2, 1));
}

#[tokio::test]
async fn the_phases_own_bound_on_tries_wins() {
    let own = PlanPhase { max_attempts: Some(1), ..phase("a", &[]) };
    let bed = Bed::with(vec![own]).await;
    let claim = bed.claim().await;
    assert_eq!(claim.max_attempts, 1);
    assert_eq!(bed.finish(claim, red()).await, PhaseState::Failed);
}

#[tokio::test]
async fn only_registered_owners_that_are_not_fenced_claim() {
    let bed = Bed::with(vec![phase("a", &[])]).await;
    let stranger = claim(&bed.store, &OwnerId::new("stranger"), &[run()], NOW).await;
    assert!(matches!(stranger, Err(StoreError::Fenced { .. })), "{stranger:?}");
    bed.store.fence_owner(&bed.owner).await.unwrap();
    let fenced = claim(&bed.store, &bed.owner, &[run()], NOW).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    assert_eq!(bed.row("a").await.state, PhaseState::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_claimers_over_several_handles_take_each_phase_once() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    let phases = (0..600).map(|n| phase(&format!("p{n}"), &[])).collect();
    store.import(&plan(phases), false, NOW).await.unwrap();
    let mut claimers = Vec::new();
    for n in 0..20 {
        // Every fifth has a handle of its own, as another process would.
        let store = if n % 5 == 0 { open(&dir).await } else { store.clone() };
        let owner = register(&store, &format!("owner-{n}")).await;
        claimers.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            while let Next::Claimed(claim) = claim(&store, &owner, &[run()], NOW).await.unwrap() {
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
