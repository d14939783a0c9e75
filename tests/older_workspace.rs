//! A workspace left by an older version goes on with this one: a dump of its database is loaded into a repository made
//! for it.

use autopack::process::host_place;
use serde_json::{Value, json};

use crate::support::Project;
use crate::support::database::execute_at;

const SCHEMA_7: &str = include_str!("fixtures/schema_7.sql");
/// Of the last version without `publish`: a run's branch, a queue of landings, requests for files.
const SCHEMA_21: &str = include_str!("fixtures/schema_21.sql");

/// The repository that belongs to the dump: landed work is on the branch, and the killed drain left its lock.
fn restored(schema: &str, attempt: u32) -> Project {
    let project = Project::new().agent("write_deliverables()");
    let commit = |revision: &str| project.git(["rev-parse", revision]).trim().to_owned();
    let base = commit("main");
    project.git(["checkout", "-q", "-b", "autopack/run"]);
    project.write("landed/a.txt", "x\n");
    project.git(["add", "landed"]);
    let trailers =
        format!("landed\n\nAutopack-Run: run\nAutopack-Phase: landed\nAutopack-Attempt: {attempt}");
    project.git(["commit", "-q", "-m", &trailers]);
    let landed = commit("autopack/run");
    project.git(["checkout", "-q", "main"]);
    project.git(["update-ref", "refs/autopack/bases/run", &base]);
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let dump = schema
        .replace("{BASE}", &base)
        .replace("{LANDED}", &landed)
        .replace("{REPO}", &project.root().display().to_string())
        .replace("{BOOT}", &autopack::process::boot_id())
        .replace("{HOST}", &host)
        .replace("{MACHINE}", &host_place::machine().unwrap_or_default())
        .replace("{NAMESPACE}", &host_place::pid_namespace().unwrap_or_default());
    execute_at(&project.path(".autopack/autopack.db"), &dump);
    let lock = dump.split('\'').find(|text| text.ends_with(".lock")).unwrap();
    std::fs::create_dir_all(project.path(".autopack/owners")).unwrap();
    std::fs::write(lock, "").unwrap();
    project.write(".autopack/attempts/run/kept/2/changes.patch", "kept work\n");
    project
}

#[test]
fn a_workspace_of_schema_7_drains_on() {
    drains_on(&restored(SCHEMA_7, 2));
}

#[test]
fn a_workspace_of_schema_21_drains_on() {
    drains_on(&restored(SCHEMA_21, 1));
}

/// What was killed and queued lands, what was settled stays, and kept work can be retried.
fn drains_on(project: &Project) {
    let shown = project.drain().exited(3).stdout;
    assert!(shown.contains("1 left by a drain that died"), "{shown}");
    assert!(
        !shown.contains("without a matching attempt"),
        "what was settled before is vouched for: {shown}"
    );
    let mut landed = project.landed();
    landed.sort();
    assert_eq!(landed, ["killed", "landed", "queued"]);
    let states = project.states();
    let state = |id: &str| states[id].as_str();
    assert_eq!((state("landed"), state("done-before")), ("COMPLETE", "COMPLETE"));
    assert_eq!((state("kept"), state("skipped")), ("FAILED", "SKIPPED"));
    let log: Value = project.phase("killed")["attempt_log"].clone();
    assert_eq!((&log[0]["outcome"], &log[1]["outcome"]), (&json!("crashed"), &json!("landed")));
    assert!(project.path(".autopack/attempts/run/kept/2/changes.patch").exists());

    project.autopack(["phases", "retry", "--run-id", "run", "kept"]).succeeded();
    project.drain().succeeded();
    assert_eq!(project.landed().len(), 4);
}
