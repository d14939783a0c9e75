//! CI at the base, before the first agent is asked: reasons to end the drain, messages, and the number of runs.

use crate::support::{Project, has, has_pytest};
use serde_json::{Value, json};

/// Leaves a file outside the repository as evidence that an agent was asked.
const WITNESSED: &str =
    "write(workspace.parent / 'witness' / 'asked' / phase_id)\nwrite_deliverables()";

fn phases(count: usize) -> Value {
    let phase =
        |n: usize| json!({"phase_id": format!("p{n}"), "deliverables": [format!("d{n}/a.txt")]});
    json!({ "phases": (0..count).map(phase).collect::<Vec<_>>() })
}

fn asked(project: &Project) -> usize {
    std::fs::read_dir(project.outside("asked")).map_or(0, Iterator::count)
}

fn attempts_at_all(project: &Project, phase: &str) -> (Value, Vec<Value>) {
    let phase = project.phase(phase);
    let agents = phase["attempt_log"].as_array().unwrap();
    (phase["attempts"].clone(), agents.iter().map(|attempt| attempt["agent"].clone()).collect())
}

/// A CI of the project's own that writes a line into `ci-runs` each time.
fn counted(body: &str) -> String {
    format!(
        "ci: {{command: [sh, -c, 'echo run >>\"$AUTOPACK_WORKSPACE/../witness/ci-runs\"; {body}']}}\n"
    )
}

fn ci_runs(project: &Project) -> usize {
    std::fs::read_to_string(project.outside("ci-runs")).unwrap_or_default().lines().count()
}

#[test]
fn a_red_base_starts_no_agent() {
    let ci = "ci:\n  command: \"echo boom; exit 1\"\n";
    let project = Project::new().agent_with(WITNESSED, ci).plan(phases(10));
    let ran = project.drain().exited(5);
    assert_eq!(asked(&project), 0);
    let text = ran.stdout + &ran.stderr;
    assert!(
        text.contains("`echo boom; exit 1` failed with exit code 1; last output: boom"),
        "{text}"
    );
    assert!(text.contains("ci.red_base: allow"), "{text}");
    assert_eq!(attempts_at_all(&project, "p0"), (json!(0), vec![Value::Null]));
    assert!(project.states().values().all(|state| state == "QUEUED"));
    let status = project.json(["status", "--run-id", "run", "--json"]);
    assert_eq!(status["runs"][0]["tokens"]["output"], Value::Null, "{status}");
}

#[test]
fn ci_that_cannot_start_or_end_starts_no_agent() {
    for (ci, why) in [
        ("ci: {command: [no-such-ci-program]}\n", "no-such-ci-program is not installed"),
        (
            "ci: {command: exec sleep 600, max_timeout_seconds: 1}\n",
            "1 s for `exec sleep 600`; there was no output; if the command watches for changes, set ci.command",
        ),
        (
            "ci:\n  command: \"echo \\\"ModuleNotFoundError: No module named 'flask'\\\"; exit 1\"\n",
            "the Python module flask is not installed where CI runs: install it in workspace.setup",
        ),
    ] {
        let project = Project::new().agent_with(WITNESSED, ci).plan(phases(2));
        let ran = project.drain().exited(5);
        assert_eq!(asked(&project), 0, "{ci}");
        assert!(ran.stdout.contains(why), "{ci}: {ran:#?}");
    }
}

#[test]
fn the_last_event_contains_the_stop_reason() {
    let ci = "ci:\n  command: \"echo boom; exit 1\"\n";
    let project = Project::new().agent_with(WITNESSED, ci).plan(phases(2));
    let ran = project.autopack(["drain", "--run-id", "run", "--json"]).exited(5);
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["reason"]), (&json!("drain_finished"), &json!("systemic")));
    assert!(last["message"].as_str().unwrap().contains("boom"), "{last}");
}

