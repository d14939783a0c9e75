//! `health` through the real program: what is said of a good place to drain, and of bad ones.

use crate::support::{Project, Ran};

/// Without what differs from machine to machine: versions, free space, and where long lines are broken.
fn golden(ran: &Ran) -> String {
    let small_disk = ran.stdout.contains("warn  disk");
    let mut shown: Vec<String> = Vec::new();
    for line in ran.shown().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = match words.as_slice() {
            ["ok" | "warn", "disk", ..] => "ok    disk  [FREE]".to_owned(),
            [status, "git", ..] => format!("{status:4}  git  [VERSION]"),
            ["->", "make", "room;", ..] => continue,
            ["degraded:", ..] if small_disk => "healthy: a drain can start".to_owned(),
            ["->", ..] => line.to_owned(),
            _ if line.starts_with(' ') => {
                let last = shown.pop().expect("something is continued");
                format!("{last} {}", words.join(" "))
            }
            _ => line.to_owned(),
        };
        shown.push(line);
    }
    shown.join("\n")
}

/// With a memory in the process: no test but the memory's own looks for a Qdrant on this machine.
fn health(project: &Project, more: &[&str]) -> Ran {
    project.autopack_with([&["health"], more].concat(), &[("AUTOPACK_USE_QDRANT", "0")])
}

/// Without a commit, an agent, or a variable that says anything of memory.
fn repository() -> Project {
    Project::without_commits().unset("AUTOPACK_ENABLE_MEMORY")
}

fn with_agent(command: &str) -> Project {
    let agents = format!("agents:\n  mine:\n    kind: command\n    command: {command}\n");
    repository().file("config/autopack.yaml", &format!("{agents}ci: {{command: make test}}\n"))
}

#[test]
fn a_place_where_a_drain_can_start() {
    let project = with_agent("[sh, '{workspace}/agent.sh']").file("agent.sh", "true\n");
    insta::assert_snapshot!(golden(&health(&project, &[])));
}

#[test]
fn without_an_agent_it_is_degraded() {
    let ran = health(&repository(), &["--json"]).succeeded();
    let report = ran.json();
    assert_eq!(report["status"], "degraded");
    let agent = check(&report, "agent");
    assert_eq!(agent["status"], "warn");
    assert_eq!(agent["hint"], "name one under `agents` in autopack.yaml");
}

#[test]
fn every_check_has_the_same_five_fields() {
    let report = health(&repository(), &["--json"]).json();
    for check in report["checks"].as_array().expect("a list") {
        let fields: Vec<&String> = check.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["name", "status", "detail", "hint", "elapsed_ms"]);
    }
}

#[test]
fn a_missing_agent_fails() {
    let ran = health(&with_agent("[no-such-agent]"), &["--json"]).exited(1);
    let report = ran.json();
    assert_eq!(report["status"], "failed");
    let detail = check(&report, "agent")["detail"].as_str().expect("a text").to_owned();
    assert!(detail.starts_with("mine: no-such-agent is missing"), "{detail}");
}

#[test]
fn a_bad_configuration_is_a_check_that_fails_and_the_others_go_on() {
    let project = repository().file("config/memory.yaml", "memory:\n  enabld: true\n");
    let ran = health(&project, &[]).exited(1);
    insta::assert_snapshot!(golden(&ran));
}

#[test]
fn outside_a_repository_it_says_so() {
    let folder = Project::bare_folder().unset("AUTOPACK_ENABLE_MEMORY");
    let ran = health(&folder, &[]).exited(1);
    insta::assert_snapshot!(golden(&ran));
}

#[test]
fn without_docker_nobody_is_told_to_start_qdrant_with_it() {
    let qdrant = |more: &str| {
        let memory = format!("memory:\n  qdrant: {{port: 2, grpc_port: 1, {more}}}\n");
        let project = repository().file("config/memory.yaml", &memory);
        let socket = project.outside("no-docker.sock");
        let host = format!("unix://{}", socket.display());
        let ran = project.autopack_with(["health", "--json"], &[("DOCKER_HOST", &host)]);
        check(&ran.succeeded().json(), "qdrant").clone()
    };
    let started = qdrant("autostart: true");
    assert_eq!((&started["status"], &started["hint"]), (&"warn".into(), &serde_json::Value::Null));
    let by_hand = qdrant("autostart: false");
    assert_eq!(by_hand["hint"], "start it, or set memory.use_qdrant to false");
}

fn check<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let checks = report["checks"].as_array().expect("a list");
    checks.iter().find(|check| check["name"] == name).expect(name)
}
