//! `init`, `completions`, `--version`, usage errors and a reader that goes away, through the real program.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Project, has};

/// A repository of an npm project with a `.env`, and a `claude` and a `codex` on PATH.
fn node_project() -> Project {
    Project::new()
        .file("package.json", r#"{"name": "p", "scripts": {"test": "node --test"}}"#)
        .file("package-lock.json", r#"{"name": "p", "lockfileVersion": 3, "packages": {}}"#)
        .file(".gitignore", ".env\n")
        .commit("start")
        .file(".env", "TOKEN=1\n")
        .claude_on_path("''")
        .program_on_path("codex", "#!/bin/sh\necho codex-cli 0.169.0\n")
        .program_on_path("npm", "#!/bin/sh\n")
}

#[test]
fn init_writes_what_it_found_and_nothing_else() {
    let project = node_project();
    let ran = project.autopack(["init"]).succeeded();
    let text = project.read(".autopack/config/autopack.yaml");
    insta::assert_snapshot!(format!("{}\n{text}", ran.shown()));
    assert!(text.lines().count() <= 25);
    assert_eq!(project.git(["status", "--porcelain"]), "");
    let health = project.json(["health", "--json", "--no-autostart"]);
    let of = |name: &str| {
        let mut checks = health["checks"].as_array().unwrap().iter();
        checks.find(|check| check["name"] == name).unwrap().clone()
    };
    assert_eq!(of("configuration")["detail"], ".autopack/config/autopack.yaml");
    assert_eq!(of("agent")["detail"], "claude (claude 2.1.197), codex (codex 0.169.0)");
}

#[test]
fn init_overwrites_nothing() {
    let project = Project::without_commits();
    project.autopack(["init"]).succeeded();
    project.write(".autopack/config/autopack.yaml", "ci: {baseline: false}\n");
    let again = project.autopack(["init"]).succeeded();
    assert_eq!(again.stdout, "kept  .autopack/config/autopack.yaml\n");
    assert_eq!(project.read(".autopack/config/autopack.yaml"), "ci: {baseline: false}\n");
}

#[test]
fn init_does_not_hide_the_configuration_of_the_repository() {
    let project = Project::new().file("config/autopack.yaml", "ci: {baseline: false}\n");
    let ran = project.autopack(["init"]).succeeded();
    assert_eq!(ran.stdout, "kept  config/autopack.yaml\n");
    assert!(!project.path(".autopack/config").exists());
}

#[test]
fn init_writes_for_the_repository_and_the_compose_file_only_when_asked() {
    let project = Project::without_commits();
    let ran = project.autopack(["init", "--shared", "--docker-compose"]).succeeded();
    assert!(ran.stdout.starts_with("wrote config/autopack.yaml\n"), "{ran:#?}");
    assert!(ran.stdout.ends_with("wrote docker-compose.yml\n"), "{ran:#?}");
    assert!(project.read("docker-compose.yml").contains("127.0.0.1:6333:6333"));
    project.autopack(["config", "show"]).succeeded();
    let private = Project::without_commits();
    private.autopack(["init"]).succeeded();
    let ran = private.autopack(["init", "--shared"]).succeeded();
    let note = ".autopack/config/autopack.yaml is in use here instead of config/autopack.yaml\n";
    assert!(ran.stdout.ends_with(note), "{ran:#?}");
}

#[test]
fn init_writes_to_the_top_of_the_repository() {
    let project = Project::without_commits().file("deep/inside/x", "");
    let mut from_inside = project.command(["init"]);
    let output = from_inside.current_dir(project.path("deep/inside")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(project.path(".autopack/config/autopack.yaml").exists());
    assert!(!project.path("deep/inside/.autopack").exists());
}

#[test]
fn questions_need_a_terminal() {
    let project = Project::without_commits();
    let ran = project.autopack_reading(["init", "-i"], "\n\n\n\n").exited(2);
    assert!(ran.stderr.contains("hint: run `autopack init` without -i"), "{ran:#?}");
    assert!(!project.path(".autopack").exists());
}

#[test]
fn answers_on_a_terminal_are_written() {
    if !has("script", &["--version"]) {
        return;
    }
    let project = node_project();
    let autopack = project.command(["init", "-i"]);
    let program = autopack.get_program().to_string_lossy().into_owned();
    let mut command = Command::new("script");
    command.args(["-qec", &format!("'{program}' init -i"), "/dev/null"]);
    command.current_dir(project.root()).env_clear();
    command.envs(autopack.get_envs().map(|(name, value)| (name, value.unwrap())));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"codex\nmake check\n\n12\n").unwrap();
    project.wait(child).succeeded();
    let shown = project.json(["config", "show", "--json"]);
    let value = |key: &str| {
        let mut settings = shown.as_array().unwrap().iter();
        settings.find(|setting| setting["key"] == key).unwrap()["value"].clone()
    };
    assert_eq!(value("agents.default"), "codex");
    assert_eq!(value("ci.command"), "make check");
    assert!(value("workspace.setup").as_str().unwrap().starts_with("npm ci"));
    assert_eq!(value("executor.budgets.drain.cost_usd"), 12.0);
}

#[test]
fn outside_a_repository_the_error_says_what_to_do() {
    let directory = Project::bare_folder();
    insta::assert_snapshot!(directory.autopack(["init"]).shown(), @r"
    exit 1
    --- stderr
    error: [REPO] is not in a git repository
    hint: run autopack in a repository, or name one with --workspace; `git init` creates one
    ");
    assert_eq!(std::fs::read_dir(directory.root()).unwrap().count(), 0);
}

#[test]
fn a_bare_repository_and_a_git_directory_are_reported_as_such() {
    let project = Project::without_commits();
    project.git(["init", "--quiet", "--bare", "bare.git"]);
    let shown = |dir: &str| project.autopack(["--workspace", dir, "init"]).shown();
    insta::assert_snapshot!(shown("bare.git"), @r"
    exit 1
    --- stderr
    error: [REPO]/bare.git is a bare git repository, without a checkout
    hint: clone it, and name the clone with --workspace
    ");
    insta::assert_snapshot!(shown(".git"), @r"
    exit 1
    --- stderr
    error: [REPO]/.git is inside a .git directory
    hint: name the checkout with --workspace
    ");
}

#[test]
fn a_missing_workspace_is_reported_with_its_path() {
    let ran = Project::without_commits().autopack(["--workspace", "nowhere", "init"]);
    assert_eq!(ran.shown(), "exit 1\n--- stderr\nerror: directory [REPO]/nowhere does not exist\n");
}

#[test]
fn usage_errors_exit_2() {
    let project = Project::without_commits();
    for arguments in [&["bogus"][..], &["init", "--bogus"], &["--color", "blue", "init"], &[]] {
        assert_eq!(project.autopack(arguments).exited(2).stdout, "", "{arguments:?}");
    }
}

#[test]
fn help_documents_the_exit_codes() {
    let project = Project::without_commits();
    let help = project.autopack(["--help"]);
    let codes = help.stdout.split("Exit codes:").nth(1).expect("exit codes");
    for code in ["0", "1", "2", "3", "4", "5", "130", "143"] {
        assert!(codes.lines().any(|line| line.trim().starts_with(&format!("{code} "))), "{code}");
    }
    let version = project.autopack(["--version"]);
    assert_eq!(version.stdout, concat!("autopack ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_verb_help_shows_commands_as_the_option_does() {
    let directory = Project::bare_folder();
    let shown = |args: &[&str]| directory.autopack(args).succeeded().stdout;
    assert!(shown(&["help"]).contains("`autopack --help`"));
    let search = shown(&["memory", "search", "--help"]);
    let words: Vec<&str> = search.split_whitespace().collect();
    let collections =
        "[possible values: run_summaries, errors_ci, doctor_hints, planning, code_docs]";
    assert!(words.join(" ").contains(collections), "{search}");
    assert_eq!(shown(&["help", "phases", "log"]), shown(&["phases", "log", "--help"]));
}

/// Continued lines of an exit code's meaning are aligned with its first line.
#[test]
fn continued_lines_of_help_are_indented() {
    let help = Project::bare_folder().autopack(["--help"]).succeeded().stdout;
    let codes = help.split("Exit codes:\n").nth(1).expect("exit codes");
    for line in codes.lines() {
        let (before, text) = line.split_at(7);
        assert!(!text.starts_with(' ') && before.ends_with(' '), "{line:?}");
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

#[test]
fn completions_need_no_repository() {
    let directory = Project::bare_folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = directory.autopack(["completions", shell]).succeeded();
        assert!(ran.stdout.contains("autopack"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let project = Project::without_commits();
    let mut child = project.spawn(["completions", "bash"]);
    drop(child.stdout.take());
    assert_eq!(project.wait(child).succeeded().stderr, "");
}
