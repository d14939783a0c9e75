//! Drains of several machines: labels that phases ask for, the list of drains, stops by host.

use serde_json::json;

use crate::support::Project;
use crate::support::meeting::MEETING;

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn project(agent: &str) -> Project {
    let project = Project::new();
    std::fs::create_dir(project.outside("meeting")).unwrap();
    project.agent_with(&format!("{MEETING}\n{agent}"), GREEN)
}

#[test]
fn phases_run_only_where_their_labels_are_given() {
    let project = project("write_deliverables()").plan(json!({"phases": [
        {"phase_id": "train", "deliverables": ["a/a.txt"], "machine_labels": ["gpu", "large"]},
        {"phase_id": "docs", "deliverables": ["b/b.txt"]},
        {"phase_id": "render", "deliverables": ["c/c.txt"], "machine_labels": "gpu"},
    ]}));
    let ran = project.autopack(["drain", "--run-id", "run"]).succeeded();
    let note = "phases need a machine with the label gpu; start a drain there with --label gpu";
    assert_eq!(ran.stderr.matches(note).count() + ran.stdout.matches(note).count(), 1, "{ran:#?}");
    let states = project.states();
    assert_eq!((&*states["docs"], &*states["train"]), ("COMPLETE", "QUEUED"));
    project.autopack(["drain", "--run-id", "run", "--label", "gpu"]).succeeded();
    let states = project.states();
    assert_eq!((&*states["render"], &*states["train"]), ("COMPLETE", "QUEUED"));
    project
        .autopack(["drain", "--run-id", "run", "--label", "gpu", "--label", "large"])
        .succeeded();
    assert_eq!(project.states()["train"], "COMPLETE");
}

/// More phases than one walk along the queue examines.
#[test]
fn many_phases_of_another_machine_hide_none() {
    let phase = |n: usize| {
        json!({"phase_id": format!("g{n:03}"), "deliverables": [format!("g{n}.txt")],
        "machine_labels": ["gpu"]})
    };
    let mut phases: Vec<_> = (0..501).map(phase).collect();
    phases.push(json!({"phase_id": "plain", "deliverables": ["plain.txt"]}));
    let project = project("write_deliverables()").plan(json!({"phases": phases}));
    project.autopack(["drain", "--run-id", "run"]).succeeded();
    assert_eq!(project.states()["plain"], "COMPLETE");
}

#[test]
fn drains_are_listed_and_stopped_by_host() {
    let project = project("say('came')\nwait_for('go')\nwrite_deliverables()")
        .plan(json!({"phases": [{"phase_id": "a", "deliverables": ["a.txt"]}]}));
    assert!(project.autopack(["hosts"]).succeeded().stdout.starts_with("no drain is registered"));
    let drain = project.spawn(["drain", "--run-id", "run", "--label", "gpu", "--jobs", "3"]);
    let came = project.outside("meeting/came");
    while !came.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let hosts = project.json(["hosts", "--json"]);
    let [host] = hosts.as_array().unwrap().as_slice() else { panic!("{hosts:#}") };
    assert_eq!((&host["workers"], &host["labels"]), (&json!(3), &json!(["gpu"])), "{host:#}");
    assert_eq!((&host["runs"], &host["is_dead"]), (&json!(["run"]), &json!(false)), "{host:#}");
    assert_eq!(host["executing"][0]["phase_id"], "a", "{host:#}");
    assert!(host["last_seen_ms"].as_u64().is_some(), "{host:#}");
    let name = host["host"].as_str().unwrap();
    let listed = project.autopack(["hosts"]).succeeded().stdout;
    assert!(listed.contains(name) && listed.contains("gpu"), "{listed}");
    let other = project.autopack(["stop", "--host", "another-host"]).succeeded();
    assert!(other.stdout.contains("no drain is running"), "{other:#?}");
    project.autopack(["stop", "--host", name]).succeeded();
    project.wait(drain).exited(130);
    assert_eq!(project.states()["a"], "QUEUED");
}
