//! What a Postgres server tells other machines of.

use super::*;

/// A database whose server tells of changes; `None` for a file.
async fn listening(database: &TestDatabase) -> Option<(Store, [ChangeCount; 3])> {
    let store = database.open().await;
    store.file().is_none().then(|| {
        let kinds = [ChangeKind::Queue, ChangeKind::Work, ChangeKind::Stop];
        let counts = kinds.map(|kind| store.changes().of(kind));
        (store, counts)
    })
}

#[tokio::test]
async fn a_server_tells_of_work_and_stops_by_other_machines() {
    let database = TestDatabase::new().await;
    let Some((store, [_, mut work, mut stop])) = listening(&database).await else { return };
    let listening = store.clone();
    let listening = tokio::spawn(async move { match listening.listen().await {} });
    next_change(&mut work).await;
    next_change(&mut stop).await;
    assert_eq!(*work.borrow(), 0, "listening, and nothing was told yet");
    let other = database.open().await;
    let told = *work.borrow_and_update();
    other.import(&plan(vec![phase("p", &[])]), false, NOW).await.unwrap();
    assert!(*work.wait_for(|count| *count > told).await.unwrap() > told);
    listening.abort();
}

#[tokio::test]
async fn a_lost_connection_is_silence_and_then_news_of_everything() {
    let database = TestDatabase::new().await;
    let Some((store, [_, mut work, _])) = listening(&database).await else { return };
    let listening = store.clone();
    let listening = tokio::spawn(async move { match listening.listen().await {} });
    next_change(&mut work).await;
    database.open().await.import(&plan(vec![phase("p", &[])]), false, NOW).await.unwrap();
    work.wait_for(|count| *count > 0).await.unwrap();
    database.end_listeners().await;
    work.wait_for(|count| *count == 0).await.unwrap();
    next_change(&mut work).await;
    listening.abort();
}
