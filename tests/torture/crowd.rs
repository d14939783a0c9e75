//! Many drains on one database: no phase runs twice, none is left over, and no drain fails because the database is
//! locked.

use super::drains::Running;
use super::sizes::{is_long, jobs, size, summary};
use super::testbed::Testbed;
use crate::support::Project;

use serde_json::json;

/// Consecutive phases write to different directories, so they may run side by side.
fn file(i: u64) -> String {
    format!("src/{}/{i}.txt", i % 250)
}

/// An agent that costs almost nothing: it replays a recording.
fn testbed(phases: u64, jobs: u64) -> Testbed {
    let project = Project::new();
    let recordings = project.outside("recordings");
    for i in 0..phases {
        let path = recordings.join(format!("p{i:05}/1")).join(file(i));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{i}\n")).unwrap();
    }
    let witness = project.outside("witness");
    std::fs::create_dir_all(&witness).unwrap();
    let steps = witness.join("steps");
    let config = format!(
        "agents: {{default: tape, tape: {{kind: replay, folder: {recordings:?}}}}}\n\
         ci: {{command: [sh, -c, \"echo ci $(git rev-parse HEAD^{{tree}}) >>'{}'\"]}}\n",
        steps.display()
    );
    let phase = |i: u64| json!({"phase_id": format!("p{i:05}"), "deliverables": [file(i)]});
    let plan = json!({ "phases": (0..phases).map(phase).collect::<Vec<_>>() });
    Testbed::configured(project.config(&config), jobs, plan)
}

#[test]
fn many_drains_execute_each_phase_once() {
    let (drains, phases) = (size("CROWD", 4, 16), size("CROWD_PHASES", 60, 10_000));
    let jobs = jobs(if is_long() { 8 } else { 2 });
    let testbed = testbed(phases, jobs);
    let began = std::time::Instant::now();
    let running: Vec<Running> = (0..drains).map(|_| testbed.start()).collect();
    for drain in running {
        drain.wait().exited(0);
    }
    let took = began.elapsed().as_secs();
    testbed.assert_all_complete();
    let history = testbed.check();
    let owners: std::collections::BTreeSet<_> = history.attempts.iter().map(|a| &a.owner).collect();
    assert!(owners.len() > 1, "a single drain executed all phases");
    let again = history.attempts.len() as u64 - phases;
    let text = format!(
        "{drains} drains, {phases} phases, jobs {jobs}: each landed once in {took} s; {again} attempts repeated after another landing"
    );
    summary("many drains on one database", 0, &text);
}
