//! Projects without a configuration: agents found on PATH, plan files as arguments of `drain`, and the limit without a
//! sandbox and a budget.

use serde_json::json;

use crate::support::{Project, has_pytest, skip};

const PLAN: &str = "phases:\n- {phase_id: one, deliverables: [src/one.py]}\n";

/// A project with a `claude`, CI that always passes, and a plan of one phase.
fn project() -> Project {
    let project = Project::new().file("Makefile", "test:\n\ttrue\n").commit("ci");
    project.claude_on_path("'x = 1\\n'").file("plan.yaml", PLAN)
}

fn states(project: &Project, run: &str) -> Vec<String> {
    let phases = project.json(["phases", "list", run, "--json"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let phases = phases.as_array().unwrap();
    phases.iter().map(|p| format!("{} {}", text(&p["phase_id"]), text(&p["state"]))).collect()
}

#[test]
fn a_plan_file_is_imported_and_drained_with_the_agent_on_path() {
    let project = project();
    let before = project.git(["status", "--porcelain"]);
    let ran = project.autopack(["drain", "plan.yaml"]).succeeded();
    assert!(ran.stderr.contains("imported plan.yaml: run plan: 1 added\n"), "{ran:#?}");
    let line = "agent: claude (found on PATH; for another, set agents.default in .autopack/config/autopack.yaml)";
    assert!(ran.stdout.lines().any(|found| found == line), "{ran:#?}");
    assert_eq!(states(&project, "plan"), ["one COMPLETE"]);
    assert_eq!(project.git(["show", "autopack/plan:src/one.py"]), "x = 1\n");
    assert_eq!(project.git(["status", "--porcelain"]), before);
    let health = project.autopack(["health"]).stdout;
    let words = health.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("ok agent claude (claude 2.1.197); found on PATH"), "{health}");
    let shown = project.autopack(["config", "show"]).stdout;
    assert!(shown.contains("agents.default"), "{shown}");
}

#[test]
fn a_configured_agent_wins_over_the_one_on_path() {
    let project = project().agent("write_deliverables()");
    let ran = project.autopack(["drain", "plan.yaml"]).succeeded();
    assert!(!ran.stdout.contains("found on PATH"), "{ran:#?}");
    assert_eq!(project.git(["show", "autopack/plan:src/one.py"]), "made by the agent\n");
}

#[test]
fn the_first_known_agent_on_path_is_used_and_else_a_key() {
    let of = |project: Project| {
        let shown = project.json(["config", "show", "--json"]);
        let found = shown.as_array().unwrap().iter();
        let found = found.filter(|s| s["key"] == "agents.default").collect::<Vec<_>>();
        format!("{} {}", found[0]["value"], found[0]["origin"])
    };
    let none = || Project::new().env("PATH", "/usr/bin:/bin");
    assert_eq!(of(none()), "null \"shipped\"");
    let with_key = none().env("OPENAI_API_KEY", "sk-something-long-enough");
    assert_eq!(of(with_key), "\"builtin\" \"key in OPENAI_API_KEY\"");
    let several = Project::new()
        .program_on_path("aider", "#!/bin/sh\n")
        .program_on_path("codex", "#!/bin/sh\n")
        .env("OPENAI_API_KEY", "sk-something-long-enough");
    assert_eq!(of(several), "\"codex\" \"found on PATH\"");
}

#[test]
fn without_any_agent_nothing_is_imported() {
    let project = Project::new().env("PATH", "/usr/bin:/bin").file("plan.yaml", PLAN);
    let ran = project.autopack(["drain", "plan.yaml"]).exited(1);
    assert!(ran.stderr.starts_with("error: no agent is configured, none is on PATH (claude, "));
    assert!(!project.path(".autopack/autopack.db").exists());
}

#[test]
fn an_unchanged_file_drains_its_run_and_a_changed_one_updates_it() {
    let project = project();
    project.autopack(["drain", "plan.yaml"]).succeeded();
    project.write("plan.yaml", &format!("{PLAN}- {{phase_id: two, deliverables: [src/two.py]}}\n"));
    let ran = project.autopack(["drain", "plan.yaml"]).succeeded();
    let line = "plan.yaml has changed (as `import --update`): run plan: 1 added, 1 unchanged\n";
    assert!(ran.stderr.contains(line), "{ran:#?}");
    assert_eq!(states(&project, "plan"), ["one COMPLETE", "two COMPLETE"]);
    let again = project.autopack(["drain", "plan.yaml"]).succeeded();
    assert_eq!(again.stderr, "", "{again:#?}");
}

#[test]
fn an_unchanged_file_does_not_undo_an_edit() {
    let project = project();
    project.autopack(["import", "plan.yaml"]).succeeded();
    project.write("edited.yaml", "{phase_id: one, deliverables: [src/edited.py]}");
    project.autopack(["phases", "edit", "one", "--file", "edited.yaml"]).succeeded();
    project.autopack(["drain", "plan.yaml"]).succeeded();
    assert_eq!(project.git(["show", "autopack/plan:src/edited.py"]), "x = 1\n");
}

#[test]
fn several_runs_and_files_are_drained_in_this_order() {
    let project = project().file("more.yaml", "phases:\n- {phase_id: m, deliverables: [m.py]}\n");
    project.autopack(["import", "plan.yaml"]).succeeded();
    let ran = project.autopack(["drain", "plan", "more.yaml", "--json"]).succeeded();
    let first: serde_json::Value =
        serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["runs"], json!(["plan", "more"]));
    assert_eq!(states(&project, "more"), ["m COMPLETE"]);
}

