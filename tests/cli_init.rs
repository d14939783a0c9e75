//! `init`, `completions`, `--version`, usage errors and a reader that goes away, through the real program.

use std::process::Stdio;

use crate::support::{Repo, autopack};

#[test]
fn init_writes_what_is_missing_and_overwrites_nothing() {
    let repo = Repo::empty();
    repo.file("config/memory.yaml", "memory: {enabled: false}\n");
    let ran = repo.autopack(&["init"]);
    insta::assert_snapshot!(ran.shown(), @r"
    exit 0
    --- stdout
    wrote config/autopack.yaml
    kept  config/memory.yaml
    wrote docker-compose.yml
    ");
    assert_eq!(repo.read("config/memory.yaml"), "memory: {enabled: false}\n");
    assert!(repo.read("docker-compose.yml").contains("127.0.0.1:6333:6333"));
    assert_eq!(repo.autopack(&["config", "show"]).code, 0);

    repo.file("config/autopack.yaml", "ci: {baseline: false}\n");
    let again = repo.autopack(&["init"]);
    assert_eq!((again.code, again.stdout.matches("kept").count()), (0, 3));
    assert_eq!(repo.read("config/autopack.yaml"), "ci: {baseline: false}\n");
}

#[test]
fn init_writes_to_the_top_of_the_repository() {
    let repo = Repo::empty();
    repo.file("deep/inside/x", "");
    let root = repo.path();
    let from_inside = autopack(&root.join("deep/inside")).arg("init").output().unwrap();
    assert!(from_inside.status.success());
    assert!(root.join("config/autopack.yaml").exists());
    assert!(!root.join("deep/inside/config").exists());
}

#[test]
fn outside_a_repository_the_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let output = autopack(dir.path()).arg("init").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let stderr = stderr.replace(&dir.path().canonicalize().unwrap().display().to_string(), "[DIR]");
    insta::assert_snapshot!(stderr, @r"
    error: [DIR] is in no git repository
    hint: run it inside one, or name it with --workspace; `git init` makes one
    ");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_repository_without_a_checkout_and_a_git_folder_are_said_to_be_that() {
    let repo = Repo::empty();
    repo.git(&["init", "--quiet", "--bare", "bare.git"]);
    let said = |dir: &str| repo.autopack(&["--workspace", dir, "init"]).stderr;
    insta::assert_snapshot!(said("bare.git"), @r"
    error: [REPO]/bare.git is a bare git repository, without a checkout
    hint: clone it, and name the clone with --workspace
    ");
    insta::assert_snapshot!(said(".git"), @r"
    error: [REPO]/.git lies inside a .git folder
    hint: name the checkout with --workspace
    ");
}

#[test]
fn a_workspace_that_is_not_there_is_named() {
    let ran = Repo::empty().autopack(&["--workspace", "nowhere", "init"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "error: there is no folder [REPO]/nowhere\n"));
}

#[test]
fn usage_errors_exit_2() {
    let repo = Repo::empty();
    for arguments in [&["bogus"][..], &["init", "--bogus"], &["--color", "blue", "init"], &[]] {
        let ran = repo.autopack(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn help_documents_the_exit_codes() {
    let repo = Repo::empty();
    let help = repo.autopack(&["--help"]);
    let codes = help.stdout.split("Exit codes:").nth(1).expect("exit codes");
    for code in ["0", "1", "2", "3", "4", "5", "130", "143"] {
        assert!(codes.lines().any(|line| line.trim().starts_with(&format!("{code} "))), "{code}");
    }
    let version = repo.autopack(&["--version"]);
    assert_eq!(version.stdout, concat!("autopack ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completions_need_no_repository() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = autopack(dir.path()).args(["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{shell}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("autopack"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let repo = Repo::empty();
    let mut child = autopack(&repo.path());
    child.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
