//! Secret variables reach only the programs that need them: the agent, CI and setup.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Project, executable};

/// Writes its variables.
const AGENT: &str =
    "write('src/one.txt'); subprocess.run('env >\"$SEEN/agent\"', shell=True, check=True)";

const SECRETS: [&str; 6] = [
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GITHUB_TOKEN",
    "NPM_TOKEN",
    "NPM_PASSWORD",
    "STRIPE_KEY",
];

/// A project whose agent, setup and CI write their variables, with all secrets set.
fn project(agent: &str, ci: &str, workspace: &str) -> Project {
    let project = Project::new();
    let seen = project.outside("seen");
    std::fs::create_dir(&seen).unwrap();
    let project =
        SECRETS.into_iter().fold(project, |project, name| project.env(name, "value-of-it"));
    let writes = |name: &str| format!("[sh, -c, 'env >\"$SEEN/{name}\"']");
    let more = format!(
        "{agent}ci:\n  command: {}\n{ci}workspace:\n  setup: {}\n{workspace}",
        writes("ci"),
        writes("setup")
    );
    project
        .env("SEEN", seen.display().to_string())
        .env("MAX_OUTPUT_TOKENS", "8000")
        .agent_with(AGENT, &more)
        .plan(json!([{"id": "one", "deliverables": ["src/one.txt"]}]))
}

/// The secrets among the variables of a program.
fn secrets_of(project: &Project, program: &str) -> Vec<String> {
    let text = std::fs::read_to_string(project.outside("seen").join(program)).unwrap();
    let names: BTreeSet<&str> =
        text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(names.contains("MAX_OUTPUT_TOKENS") && names.contains("PATH"), "{program}: {text}");
    SECRETS.into_iter().filter(|name| names.contains(name)).map(str::to_owned).collect()
}

#[test]
fn only_keys_of_providers_reach_a_command_agent_and_nothing_reaches_ci_and_setup() {
    let project = project("", "", "");
    let ran = project.drain().succeeded();
    assert_eq!(secrets_of(&project, "agent"), ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]);
    assert!(secrets_of(&project, "ci").is_empty());
    assert!(secrets_of(&project, "setup").is_empty());
    let line = "withheld secret variables: GITHUB_TOKEN, NPM_PASSWORD, NPM_TOKEN, STRIPE_KEY from agent fake, CI and \
                setup (env_pass passes them on)";
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(shown.matches("withheld secret").count(), 1, "{ran:#?}");
    assert!(shown.contains(line), "{ran:#?}");
    assert!(!shown.contains("value-of-it"), "{ran:#?}");
}

#[test]
fn named_variables_are_passed_on() {
    let project = project(
        "    env_pass: [GITHUB_TOKEN]\n",
        "  env_pass: [STRIPE_KEY, OPENAI_API_KEY]\n",
        "  env_pass: ['NPM_*']\n",
    );
    project.drain().succeeded();
    assert_eq!(
        secrets_of(&project, "agent"),
        ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN"]
    );
    assert_eq!(secrets_of(&project, "ci"), ["OPENAI_API_KEY", "STRIPE_KEY"]);
    assert_eq!(secrets_of(&project, "setup"), ["NPM_TOKEN", "NPM_PASSWORD"]);
}

#[test]
fn the_agents_own_variables_win() {
    for passes in ["", "    env_pass: [GITHUB_TOKEN]\n"] {
        let agent = format!("    env: {{GITHUB_TOKEN: 'its own'}}\n{passes}");
        let project = project(&agent, "", "");
        project.drain().succeeded();
        let seen = std::fs::read_to_string(project.outside("seen/agent")).unwrap();
        assert!(seen.contains("GITHUB_TOKEN=its own\n"), "{seen}");
    }
}

#[test]
fn a_known_agent_gets_the_keys_of_its_provider_alone() {
    let project = Project::new();
    let (program, seen) = (project.outside("codex"), project.outside("seen.txt"));
    executable(&program, "#!/bin/sh\nenv >\"$SEEN\"\nexit 1\n");
    let config = format!(
        "agents: {{mine: {{kind: codex, program: '{}'}}}}\nci: {{command: 'true'}}\nexecutor: {{max_attempts: 1}}\n",
        program.display()
    );
    let project =
        SECRETS.into_iter().fold(project, |project, name| project.env(name, "value-of-it"));
    let project = project
        .env("SEEN", seen.display().to_string())
        .config(&config)
        .plan(json!([{"id": "one", "deliverables": ["src/one.txt"]}]));
    project.drain().exited(3);
    let text = std::fs::read_to_string(seen).unwrap();
    let passed: Vec<&str> =
        SECRETS.into_iter().filter(|name| text.contains(&format!("{name}="))).collect();
    assert_eq!(passed, ["OPENAI_API_KEY"]);
}

#[test]
fn only_unusual_ones_are_told() {
    let project = Project::new()
        .env("ANTHROPIC_API_KEY", "value-of-it")
        .agent("write_deliverables()")
        .plan(json!([{"id": "one", "deliverables": ["src/one.txt"]}]));
    let ran = project.drain().succeeded();
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("withheld"), "{ran:#?}");
}

#[test]
fn a_failure_for_lack_of_a_withheld_variable_names_the_key() {
    let plan = || json!([{"id": "one", "deliverables": ["src/one.txt"]}]);
    let drain = |more: &str| {
        let project = Project::new()
            .env("SHOP_TOKEN", "value-of-it")
            .agent_with("write_deliverables()", more)
            .plan(plan());
        let ran = project.drain().exited(5);
        format!("{}{}", ran.stdout, ran.stderr)
    };
    let shown = drain("ci: {command: 'echo ${SHOP_TOKEN:?}'}\n");
    assert!(shown.contains("set ci.env_pass: [SHOP_TOKEN]"), "{shown}");
    assert!(!shown.contains("export it before the drain"), "{shown}");
    let shown = drain("workspace: {setup: 'echo ${SHOP_TOKEN:?}'}\nci: {command: 'true'}\n");
    assert!(shown.contains("set workspace.env_pass: [SHOP_TOKEN]"), "{shown}");
    let config = "ci: {command: 'echo ${SHOP_TOKEN:?}', env_pass: [SHOP_TOKEN]}\n";
    let project = Project::new()
        .env("SHOP_TOKEN", "value-of-it")
        .agent_with("write_deliverables()", config)
        .plan(plan());
    project.drain().succeeded();
}

#[test]
fn health_lists_who_would_get_what() {
    let project = project("", "  env_pass: [STRIPE_KEY]\n", "");
    let report = project.autopack(["health", "--json"]).json();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "environment").unwrap();
    assert_eq!(check["status"], "ok");
    assert_eq!(
        check["detail"],
        "secret variables for fake: ANTHROPIC_API_KEY, OPENAI_API_KEY; CI: STRIPE_KEY; setup: none; nobody: GITHUB_TOKEN, \
         NPM_PASSWORD, NPM_TOKEN"
    );
}
