//! The real backlog of a Python Autopack, drained with an agent that writes each deliverable.
//! Data: hshk99/Autopack, MIT.

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::Project;

#[test]
fn the_queued_phases_of_a_real_database_drain() {
    let Some(data) = support::shared_data() else { return };
    let project = Project::new().agent_with("write_deliverables()", "ci: {command: [\"true\"]}\n");
    let database = data.join("python-autopack.db");
    project.autopack(["import", database.to_str().unwrap()]).succeeded();

    let before = project.json(["status", "--json"]);
    assert_eq!(count(&before, "QUEUED"), 158, "157 queued, and one whose state is unknown here");

    let ran = project.autopack(["drain", "--all"]).exited(3);
    let after = project.json(["status", "--json"]);
    let blocked: u64 = runs(&after).iter().map(|run| run["blocked"].as_u64().unwrap()).sum();
    assert_eq!(count(&after, "QUEUED"), blocked, "{}", ran.stdout);
    assert_eq!(count(&after, "EXECUTING"), 0);

    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for run in runs(&after) {
        let id = run["run_id"].as_str().unwrap();
        for phase in project.json(["phases", "list", "--run-id", id, "--json"]).as_array().unwrap()
        {
            let kind = phase["last_failure"]["kind"].as_str().unwrap_or("none");
            if phase["state"] == "FAILED" && kind != "imported" {
                let message = phase["last_failure"]["message"].as_str().unwrap();
                println!("{kind}: {message}");
                *kinds.entry(kind.to_owned()).or_default() += 1;
            }
        }
    }
    // An agent that writes what it is asked to write fails only where the spec asks for nothing usable.
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["unfixable"], "{kinds:?}");
}

fn runs(status: &Value) -> &Vec<Value> {
    status["runs"].as_array().unwrap()
}

fn count(status: &Value, state: &str) -> u64 {
    runs(status)
        .iter()
        .map(|run| run["counts"].get(state).unwrap_or(&json!(0)).as_u64().unwrap())
        .sum()
}