#[test]
fn a_run_wins_over_a_file_of_the_same_name() {
    let project = project().file("night", PLAN).file("plan.yaml", PLAN);
    project.autopack(["import", "plan.yaml", "--run-id", "night"]).succeeded();
    let ran = project.autopack(["drain", "night"]).succeeded();
    assert!(!ran.stderr.contains("imported"), "{ran:#?}");
    assert_eq!(states(&project, "night"), ["one COMPLETE"]);
}

#[test]
fn a_file_is_imported_into_the_named_run() {
    let project = project();
    project.autopack(["drain", "plan.yaml", "--run-id", "night"]).succeeded();
    assert_eq!(states(&project, "night"), ["one COMPLETE"]);
}

#[test]
fn a_run_of_another_repository_is_not_updated() {
    let there = project();
    let database = format!("sqlite:///{}", there.path(".autopack/autopack.db").display());
    there.autopack(["drain", "plan.yaml"]).succeeded();
    let here = project().env("AUTOPACK_DATABASE_URL", database);
    here.write("plan.yaml", &format!("{PLAN}- {{phase_id: two, deliverables: [src/two.py]}}\n"));
    let ran = here.autopack(["drain", "plan.yaml"]).exited(1);
    assert!(ran.stderr.contains("run plan belongs to the repository "), "{ran:#?}");
    assert_eq!(states(&there, "plan"), ["one COMPLETE"]);
    here.autopack(["drain", "plan.yaml", "--run-id", "mine"]).succeeded();
}

#[test]
fn a_file_that_is_no_plan_changes_nothing() {
    let project = project().file("todo.md", "# todo\n- one\n").file("bad.yaml", "phases: [{");
    for file in ["todo.md", "bad.yaml", "nosuch.yaml"] {
        project.autopack(["drain", "plan.yaml", file]).exited(1);
    }
    assert!(!project.path(".autopack/autopack.db").exists());
}

#[test]
fn a_dry_run_of_a_new_file_imports_nothing() {
    let project = project();
    let planned = project.json(["drain", "plan.yaml", "--dry-run", "--json"]);
    assert_eq!((&planned[0]["run_id"], &planned[0]["agent"]), (&json!("plan"), &json!("claude")));
    assert!(!project.path(".autopack/autopack.db").exists());
}

