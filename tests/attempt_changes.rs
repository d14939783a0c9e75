//! `diff` and `open`: the change and the files of an attempt.

use crate::support::Project;
use serde_json::{Value, json};

macro_rules! golden {
    ($name:literal, $text:expr) => {
        insta::with_settings!({snapshot_path => "snapshots/golden", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

const CI: &str = "ci: {command: [\"true\"]}\n";

/// `good` landed; `bad` left its scope, so its change is kept.
fn drained() -> Project {
    let body = "write_deliverables('first\\nsecond\\n')\nif phase_id == 'bad': write('setup.cfg')";
    let phase = |id: &str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")], "max_attempts": 1});
    let project = Project::new()
        .agent_with(body, CI)
        .plan(json!({"phases": [phase("good"), phase("bad"), phase("held")]}));
    project.autopack(["phases", "skip", "held"]).succeeded();
    project.drain().exited(3);
    project
}

#[test]
fn a_landed_change_is_the_commit_and_a_kept_one_the_patch() {
    let project = drained();
    let diff = |args: &[&str]| project.autopack([&["diff"], args].concat()).succeeded().stdout;
    let landed = diff(&["good"]);
    assert!(landed.contains("+++ b/src/good.txt\n@@ -0,0 +1,2 @@\n+first\n+second\n"), "{landed}");
    assert_eq!(landed, project.git(["show", "--format=", "autopack/run"]));
    let kept = diff(&["run/bad"]);
    assert!(kept.contains("+++ b/setup.cfg\n"), "{kept}");
    project.write("kept.patch", &kept);
    project.git(["apply", "--check", "kept.patch"]);
    golden!("diff_stat", diff(&["good", "--stat"]) + &diff(&["bad", "--stat"]));
}

#[test]
fn json_has_the_place_and_the_files() {
    let project = drained();
    let good = project.json(["diff", "good", "--json"]);
    let tip = project.git(["rev-parse", "autopack/run"]);
    assert_eq!((&good["commit"], &good["patch"]), (&json!(tip.trim()), &Value::Null));
    assert_eq!(good["files"], json!([{"path": "src/good.txt", "added": 2, "removed": 0}]));
    let bad = project.json(["diff", "bad", "--json"]);
    assert!(bad["patch"].as_str().unwrap().ends_with("bad/1/changes.patch"), "{bad}");
    let paths: Vec<&Value> =
        bad["files"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, ["setup.cfg", "src/bad.txt"]);
}

#[test]
fn open_prints_the_directory_and_the_slot_while_it_holds_the_attempt() {
    let project = drained();
    let open = |args: &[&str]| project.autopack([&["open"], args].concat());
    let directory = open(&["bad"]).succeeded().stdout;
    assert_eq!(
        directory.trim_end(),
        project.path(".autopack/attempts/run/bad/1").to_str().unwrap()
    );
    let slot = open(&["bad", "--slot"]).succeeded().stdout;
    assert!(std::path::Path::new(slot.trim_end()).join("setup.cfg").exists(), "{slot}");
    let reused = open(&["good", "--slot"]).exited(1);
    assert_eq!(
        reused.stderr,
        "error: no slot has the files of attempt 1 of phase good any more\n\
         hint: `autopack diff run/good` shows its change; `autopack shell run/good` rebuilds it\n"
    );
    let objects = ["good", "bad"].map(|phase| project.json(["open", phase, "--json"]));
    assert_eq!((&objects[0]["slot"], &objects[0]["attempt"]), (&Value::Null, &json!(1)));
    assert_eq!(objects[1]["slot"], slot.trim_end());
    assert_eq!(objects[1]["directory"], directory.trim_end());
}

#[test]
fn the_editor_gets_the_directory() {
    let project = drained();
    let ran = project
        .autopack_with(["open", "good", "--editor"], &[("EDITOR", "echo opened"), ("VISUAL", "")]);
    let directory = project.path(".autopack/attempts/run/good/1");
    assert_eq!(ran.succeeded().stdout, format!("opened {}\n", directory.display()));
}
