//! The morning: the overview at the end of a drain and in `status`, the last look, and the dry run of a long backlog.

use crate::support::Project;
use crate::support::golden::{golden, too_wide};
use serde_json::{Value, json};

/// Rows of a terminal; a row stays free for the prompt.
const ROWS: usize = 24;

macro_rules! golden {
    ($name:literal, $text:expr) => {
        insta::with_settings!({snapshot_path => "snapshots/golden", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

/// `red` in a file of `src` fails CI; p05 writes outside of its scope.
const AGENT: &str = "write_deliverables('red' if phase_id in ('p17', 'p23') else 'good')\n\
    if phase_id == 'p05': write('setup.cfg')\n\
    report(tokens=dict(input=12000, output=3450), cost_usd=0.02)";
const CI: &str = "ci: {command: \"if grep -rqx red src; then echo 'the text is red'; exit 3; fi\"}\n\
    executor: {max_attempts: 1, budgets: {run: {cost_usd: 5}}}\n";

fn phase(n: usize) -> Value {
    let needs = match n {
        18 | 19 => vec!["p17"],
        20 => vec!["p19"],
        _ => Vec::new(),
    };
    json!({"phase_id": format!("p{n:02}"), "deliverables": [format!("src/{n}/a.txt")], "depends_on": needs})
}

/// 40 phases: two red in CI, one outside of its scope, one with a bad spec, three behind a failure.
fn night() -> Project {
    let mut phases: Vec<Value> = (1..=39).map(phase).collect();
    phases.push(json!({"phase_id": "p40", "deliverables": ["../elsewhere.txt"]}));
    Project::new().agent_with(AGENT, CI).plan(json!({ "phases": phases }))
}

#[track_caller]
fn fits_a_screen(text: &str) {
    assert_eq!(too_wide(text), [""; 0], "{text}");
    assert!(text.lines().count() < ROWS, "{text}");
}

#[test]
fn a_night_of_40_phases_fits_the_screen_before_and_after() {
    let project = night();
    let dry = project.autopack(["drain", "--dry-run", "--jobs", "4"]).succeeded();
    fits_a_screen(&dry.stdout);
    golden!("dry_run_of_40_phases", golden(&dry));
    let fixes = project.autopack(["fix-phases", "--dry-run"]).succeeded();
    golden!("fix_phases_of_40_phases", golden(&fixes));

    let drained = project.autopack(["drain", "--batch-size", "50"]).exited(3);
    let at = drained.stdout.find("run: 33 landed").expect(&drained.stdout);
    fits_a_screen(&drained.stdout[at..]);
    golden!("drain_end_of_40_phases", golden(&drained).split_once("run: 33 landed").unwrap().1);

    let status = project.autopack(["status"]).succeeded();
    fits_a_screen(&status.stdout);
    golden!("status_of_40_phases", golden(&status));

    project.autopack(["phases", "retry", "run", "--failed"]).succeeded();
    let dry = project.autopack(["drain", "--dry-run", "--jobs", "4"]).succeeded();
    fits_a_screen(&dry.stdout);
    golden!("dry_run_after_a_night", golden(&dry));
}

#[test]
fn commands_of_the_overview_work_as_printed() {
    let project = night();
    project.autopack(["drain", "--batch-size", "50"]).exited(3);
    let status = project.autopack(["status"]).succeeded().stdout;
    let line = |start: &str| {
        let line = status.lines().map(str::trim_start).find(|line| line.starts_with(start));
        line.expect(&status).to_owned()
    };
    let retry = line("autopack phases retry");
    let words: Vec<&str> = retry.split(' ').skip(1).collect();
    project.autopack(words).succeeded();
    assert_eq!(project.phase("p17")["state"], "QUEUED");
    assert_eq!(project.phase("p23")["state"], "QUEUED");
    let review = line("review   git ");
    let log = project.git(review["review   git ".len()..].split(' '));
    assert_eq!(log.lines().count(), 33, "{log}");
}

#[test]
fn landings_are_new_until_the_next_look() {
    let phases = json!({"phases": [phase(1), phase(2)]});
    let project = Project::new().agent_with(AGENT, CI).plan(phases);
    let one = ["drain", "--batch-size", "1", "--max-batches", "1"];
    project.autopack(one).succeeded();
    let landed = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("landed   ")).map(str::to_owned);
        line.expect(text)
    };
    // Neither the end of a drain in a pipe nor JSON nor a watch is a look.
    let json = project.json(["status", "--json"]);
    assert_eq!(json["runs"][0]["landed_since_look"][0]["phase_id"], "p01");
    assert_eq!(json["runs"][0]["looked_at"], Value::Null);
    let look = || project.autopack(["status"]).succeeded().stdout;
    assert_eq!(landed(&look()), "landed   1 phase: p01");
    assert!(landed(&look()).starts_with("landed   nothing new since your last look "));
    project.autopack(one).succeeded();
    let new = landed(&look());
    assert!(
        new.starts_with("landed   1 phase since your last look ") && new.ends_with(": p02"),
        "{new}"
    );
    assert!(project.json(["status", "--json"])["runs"][0]["looked_at"].is_string());
}

#[test]
fn a_spent_budget_is_not_drained_again_but_raised() {
    let spent =
        format!("{}executor: {{budgets: {{run: {{tokens: 20000}}}}}}\n", "ci: {command: 'true'}\n");
    let phases = json!({"phases": [phase(1), phase(2)]});
    let project = Project::new().agent_with(AGENT, &spent).plan(phases);
    let ran = project.drain().exited(5);
    let key = "raise executor.budgets.run.tokens";
    assert!(ran.stdout.contains(key) && !ran.stdout.contains("autopack drain"), "{ran:#?}");
    let status = project.autopack(["status"]).succeeded().stdout;
    assert!(status.contains(key) && !status.contains("autopack drain"), "{status}");
    let run = &project.json(["status", "--json"])["runs"][0];
    assert_eq!(run["budget_to_raise"], "executor.budgets.run.tokens");
    assert_eq!(run["last_drain"]["reason"], "budget");
    // With a larger budget, the command is offered again, and works.
    let file = ".autopack/config/autopack.yaml";
    project.write(file, &project.read(file).replace("20000", "2000000"));
    let status = project.autopack(["status"]).succeeded().stdout;
    assert!(status.contains("start: autopack drain "), "{status}");
    project.drain().succeeded();
}

#[test]
fn phases_are_filtered_and_sorted_with_their_cost() {
    let phases = json!({"phases": [phase(1), phase(17), phase(2), phase(18)]});
    let agent = AGENT.replace("cost_usd=0.02", "cost_usd=0.5 if phase_id == 'p02' else 0.02");
    let project = Project::new().agent_with(&agent, CI).plan(phases);
    project.drain().exited(3);
    golden!("phases_list_by_cost", golden(&project.autopack(["phases", "list", "--sort", "cost"])));
    golden!("phases_show_landed", golden(&project.autopack(["phases", "show", "p02"])));
    golden!("phases_show_failed", golden(&project.autopack(["phases", "show", "p17"])));
    let ids = |args: &[&str]| -> Vec<String> {
        let list = project.json([&["phases", "list", "--json"], args].concat());
        list.as_array()
            .unwrap()
            .iter()
            .map(|row| row["phase_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&["--sort", "state"]), ["p17", "p18", "p01", "p02"]);
    assert_eq!(ids(&["--since", "1h"]), ["p01", "p17", "p02"]);
    assert_eq!(ids(&["--since", "2999-01-01"]), [""; 0]);
    assert_eq!(ids(&["--agent", "fake", "--failed"]), ["p17"]);
    assert_eq!(ids(&["--agent", "nobody"]), [""; 0]);
    let row = &project.json(["phases", "list", "--json", "p02"])[0];
    assert_eq!((&row["cost_usd"], &row["agent"]), (&json!(0.5), &json!("fake")));
    assert!(row["duration_ms"].is_u64() && row["ended_at"].is_string(), "{row}");
    let shown = project.json(["phases", "show", "p02", "--json"]);
    assert_eq!(shown["files_changed"], json!([{"path": "src/2/a.txt", "added": 1, "removed": 0}]));
    let wrong = project.autopack(["phases", "list", "--sort", "price"]).exited(2);
    assert!(wrong.stderr.contains("[possible values: order, state, cost, time"), "{wrong:#?}");
}
