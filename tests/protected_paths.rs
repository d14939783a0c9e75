//! Protected paths as deliverables: refused until the plan opens them, and then only the named ones are allowed.

use serde_json::{Value, json};

use crate::support::Project;

const WORKFLOW: &str = ".github/workflows/ci.yml";

fn project(phase: Value) -> Project {
    project_where("write_deliverables()", phase)
}

/// One phase with this agent.
fn project_where(agent: &str, mut phase: Value) -> Project {
    phase["phase_id"] = "p".into();
    phase["max_attempts"] = 1.into();
    Project::new().agent(agent).plan(json!([phase]))
}

#[test]
fn a_protected_deliverable_is_unfixable_and_each_look_names_the_key() {
    for path in [
        WORKFLOW,
        ".github/**",
        ".GitHub/workflows/ci.yml",
        ".github/",
        ".gitignore",
        "./.github//x.yml (new)",
    ] {
        let project = project(json!({"deliverables": [path]}));
        for text in [
            project.autopack(["fix-phases", "--dry-run"]).succeeded().stdout,
            project.autopack(["fix-phases"]).succeeded().stdout,
            project.autopack(["drain", "--run-id", "run", "--dry-run"]).succeeded().stdout,
        ] {
            assert!(text.contains("`allow_protected: true`"), "{path}: {text}");
        }
        project.drain().exited(3);
        let phase = project.phase("p");
        assert_eq!(phase["last_failure"]["kind"], "unfixable", "{path}: {phase:#}");
        assert_eq!(phase["attempt_log"], json!([]), "no agent is asked");
    }
}

#[test]
fn the_key_opens_what_is_named_and_the_prompt_says_so() {
    let project = project(json!({"deliverables": [WORKFLOW, "src/a.py"], "allow_protected": true}));
    let prompt =
        project.autopack(["phases", "show", "--run-id", "run", "p", "--prompt"]).succeeded().stdout;
    assert!(prompt.contains(&format!("except for `{WORKFLOW}`")), "{prompt}");
    project.drain().succeeded();
    assert_eq!(project.git(["show", &format!("autopack/run:{WORKFLOW}")]), "made by the agent\n");
}

#[test]
fn the_key_opens_nothing_beside_what_is_named() {
    for also in [".github/workflows/release.yml", ".gitattributes", "config/autopack.yaml"] {
        let agent = format!("write_deliverables(); write('{also}', 'x')");
        let phase = json!({"deliverables": [WORKFLOW], "allow_protected": true});
        let project = project_where(&agent, phase);
        project.drain().exited(3);
        assert_eq!(project.phase("p")["last_failure"]["kind"], "protected_path", "{also}");
        assert!(project.landed().is_empty());
    }
}

#[test]
fn a_scope_that_is_protected_needs_the_key_too() {
    let closed = project(
        json!({"deliverables": ["src/a.py"], "scope": {"paths": ["src", ".github/workflows"]}}),
    );
    let output = closed.autopack(["fix-phases"]).stdout;
    assert!(
        output.contains("scope.paths: \".github/workflows\" is protected by \".github/\""),
        "{output}"
    );
}

#[test]
fn configured_paths_count_and_autopacks_own_are_never_opened() {
    let project = project(json!({"deliverables": ["infra/prod/main.tf"]}));
    let yaml = project.read(".autopack/config/autopack.yaml")
        + "workspace: {protected_paths: [infra/prod, config/autopack.yaml]}\n";
    project.write(".autopack/config/autopack.yaml", &yaml);
    assert!(
        project
            .autopack(["fix-phases"])
            .stdout
            .contains("\"infra/prod/main.tf\" is protected by \"infra/prod\"")
    );
    let edit = |spec: Value| {
        project.write("spec.json", &spec.to_string());
        project.autopack(["phases", "edit", "--run-id", "run", "p", "--file", "spec.json"])
    };
    let own = edit(
        json!({"phase_id": "p", "deliverables": ["config/autopack.yaml"], "allow_protected": true}),
    )
    .exited(1);
    assert!(
        own.stderr.contains("autopack's own configuration, closed to all phases"),
        "{}",
        own.stderr
    );
    edit(json!({"phase_id": "p", "deliverables": ["infra/prod/main.tf"], "allow_protected": true}))
        .succeeded();
    project.drain().succeeded();
    assert_eq!(project.landed(), ["p"]);
}
