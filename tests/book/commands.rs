//! Every command of the book is run, in the order of its page and in a project for the page. What cannot run has its reason
//! here; the pages of `ELSEWHERE` have tests of their own.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::json;

use super::book;
use crate::support::Project;
use crate::support::page_commands::{page_blocks, page_commands, run_page_command};

/// Pages whose commands another test runs: the page, the test, and its file.
const ELSEWHERE: [(&str, &str, &str); 3] = [
    ("runbook.md", "every_command_runs_and_ends_as_it_says", include_str!("../runbook.rs")),
    ("explanation/memory.md", "every_command_about_the_memory", include_str!("../runbook.rs")),
    (
        "guides/github-issues-overnight.md",
        "every_command_of_the_guide_works",
        include_str!("../trackers.rs"),
    ),
];

/// Starts of commands that do not run here, each with the reason.
const NOT_HERE: [(&str, &str); 11] = [
    ("systemctl ", "needs a systemd of the user"),
    ("loginctl ", "needs a systemd of the user"),
    ("journalctl ", "needs a systemd of the user"),
    ("docker run ", "needs an engine and an image of the user"),
    ("docker rm ", "would remove the container of the tester"),
    ("docker volume rm ", "would remove the volume of the tester"),
    ("ssh ", "needs a second machine"),
    ("git fetch ssh:", "needs a second machine"),
    ("git push ", "needs a remote; the branch is pushed by tests of publishing"),
    ("gh ", "the user's own program, with an account"),
    ("rm -rf target", "would remove what the tests were built from"),
];

/// An agent for phases without a path: proposes a file, then writes this file.
const PROPOSER: &str = r#"
answer = os.environ.get("AUTOPACK_ANSWER_FILE")
if answer: pathlib.Path(answer).write_text('{"deliverables": ["greeting.py"], "confidence": 0.9}')
else: write("greeting.py")
"#;

/// The plan where a page shows none.
const PLAN: &str = "phases:\n- {phase_id: greeting, description: Greet, deliverables: [greeting.py]}\n- {phase_id: farewell, description: Say goodbye, category: tests, deliverables: [farewell.py]}\n";

/// What the agent writes into each file: a test that passes, for pytest and unittest.
const CONTENT: &str =
    "import unittest\n\n\nclass Test(unittest.TestCase):\n    def test_it(self):\n        pass\n";

/// What an agent answers to `autopack plan`.
const ANSWER: &str = "run_id: notes\nphases:\n- {id: store, title: Store notes, description: Add a store of notes., complexity: low, deliverables: [src/store.py], acceptance_criteria: [a missing file is an empty store]}\n";

