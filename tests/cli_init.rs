//! `init`, `completions`, `--version`, usage errors and a reader that goes away, through the real program.

use crate::support::Project;

#[test]
fn init_writes_what_is_missing_and_overwrites_nothing() {
    let project =
        Project::without_commits().file("config/memory.yaml", "memory: {enabled: false}\n");
    let ran = project.autopack(["init"]);
    insta::assert_snapshot!(ran.shown(), @r"
    exit 0
    --- stdout
    wrote config/autopack.yaml
    kept  config/memory.yaml
    wrote docker-compose.yml
    ");
    assert_eq!(project.read("config/memory.yaml"), "memory: {enabled: false}\n");
    assert!(project.read("docker-compose.yml").contains("127.0.0.1:6333:6333"));
    project.autopack(["config", "show"]).succeeded();

    project.write("config/autopack.yaml", "ci: {baseline: false}\n");
    let again = project.autopack(["init"]).succeeded();
    assert_eq!(again.stdout.matches("kept").count(), 3);
    assert_eq!(project.read("config/autopack.yaml"), "ci: {baseline: false}\n");
}

#[test]
fn init_writes_to_the_top_of_the_repository() {
    let project = Project::without_commits().file("deep/inside/x", "");
    let mut from_inside = project.command(["init"]);
    let output = from_inside.current_dir(project.path("deep/inside")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(project.path("config/autopack.yaml").exists());
    assert!(!project.path("deep/inside/config").exists());
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
fn the_verb_help_is_the_same_as_the_option() {
    let directory = Project::bare_folder();
    let shown = |args: &[&str]| directory.autopack(args).succeeded().stdout;
    assert_eq!(shown(&["help"]), shown(&["--help"]));
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
