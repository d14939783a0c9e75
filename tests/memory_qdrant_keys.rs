//! The memory against a Qdrant that requires a key, like the real one: a wrong key, none, one with too few rights.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use autopack::memory::{Backend, Collection, Entry, Memory};

use serde_json::json;

use crate::memory::{Workspace, dead, sync, until_some};
use crate::memory_drain::backend;
use crate::memory_qdrant::{NO_AUTOSTART, memory_lines, project};
use crate::support::Project;
use crate::support::qdrant::StandIn;
use crate::support::ran::Ran;

/// One line, with both names for the key; FAISS serves.
#[track_caller]
fn denied_once(project: &Project, ran: &Ran, why: &str) {
    let lines = memory_lines(ran);
    assert_eq!(lines.len(), 1, "reported once: {ran:#?}");
    for part in ["FAISS in this process", why, "AUTOPACK_QDRANT_API_KEY", "memory.qdrant.api_key"] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    assert_eq!(backend(project), "faiss");
}

#[test]
fn a_wrong_key_is_reported_once_per_drain_and_faiss_is_used() {
    let stand_in = StandIn::start();
    *stand_in.state.api_key.lock().unwrap() = Some("the-right-key".into());
    let project = project(&stand_in, 4, NO_AUTOSTART).env("AUTOPACK_QDRANT_API_KEY", "another-key");
    let ran = project.drain().succeeded();
    denied_once(&project, &ran, "does not accept the API key (Invalid API key or JWT)");
    assert!(!format!("{ran:?}").contains("another-key"), "{ran:#?}");
    assert!(stand_in.state.all_points().is_empty());
    let stats = project.json(["memory", "stats", "--json"]);
    assert!(stats["problem"].as_str().unwrap().contains("API key"), "{stats}");
    assert_eq!(stats["backend"], "faiss");
    let right = [("AUTOPACK_QDRANT_API_KEY", "the-right-key")];
    project.autopack_with(["memory", "sync"], &right).succeeded();
    assert!(!stand_in.state.all_points().is_empty(), "nothing was lost");
}

#[test]
fn a_missing_key_is_reported_once_per_drain() {
    let stand_in = StandIn::start();
    *stand_in.state.api_key.lock().unwrap() = Some("the-right-key".into());
    let project = project(&stand_in, 4, NO_AUTOSTART);
    let ran = project.drain().succeeded();
    denied_once(&project, &ran, "requires an API key (Must provide an API key");
}

#[test]
fn a_read_only_key_is_reported_once_per_drain() {
    let stand_in = StandIn::start();
    *stand_in.state.read_only_api_key.lock().unwrap() = Some("reader".into());
    let project = project(&stand_in, 4, NO_AUTOSTART).env("AUTOPACK_QDRANT_API_KEY", "reader");
    let ran = project.drain().succeeded();
    denied_once(&project, &ran, "gives the API key too few rights");
    // The same with readable collections.
    *stand_in.state.read_only_api_key.lock().unwrap() = None;
    project.autopack(["memory", "sync"]).succeeded();
    assert!(!stand_in.state.all_points().is_empty());
    *stand_in.state.read_only_api_key.lock().unwrap() = Some("reader".into());
    let before = stand_in.state.all_points().len();
    let stats = project.json(["memory", "stats", "--json"]);
    assert!(
        stats["problem"].as_str().unwrap().contains("a key that may read and write"),
        "{stats}"
    );
    assert_eq!(stand_in.state.all_points().len(), before);
}

#[test]
fn a_required_qdrant_with_another_key_ends_the_drain_before_a_claim() {
    let stand_in = StandIn::start();
    *stand_in.state.api_key.lock().unwrap() = Some("the-right-key".into());
    let project = project(&stand_in, 2, "    autostart: false\n    require: true\n");
    let ran = project.drain().exited(1);
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:#?}");
    assert!(ran.stderr.contains("AUTOPACK_QDRANT_API_KEY"), "{ran:#?}");
    assert!(!ran.stderr.contains("up -d"), "starting it would not help: {ran:#?}");
    assert_eq!(project.phase("p0")["attempt_log"], json!([]));
    let health = project.autopack(["health", "--json", "--no-autostart"]).json().to_string();
    assert!(health.contains("AUTOPACK_QDRANT_API_KEY"), "{health}");
}

#[test]
fn a_key_changed_during_a_drain_is_reported_once() {
    let stand_in = StandIn::start();
    let project = project(&stand_in, 12, NO_AUTOSTART);
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let (mut landed, mut backs) = (0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
        landed += usize::from(line.contains(r#""verdict":"landed""#));
        backs += usize::from(line.contains("it is back"));
        if landed == 1 {
            *stand_in.state.api_key.lock().unwrap() = Some("a-new-one".into());
        }
    }
    let ran = project.wait(child).succeeded();
    assert_eq!((landed, backs), (12, 0), "{ran:#?}");
    let denials = ran.stderr.lines().filter(|line| line.contains("API key")).count();
    assert_eq!(denials, 1, "{ran:#?}");
}

#[tokio::test]
async fn a_qdrant_restarted_with_another_key_is_still_unavailable() {
    let mut qdrant = dead();
    let workspace = Workspace::new(&qdrant);
    let memory = workspace.open().await;
    *qdrant.state.api_key.lock().unwrap() = Some("another".into());
    qdrant.restart();
    until_some(|| async {
        assert_eq!(memory.at_batch().await, None, "it is not back");
        let problem = memory.stats().await.unwrap().unwrap().problem;
        problem.filter(|problem| problem.contains("requires an API key"))
    })
    .await;
    assert_eq!(memory.backend(), Backend::Faiss);
    *qdrant.state.api_key.lock().unwrap() = None;
    let line = until_some(|| memory.at_batch()).await;
    assert!(line.contains("it is back"), "{line}");
    assert_eq!(memory.backend(), Backend::Qdrant);
}

/// Remembering goes on whatever Qdrant answers; waiting entries reach it once the key is right.
#[tokio::test]
async fn entries_written_with_a_wrong_key_reach_qdrant_later() {
    let qdrant = StandIn::start();
    let workspace = Workspace::new(&qdrant);
    let memory: Memory = workspace.open().await;
    *qdrant.state.api_key.lock().unwrap() = Some("another".into());
    let entry = Entry::new(Collection::Planning, "run/phase", "split the parser first");
    memory.remember(entry).await;
    until_some(|| async { (memory.backend() == Backend::Faiss).then_some(()) }).await;
    *qdrant.state.api_key.lock().unwrap() = None;
    until_some(|| memory.at_batch()).await;
    sync(&memory).await;
    assert_eq!(qdrant.state.all_points().len(), 1);
    tokio::time::timeout(Duration::from_secs(20), memory.close()).await.unwrap();
}