/// A project of one's own for a page: an agent on PATH, a target `test`, and `plan.yaml`.
fn project(page: &str, text: &str) -> Project {
    let plan = page_blocks(text, "yaml").into_iter().find(|block| is_plan(block)).unwrap_or(PLAN);
    let project = Project::new()
        .file("Makefile", "test:\n\t@true\n")
        .file(".gitignore", "notes.yaml\nplan.yaml\n")
        .commit("tests")
        .file("plan.yaml", plan)
        .claude_on_path(&json!(CONTENT).to_string());
    match page {
        // These pages begin after the first drain.
        "guides/upgrade-and-uninstall.md" | "guides/troubleshooting.md" => {
            project.autopack(["drain", "plan.yaml"]).succeeded();
            project
        }
        "guides/limit-the-cost.md"
        | "guides/metrics.md"
        | "guides/schedule.md"
        | "guides/what-leaves-your-machine.md"
        | "guides/confinement.md" => {
            project.autopack(["import", "plan.yaml"]).succeeded();
            project
        }
        "guides/taskmaster-beads-prds.md" => {
            let project = project.file(
            ".beads/issues.jsonl",
            &format!("{}\n", json!({"id": "b-1", "title": "Greet", "description": "Write `greeting.py`.", "status": "open", "priority": 1, "issue_type": "task", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"})),
            );
            project.autopack(["import", ".beads"]).succeeded();
            project.agent(PROPOSER)
        }
        "guides/write-a-plan.md" => {
            std::fs::remove_file(project.path("plan.yaml")).unwrap();
            let body = format!(
                "import os\nanswer = os.environ.get('AUTOPACK_ANSWER_FILE')\nif answer: pathlib.Path(answer).write_text({})\nelse: write_deliverables()",
                json!(ANSWER)
            );
            project.file("goal.md", "Store notes.\n").agent(&body)
        }
        _ => project,
    }
}

fn is_plan(block: &str) -> bool {
    block.starts_with("phases:") || block.contains("\nphases:")
}

/// Whether a command runs here.
fn runs(command: &str) -> bool {
    !NOT_HERE.iter().any(|(start, _)| command.starts_with(start))
}

/// Runs the commands of the pages whose paths begin so.
fn run_pages(start: &str) {
    let mut ran = 0;
    for (page, text) in book() {
        let elsewhere = ELSEWHERE.iter().any(|(other, ..)| page == *other);
        let lines = page_commands(&text);
        if elsewhere || lines.is_empty() || !page.starts_with(start) {
            continue;
        }
        let project = project(&page, &text);
        for line in lines.iter().filter(|line| runs(&line.command)) {
            println!("{page}: {}", line.command);
            run_page_command(&project, line);
            ran += 1;
        }
    }
    assert!(ran > 0, "no page begins with {start}");
}

#[test]
fn commands_of_the_first_pages_run() {
    run_pages("getting-started");
    run_pages("guides/your");
    run_pages("plan-format");
}

#[test]
fn commands_of_guides_about_costs_schedules_and_monorepos_run() {
    run_pages("guides/metrics");
    run_pages("guides/limit");
    run_pages("guides/schedule");
    run_pages("guides/monorepo");
}

#[test]
fn commands_of_guides_about_plans_run() {
    run_pages("guides/taskmaster");
    run_pages("guides/write");
}

#[test]
fn commands_of_guides_about_the_machine_run() {
    for start in ["guides/ci", "guides/docker", "guides/two", "guides/what", "guides/confinement"] {
        run_pages(start);
    }
}

#[test]
fn commands_of_guides_about_upgrades_and_trouble_run() {
    run_pages("guides/upgrade");
    run_pages("guides/troubleshooting");
}

/// A new page with commands needs a test above.
#[test]
fn every_page_with_commands_is_run() {
    let starts = ["getting-started", "guides/", "plan-format", "supply-chain"];
    for (page, text) in book() {
        let elsewhere = ELSEWHERE.iter().any(|(other, ..)| page == *other);
        let covered = elsewhere || starts.iter().any(|start| page.starts_with(start));
        assert!(covered || page_commands(&text).is_empty(), "{page} has commands without a test");
    }
    for (page, test, file) in ELSEWHERE {
        assert!(file.contains(&format!("fn {test}")), "{page}: there is no {test}");
    }
}

#[test]
fn nothing_is_left_out_for_nothing() {
    let commands: Vec<String> =
        book().iter().flat_map(|(_, text)| page_commands(text)).map(|line| line.command).collect();
    for (start, why) in NOT_HERE {
        assert!(commands.iter().any(|line| line.starts_with(start)), "{start}: {why}");
    }
}

/// Settings shown in blocks are accepted, and plans are imported.
#[test]
fn every_block_of_yaml_is_a_configuration_or_a_plan() {
    let sections =
        ["agents", "executor", "ci", "workspace", "sandbox", "notify", "telemetry", "prices"];
    let (mut plans, mut settings) = (0, 0);
    for (page, text) in book() {
        for block in page_blocks(&text, "yaml") {
            let first = block.split(':').next().unwrap_or_default();
            if is_plan(block) {
                let project = Project::new().file("plan.yaml", block);
                project.autopack(["import", "plan.yaml"]).succeeded();
                plans += 1;
            } else if sections.contains(&first) || first == "memory" {
                let file = if first == "memory" { "memory" } else { "autopack" };
                let project = Project::new().file(&format!(".autopack/config/{file}.yaml"), block);
                let ran = project.autopack(["config", "show"]);
                assert_eq!(ran.code, Some(0), "{page}: {block}\n{ran:#?}");
                settings += 1;
            }
        }
    }
    assert!(plans >= 3 && settings >= 10, "{plans} plans, {settings} settings");
}

/// Commands within a text, such as `autopack status --watch`: the command line knows them. Capitals stand for names.
#[test]
fn every_command_within_a_text_is_known() {
    let span = Regex::new(r"`(autopack [a-z][^`]*)`").unwrap();
    let mut unknown = BTreeSet::new();
    let mut seen = 0;
    let readme = include_str!("../../README.md").to_owned();
    for (page, text) in book().into_iter().chain([("README.md".to_owned(), readme)]) {
        for found in span.captures_iter(&text) {
            let line = found[1].replace('\n', " ");
            if line.contains("__") || line.contains("...") || line.contains('|') {
                continue;
            }
            seen += 1;
            let mut words =
                line.split_whitespace().take_while(|word| !word.starts_with(['>', '<', ';', '&']));
            words.next();
            let (mut command, mut path) = (autopack::cli::bare_command(), Vec::new());
            command.build();
            for word in words {
                let word = word.trim_matches(['\'', '"']);
                if let Some(option) = word.strip_prefix("--") {
                    let name = option.split('=').next().unwrap_or_default();
                    let known = command.get_arguments().any(|arg| {
                        arg.get_long() == Some(name)
                            || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
                    });
                    if !known && !["help", "version", ""].contains(&name) {
                        unknown.insert(format!("{page}: `{line}`: --{name}"));
                    }
                } else if command.has_subcommands() {
                    match command.find_subcommand(word) {
                        Some(next) => {
                            path.push(word.to_owned());
                            command = next.clone();
                        }
                        None if command.is_subcommand_required_set() => {
                            unknown.insert(format!("{page}: `{line}`: {word}"));
                        }
                        None => {}
                    }
                }
            }
        }
    }
    assert!(seen > 100, "{seen}");
    assert!(unknown.is_empty(), "{unknown:#?}");
}
