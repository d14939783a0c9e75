//! History and samples of a run, page by page.

use super::*;
use crate::phase::{PhaseHistory, Tokens, Usage};

/// Reads everything, `limit` phases at a time.
async fn pages(bed: &StoreFixture, limit: u32) -> Vec<PhaseHistory> {
    let (mut cursor, mut all) = (HistoryCursor::default(), Vec::new());
    loop {
        let page = bed.store.history_page(&run(), &mut cursor, limit).await.unwrap();
        if page.is_empty() {
            return all;
        }
        assert!(page.len() <= limit as usize);
        all.extend(page);
    }
}

#[tokio::test]
async fn history_is_the_same_in_pages_of_any_size() {
    let bed = StoreFixture::with((0..5).map(|n| phase(&format!("p{n}"), &[])).collect()).await;
    for verdict in [red(), crashed(), passed(), red()] {
        let claim = bed.claim().await;
        bed.store.record_agent(&claim, "a", Some(10), None).await.unwrap();
        let tokens = Tokens { output: Some(7), ..Tokens::default() };
        let usage = Usage { tokens, ..Usage::default() };
        let finish = Finish { usage, ..Finish::of(verdict, NOW, true) };
        bed.store.finish(claim, &finish).await.unwrap();
    }
    bed.claim().await;
    let all = pages(&bed, 100).await;
    assert_eq!(pages(&bed, 1).await, all);
    assert_eq!(pages(&bed, 2).await, all);
    let names: Vec<&str> = all.iter().map(|phase| phase.phase_id.as_str()).collect();
    assert_eq!(names, ["p0", "p1", "p2", "p3", "p4"]);
    let outcomes: Vec<_> = all[0].attempts.iter().map(|attempt| attempt.outcome).collect();
    use AttemptOutcome::{Crashed, Failed, Landed};
    assert_eq!(outcomes, [Some(Failed), Some(Crashed), Some(Landed)]);
    assert_eq!(all[0].attempts[0].failure_kind.as_deref(), Some("ci_failed"));
    assert_eq!(all[0].attempts[0].tokens.output, Some(7));
    let running = &all[1].attempts;
    assert_eq!((running.len(), running[1].ended_at, running[1].outcome), (2, None, None));
    let log = bed.store.attempts_of(&run()).await.unwrap();
    assert_eq!(log.values().map(Vec::len).sum::<usize>(), 5);
    assert_eq!(log[&PhaseId::new("p0")], bed.log("p0").await);
}

#[tokio::test]
async fn samples_survive_removal_of_their_run() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    bed.store.record_agent(&claim, "a", Some(10), None).await.unwrap();
    bed.finish(claim, passed()).await;
    assert!(bed.store.samples_without_attempt(&[], i64::MIN, 9).await.unwrap().is_empty());
    bed.store.remove_run(&run()).await.unwrap();
    let lone = bed.store.samples_without_attempt(&[run()], i64::MIN, 9).await.unwrap();
    assert_eq!(lone.len(), 1);
    assert!(bed.store.samples_without_attempt(&[], lone[0].number, 9).await.unwrap().is_empty());
    assert!(
        bed.store
            .samples_without_attempt(&[RunId::new("x")], i64::MIN, 9)
            .await
            .unwrap()
            .is_empty()
    );
}
