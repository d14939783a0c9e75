//! What a user does with the run's branch, and with the repository, between two drains.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Project;

fn phases<const N: usize>(ids: [&str; N]) -> Value {
    let phase =
        |id| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")], "max_attempts": 1});
    json!({ "phases": Vec::from(ids.map(phase)) })
}

#[test]
fn a_repository_that_was_moved_takes_its_runs_along_and_a_copy_does_not() {
    let project = Project::new().agent("write_deliverables()").plan(phases(["one", "two"]));
    let one = ["drain", "--run-id", "run", "--batch-size", "1", "--max-batches", "1"];
    project.autopack(one).succeeded();
    let (copy, moved) = (project.outside("copy"), project.outside("moved"));
    assert!(
        Command::new("cp").arg("-a").arg(project.root()).arg(&copy).status().unwrap().success()
    );
    let at = |folder: &Path, args: &[&str]| {
        project.autopack([&["--workspace", folder.to_str().unwrap()], args].concat())
    };
    let drain = ["drain", "--run-id", "run"];
    let refused = at(&copy, &drain).exited(1);
    assert!(refused.stderr.contains("run run belongs to the repository"), "{refused:#?}");

    fs::rename(project.root(), &moved).unwrap();
    fs::create_dir(project.root()).unwrap();
    let said = "run run goes on here: its repository was moved";
    let dry = at(&moved, &["gc", "--dry-run"]).succeeded();
    assert!(!dry.stderr.contains(said) && !dry.stdout.contains("another repository"), "{dry:#?}");
    let went_on = at(&moved, &drain).succeeded();
    assert_eq!(went_on.stderr.matches(said).count(), 1, "{went_on:#?}");
    let again = at(&moved, &drain).succeeded();
    assert!(!again.stderr.contains(said), "{again:#?}");
    let log = ["-C", moved.to_str().unwrap(), "log", "--format=%s", "main..autopack/run"];
    assert_eq!(project.git(log), "two\none\n");
}