#[test]
fn a_run_that_fixes_ci_starts_on_a_red_base_if_allowed() {
    let ci = "ci: {command: 'test -e d0/a.txt || { echo boom; exit 1; }', red_base: allow}\n";
    let project = Project::new().agent_with(WITNESSED, ci).plan(phases(2));
    let ran = project.drain().succeeded();
    assert_eq!(project.landed(), ["p0", "p1"]);
    let output = "ci is red without any change: `test -e d0/a.txt || { echo boom; exit 1; }` failed with exit code 1; \
                ci.red_base is allow";
    assert_eq!(ran.stdout.matches(output).count(), 1, "{ran:#?}");
}

#[test]
fn a_flaky_base_does_not_end_the_drain() {
    let ci = counted("test $(wc -l <\"$AUTOPACK_WORKSPACE/../witness/ci-runs\") -gt 1");
    let project = Project::new().agent_with(WITNESSED, &ci).plan(phases(1));
    let ran = project.drain().succeeded();
    assert!(ran.stdout.contains("flaky without any change, passed when rerun"), "{ran:#?}");
    assert_eq!(project.landed(), ["p0"]);
}

#[test]
fn the_base_runs_once_for_all_workers_and_not_again_for_later_phases() {
    for jobs in ["1", "3"] {
        let project = Project::new().agent_with(WITNESSED, &counted("true")).plan(phases(3));
        project.autopack(["drain", "--run-id", "run", "--jobs", jobs]).succeeded();
        assert_eq!(project.landed().len(), 3);
        let moved = if jobs == "1" { 0 } else { 2 };
        let runs = ci_runs(&project);
        assert!((4..=4 + moved).contains(&runs), "{runs} runs of CI with {jobs} jobs");
    }
}

#[test]
fn a_landings_result_is_the_next_drains_base() {
    let project = Project::new().agent_with(WITNESSED, &counted("true")).plan(phases(2));
    project
        .autopack(["drain", "--run-id", "run", "--batch-size", "1", "--max-batches", "1"])
        .succeeded();
    assert_eq!(ci_runs(&project), 2);
    project.drain().succeeded();
    assert_eq!(ci_runs(&project), 3);
    let plan = project.outside("plan.json").to_str().unwrap().to_owned();
    project.autopack(["import", &plan, "--run-id", "other"]).succeeded();
    // Another run starts at the same base as the first, and comes to the same trees.
    let drained = project.autopack(["drain", "--run-id", "other"]).succeeded();
    assert_eq!(ci_runs(&project), 3);
    let line = "CI passed on exactly this tree before, and is not run again";
    assert_eq!((drained.stdout + &drained.stderr).matches(line).count(), 2);
}

#[test]
fn a_known_base_does_not_permit_testing_the_checkout() {
    let project = Project::new().without_sandbox();
    let project = project.agent_with(WITNESSED, &counted("true")).plan(phases(2));
    project
        .autopack(["drain", "--run-id", "run", "--batch-size", "1", "--max-batches", "1"])
        .succeeded();
    assert_eq!(asked(&project), 1);
    // cargo reads this for every project below the home directory.
    let config = format!("paths = [{:?}]\n", project.path("lib"));
    std::fs::create_dir_all(project.outside("home/.cargo")).unwrap();
    std::fs::write(project.outside("home/.cargo/config.toml"), config).unwrap();
    let ran = project.drain().exited(5);
    let output = format!("{}{}", ran.stdout, ran.stderr);
    assert!(output.contains("ci would test your checkout instead of the change"), "{output}");
    assert!(output.contains("home/.cargo/config.toml names"), "{output}");
    assert_eq!(asked(&project), 1);
}

#[test]
fn missing_ci_is_reported_once() {
    let project = Project::new().agent(WITNESSED).plan(phases(4));
    let ran = project.autopack(["drain", "--run-id", "run", "--jobs", "3"]).succeeded();
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("no ci:")).collect();
    assert_eq!(lines.len(), 1, "{ran:#?}");
    assert!(lines[0].contains("set ci.command") && lines[0].contains("deliverables alone decide"));
    let first_phase = ran.stdout.find("landed").unwrap();
    assert!(ran.stdout.find("no ci:").unwrap() < first_phase, "in the first lines: {ran:#?}");
}