#[test]
fn an_empty_backlog_is_no_error() {
    let project = project();
    project.autopack(["import", "plan.yaml"]).succeeded();
    project.autopack(["phases", "skip", "one"]).succeeded();
    let ran = project.autopack(["drain"]).succeeded();
    assert_eq!(ran.stdout, "nothing to drain: no phase is queued\n");
    for named in ["plan", "plan.yaml"] {
        let ran = project.autopack(["drain", named]).succeeded();
        assert_eq!(ran.stdout, "nothing to drain: no phase is queued\n", "{named}");
    }
    let ran = project.autopack(["drain", "--json"]).succeeded();
    assert_eq!(ran.json()["reason"], "drained");
    project.autopack(["runs", "remove", "plan", "--yes"]).succeeded();
    for args in [&["drain"][..], &["drain", "--all"]] {
        let ran = project.autopack(args).succeeded();
        assert_eq!(
            ran.stdout,
            "nothing to drain: no runs; `autopack drain FILE` imports and drains a plan\n"
        );
    }
    assert_eq!(project.json(["drain", "--dry-run", "--json"]), json!([]));
}

#[test]
fn failed_phases_of_an_earlier_drain_still_count_without_queued_ones() {
    let project = project().agent("").file(
        "plan.yaml",
        "phases:\n- {phase_id: one, deliverables: [src/one.py], max_attempts: 1}\n",
    );
    project.autopack(["drain", "plan.yaml"]).exited(3);
    let ran = project.autopack(["drain"]).exited(3);
    assert_eq!(
        ran.stdout,
        "nothing to drain; run plan has failed phases: `autopack phases retry --failed plan`\n"
    );
}

/// Starts a program (x86_64) in which neither namespaces nor Landlock work, as on a machine without them.
#[cfg(target_arch = "x86_64")]
const WITHOUT_SANDBOXES: &str = r#"
import ctypes, os, struct, sys
CLONE, UNSHARE, CLONE3, LANDLOCK, EPERM, ENOSYS = 56, 272, 435, 444, 0x50001, 0x50026
NEW = 0x10000000 | 0x20000
code = [
    (0x20, 0, 0, 0),
    (0x15, 0, 1, UNSHARE), (0x06, 0, 0, EPERM),
    (0x15, 0, 1, LANDLOCK), (0x06, 0, 0, ENOSYS),
    (0x15, 0, 1, CLONE3), (0x06, 0, 0, ENOSYS),
    (0x15, 0, 3, CLONE), (0x20, 0, 0, 16), (0x45, 0, 1, NEW), (0x06, 0, 0, EPERM),
    (0x06, 0, 0, 0x7fff0000),
]
filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"#;

/// Runs a drain of `plan.yaml` on such a machine, with an automatic mode of the sandbox.
#[cfg(target_arch = "x86_64")]
fn drain_without_sandboxes(project: &Project, more: &[&str]) -> (Option<i32>, String) {
    let autopack = project.command(["drain", "plan.yaml"]);
    let mut command = std::process::Command::new("python3");
    command.arg("-c").arg(WITHOUT_SANDBOXES).arg(autopack.get_program());
    command.args(autopack.get_args()).args(more).current_dir(project.root()).env_clear();
    command.stdin(std::process::Stdio::null());
    command.envs(autopack.get_envs().map(|(name, value)| (name, value.unwrap())));
    let output = command.env_remove("AUTOPACK_SANDBOX_MODE").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
}

