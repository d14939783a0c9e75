//! The user's repository: found and never changed, whatever its form.

use std::fs;

use autopack::workspace::{Landing, Repo, WorkspaceError};

use super::lab::{
    Lab, change_lines, claimed, commit, ensure_branch, error, executable, measure, run, settings,
    write,
};

/// A whole attempt, from branch to landing.
async fn attempt(lab: &Lab) -> String {
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let mut slot = repo.acquire_slot().await.unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    write(slot.path(), "src/new.py", "new\n");
    assert_eq!(change_lines(&measure(&slot, &base).await), ["A src/new.py"]);
    let new = commit(&slot, &base, "p").await;
    let claim = claimed(&repo, "p", 1, "me").await;
    let landed = slot.land(&claim, &run(), &base, &new).await.unwrap();
    assert_eq!(landed, Landing::Landed { held_by: None });
    new
}

#[tokio::test]
async fn an_attempt_changes_no_checkout_index_branch_or_configuration() {
    let lab = Lab::new();
    lab.write("src/a.py", "edited\n");
    lab.write("staged", "x");
    lab.git(&["add", "staged"]);
    lab.write("untracked", "x");
    let before = lab.fingerprint();
    let repo = lab.repo().await;
    let state = repo.checkout_state().await.unwrap();
    attempt(&lab).await;
    let mut after = lab.fingerprint();
    after[3] = after[3].lines().filter(|l| !l.contains("autopack/")).collect::<Vec<_>>().join("\n");
    assert_eq!(after, before);
    assert_eq!(repo.changed_since(&state).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn programs_configured_by_the_user_neither_run_nor_block() {
    let lab = Lab::new();
    let marker = lab.temp.path().join("ran");
    let script = lab.temp.path().join("monitor.sh");
    let text = format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\nexit 1\n", marker.display());
    executable(&script, &text);
    let script = script.to_str().unwrap();
    for (key, value) in [
        ("core.fsmonitor", script),
        ("commit.gpgSign", "true"),
        ("gpg.program", script),
        ("core.pager", script),
        ("core.editor", script),
        ("diff.external", script),
        ("credential.helper", script),
        ("filter.x.clean", script),
        ("filter.x.smudge", script),
        ("core.autocrlf", "input"),
    ] {
        lab.git(&["config", key, value]);
    }
    for hook in [
        "pre-commit",
        "commit-msg",
        "post-commit",
        "reference-transaction",
        "post-checkout",
        "update",
    ] {
        executable(&lab.root.join(".git/hooks").join(hook), &text);
    }
    let new = attempt(&lab).await;
    let repo = lab.repo().await;
    repo.checkout_state().await.unwrap();
    assert!(!marker.exists(), "{}", fs::read_to_string(&marker).unwrap());
    fs::remove_dir_all(lab.root.join(".git/hooks")).unwrap();
    lab.git(&["config", "--unset", "core.fsmonitor"]);
    assert!(lab.git(&["cat-file", "commit", &new]).contains("\n\np\n\nAutopack-Run: r1"));
}

#[tokio::test]
async fn unusual_repositories_are_accepted() {
    for (name, init) in [
        ("with space", &[][..]),
        ("ünï \"cödé\" $x", &[]),
        ("sha256", &["--object-format=sha256"]),
        ("#comment", &[]),
    ] {
        let lab = Lab::with(name, init);
        attempt(&lab).await;
        lab.git(&["fsck", "--strict", "--no-dangling"]);
    }
}

#[tokio::test]
async fn without_an_identity_ours_is_used() {
    let lab = Lab::new();
    fs::write(&lab.global, "[user]\nuseConfigOnly=true\n").unwrap();
    let new = attempt(&lab).await;
    let who = lab.git(&["log", "-1", "--format=%an <%ae> %cn", &new]);
    assert_eq!(who, "autopack <autopack@localhost> autopack");
}

#[tokio::test]
async fn a_linked_worktree_is_a_checkout_like_any_other() {
    let mut lab = Lab::new();
    let linked = lab.root.with_file_name("linked");
    lab.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    let main = std::mem::replace(&mut lab.root, linked.clone());
    attempt(&lab).await;
    assert!(linked.join(".autopack/slots/0.lock").is_file());
    assert_eq!(lab.git(&["status", "--porcelain"]), "");
    assert_eq!(lab.git_in(&main, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_shallow_clone_is_accepted() {
    let mut lab = Lab::new();
    lab.write("x", "x");
    lab.commit_all("second");
    let url = format!("file://{}", lab.root.display());
    let clone = lab.root.with_file_name("clone");
    lab.git(&["clone", "-q", "--depth=1", &url, clone.to_str().unwrap()]);
    lab.root = clone;
    attempt(&lab).await;
    let repo = lab.repo().await;
    let (mut slot, tip) =
        (repo.acquire_slot().await.unwrap(), repo.tip(&run()).await.unwrap().commit);
    slot.reset(&tip, &settings()).await.unwrap();
    assert_eq!(lab.git_in(slot.path(), &["log", "--format=%s"]), "p\nsecond");
}

#[tokio::test]
async fn the_autopack_directory_is_excluded_once_and_the_users_lines_are_kept() {
    let lab = Lab::new();
    let exclude = lab.root.join(".git/info/exclude");
    fs::write(&exclude, "mine\n*.swp").unwrap();
    for _ in 0..2 {
        lab.repo().await.prepare_directory().unwrap();
    }
    assert_eq!(fs::read_to_string(&exclude).unwrap(), "mine\n*.swp\n/.autopack\n");
    fs::remove_dir_all(lab.root.join(".git/info")).unwrap();
    lab.repo().await.prepare_directory().unwrap();
    assert_eq!(fs::read_to_string(&exclude).unwrap(), "/.autopack\n");
}

#[tokio::test]
async fn the_autopack_directory_is_excluded_if_it_is_a_link() {
    let lab = Lab::new();
    let exclude = lab.root.join(".git/info/exclude");
    let older = "/.autopack/\n";
    fs::write(&exclude, older).unwrap();
    lab.repo().await.prepare_directory().unwrap();
    assert_eq!(fs::read_to_string(&exclude).unwrap(), older, "enough for a directory");

    let elsewhere = lab.root.with_file_name("elsewhere");
    fs::rename(lab.root.join(".autopack"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, lab.root.join(".autopack")).unwrap();
    for _ in 0..2 {
        lab.repo().await.prepare_directory().unwrap();
    }
    assert_eq!(fs::read_to_string(&exclude).unwrap(), "/.autopack/\n/.autopack\n");
    assert_eq!(lab.git(&["status", "--porcelain"]), "");
}

#[tokio::test]
async fn local_ignore_rules_of_the_user_apply_in_slots() {
    let lab = Lab::new();
    let everywhere = lab.temp.path().join("ignore");
    fs::write(&everywhere, "*.everywhere\n").unwrap();
    lab.git(&["config", "core.excludesFile", everywhere.to_str().unwrap()]);
    fs::write(lab.root.join(".git/info/exclude"), "*.mine\n").unwrap();
    let (_repo, slot, base) = lab.slot().await;
    write(slot.path(), "x.mine", "x");
    write(slot.path(), "x.everywhere", "x");
    let measured = measure(&slot, &base).await;
    assert_eq!((change_lines(&measured), measured.omitted), (vec![], vec![]));
    assert_eq!(lab.git_in(slot.path(), &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn writes_into_the_checkout_are_detected() {
    let lab = Lab::new();
    lab.write("dirty", "1");
    let repo = lab.repo().await;
    repo.prepare_directory().unwrap();
    let state = repo.checkout_state().await.unwrap();
    lab.write(".autopack/slots/x", "ours");
    assert_eq!(repo.changed_since(&state).await.unwrap(), [""; 0]);
    lab.write("dirty", "2");
    lab.write("src/a.py", "tracked\n");
    lab.write("deep/new file", "x");
    executable(&lab.root.join(".git/hooks/pre-commit"), "#!/bin/sh\n");
    lab.git(&["checkout", "-q", "-b", "elsewhere"]);
    lab.git(&["tag", "v1"]);
    lab.git(&["branch", "autopack/r"]);
    let noticed = repo.changed_since(&state).await.unwrap();
    let expected =
        [".git/hooks/pre-commit", "HEAD", "deep/new file", "dirty", "refs/heads/elsewhere"];
    assert_eq!(noticed, [&expected[..], &["refs/tags/v1", "src/a.py"]].concat());
    let state = repo.checkout_state().await.unwrap();
    lab.git(&["pack-refs", "--all"]);
    assert_eq!(repo.changed_since(&state).await.unwrap(), [""; 0], "packing moves none");
    lab.git(&["update-ref", "-d", "refs/heads/main"]);
    assert_eq!(repo.changed_since(&state).await.unwrap(), ["refs/heads/main"]);
}

#[tokio::test]
async fn a_directory_without_a_checkout_is_reported() {
    let lab = Lab::new();
    let find = async |dir: &std::path::Path| error(Repo::discover_with(dir, &lab.env()).await);
    let outside = tempfile::tempdir().unwrap();
    let top = |dir: &std::path::Path| error(Repo::find_top(dir));
    assert!(matches!(find(outside.path()).await, WorkspaceError::NotARepository(_)));
    assert!(matches!(top(outside.path()), WorkspaceError::NotARepository(_)));
    assert!(matches!(find(&outside.path().join("absent")).await, WorkspaceError::Io { .. }));
    for inside in [".git", ".git/hooks"].map(|dir| lab.root.join(dir)) {
        assert!(matches!(find(&inside).await, WorkspaceError::InsideGitDir(_)));
        assert!(matches!(top(&inside), WorkspaceError::InsideGitDir(_)));
    }
    let bare = lab.temp.path().join("bare.git");
    lab.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    assert!(matches!(find(&bare).await, WorkspaceError::Bare(_)));
    assert!(matches!(top(&bare), WorkspaceError::Bare(_)));
    let odd = lab.temp.path().join("line\nbreak");
    fs::create_dir(&odd).unwrap();
    lab.git_in(&odd, &["init", "-q", "."]);
    assert!(matches!(find(&odd).await, WorkspaceError::OddPath { .. }));
    let repo = Repo::discover_with(&lab.root.join("src"), &lab.env()).await.unwrap();
    assert_eq!(repo.root(), lab.root);
    assert_eq!(Repo::find_top(&lab.root.join("src")).unwrap(), lab.root);
}

#[tokio::test]
async fn a_repository_of_another_user_is_reported() {
    let lab = Lab::new();
    let mut env = lab.env();
    env.push(("GIT_TEST_ASSUME_DIFFERENT_OWNER".into(), "1".into()));
    let refused = error(Repo::discover_with(&lab.root, &env).await);
    assert!(matches!(refused, WorkspaceError::NotTrusted { .. }), "{refused}");
    assert!(refused.to_string().contains("safe.directory"), "{refused}");
}

#[tokio::test]
async fn git_ignores_the_callers_repository_variables() {
    let lab = Lab::new();
    let other = Lab::with("other", &[]);
    // The environment that a hook passes to autopack; given here as the caller's own environment.
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "workspace::user_repository::in_a_hostile_environment", "--ignored"]);
    command.env("LAB_ROOT", &lab.root).envs(lab.env());
    command.env("GIT_DIR", other.root.join(".git")).env("GIT_WORK_TREE", &other.root);
    command.env("GIT_INDEX_FILE", other.root.join(".git/index"));
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "core.bare");
    command.env("GIT_CONFIG_VALUE_0", "true").env("GIT_OBJECT_DIRECTORY", "/nowhere");
    let before = other.fingerprint();
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(other.fingerprint(), before);
}

#[tokio::test]
#[ignore = "run by the test above, in an environment of its own"]
async fn in_a_hostile_environment() {
    let root = std::path::PathBuf::from(std::env::var_os("LAB_ROOT").unwrap());
    let repo = Repo::discover(&root).await.unwrap();
    assert_eq!(repo.root(), root);
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let mut slot = repo.acquire_slot().await.unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    write(slot.path(), "x", "x");
    assert_eq!(change_lines(&measure(&slot, &base).await), ["A x"]);
    commit(&slot, &base, "p").await;
}

#[tokio::test]
async fn an_incomplete_partial_clone_is_reported_with_a_remedy() {
    let mut lab = Lab::new();
    lab.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", lab.root.display());
    let clone = lab.root.with_file_name("clone");
    lab.git(&["clone", "-q", "--filter=blob:none", "--no-checkout", &url, clone.to_str().unwrap()]);
    lab.root = clone;
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let mut slot = repo.acquire_slot().await.unwrap();
    let partial = error(slot.reset(&base, &settings()).await);
    assert!(matches!(partial, WorkspaceError::PartialClone { .. }), "{partial}");
    lab.git(&["archive", "--output=/dev/null", &base]);
    slot.reset(&base, &settings()).await.unwrap();
    assert!(slot.path().join("README").exists());
}

#[tokio::test]
async fn a_checkout_lists_the_same_files_as_git_from_any_directory() {
    let lab = Lab::new();
    lab.write(".gitignore", "*.log\n");
    lab.write("noise.log", "x");
    lab.write("new file", "x");
    lab.write(".autopack/ours", "x");
    let repo = Repo::discover_with(&lab.root.join("src"), &lab.env()).await.unwrap();
    let files = repo.files().await.unwrap();
    for there in [".gitignore", "new file", "src/a.py"] {
        assert!(files.iter().any(|file| file == there), "{there}: {files:?}");
    }
    assert!(!files.iter().any(|file| file.contains("noise") || file.contains("ours")), "{files:?}");
}
