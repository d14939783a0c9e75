//! The end of a run: its tip in a clean clone, the landing that broke it, and `autopack verify`.

use serde_json::{Value, json};

use crate::support::Project;

/// CI passes if an earlier run left `target/ok`, or if there is no `marker` yet: the cache hides a failure that a clean
/// clone shows.
const HIDDEN_BY_A_CACHE: &str =
    "[ -e target/ok ] || { [ ! -e src/marker ] && mkdir -p target && touch target/ok; }";

fn phases(ids: &[&str]) -> Value {
    let phase = |id: &&str| json!({"phase_id": id, "name": format!("add {id}"), "deliverables": [format!("src/{id}")]});
    json!({"phases": ids.iter().map(phase).collect::<Vec<_>>()})
}

/// Drained with the test of the tip, which other tests disable.
fn project(ci: &str, ids: &[&str]) -> Project {
    let settings = format!("ci: {{command: {}}}\n", json!(ci));
    Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .file(".gitignore", "target\nleft\n")
        .commit("ignore")
        .agent_with("write_deliverables()", &settings)
        .plan(phases(ids))
}

fn green_ref(project: &Project) -> String {
    project.git(["rev-parse", "refs/autopack/green/run"]).trim().to_owned()
}

fn tip(project: &Project) -> String {
    project.git(["rev-parse", "autopack/run"]).trim().to_owned()
}

fn clean_clone(project: &Project) -> Value {
    project.json(["status", "--run-id", "run", "--json"])["runs"][0]["clean_clone"].clone()
}

#[test]
fn a_green_tip_is_reported_and_stored_as_the_green_ref() {
    let project = project("true", &["a"]);
    let drained = project.drain().succeeded();
    assert!(drained.stdout.contains("tested   CI is green in a clean clone at"), "{drained:#?}");
    assert_eq!(green_ref(&project), tip(&project));
    assert_eq!(clean_clone(&project), "green");
    let text = project.autopack(["status"]).succeeded().stdout;
    assert!(text.contains("tested   CI is green in a clean clone at "), "{text}");
    // The same tip is not tested again.
    let again = project.drain().succeeded();
    assert_eq!(again.stdout, "nothing to drain: no phase is queued\n");
}

#[test]
fn a_commit_of_yours_on_the_branch_is_told_with_the_verdict_and_tested_by_the_next_drain() {
    let settings = "ci: {command: 'true'}\nexecutor: {max_attempts: 1}\n";
    let project = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .agent_with("if phase_id == 'a': write_deliverables()", settings)
        .plan(phases(&["a", "b"]));
    project.drain().exited(3);
    let tested = tip(&project);
    let changed = |project: &Project| {
        let run = project.json(["status", "--run-id", "run", "--json"])["runs"][0].clone();
        (run["changed_since_test"].clone(), run["clean_clone_commit"].clone())
    };
    assert_eq!(changed(&project), (json!(false), json!(tested)));
    let tree = project.git(["rev-parse", "autopack/run^{tree}"]);
    let commit = project.git(["commit-tree", "-p", &tested, "-m", "by hand", tree.trim()]);
    project.git(["update-ref", "refs/heads/autopack/run", commit.trim()]);
    let told = format!(
        "tested   CI is green in a clean clone at {}\n         the branch has changed since, and was not tested again\n",
        &tested[..10]
    );
    let status = project.autopack(["status"]).succeeded().stdout;
    assert!(
        status.contains(&format!("{told}         pending; test it: autopack verify run\n")),
        "{status}"
    );
    assert_eq!(changed(&project), (json!(true), json!(tested)));
    for format in ["md", "html"] {
        let report = project.autopack(["report", "--format", format]).succeeded().stdout;
        assert!(report.contains("the branch has changed since"), "{format}: {report}");
    }
    project.autopack(["phases", "retry", "run/b"]).succeeded();
    let project = project.env("AUTOPACK_CI_FINAL", "off");
    let untested = project.drain().exited(3);
    assert!(untested.stdout.contains(&told), "{untested:#?}");
    project.autopack(["phases", "retry", "run/b"]).succeeded();
    let events = project.autopack(["drain", "--run-id", "run", "--json"]).exited(3).stdout;
    let end: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(end["counts"][0]["changed_since_test"], true, "{end}");
    let project = project.unset("AUTOPACK_CI_FINAL");
    project.drain().exited(3);
    assert_eq!(changed(&project), (json!(false), json!(commit.trim())));
}

