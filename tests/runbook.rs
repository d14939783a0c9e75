//! `docs/runbook.md`: every command in it is run, in its order, and every message of a drain must be explained there.
//!
//! A command is a line in a block of `sh`; its exit code is 0, or the N of `exits N` in its comment.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use autopack::phase::FailureKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;

use crate::support::Project;

const RUNBOOK: &str = include_str!("../docs/runbook.md");

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

/// One line of a block.
#[derive(Debug)]
struct Line {
    command: String,
    exits: i32,
}

fn lines() -> Vec<Line> {
    let exits = Regex::new(r"exits (\d+)").unwrap();
    let blocks = RUNBOOK.split("```sh\n").skip(1);
    let text = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    text.map(|line| {
        let (command, comment) = line.split_once(" # ").unwrap_or((line, ""));
        let exits = exits.captures(comment).map_or(0, |found| found[1].parse().unwrap());
        Line { command: command.trim().to_owned(), exits }
    })
    .collect()
}

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

/// A shell with the binary on its PATH.
fn shell(project: &Project, line: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_autopack")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    let background = line.strip_suffix('&').map(|line| format!("{line}& wait $!"));
    shell.args(["-c", &background.unwrap_or_else(|| line.to_owned())]);
    shell.current_dir(project.root()).env_clear().stdin(Stdio::null());
    for (name, value) in project.command::<&str>([]).get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.env("PATH", format!("{}:{path}", binary.display())).env("GIT_PAGER", "cat");
    shell
}

/// Runs a view that ends with Ctrl-C: it has to show something first.
fn watched(project: &Project, line: &str) {
    let mut command = shell(project, &format!("exec {line}"));
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
    let lines = lines();
    assert!(lines.len() > 30, "the blocks were not found");
    let left_out = NOT_HERE.map(|(part, _)| part);
    for Line { command, exits } in &lines {
        if left_out.iter().any(|part| command.contains(part)) {
            println!("not run here: {command}");
        } else if command.contains("--watch") {
            watched(&project, command);
        } else {
            let output = shell(&project, command).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(output.status.code(), Some(*exits), "`{command}` said:\n{said}");
        }
    }
    for part in left_out {
        assert!(
            lines.iter().any(|line| line.command.contains(part)),
            "{part} left out for nothing"
        );
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
    let table = RUNBOOK.split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> =
        table.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next()).collect();
    let explained = |code: &&str| rows.iter().any(|row| row.split(", ").any(|word| word == *code));
    let missing: Vec<_> = codes.iter().filter(|code| !explained(code)).collect();
    assert!(missing.is_empty(), "docs/runbook.md lacks {missing:?}");
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