/// A repository without anything to test yet.
#[test]
fn a_greenfield_repository_starts() {
    let placeholder = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
    let npm = "ci: {command: npm test}\n";
    let says = |text: &str, code: u8| {
        format!("ci: {{command: [sh, -c, \"echo '{text}'; exit {code}\"]}}\n")
    };
    let cases = [
        ("package.json", placeholder, String::new(), "no ci yet:"),
        ("package.json", placeholder, npm.to_owned(), "no tests yet"),
        ("a.txt", "", says("No tests found, exiting with code 1", 1), "no tests yet"),
        ("a.txt", "", says("No test files found, exiting with code 1", 1), "no tests yet"),
        ("a.txt", "", says("NO TESTS RAN", 5), "no tests yet"),
    ];
    for (file, text, ci, expected) in cases {
        if ci == npm && !has("npm", &["--version"]) {
            continue;
        }
        let project = Project::new()
            .file(file, text)
            .commit("more")
            .agent_with(WITNESSED, &ci)
            .plan(phases(1));
        let ran = project.drain().succeeded();
        assert_eq!(project.landed(), ["p0"], "{ci}");
        assert!(ran.stdout.contains(expected), "{ci}: {ran:#?}");
    }
}

#[test]
fn a_module_without_packages_is_a_green_base() {
    if !has("go", &["version"]) {
        return;
    }
    for ci in ["", "ci: {command: go test ./...}\n", "ci: {command: make}\n"] {
        let project = Project::new()
            .file("go.mod", "module m\n\ngo 1.19\n")
            .file("Makefile", "all:\n\tgo test ./...\n")
            .commit("module")
            .agent_with(WITNESSED, ci)
            .plan(phases(1));
        let health = project.autopack(["health", "--ci"]).stdout;
        let health = health.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(health.contains("has no tests at"), "{health}");
        assert!(!health.contains("-timeout=0s"), "{health}");
        let ran = project.drain().succeeded();
        assert!(ran.stdout.contains("no tests yet"), "{ci}: {ran:#?}");
        assert_eq!(project.landed(), ["p0"], "{ci}");
    }
}

#[test]
fn a_greenfield_of_pytest_starts() {
    if !has_pytest() {
        return;
    }
    let cases = [
        ("pytest.ini", "[pytest]\n", ""),
        ("tests/.gitkeep", "", "ci: {command: python3 -m pytest}\n"),
        ("README.md", "x", "ci: {command: python3 -m pytest -q tests}\n"),
    ];
    for (file, text, ci) in cases {
        let project = Project::new()
            .file(file, text)
            .commit("more")
            .agent_with("write_deliverables('def test_it(): pass\\n')", ci)
            .plan(json!({"phases": [{"phase_id": "a", "deliverables": ["tests/test_a.py"]}]}));
        let ran = project.drain().succeeded();
        assert!(ran.stdout.contains("no tests yet"), "{file}: {ran:#?}");
    }
    // A mistyped path must not pass for a project without tests.
    let ci = "ci: {command: python3 -m pytest -q testz}\n";
    let project = Project::new()
        .file("tests/test_a.py", "def test_it(): pass\n")
        .commit("more")
        .agent_with(WITNESSED, ci)
        .plan(phases(1));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("file or directory not found: testz"), "{ran:#?}");
}

