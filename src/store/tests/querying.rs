//! Queries of runs, phases and attempts.

use super::*;
use crate::phase::{Tokens, Usage};
use crate::store::backend::query;

#[tokio::test]
async fn summary_counts_phases_and_usage() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &[]), phase("c", &["b"])]).await;
    let claim = bed.claim().await;
    let usage = Usage {
        tokens: Tokens { input: Some(3), ..Tokens::default() },
        cost_usd: Some(0.25),
        ..Usage::default()
    };
    let finish = Finish { usage, ..Finish::of(passed(), NOW, true) };
    bed.store.finish(claim, &finish).await.unwrap();
    let summary = bed.store.run(&run()).await.unwrap();
    assert_eq!(summary.counts, StateCounts { queued: 2, complete: 1, ..StateCounts::default() });
    assert_eq!(summary.counts.total(), 3);
    assert_eq!((summary.tokens.input, summary.tokens.output), (Some(3), None));
    assert_eq!((summary.cost_usd, summary.blocked), (Some(0.25), 0));
    assert_eq!(summary.facts, None);
}

#[tokio::test]
async fn unknown_run_is_reported_with_database_and_existing_runs() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let ghost = RunId::new("ghost");
    let path = bed.store.name().to_string();
    let unknown = |error: StoreError| error.to_string();
    let text = unknown(bed.store.require_runs(&[run(), ghost.clone()]).await.unwrap_err());
    assert_eq!(
        text,
        format!("no run is called \"ghost\" in the database {path}; existing runs: r")
    );
    assert_eq!(unknown(bed.store.run(&ghost).await.unwrap_err()), text);
    assert_eq!(unknown(bed.store.phases(&ghost, None).await.unwrap_err()), text);
    assert_eq!(unknown(bed.store.remove_run(&ghost).await.unwrap_err()), text);
    assert_eq!(
        unknown(
            bed.store.operator().retry(&ghost, PhaseSelector::Failed, false).await.unwrap_err()
        ),
        text
    );
}

#[tokio::test]
async fn phases_are_listed_by_state() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &["a"])]).await;
    let _claim = bed.claim().await;
    let queued = bed.store.phases(&run(), Some(PhaseState::Queued)).await.unwrap();
    assert_eq!(queued.len(), 1);
    assert_eq!((queued[0].phase_id.as_str(), &queued[0].depends_on), ("b", &ids(&["a"])));
    assert_eq!(bed.store.phases(&run(), None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn blocked_phase_has_a_reason() {
    let bed = StoreFixture::with(vec![
        phase("fails", &[]),
        phase("behind", &["fails"]),
        phase("far", &["behind"]),
        phase("limited", &[]),
        broken("bad"),
        phase("after", &["limited"]),
        phase("free", &[]),
    ])
    .await;
    for _ in 0..3 {
        let claim = bed.claim().await;
        bed.finish(claim, red()).await;
    }
    let until = UnixMs(NOW.0 + 1);
    let limited = RequeueReason::RateLimited { not_before: until, message: "429".into() };
    let claim = bed.claim().await;
    bed.finish(claim, Verdict::Requeued(limited)).await;
    bed.store.repair_queued(None, &fix, false, &mut |_| {}).await.unwrap();
    let waiting = bed.store.waiting_phases(&run(), NOW).await.unwrap();
    let reasons: Vec<String> = waiting
        .iter()
        .map(|w| {
            let needs: Vec<String> =
                w.needs.iter().map(|(id, state)| format!("{id} {state}")).collect();
            let (at, why) = (w.not_before.is_some(), w.unfixable.as_deref().unwrap_or("-"));
            format!("{}: blocked {}, needs {needs:?}, later {at}, {why}", w.phase_id, w.blocked)
        })
        .collect();
    assert_eq!(
        reasons,
        [
            r#"behind: blocked true, needs ["fails failed"], later false, -"#,
            r#"far: blocked true, needs ["behind queued"], later false, -"#,
            r#"limited: blocked false, needs [], later true, -"#,
            r#"bad: blocked false, needs [], later false, no path"#,
            r#"after: blocked false, needs ["limited queued"], later false, -"#,
        ]
    );
}

/// Skipped phases are reported with the overlapping phase: executing, or skipped before.
#[tokio::test]
async fn overlapping_phases_are_listed_with_each_other() {
    let phases = [("runs", "src/a"), ("under", "src/a/deep"), ("apart", "docs"), ("wide", "src")];
    let mut phases: Vec<PlanPhase> = phases.map(|(id, directory)| within(id, directory)).to_vec();
    phases.insert(0, phase("last", &["wide"]));
    phases.push(within("behind", "src/b"));
    let bed = StoreFixture::with(phases).await;
    bed.store.repair_queued(None, &fix_within, false, &mut |_| {}).await.unwrap();
    let reasons = async || -> Vec<String> {
        let waiting = bed.store.waiting_phases(&run(), NOW).await.unwrap();
        let with = |w: &Waiting| w.overlaps.as_ref().map(|(id, state)| format!("{id} {state}"));
        waiting.iter().map(|w| format!("{} {:?}", w.phase_id, with(w))).collect()
    };
    assert_eq!(reasons().await, ["last None"], "nothing runs yet");
    assert_eq!(bed.claim_within().await.unwrap().phase_id.as_str(), "runs");
    assert_eq!(
        reasons().await,
        [
            "last None",
            r#"under Some("runs running")"#,
            r#"wide Some("runs running")"#,
            r#"behind Some("wide queued")"#,
        ]
    );
}

#[tokio::test]
async fn repository_of_a_run_is_recorded_once() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let facts = |repo: &str| RunFacts {
        repo: repo.into(),
        branch: "autopack/r".into(),
        base_commit: "b4se".into(),
    };
    assert_eq!(bed.store.run_facts(&run()).await.unwrap(), None);
    let here = bed.store.record_run_facts(&run(), &facts("/here/.git")).await.unwrap();
    assert_eq!(here, facts("/here/.git"));
    let elsewhere = bed.store.record_run_facts(&run(), &facts("/there/.git")).await.unwrap();
    assert_eq!(elsewhere, here);
    assert_eq!(bed.store.run_facts(&run()).await.unwrap(), Some(here));
    // A move needs the previous location.
    assert!(!bed.store.move_run(&run(), "/there/.git", "/nowhere/.git").await.unwrap());
    assert!(bed.store.move_run(&run(), "/here/.git", "/moved/.git").await.unwrap());
    assert_eq!(bed.store.run_facts(&run()).await.unwrap(), Some(facts("/moved/.git")));
}

#[tokio::test]
async fn base_results_are_keyed_by_all_inputs() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let get = async |key: &BaseKey| bed.store.base_result(&run(), key).await.unwrap();
    let key = base_key("t1");
    assert_eq!(get(&key).await, None);
    for result in ["old", "new"] {
        bed.store.put_base_result(&run(), &key, result, NOW).await.unwrap();
    }
    assert_eq!(get(&key).await.as_deref(), Some("new"));
    let other = "other".to_owned();
    for key in [
        base_key("t2"),
        BaseKey { command: other.clone(), ..base_key("t1") },
        BaseKey { setup: other.clone(), ..base_key("t1") },
        BaseKey { environment: other, ..base_key("t1") },
    ] {
        assert_eq!(get(&key).await, None, "{key:?}");
    }
}