#[test]
fn a_landing_green_only_through_a_cache_is_detected_and_not_offered_for_merging() {
    let project = project(HIDDEN_BY_A_CACHE, &["a", "marker", "c", "d", "e"]);
    let drained = project.drain().exited(3);
    let log = project.git(["log", "--reverse", "--format=%H", "main..autopack/run"]);
    let landed: Vec<&str> = log.lines().collect();
    assert_eq!(landed.len(), 5, "{drained:#?}");
    assert_eq!(green_ref(&project), landed[0]);
    assert!(drained.stdout.contains("run: CI is red in a clean clone at"), "{drained:#?}");
    assert!(
        drained.stdout.contains(&format!("broken by {} add marker", &landed[1][..10])),
        "{drained:#?}"
    );
    let review = format!("..{}\nmerge    autopack merge run --to-green\n", &landed[0][..10]);
    assert!(drained.stdout.contains(&review), "{drained:#?}");
    assert_eq!(clean_clone(&project), "red_in_clean_clone");
    assert!(project.states().values().all(|state| state == "COMPLETE"));
    let text = project.autopack(["status", "--run-id", "run"]).succeeded().stdout;
    let shown = format!(
        "tested   CI is red in a clean clone at {}\n         broken by marker ({})\n         last green commit: {} (refs/autopack/green/run)\n",
        &landed[4][..10],
        &landed[1][..10],
        &landed[0][..10]
    );
    assert!(text.contains(&shown), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for format in ["md", "html"] {
        let report =
            project.autopack(["report", "--run-id", "run", "--format", format]).succeeded().stdout;
        assert!(report.contains("CI is red in a clean clone"), "{format}: {report}");
        assert!(report.contains("broken by marker"), "{format}: {report}");
    }
    // A later drain with nothing to do still reports it.
    project.drain().exited(3);
}

#[test]
fn a_base_that_fails_in_the_same_way_makes_it_not_reproducible() {
    let project = project("echo checking; [ -e \"$FLAG\" ] || { echo no flag; exit 1; }", &["a"]);
    let flag = project.outside("flag");
    std::fs::write(&flag, "").unwrap();
    let project = project.env("FLAG", flag.to_str().unwrap());
    project.drain().succeeded();
    std::fs::remove_file(&flag).unwrap();
    let verified = project.autopack(["verify", "run"]).succeeded();
    assert!(
        verified.stdout.contains("fails in the same way at the base of the run"),
        "{verified:#?}"
    );
    assert!(verified.stdout.contains("| no flag"), "{verified:#?}");
    assert_eq!(clean_clone(&project), "not_reproducible");
}

#[test]
fn a_flaky_tip_is_green_after_a_green_rerun() {
    let project = project("[ ! -e \"$FLAKE\" ] || { rm \"$FLAKE\"; exit 1; }", &["a"]);
    let flake = project.outside("flake");
    let project = project.env("FLAKE", flake.to_str().unwrap());
    project.drain().succeeded();
    std::fs::write(&flake, "").unwrap();
    let verified = project.autopack(["verify", "run"]).succeeded();
    assert!(verified.stdout.contains("(red once, green when run again)"), "{verified:#?}");
    assert_eq!(clean_clone(&project), "green");
}

#[test]
fn ignored_files_of_the_checkout_and_of_ci_are_not_in_a_clean_clone() {
    let project = project("[ ! -e left ] && touch left", &["a"]);
    project.write("left", "the user's\n");
    project.drain().succeeded();
    let verified = project.json(["verify", "run", "--json"]);
    assert_eq!(
        (&verified["outcome"], &verified["commit"]),
        (&json!("green"), &json!(tip(&project)))
    );
}

#[test]
fn setup_that_fails_in_a_clean_clone_is_red() {
    let settings = "ci: {command: 'true'}\nworkspace: {setup: '[ -e \"$FLAG\" ] || { echo no flag; exit 1; }'}\n";
    let project = Project::new().unset("AUTOPACK_CI_FINAL");
    let flag = project.outside("flag");
    std::fs::write(&flag, "").unwrap();
    let project = project
        .env("FLAG", flag.to_str().unwrap())
        .agent_with("write_deliverables()", settings)
        .plan(phases(&["a"]));
    project.drain().succeeded();
    std::fs::remove_file(&flag).unwrap();
    let verified = project.autopack(["verify", "--run-id", "run"]).succeeded();
    assert!(verified.stdout.contains("workspace.setup failed"), "{verified:#?}");
}

#[test]
fn the_final_test_is_skipped_without_landings_or_if_disabled() {
    let off = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .agent_with("write_deliverables()", "ci: {command: 'true', final: off}\n")
        .plan(phases(&["a"]));
    let drained = off.drain().succeeded();
    assert!(drained.stdout.contains("ci.final is off"), "{drained:#?}");
    assert_eq!(clean_clone(&off), Value::Null);
    let nothing = Project::new().agent_with("write_deliverables()", "").plan(phases(&["a"]));
    let verified = nothing.autopack(["verify", "run"]).succeeded();
    assert_eq!(verified.stdout, "run: nothing has landed\n");
    nothing.autopack(["verify", "other"]).exited(1);
    let only = nothing.autopack(["verify"]).succeeded();
    assert_eq!(only.stdout, "run: nothing has landed\n");
}

#[test]
fn an_exhausted_budget_names_its_period() {
    let settings = format!(
        "ci: {{command: {}, final_budget: 1}}\n",
        json!(format!("sleep 1.1; {HIDDEN_BY_A_CACHE}"))
    );
    let project = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .file(".gitignore", "target\nleft\n")
        .commit("ignore")
        .agent_with("write_deliverables()", &settings)
        .plan(phases(&["a", "marker", "c", "d"]));
    let drained = project.drain().exited(3);
    assert!(drained.stdout.contains("is not determined; it is one of the"), "{drained:#?}");
}

#[test]
fn an_untested_tip_is_shown_with_the_reason() {
    let settings = "ci: {command: 'true'}\n";
    let project = Project::new().agent_with("write_deliverables()", settings).plan(phases(&["a"]));
    let before = project.autopack(["status"]).succeeded().stdout;
    assert!(!before.contains("clean clone"), "{before}");
    project.drain().succeeded();
    let text = project.autopack(["status"]).succeeded().stdout;
    let off = "tested   the tip was not tested in a clean clone\n         ci.final is off; test it: autopack verify run\n";
    assert!(text.contains(off), "{text}");
    let project = project.unset("AUTOPACK_CI_FINAL");
    let text = project.autopack(["status"]).succeeded().stdout;
    assert!(text.contains("         pending; test it: autopack verify run\n"), "{text}");
    project.autopack(["verify", "run"]).succeeded();
    let text = project.autopack(["status"]).succeeded().stdout;
    assert!(text.contains("green in a clean clone") && !text.contains("pending"), "{text}");
}

/// Tests that fail before the first agent are excused in every attempt, so the end does not call them news.
#[test]
fn failures_of_the_base_are_told_as_known() {
    let test = "def test_old():\n    assert False\n";
    let project = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .file("test_old.py", test)
        .commit("a test that fails")
        .agent("write_deliverables()")
        .plan(phases(&["a"]));
    let drained = project.drain().succeeded();
    let tip = &tip(&project)[..10];
    let line = format!("tested   CI fails in a clean clone at {tip} as at the run's base\n");
    assert!(drained.stdout.contains(&line), "{drained:#?}");
    assert!(!drained.stdout.contains("workspace.setup"), "{drained:#?}");
    assert_eq!(drained.stdout.matches("in a clean clone").count(), 1, "{drained:#?}");
    assert_eq!(clean_clone(&project), "not_reproducible");
    let status = project.autopack(["status"]).succeeded().stdout;
    assert!(status.contains(&line), "{status}");
    let verified = project.autopack(["verify", "run"]).succeeded().stdout;
    assert!(verified.contains("as in every attempt and at the base of the run"), "{verified}");
}

#[test]
fn without_ci_the_end_names_the_key() {
    let project = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .agent("write_deliverables()")
        .plan(phases(&["a"]));
    let drained = project.drain().succeeded();
    let line = "tested   not tested in a clean clone: no CI was found; set ci.command\n";
    assert!(drained.stdout.contains(line), "{drained:#?}");
    let status = project.autopack(["status"]).succeeded().stdout;
    assert!(status.contains(line), "{status}");
    // Nothing is left to do, and nothing is to be tested.
    let again = project.autopack(["drain", "run"]).succeeded();
    assert_eq!(again.stdout, "nothing to drain: no phase is queued\n");
}
