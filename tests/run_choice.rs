//! Runs and phases on the command line: `RUN`, `--run-id`, `PHASE` and `RUN/PHASE`, defaults, and suggestions.

use serde_json::json;

use crate::support::Project;

/// Two runs: `week1` with `p1`, `a/b` and `both`; then `week2` with `p2` and `both`.
fn two_runs() -> Project {
    let project = Project::new();
    import(&project, "week1", &["p1", "a/b", "both"]);
    import(&project, "week2", &["p2", "both"]);
    project
}

fn import(project: &Project, run: &str, phases: &[&str]) {
    let phases: Vec<_> =
        phases.iter().map(|id| json!({"phase_id": id, "deliverables": ["x.py"]})).collect();
    let plan = json!({"phases": phases}).to_string();
    project.autopack_reading(["import", "-", "--run-id", run], &plan).succeeded();
}

fn shown(project: &Project, args: &[&str]) -> (String, String) {
    let phase = project.json([&["phases", "show", "--json"], args].concat());
    let text = |key: &str| phase[key].as_str().unwrap().to_owned();
    (text("run_id"), text("phase_id"))
}

fn pair(run: &str, phase: &str) -> (String, String) {
    (run.to_owned(), phase.to_owned())
}

#[test]
fn a_phase_is_found_in_the_run_used_last_or_by_run_and_phase() {
    let project = two_runs();
    assert_eq!(shown(&project, &["p2"]), pair("week2", "p2"));
    assert_eq!(shown(&project, &["both"]), pair("week2", "both"));
    assert_eq!(shown(&project, &["week1/both"]), pair("week1", "both"));
    assert_eq!(shown(&project, &["both", "--run-id", "week1"]), pair("week1", "both"));
    assert_eq!(shown(&project, &["week1/both", "--run-id", "week1"]), pair("week1", "both"));
    assert_eq!(shown(&project, &["week1/a/b"]), pair("week1", "a/b"));
    assert_eq!(shown(&project, &["a/b", "--run-id", "week1"]), pair("week1", "a/b"));
}

#[test]
fn the_exact_phase_of_the_run_wins_over_run_and_phase() {
    let project = Project::new();
    import(&project, "a", &["b"]);
    import(&project, "a/b", &["c", "d\te"]);
    import(&project, "run", &["a/b"]);
    assert_eq!(shown(&project, &["a/b"]), pair("run", "a/b"));
    assert_eq!(shown(&project, &["a/b/c"]), pair("a/b", "c"));
    assert_eq!(shown(&project, &["b", "--run-id", "a"]), pair("a", "b"));
    // As printed on a terminal.
    assert_eq!(shown(&project, &["a/b/d e"]), pair("a/b", "d\te"));
    assert_eq!(shown(&project, &["d e", "--run-id", "a/b"]), pair("a/b", "d\te"));
}

#[test]
fn reading_commands_take_the_run_used_last_and_acting_ones_want_a_name() {
    let project = two_runs();
    let listed = project.autopack(["phases", "list", "--json"]).succeeded();
    assert_eq!(listed.json()[0]["run_id"], "week2");
    assert_eq!(listed.stderr, "run week2, used last\n");
    assert_eq!(project.json(["phases", "list", "week1", "--json"])[0]["run_id"], "week1");
    project.autopack(["phases", "skip", "week1/p1"]).succeeded();
    assert_eq!(project.json(["status", "week1", "--json"])["runs"][0]["counts"]["SKIPPED"], 1);
    for args in [&["phases", "skip", "p1"][..], &["phases", "retry", "--failed"], &["verify"]] {
        let ran = project.autopack(args).exited(2);
        assert!(
            ran.stderr.starts_with("error: there are several runs: week1, week2\n"),
            "{ran:#?}"
        );
    }
    let ran = project.autopack(["phases", "skip", "both"]).exited(2);
    assert!(ran.stderr.ends_with("hint: write week1/both or week2/both\n"), "{ran:#?}");
    let ran = project.autopack(["phases", "retry", "week1", "--failed"]).succeeded();
    assert_eq!(ran.stdout, "run week1 has no failed phases\n");
}

#[test]
fn a_drain_makes_its_run_the_one_used_last() {
    let project = Project::new().agent("write_deliverables()");
    import(&project, "week1", &["p1"]);
    import(&project, "week2", &["p2"]);
    project.autopack(["drain", "--run-id", "week1"]).succeeded();
    assert_eq!(project.json(["phases", "list", "--json"])[0]["run_id"], "week1");
}

#[test]
fn wrong_names_get_suggestions_and_change_nothing() {
    let project = two_runs();
    let ran = project.autopack(["status", "week3"]).exited(1);
    assert!(
        ran.stderr.ends_with("existing runs: week1, week2; did you mean \"week1\"?\n"),
        "{ran:#?}"
    );
    let hint = |args: &[&str], code: i32| {
        let ran = project.autopack(args).exited(code);
        ran.stderr.split_once("hint: ").expect("a hint").1.trim_end().to_owned()
    };
    assert_eq!(hint(&["phases", "show", "bth"], 1), "did you mean \"both\"?");
    assert_eq!(hint(&["phases", "show", "week1/bth"], 1), "did you mean \"both\"?");
    assert_eq!(hint(&["phases", "show", "p1"], 1), "phase p1 is in run week1: write week1/p1");
    assert_eq!(
        hint(&["phases", "show", "nothing-like-it"], 1),
        "`autopack phases list --run-id week2` lists its phases"
    );
    assert_eq!(
        hint(&["phases", "skip", "week1/p1", "week2/p2"], 2),
        "name phases of one run at a time"
    );
    assert_eq!(hint(&["phases", "skip", "week1/p1", "--run-id", "week2"], 2), "name one of them");
    assert_eq!(hint(&["status", "week1", "--run-id", "week2"], 2), "name one of them");
    for run in project.json(["runs", "list", "--json"]).as_array().unwrap() {
        assert_eq!(run["counts"]["SKIPPED"], 0, "{run:#}");
    }
}
