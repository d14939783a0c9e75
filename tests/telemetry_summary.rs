//! `telemetry summary` through the real program.

use serde_json::{Value, json};

use crate::support::{Project, big_run, shared_file};

/// A run in which one phase lands at once, one at its second attempt, one never, and one is refused.
pub fn drained() -> Project {
    let agent = r#"
if phase_id == "never" or (phase_id == "second" and attempt == 1):
    report(tokens={"input": 100, "output": 50, "cache_read": 7}, cost_usd=0.25, model="m-1")
    print("I gave up <b>here</b>")
    write("src/other.py", "x = 1\n")
else:
    report(tokens={"input": 1000, "output": 500}, cost_usd=0.5, model="m-1")
    write_deliverables()
"#;
    Project::new().agent(agent).plan(json!({"phases": [
        {"id": "first", "name": "The <first> one", "category": "api", "deliverables": ["src/a.py"]},
        {"id": "second", "category": "api", "complexity": "low", "deliverables": ["src/b.py"]},
        {"id": "never", "category": "docs", "deliverables": ["docs/c.md"], "max_attempts": 2},
        {"id": "behind", "deliverables": ["src/d.py"], "depends_on": ["never"]},
        {"id": "outside", "deliverables": ["/etc/passwd"]},
    ]}))
}

#[test]
fn figures_of_the_summary_equal_the_status() {
    let project = drained();
    project.drain().exited(3);
    let summary = project.json(["telemetry", "summary", "--json"]);
    let status = project.json(["status", "--json"]);
    assert_eq!(summary["runs"], json!(["run"]));
    for tokens in ["input", "output", "cache_read", "cache_write"] {
        assert_eq!(summary["tokens"][tokens], status["runs"][0]["tokens"][tokens], "{tokens}");
    }
    assert_eq!(summary["cost_usd"], status["runs"][0]["cost_usd"]);
    assert_eq!(summary["tokens"]["billed"], 2 * 1500 + 3 * 150);
    assert_eq!(summary["tokens"]["cache_write"], Value::Null);
    assert_eq!(
        summary["attempts"],
        json!({"ended": 5, "running": 0, "by_outcome": {"landed": 2, "failed": 3}})
    );
    let phases = &summary["phases"];
    assert_eq!(phases["counts"], status["runs"][0]["counts"]);
    assert_eq!(
        [&phases["tried"], &phases["landed"], &phases["failed"], &phases["open"]],
        [3, 2, 1, 0]
    );
    assert_eq!([&phases["success"]["count"], &phases["success"]["of"]], [2, 3]);
    assert_eq!([&phases["first_try"]["count"], &phases["first_try"]["of"]], [1, 3]);
    assert_eq!(
        [&summary["retries"]["attempts"], &summary["retries"]["tokens"]["billed"]],
        [3, 450]
    );
    assert_eq!(summary["per_landed_phase"], json!({"tokens": 1725.0, "cost_usd": 0.875}));
    assert_eq!(summary["by_category"][0]["name"], "api");
    assert_eq!(summary["by_agent"][0]["name"], "fake");
    assert_eq!(summary["by_model"][0]["name"], "m-1");
    assert_eq!(summary["estimate"]["samples"], 2);
    assert_eq!(summary["estimate"]["left_out"]["did_not_land"], 3);
    let kinds: Vec<&str> = summary["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["kind"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"unfixable"), "{kinds:?}");
    let time = &summary["time"];
    let ms = |name: &str| time[name].as_u64().unwrap();
    assert_eq!(ms("attempts_ms"), ms("agent_ms") + ms("ci_ms") + ms("ours_ms") + ms("unknown_ms"));
    assert_eq!(ms("span_ms"), ms("busy_ms") + ms("rate_limited_ms") + ms("idle_ms"));
}

#[test]
fn the_text_of_a_generated_run() {
    let project = Project::without_commits();
    big_run::make(&project, 60);
    let ran = project.autopack(["telemetry", "summary"]);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn without_attempts_nothing_is_made_up() {
    let project = Project::without_commits()
        .file("plan.json", r#"{"run_id": "r", "phases": [{"id": "a", "deliverables": ["a.py"]}]}"#);
    project.autopack(["import", "plan.json"]).succeeded();
    insta::assert_snapshot!(project.autopack(["telemetry", "summary"]).shown(), @r"
    exit 0
    --- stdout
    r
    no finished attempts yet
      estimates   no samples to compare
    ");
    let ran = project.autopack(["telemetry", "summary", "--run-id", "nope"]).exited(1);
    assert!(ran.stderr.contains("existing runs: r"), "{ran:?}");
    let summary = project.json(["telemetry", "summary", "--json"]);
    assert_eq!([&summary["cost_usd"], &summary["phases"]["success"]["value"]], [&Value::Null; 2]);
}

#[test]
fn since_excludes_earlier_attempts() {
    let project = drained();
    project.drain().exited(3);
    let of = |since: &str| project.json(["telemetry", "summary", "--json", "--since", since]);
    assert_eq!(of("1h"), project.json(["telemetry", "summary", "--json"]));
    let none = of("2999-01-01");
    assert_eq!([&none["attempts"]["ended"], &none["phases"]["tried"]], [0, 0]);
    project.autopack(["telemetry", "summary", "--since", "yesterday"]).exited(2);
}

/// hshk99/Autopack, MIT: its samples tell how good its estimates were, and nothing about autopack's attempts.
#[test]
fn imported_samples_count_as_estimates_alone() {
    let Some(database) = shared_file("python-autopack.db") else { return };
    let project = Project::without_commits();
    let file = database.display().to_string();
    project.autopack(["import", &file]).succeeded();
    let summary = project.json(["telemetry", "summary", "--json"]);
    let estimate = &summary["estimate"];
    assert!(estimate["samples"].as_u64().unwrap() > 0, "{estimate}");
    assert_eq!(estimate["samples"], estimate["imported"]);
    assert_eq!([&summary["attempts"]["ended"], &summary["phases"]["tried"]], [0, 0]);
}
