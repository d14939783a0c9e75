//! `docs/runbook.md` and the pages split from it: every command is run, in its order, and every message of a drain must be
//! explained there.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use autopack::phase::FailureKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::Project;
use crate::support::page_commands::{page_commands, page_shell, run_page_command};

const RUNBOOK: &str = include_str!("../docs/runbook.md");
const MEMORY: &str = include_str!("../docs/explanation/memory.md");
const EXIT_CODES: &str = include_str!("../docs/reference/exit-codes.md");

/// Commands that cannot run here, each with the reason.
const NOT_HERE: [(&str, &str); 2] = [
    ("docker pull ", "no image can be had without a network"),
    (
        "docker compose up",
        "it wants that image; tests/memory_docker.rs starts the service with a stand-in",
    ),
];

const PLAN: &str = "
run_id: night
phases:
- {phase_id: greeting, category: docs, description: Greet, deliverables: [greeting.txt]}
- {phase_id: farewell, category: tests, description: Say goodbye, deliverables: ['- farewell.txt (new)']}
- {phase_id: broken, category: docs, description: Cannot work, deliverables: [broken.txt]}
- {phase_id: later, category: docs, description: Needs it, deliverables: [later.txt], depends_on: [broken]}
- {phase_id: extra, category: docs, description: Never works, deliverables: [extra.txt]}
- {phase_id: more-1, category: docs, description: Enough samples to learn from, deliverables: [more/1.txt]}
- {phase_id: more-2, category: tests, description: Enough samples to learn from, deliverables: [more/2.txt]}
- {phase_id: more-3, category: docs, description: Enough samples to learn from, deliverables: [more/3.txt]}
- {phase_id: more-4, category: tests, description: Enough samples to learn from, deliverables: [more/4.txt]}
";

/// Writes the requested files, but not for `extra`, and for `broken` only with a better spec.
const AGENT: &str = r#"
print("working on", phase_id)
report(tokens={"input": 100, "output": 40}, cost_usd=0.01, model="fake")
if phase_id == "extra" or phase_id == "broken" and "carefully" not in phase["description"]:
    write("notes.txt")
else:
    write_deliverables()
"#;

fn project() -> Project {
    let project = Project::new()
        .env("AUTOPACK_ENABLE_MEMORY", "1")
        .env("AUTOPACK_USE_QDRANT", "0")
        .agent(AGENT)
        .file("backlog.yaml", PLAN)
        .file(
            "broken.yaml",
            "{phase_id: broken, description: Do it carefully, deliverables: [broken.txt]}\n",
        );
    let project = project.commit("a backlog");
    let remote = project.outside("remote.git");
    project.git(["init", "-q", "--bare", "-b", "main", remote.to_str().unwrap()]);
    project.git(["remote", "add", "origin", remote.to_str().unwrap()]);
    project.git(["push", "-q", "origin", "main"]);
    project
}

/// Runs a view that ends with Ctrl-C: it has to show something first.
fn watched(project: &Project, line: &str) {
    let mut command = page_shell(project, &format!("exec {line}"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    child.wait().unwrap();
    assert!(!first.is_empty(), "`{line}` shows nothing");
}

#[test]
fn every_command_runs_and_ends_as_it_says() {
    let project = project();
    let lines = page_commands(RUNBOOK);
    assert!(lines.len() > 30, "the blocks were not found");
    for line in &lines {
        match line.command.contains("--watch") {
            true => watched(&project, &line.command),
            false => run_page_command(&project, line),
        }
    }
}

#[test]
fn every_command_about_the_memory_runs() {
    let project = project();
    project.autopack(["import", "backlog.yaml"]).succeeded();
    let lines = page_commands(MEMORY);
    assert!(lines.len() > 5, "the blocks were not found");
    let (left_out, run): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| NOT_HERE.iter().any(|(part, _)| line.command.contains(part)));
    for line in run {
        run_page_command(&project, line);
    }
    for (part, why) in NOT_HERE {
        let is_there = left_out.iter().any(|line| line.command.contains(part));
        assert!(is_there, "{part} left out for nothing: {why}");
    }
}

#[test]
fn every_kind_of_failure_is_explained() {
    let kinds = FailureKind::ALL.map(FailureKind::as_str);
    let missing: Vec<_> = kinds.iter().filter(|kind| !is_row(kind)).collect();
    assert!(missing.is_empty(), "docs/runbook.md lacks {missing:?}");
}

#[test]
fn every_exit_code_is_explained() {
    let help = Project::bare_folder().autopack(["--help"]).succeeded().stdout;
    let codes = help.split("Exit codes:\n").nth(1).unwrap();
    // The meaning of a code may continue in the next line.
    let begins = codes.lines().filter_map(|line| line.split_whitespace().next());
    let codes: Vec<&str> = begins.filter(|word| word.parse::<u8>().is_ok()).collect();
    assert!(codes.len() >= 8, "{codes:?}");
    let table = EXIT_CODES.split("\n## ").next().unwrap();
    let rows: Vec<&str> =
        table.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next()).collect();
    let explained = |code: &&str| rows.iter().any(|row| row.split(", ").any(|word| word == *code));
    let missing: Vec<_> = codes.iter().filter(|code| !explained(code)).collect();
    assert!(missing.is_empty(), "docs/reference/exit-codes.md lacks {missing:?}");
}

#[test]
fn every_health_check_is_explained() {
    let health = Project::new().json(["health", "--json", "--no-autostart"]);
    let checks = health["checks"].as_array().unwrap().iter();
    let names: Vec<&str> = checks.map(|check| check["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 12, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !is_row(name)).collect();
    assert!(missing.is_empty(), "docs/runbook.md lacks {missing:?}");
}

/// Whether a table has a line that starts with this word.
fn is_row(word: &str) -> bool {
    RUNBOOK.contains(&format!("\n| `{word}` |"))
}
