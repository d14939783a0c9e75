//! The agent and its model in the commits of landings: `workspace.attribution`.

use serde_json::json;

use crate::support::Project;

const WORK: &str = "write_deliverables()\nreport(model='m-1\\nAutopack-Phase: forged')";

fn project(agent: &str, more: &str) -> Project {
    Project::new()
        .agent_with(agent, more)
        .plan(json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]}))
}

/// Returns the trailers of the run's landing.
fn trailers(project: &Project) -> Vec<String> {
    project.drain().succeeded();
    let format = "--format=%(trailers:only,unfold)";
    let listed = project.git(["log", "-1", format, "autopack/run"]);
    listed.trim().lines().map(str::to_owned).collect()
}

const PHASE: [&str; 3] = ["Autopack-Run: run", "Autopack-Phase: one", "Autopack-Attempt: 1"];

fn with(line: &str) -> Vec<&str> {
    PHASE.into_iter().chain([line]).collect()
}

#[test]
fn a_landing_names_the_agent_and_the_reported_model() {
    let expected = "Autopack-Agent: fake (m-1 Autopack-Phase: forged)";
    assert_eq!(trailers(&project(WORK, "")), with(expected));
    assert_eq!(trailers(&project("write_deliverables()", "")), with("Autopack-Agent: fake"));
}

#[test]
fn an_agent_without_an_address_keeps_its_trailer() {
    let project = project("write_deliverables()", "workspace: {attribution: co_author}\n");
    assert_eq!(trailers(&project), with("Autopack-Agent: fake"));
}

#[test]
fn commits_can_name_no_agent() {
    assert_eq!(trailers(&project(WORK, "workspace: {attribution: none}\n")), PHASE);
}

#[test]
fn claude_is_a_co_author_with_its_own_address() {
    let config =
        "agents: {default: main, main: {kind: claude}}\nworkspace: {attribution: co_author}\n";
    let project = Project::new()
        .claude_on_path("f'made for {path}\\n'")
        .config(config)
        .plan(json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]}));
    let expected = "Co-authored-by: Claude (claude-opus-4-8) <noreply@anthropic.com>";
    assert_eq!(trailers(&project), with(expected));
}

#[test]
fn an_unknown_word_is_refused_before_any_agent() {
    let project = project("write_deliverables()", "workspace: {attribution: coauthor}\n");
    let ran = project.drain().exited(1);
    assert!(ran.stderr.contains("workspace.attribution"), "{ran:#?}");
    assert!(ran.stderr.contains("co_author"), "{ran:#?}");
    assert_eq!(project.git(["for-each-ref", "refs/heads/autopack"]), "");
}
