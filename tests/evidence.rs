//! A phase counts as done only with evidence: an attempt, an import, or the operator's decision.

use serde_json::json;

use crate::support::Project;
use crate::support::database::execute;

const PLAN: [&str; 3] = ["one", "two", "three"];

fn project(agent: &str) -> Project {
    let phase = |id: &str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")]});
    Project::new().agent(agent).plan(json!({"phases": PLAN.map(phase)}))
}

/// An agent that, while it works on `one`, runs this SQL on the database of the checkout.
fn meddling(sql: &str) -> String {
    format!(
        r#"
import sqlite3
if phase_id == "one":
    root = pathlib.Path({{ROOT}})
    db = sqlite3.connect(root / ".autopack" / "autopack.db", timeout=60)
    db.executescript({sql:?})
    db.close()
write_deliverables()
"#
    )
}

fn meddled_with(sql: &str) -> Project {
    let project = project("").without_sandbox();
    let root = format!("{:?}", project.root().display().to_string());
    project.agent(&meddling(sql).replace("{ROOT}", &root))
}

#[test]
fn a_phase_completed_by_an_agent_is_reported_and_exits_1() {
    let project = meddled_with("UPDATE phases SET state = 'COMPLETE' WHERE phase_id = 'two'");
    let ran = project.drain().exited(1);
    assert!(ran.stdout.contains("two is complete without a matching attempt"), "{ran:#?}");
    assert_eq!(project.landed(), ["one", "three"]);
    // A drain with nothing to do reports it at its start, too.
    let again = project.drain().exited(1);
    let accept = "autopack phases accept --run-id run two";
    assert_eq!(again.stdout.matches(accept).count(), 2, "{again:#?}");
    let accepted = project.autopack(accept.split(' ').skip(1)).succeeded();
    assert_eq!(accepted.stdout, "two: complete, accepted\n");
    let quiet = project.drain().succeeded();
    assert!(!quiet.stdout.contains("two is complete"), "{quiet:#?}");
}

#[test]
fn forged_evidence_is_reported() {
    for evidence in ["operator", "import", "earlier"] {
        let sql = format!(
            "UPDATE phases SET state = 'COMPLETE', evidence = '{evidence}' WHERE phase_id = 'two'"
        );
        let ran = meddled_with(&sql).drain().exited(1);
        assert!(
            ran.stdout.contains("two is complete without a matching attempt"),
            "{evidence}: {ran:#?}"
        );
    }
}

#[test]
fn skips_and_redos_do_not_prove_a_forged_state() {
    let project = project("write_deliverables()");
    project.autopack(["phases", "skip", "--run-id", "run", "two"]).succeeded();
    let skipped = project.drain().succeeded();
    assert!(!skipped.stdout.contains("without a matching attempt"), "{skipped:#?}");
    execute(&project, "UPDATE phases SET state = 'COMPLETE' WHERE phase_id = 'two'");
    let ran = project.drain().exited(1);
    assert!(ran.stdout.contains("two is complete without a matching attempt"), "{ran:#?}");
    // The operator resets the forged state.
    project.autopack(["phases", "retry", "--run-id", "run", "--redo", "two"]).succeeded();
    let sql = "UPDATE phases SET state = 'SKIPPED', evidence = 'operator' WHERE phase_id = 'two'";
    execute(&project, sql);
    let ran = project.drain().exited(1);
    assert!(ran.stdout.contains("two is skipped without a matching attempt"), "{ran:#?}");
}

#[test]
fn a_phase_completed_by_an_agent_is_executed_after_redo() {
    let project = meddled_with("UPDATE phases SET state = 'COMPLETE' WHERE phase_id = 'two'");
    project.drain().exited(1);
    project.autopack(["phases", "retry", "--run-id", "run", "--redo", "two"]).succeeded();
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "three", "two"]);
}

#[test]
fn a_phase_skipped_by_an_agent_is_reported() {
    let project = meddled_with("UPDATE phases SET state = 'SKIPPED' WHERE phase_id = 'two'");
    let ran = project.drain().exited(1);
    assert!(ran.stdout.contains("two is skipped without a matching attempt"), "{ran:#?}");
}

#[test]
fn a_redone_phase_is_not_proven_by_its_earlier_landing() {
    let project = project("write_deliverables(str(attempt))");
    project.drain().succeeded();
    project.autopack(["phases", "retry", "--run-id", "run", "--redo", "two"]).succeeded();
    let sql = "UPDATE phases SET state = 'COMPLETE', commit_id =
        (SELECT landing_commit FROM attempts WHERE attempts.phase = phases.id) WHERE phase_id = 'two'";
    execute(&project, sql);
    let ran = project.drain().exited(1);
    assert!(ran.stdout.contains("two is complete without a matching attempt"), "{ran:#?}");
}

#[test]
fn a_phase_cannot_be_removed_behind_autopacks_back() {
    let project = meddled_with("DELETE FROM phases WHERE phase_id = 'two'");
    project.drain();
    assert_eq!(project.states().len(), 3);
    project.autopack(["runs", "remove", "run", "--yes"]).succeeded();
}

#[test]
fn landed_unchanged_skipped_and_imported_phases_are_vouched_for() {
    let agent = "if phase_id != 'two': write_deliverables()";
    let allowed =
        json!({"phase_id": "two", "deliverables": ["README.md"], "allow_no_change": true});
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/one.txt"]}, allowed,
        {"phase_id": "three", "deliverables": ["src/three.txt"]},
    ]});
    let project = Project::new().agent(agent).plan(plan);
    project.autopack(["phases", "skip", "--run-id", "run", "three"]).succeeded();
    let ran = project.drain();
    assert!(!ran.stdout.contains("without a matching attempt"), "{ran:#?}");
    // A branch that is gone or rewritten is no evidence about finished work.
    project.git(["branch", "-q", "-f", "autopack/run", "main"]);
    let ran = project.drain();
    assert!(!ran.stdout.contains("without a matching attempt"), "{ran:#?}");
    project.git(["branch", "-q", "-D", "autopack/run"]);
    let ran = project.drain();
    assert!(!ran.stdout.contains("without a matching attempt"), "{ran:#?}");
}

#[test]
fn only_what_is_settled_can_be_accepted() {
    let project = project("write_deliverables()");
    let refused = project.autopack(["phases", "accept", "--run-id", "run", "one"]).exited(1);
    assert!(
        refused.stderr.contains("it is queued, so it cannot be accepted as done"),
        "{refused:#?}"
    );
}

#[test]
fn a_landed_phase_is_not_shown_with_the_failure_that_it_overcame() {
    let project = Project::new()
        .agent("if attempt > 1: write_deliverables()")
        .plan(json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]}));
    project.drain().succeeded();
    let shown = project.autopack(["phases", "show", "--run-id", "run", "one"]).succeeded().stdout;
    assert!(shown.contains("complete") && !shown.contains("last failure"), "{shown}");
}
