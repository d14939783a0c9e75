//! `drain --at`, `--until` and `--for`.

use std::io::{BufRead as _, BufReader, Read as _};

use jiff::{SignedDuration, Zoned};
use serde_json::json;

use crate::control::{ended, held, release, wait_for_line};
use crate::recovery::backlog;
use crate::support::process::signal;

/// A local time this many seconds ahead, with a date.
fn ahead(seconds: i64) -> String {
    let time = Zoned::now().saturating_add(SignedDuration::from_secs(seconds));
    time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

#[test]
fn from_the_time_limit_on_running_phases_finish_and_no_other_starts() {
    let project = held().plan(backlog(2));
    let mut child = project.spawn(["drain", "--run-id", "run", "--for", "2s", "--json"]);
    let mut notes = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut all) = (String::new(), String::new());
    while !line.contains("not starting new phases: the time limit ") {
        assert!(!all.contains("drain_finished"), "{all}");
        line.clear();
        assert!(notes.read_line(&mut line).unwrap() > 0, "{all}");
        all += &line;
    }
    assert!(all.contains("no phase starts from "), "{all}");
    release(&project);
    let mut events = String::new();
    child.stdout.take().unwrap().read_to_string(&mut events).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{events}");
    assert!(events.contains("\"reason\":\"time_limit\""), "{events}");
    assert_eq!(
        project.states(),
        serde_json::from_value(json!({"p000": "COMPLETE", "p001": "QUEUED"})).unwrap()
    );
    // All phases done before the limit: the drain ends as usual.
    let ran = project.autopack(["drain", "--run-id", "run", "--for", "1h"]);
    assert!(ran.succeeded().stdout.contains("drained after"));
}

#[test]
fn a_time_limit_ends_the_wait_of_a_paused_run() {
    let project = held().plan(backlog(2));
    project.autopack(["pause", "run"]).succeeded();
    let until = ahead(2);
    let child = project.spawn(["drain", "--run-id", "run", "--until", &until]);
    let ran = project.wait(child).succeeded();
    assert!(ran.stdout.contains("stopped at the time limit ("), "{ran:#?}");
    assert_eq!(project.states()["p000"], "QUEUED");
}

#[test]
fn a_dry_run_shows_the_window() {
    let project = held().plan(backlog(2));
    let shown = project.autopack(["drain", "run", "--dry-run", "--for", "90m"]).succeeded().stdout;
    assert!(shown.contains("window      no phase starts after "), "{shown}");
    assert!(shown.contains("(1 h 30 min)\n"), "{shown}");
    let at = ["drain", "run", "--dry-run", "--at", "2999-01-01T23:00", "--for", "6h"];
    let shown = project.autopack(at).succeeded().stdout;
    assert!(
        shown.contains("starts at 2999-01-01 23:00, no phase starts after 2999-01-02"),
        "{shown}"
    );
}

#[test]
fn a_drain_waits_for_its_start_and_ctrl_c_cancels_the_wait() {
    let project = held().plan(backlog(2));
    let far = ahead(90_000);
    let mut child = project.spawn(["drain", "--run-id", "run", "--at", &far]);
    let rest = wait_for_line(&mut child, "in 24 h");
    assert_eq!(project.autopack(["stop"]).succeeded().stdout, "no drain is running\n");
    signal(&child, "-INT");
    let (text, code) = ended(child, rest);
    assert_eq!((text.as_str(), code), ("cancelled; nothing was started\n", Some(130)));

    release(&project);
    let ran = project.autopack(["drain", "--run-id", "run", "--at", &ahead(2), "--for", "1h"]);
    let ran = ran.succeeded();
    let places = ["starting at ", "draining run", "no phase starts from ", "drained after"];
    let found: Vec<usize> = places.iter().map(|text| ran.stdout.find(text).unwrap()).collect();
    assert!(found.is_sorted(), "{ran:#?}");
}

#[test]
fn wrong_times_are_refused_before_anything_starts() {
    let project = held().plan(backlog(2));
    for (args, text) in [
        (&["--until", "25:00"][..], "expected a time (07:00) or a date and time"),
        (&["--at", "noon"], "expected a time (07:00) or a date and time"),
        (&["--for", "6"], "expected a duration such as 6h, 90m or 1h30m"),
        (&["--for", "0h"], "more than zero"),
        (&["--for", "6h", "--until", "07:00"], "cannot be used with"),
        (&["--at", "2020-01-01T00:00"], "--at 2020-01-01 00:00 is in the past"),
        (&["--until", "2020-01-01T00:00"], "--until 2020-01-01 00:00 is in the past"),
    ] {
        let ran = project.autopack(["drain", "--run-id", "run"].iter().chain(args)).exited(2);
        assert!(ran.stderr.contains(text), "{args:?}: {ran:#?}");
    }
    assert_eq!(project.states()["p000"], "QUEUED");
}
