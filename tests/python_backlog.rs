//! The real backlog of a Python Autopack, drained with an agent that writes each deliverable. Data: hshk99/Autopack,
//! MIT.

use std::collections::BTreeMap;

use crate::support::Project;
use serde_json::{Value, json};

/// Writes each deliverable; for a phase without any, a file in its scope.
const WRITES: &str = r#"
write_deliverables(f"made for {phase_id}\n")
if not phase["deliverables"]:
    path = phase["scope"]["paths"][0].replace("**/", "").replace("*", "any")
    name = path.rstrip("/").split("/")[-1]
    write(path if "." in name else path.rstrip("/") + "/made.txt", f"made for {phase_id}\n")
"#;

#[test]
fn the_queued_phases_of_a_real_database_drain() {
    let Some(database) = crate::support::shared_file("python-autopack.db") else { return };
    // The agent answers no questions about scopes.
    let settings = "ci: {command: [\"true\"]}\nexecutor: {unscoped: refuse}\n";
    let project = Project::new().agent_with(WRITES, settings);
    project.autopack(["import", database.to_str().unwrap()]).succeeded();

    let before = project.json(["status", "--json"]);
    assert_eq!(count(&before, "QUEUED"), 158, "157 queued, and one whose state is unknown here");

    let queued = queued(&project, &before);
    let ran = project.autopack(["drain", "--all"]).exited(3);
    let after = project.json(["status", "--json"]);
    let blocked: u64 = runs(&after).iter().map(|run| run["blocked"].as_u64().unwrap()).sum();
    assert_eq!(count(&after, "QUEUED"), blocked, "{}", ran.stdout);
    assert_eq!(count(&after, "EXECUTING"), 0);

    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for (run, phase) in queued {
        let phase = project.json(["phases", "show", "--run-id", &run, &phase, "--json"]);
        if phase["state"] == "FAILED" {
            let failure = &phase["last_failure"];
            println!("{}: {}", failure["kind"], failure["message"]);
            *kinds.entry(failure["kind"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    // An agent that writes every requested file fails only if the spec asks for nothing usable.
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["unfixable"], "{kinds:?}");
}

/// `(run, phase)` of everything that is QUEUED.
fn queued(project: &Project, status: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for run in runs(status) {
        let id = text(&run["run_id"]);
        let phases = project.json(["phases", "list", "--run-id", &id, "--json"]);
        let queued = phases.as_array().unwrap().iter().filter(|phase| phase["state"] == "QUEUED");
        found.extend(queued.map(|phase| (id.clone(), text(&phase["phase_id"]))));
    }
    found
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