#[test]
fn single_red_tests_are_reported_first_and_excused() {
    if !has_pytest() {
        return;
    }
    let tests = "def test_old(): assert False\ndef test_good(): assert True\n";
    let project = Project::new()
        .file("tests/test_a.py", tests)
        .commit("more")
        .agent_with(WITNESSED, "")
        .plan(phases(1));
    let ran = project.drain().succeeded();
    let output = "fails without any change and will be excused: tests/test_a.py::test_old";
    assert!(ran.stdout.find(output).unwrap() < ran.stdout.find("landed").unwrap(), "{ran:#?}");

    let strict = Project::new()
        .file("tests/test_a.py", tests)
        .commit("more")
        .agent_with(WITNESSED, "ci: {baseline: false}\n")
        .plan(phases(1));
    strict.drain().exited(5);
    assert_eq!(asked(&strict), 0);
}

#[test]
fn a_phases_own_check_may_fail_before_its_work_is_done() {
    let plan = json!({"phases": [
        {"phase_id": "made", "deliverables": ["d/a.txt"], "test_cmd": "test -e d/a.txt"},
        {"phase_id": "script", "deliverables": ["check.sh"], "test_cmd": "./check.sh"},
        {"phase_id": "own", "deliverables": ["d/b.txt"], "ci": {"command": "grep -q made d/b.txt"}},
        {"phase_id": "gone", "deliverables": ["d/c.txt"], "test_cmd": "no-such-tool d/c.txt", "max_attempts": 1},
        {"phase_id": "last", "deliverables": ["d/e.txt"]},
    ]});
    let agent = format!(
        "{WITNESSED}\nif phase_id == 'script':\n    write('check.sh', '#!/bin/sh\\nexit 0\\n'); os.chmod('check.sh', 0o755)"
    );
    let project = Project::new().agent_with(&agent, "ci: {command: [\"true\"]}\n").plan(plan);
    project.drain().exited(3);
    assert_eq!(project.landed(), ["made", "script", "own", "last"]);
    let failure = project.phase("gone")["last_failure"].clone();
    assert_eq!(failure["kind"], "ci_cannot_start", "{failure}");
    assert!(
        failure["message"].as_str().unwrap().contains("no-such-tool is not installed"),
        "{failure}"
    );
    assert!(!project.outside("asked/gone").exists(), "nothing is spent on what cannot pass");
}

#[test]
fn files_left_by_ci_at_the_base_are_not_attributed_to_the_agent() {
    let agent = "assert not os.path.exists('junk.txt') and open('README.md').read() == '# project\\n'\n\
                 write_deliverables()";
    let ci = "ci: {command: 'echo x >junk.txt; echo x >>README.md'}\n";
    let project = Project::new().agent_with(agent, ci).plan(phases(2));
    project.drain().succeeded();
    assert_eq!(project.landed(), ["p0", "p1"]);
    assert_eq!(project.git(["show", "autopack/run:README.md"]), "# project\n");
}

#[test]
fn a_ci_that_rewrites_tracked_files_is_named() {
    let ci = "ci: {command: 'echo formatted >>README.md; ! grep -q bad d0/a.txt 2>/dev/null'}\n";
    let project = Project::new()
        .agent_with(
            "write_deliverables('bad\\n' if phase_id == 'p0' else 'good\\n')",
            &format!("{ci}executor: {{max_attempts: 1}}\n"),
        )
        .plan(phases(2));
    let ran = project.drain().exited(3);
    let failure = project.phase("p0")["last_failure"].clone();
    assert!(
        failure["message"].as_str().unwrap().ends_with("; CI changed tracked files: README.md"),
        "{failure}"
    );
    assert!(
        ran.stdout.contains("p1: CI changed tracked files: README.md; the agent's version lands"),
        "{ran:#?}"
    );
    assert_eq!(project.git(["show", "autopack/run:README.md"]), "# project\n");
}

#[test]
fn npms_own_words_for_a_failing_script_are_no_missing_tests() {
    let ci = "ci: {command: [sh, -c, \"echo 'Error: no test specified'; echo 'tsc: 3 errors'; exit 1\"]}\n";
    let project = Project::new().agent_with(WITNESSED, ci).plan(phases(1));
    project.drain().exited(5);
    assert_eq!(asked(&project), 0);
}