#[cfg(target_arch = "x86_64")]
#[test]
fn one_phase_runs_without_a_sandbox_and_a_budget() {
    let two = format!("{PLAN}- {{phase_id: two, deliverables: [src/two.py]}}\n");
    let project = project().file("plan.yaml", &two);
    let (code, text) = drain_without_sandboxes(&project, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(states(&project, "plan"), ["one COMPLETE", "two QUEUED"], "{text}");
    assert!(text.contains("\nsandbox: off (namespaces: "), "{text}");
    let line = "no budget is set (executor.budgets): running one phase; --yes runs all\n";
    assert!(text.contains(line), "{text}");
    let line = "stopped after one phase: there is neither a sandbox nor a budget (";
    assert!(text.contains(line), "{text}");
    let (code, text) = drain_without_sandboxes(&project, &["--yes"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(states(&project, "plan"), ["one COMPLETE", "two COMPLETE"], "{text}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_budget_or_a_chosen_sandbox_mode_is_consent() {
    let two = format!("{PLAN}- {{phase_id: two, deliverables: [src/two.py]}}\n");
    for consent in ["executor: {budgets: {run: {tokens: 9000000}}}", "sandbox: {mode: 'off'}"] {
        let project = project().file("plan.yaml", &two).config(consent);
        let (code, text) = drain_without_sandboxes(&project, &[]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(states(&project, "plan"), ["one COMPLETE", "two COMPLETE"], "{text}");
    }
}

/// Files that the scripted `claude` writes for the plan of the README.
const GREETING: &str = r#"{
    "greeting.py": "def greet(name):\n    return f'Hello, {name}!'\n",
    "tests/test_greeting.py": "from greeting import greet\n\n\ndef test_greet():\n    assert greet('you') == 'Hello, you!'\n",
}[str(path)]"#;

/// The first screen of the README, in a fresh project with pytest: its plan and its command, without a configuration.
#[test]
fn the_first_screen_of_the_readme_lands_a_phase() {
    if !has_pytest() {
        return;
    }
    let readme = include_str!("../README.md");
    let block = |kind: &str| {
        let text = readme.split(&format!("```{kind}\n")).nth(1).unwrap();
        text.split("```").next().unwrap()
    };
    let steps: Vec<&str> = block("sh").lines().collect();
    let [install, drain] = steps.as_slice() else { panic!("two steps: {steps:?}") };
    assert!(install.starts_with("cargo install "));
    let (command, _) = drain.split_once('#').unwrap();
    let args: Vec<&str> = command.split_whitespace().skip(1).collect();
    let project = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .unset("AUTOPACK_ENABLE_MEMORY")
        .file("pyproject.toml", "[tool.pytest.ini_options]\n")
        .file("tests/test_nothing.py", "def test_nothing():\n    pass\n")
        .file("plan.yaml", block("yaml"))
        .commit("a project with pytest")
        .claude_on_path(GREETING);
    let ran = project.autopack(args).succeeded();
    assert_eq!(states(&project, "plan"), ["greeting COMPLETE"], "{ran:#?}");
    assert!(ran.stdout.contains("\ntested   CI is green in a clean clone at "), "{ran:#?}");
    // Nothing else was written.
    assert_eq!(project.git(["status", "--porcelain", "--ignored"]), "!! .autopack/\n");
    assert_eq!(project.git(["branch", "--format=%(refname:short)"]), "autopack/plan\nmain\n");
    // The README shows this output, with other figures.
    let line = "agent: claude (found on PATH; for another, set agents.default in .autopack/config/autopack.yaml)";
    assert!(readme.contains(line) && ran.stdout.contains(line), "{ran:#?}");
}

#[test]
fn nothing_is_said_of_qdrant_where_docker_is_missing() {
    if std::path::Path::new("/var/run/docker.sock").exists() {
        return skip("no-docker", "this machine has Docker");
    }
    let project = project().unset("AUTOPACK_ENABLE_MEMORY").env("AUTOPACK_QDRANT_PORT", "1");
    let project = project.env("AUTOPACK_QDRANT_GRPC_PORT", "2");
    let ran = project.autopack(["drain", "plan.yaml"]).succeeded();
    let text = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!text.contains("Qdrant") && !text.contains("Docker"), "{text}");
    let health = project.json(["health", "--json"]);
    for check in health["checks"].as_array().unwrap() {
        let expected: &[&str] = match check["name"].as_str().unwrap() {
            // The disk of this machine may be nearly full.
            "disk" => continue,
            "docker" | "qdrant" => &["skip"],
            _ => &["ok", "skip"],
        };
        assert!(expected.contains(&check["status"].as_str().unwrap()), "{health:#}");
    }
}
