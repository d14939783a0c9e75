//! Current activity of attempts, and newly ended attempts.

use super::*;

#[tokio::test]
async fn activity_is_visible_until_the_attempt_ends() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    let key = claim.key();
    assert_eq!(bed.in_flight().await[0].activity, None);
    bed.store.record_activity(key, "editing src/a.rs", UnixMs(5)).await.unwrap();
    let work = bed.in_flight().await.remove(0);
    assert_eq!(work.activity, Some(("editing src/a.rs".to_owned(), UnixMs(5))));
    assert_eq!((work.counted_attempts, work.max_attempts), (0, None));
    bed.finish(claim, passed()).await;
    // Too late, but no error: an ended attempt is never changed.
    bed.store.record_activity(key, "more", UnixMs(6)).await.unwrap();
}

#[tokio::test]
async fn locked_database_delays_neither_notes_nor_attempts() {
    let bed = StoreFixture::with(vec![phase("a", &[])]).await;
    let claim = bed.claim().await;
    let other = bed.database.open().await;
    let held = other.begin().await.unwrap();
    let noted = bed.store.record_activity(claim.key(), "editing", NOW).await;
    // SQLite's lock is on the whole file; a server has one for each row, and another for writers.
    if bed.store.file().is_some() {
        assert_eq!(noted.unwrap_err().database_kind(), Some(DatabaseErrorKind::Busy));
    }
    held.rollback().await.unwrap();
    bed.store.record_activity(claim.key(), "editing", NOW).await.unwrap();
    assert_eq!(bed.finish(claim, passed()).await, PhaseState::Complete);
}

#[tokio::test]
async fn attempts_ended_after_a_bookmark_are_listed_with_phase_state() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &[])]).await;
    let first = bed.claim().await;
    bed.finish(first, passed()).await;
    let mark = bed.store.bookmark().await.unwrap();
    assert!(bed.store.ended_after(mark).await.unwrap().is_empty(), "what was is no news");
    for _ in 1..=3 {
        let claim = bed.claim().await;
        bed.finish(claim, red()).await;
    }
    let ended = bed.store.ended_after(mark).await.unwrap();
    let states: Vec<(u32, PhaseState)> = ended.iter().map(|end| (end.attempt, end.state)).collect();
    use PhaseState::{Failed, Queued};
    assert_eq!(states, [(1, Queued), (2, Queued), (3, Failed)]);
    assert_eq!(ended[2].failure.as_ref().unwrap().message, "1 test failed");
    assert_eq!(ended[2].commit, None);
}

/// An attempt running at the time of the bookmark is reported at its end.
#[tokio::test]
async fn running_attempt_is_listed_after_its_end() {
    let bed = StoreFixture::with(vec![phase("a", &[]), phase("b", &[])]).await;
    let claim = bed.claim().await;
    let mark = bed.store.bookmark().await.unwrap();
    bed.finish(claim, passed()).await;
    let ended = bed.store.ended_after(mark).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].phase_id.as_str(), ended[0].state), ("a", PhaseState::Complete));
    assert_eq!(ended[0].outcome, AttemptOutcome::Landed);
}
