//! Agents that report more usage than can be true.

use serde_json::json;

use crate::support::Project;

#[test]
fn token_counts_beyond_belief_spoil_no_sum() {
    let project = Project::new()
        .agent(
            "report(tokens={'input': 2**64 - 1, 'output': 2**63 - 1, 'cache_write': 2**63}, cost_usd=1e300)\n\
             write_deliverables()",
        )
        .plan(json!([
            {"phase_id": "a", "deliverables": ["a.txt"]},
            {"phase_id": "b", "deliverables": ["b.txt"]},
        ]));
    project.drain().succeeded();
    let status = project.json(["status", "--json"]);
    let run = &status["runs"][0];
    assert_eq!((&run["counts"]["COMPLETE"], &run["tokens"]["input"]), (&json!(2), &json!(null)));
    project.autopack(["status"]).succeeded();
    project.autopack(["phases", "show", "--run-id", "run", "a"]).succeeded();
}