#[tokio::test]
async fn only_the_latest_results_of_a_command_are_kept() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    for at in 0..40 {
        let now = UnixMs(NOW.0 + at);
        bed.store.put_base_result(&run(), &base_key(&at.to_string()), "{}", now).await.unwrap();
    }
    let get = async |tree: &str| bed.store.base_result(&run(), &base_key(tree)).await.unwrap();
    assert_eq!((get("7").await, get("8").await.as_deref()), (None, Some("{}")));
}

#[tokio::test]
async fn unreadable_value_is_named() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    query("UPDATE phases SET raw_spec = '{'").execute(&bed.store.writer).await.unwrap();
    let error = bed.store.phases(&run(), None).await.unwrap_err().to_string();
    assert!(error.contains("phase a of run r"), "{error}");
    let error = claim(&bed.store, &bed.owner, &[run()], NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::BadRow { .. }), "{error}");
}

/// Compares with counting all phases.
#[tokio::test]
async fn run_has_work_until_all_queued_phases_are_blocked() {
    async fn has_work(bed: &StoreFixture) -> bool {
        let summary = bed.store.run(&run()).await.unwrap();
        let counts = summary.counts;
        let has_work = bed.store.has_work(&[run(), RunId::new("none")]).await.unwrap();
        assert_eq!(
            has_work,
            counts.executing > 0 || counts.queued > summary.blocked,
            "{summary:?}"
        );
        let backlog = bed.store.backlog(&[run()]).await.unwrap();
        let expected = Backlog {
            queued: counts.queued,
            executing: counts.executing,
            blocked: summary.blocked,
        };
        assert_eq!(backlog, expected);
        has_work
    }
    let one_try = |id: &str| PlanPhase { max_attempts: Some(1), ..phase(id, &[]) };
    let behind = phase("b", &["a"]);
    let bed =
        StoreFixture::with(vec![one_try("a"), behind, phase("c", &["b"]), phase("d", &[])]).await;
    assert!(has_work(&bed).await);
    let (a, d) = (bed.claim().await, bed.claim().await);
    assert!(has_work(&bed).await, "two execute, and nothing else could");
    bed.finish(d, passed()).await;
    assert!(has_work(&bed).await);
    assert_eq!(bed.finish(a, red()).await, PhaseState::Failed);
    assert!(!has_work(&bed).await, "all that is queued waits for a failed one");
    assert_eq!(
        bed.store.backlog(&[run()]).await.unwrap(),
        Backlog { queued: 2, executing: 0, blocked: 2 }
    );
    let later = RequeueReason::RateLimited { not_before: UnixMs(NOW.0 + 9), message: "429".into() };
    bed.store.import(&plan(vec![phase("e", &[])]), false, NOW).await.unwrap();
    let e = bed.claim().await;
    bed.finish(e, Verdict::Requeued(later)).await;
    assert!(has_work(&bed).await, "put off is not over");
}
