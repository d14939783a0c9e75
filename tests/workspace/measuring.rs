//! An attempt's changes are seen, however they were made.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use autopack::workspace::WorkspaceError;

use super::lab::{Lab, change_lines, error, executable, measure, pattern, settings, write};

#[tokio::test]
async fn an_unchanged_slot_has_the_base_tree() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    let measured = measure(&slot, &base).await;
    assert_eq!(change_lines(&measured), [""; 0]);
    assert_eq!(measured.tree, lab.git(&["rev-parse", "HEAD^{tree}"]));
}

#[tokio::test]
async fn additions_changes_deletions_modes_types_and_links_are_distinguished() {
    let lab = Lab::new();
    lab.write("gone", "x");
    lab.write("was_file", "x");
    lab.commit_all("more");
    let (_repo, slot, base) = lab.slot().await;
    write(slot.path(), "src/a.py", "a = 2\n");
    write(slot.path(), "new/deep/b.py", "b\n");
    fs::remove_file(slot.path().join("gone")).unwrap();
    fs::set_permissions(slot.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(slot.path().join("was_file")).unwrap();
    symlink("/etc/passwd", slot.path().join("was_file")).unwrap();
    symlink("../README", slot.path().join("src/link")).unwrap();
    let measured = measure(&slot, &base).await;
    let expected =
        ["D gone", "A new/deep/b.py", "X run.sh", "M src/a.py", "A src/link", "T was_file"];
    assert_eq!(change_lines(&measured), expected);
    let target = |path: &str| {
        measured.changes.iter().find(|c| c.path == path).unwrap().symlink_target.clone()
    };
    assert_eq!(target("src/link").as_deref(), Some("../README"));
    assert_eq!(target("was_file").as_deref(), Some("/etc/passwd"));
    assert_eq!(target("src/a.py"), None);
}

#[tokio::test]
async fn a_rename_is_a_deletion_and_an_addition() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    lab.git_in(slot.path(), &["mv", "src/a.py", "src/z.py"]);
    assert_eq!(change_lines(&measure(&slot, &base).await), ["D src/a.py", "A src/z.py"]);
}

#[tokio::test]
async fn commits_and_index_flags_of_the_agent_have_no_effect() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    write(slot.path(), "src/a.py", "committed\n");
    lab.git_in(slot.path(), &["commit", "-qam", "the agent's"]);
    write(slot.path(), "staged", "x");
    lab.git_in(slot.path(), &["add", "staged"]);
    write(slot.path(), "hidden", "x");
    write(slot.path(), ".git/info/exclude", "hidden\n");
    write(slot.path(), "README", "assumed\n");
    lab.git_in(slot.path(), &["update-index", "--assume-unchanged", "README"]);
    lab.git_in(slot.path(), &["update-index", "--skip-worktree", "run.sh"]);
    write(slot.path(), "run.sh", "skipped\n");
    let expected = ["M README", "A hidden", "M run.sh", "M src/a.py", "A staged"];
    assert_eq!(change_lines(&measure(&slot, &base).await), expected);
}

#[tokio::test]
async fn a_slot_without_its_git_directory_is_still_measured() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    fs::remove_dir_all(slot.path().join(".git")).unwrap();
    write(slot.path(), "src/a.py", "2\n");
    assert_eq!(change_lines(&measure(&slot, &base).await), ["M src/a.py"]);
    fs::write(slot.path().join(".git"), "gitdir: /nowhere\n").unwrap();
    assert_eq!(change_lines(&measure(&slot, &base).await), ["M src/a.py"]);
}

#[tokio::test]
async fn programs_configured_by_the_agent_do_not_run() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    let marker = lab.temp.path().join("ran");
    let script = lab.temp.path().join("evil.sh");
    executable(&script, &format!("#!/bin/sh\ntouch '{}'\n", marker.display()));
    let script = script.to_str().unwrap();
    for key in ["core.fsmonitor", "alias.add", "filter.x.clean", "core.editor", "diff.external"] {
        lab.git_in(slot.path(), &["config", key, &format!("!{script}")]);
        lab.git_in(slot.path(), &["config", key, script]);
    }
    for hook in ["pre-commit", "post-index-change", "reference-transaction", "post-checkout"] {
        executable(&slot.path().join(".git/hooks").join(hook), &format!("#!/bin/sh\n{script}\n"));
    }
    write(slot.path(), ".gitattributes", "* filter=x\n");
    write(slot.path(), "src/a.py", "2\n");
    assert_eq!(change_lines(&measure(&slot, &base).await), ["A .gitattributes", "M src/a.py"]);
    super::lab::commit(&slot, &base, "p").await;
    assert!(!marker.exists());
}

#[tokio::test]
async fn files_of_nested_repositories_are_measured() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    // With a commit, without one, one in the other, in a directory with tracked files, a broken one.
    for dir in ["with", "without", "with/inner", "src"] {
        write(slot.path(), &format!("{dir}/file"), "x");
        lab.git_in(&slot.path().join(dir), &["init", "-q", "."]);
    }
    for dir in ["with/inner", "with", "src"] {
        lab.git_in(&slot.path().join(dir), &["add", "."]);
        lab.git_in(&slot.path().join(dir), &["commit", "-qm", "nested"]);
    }
    write(slot.path(), "broken/.git", "no gitfile\n");
    write(slot.path(), "broken/file", "x");
    let measured = measure(&slot, &base).await;
    let expected =
        ["A broken/file", "A src/file", "A with/file", "A with/inner/file", "A without/file"];
    assert_eq!(change_lines(&measured), expected);
    assert!(measured.nested.contains(&"with/inner".to_owned()), "{:?}", measured.nested);
}

#[tokio::test]
async fn a_repository_with_commits_alone_is_opened_too() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    lab.git_in(slot.path(), &["clone", "-q", lab.root.to_str().unwrap(), "vendored"]);
    let measured = measure(&slot, &base).await;
    let expected = ["A vendored/README", "A vendored/run.sh", "A vendored/src/a.py"];
    assert_eq!(change_lines(&measured), expected);
    assert_eq!(measured.nested, ["vendored"]);
}

#[tokio::test]
async fn ignored_files_are_measured_only_as_deliverables() {
    let lab = Lab::new();
    lab.write(".gitignore", "*.log\ndist/\n");
    lab.commit_all("ignore");
    let (_repo, slot, base) = lab.slot().await;
    write(slot.path(), "x.log", "x");
    write(slot.path(), "y.log", "y");
    write(slot.path(), "dist/out.js", "js");
    write(slot.path(), "src/__pycache__/a.pyc", "x");
    assert_eq!(change_lines(&measure(&slot, &base).await), [""; 0]);
    let wanted = ["x.log", "dist/", "absent.txt", "src/"].map(pattern);
    let measured = slot.measure(&base, &wanted).await.unwrap();
    assert_eq!(change_lines(&measured), ["A dist/out.js", "A x.log"]);
    let by_glob = slot.measure(&base, &[pattern("*.log")]).await.unwrap();
    assert_eq!(change_lines(&by_glob), ["A x.log", "A y.log"], "each begins with the commit");
}

#[tokio::test]
async fn a_glob_includes_ignored_files() {
    let lab = Lab::new();
    lab.write(".gitignore", "*.csv\n");
    lab.commit_all("ignore");
    let (_repo, slot, base) = lab.slot().await;
    write(slot.path(), "reports/a.csv", "1");
    write(slot.path(), "reports/deep/b.csv", "2");
    let measured = slot.measure(&base, &[pattern("reports/*.csv")]).await.unwrap();
    assert_eq!(change_lines(&measured), ["A reports/a.csv"]);
}

#[tokio::test]
async fn unusual_names_are_reported() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    let names: [&[u8]; 5] = [b"a\nb", b"\xff\xfe", "ünï cödé".as_bytes(), b"-rf", b"\"q\" *?[x]"];
    for name in names {
        fs::write(slot.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    let long = "n".repeat(250);
    write(slot.path(), &long, "x");
    let measured = measure(&slot, &base).await;
    let lines = change_lines(&measured);
    assert_eq!(lines.len(), 6);
    for name in ["A a\nb", "A \u{fffd}\u{fffd}", "A ünï cödé", "A -rf", "A \"q\" *?[x]"] {
        assert!(lines.contains(&name.to_owned()), "{name:?} in {lines:?}");
    }
}

#[tokio::test]
async fn files_without_permissions_are_measured() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    write(slot.path(), "locked/x", "x");
    fs::set_permissions(slot.path().join("locked/x"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(slot.path().join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(change_lines(&measure(&slot, &base).await), ["A locked/x"]);
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_is_a_reason() {
    let lab = Lab::new();
    let (_repo, mut slot, base) = lab.slot().await;
    fs::remove_file(slot.path().join("README")).unwrap();
    nix::unistd::mkfifo(&slot.path().join("README"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = error(slot.measure(&base, &[]).await);
    assert!(error.is_caused_by_attempt(), "{error}");
    assert!(error.to_string().contains("README"), "{error}");
    slot.reset(&base, &settings()).await.unwrap();
    assert_eq!(change_lines(&measure(&slot, &base).await), [""; 0]);
}

#[tokio::test]
async fn a_missing_directory_is_a_reason() {
    let lab = Lab::new();
    let (_repo, mut slot, base) = lab.slot().await;
    fs::remove_dir_all(slot.path()).unwrap();
    let gone = error(slot.measure(&base, &[]).await);
    assert!(matches!(gone, WorkspaceError::Unmeasurable { .. }), "{gone}");
    slot.reset(&base, &settings()).await.unwrap();
    assert!(slot.path().join("README").exists());
}

#[tokio::test]
async fn a_tree_can_be_read_and_diffed() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    fs::write(slot.path().join("bin"), [0u8, 1, 2, 255]).unwrap();
    write(slot.path(), "src/a.py", "a = 2\n");
    let measured = measure(&slot, &base).await;
    let file = lab.temp.path().join("changes.patch");
    fs::write(&file, &measured.patch).unwrap();
    lab.git(&["apply", "--index", file.to_str().unwrap()]);
    assert_eq!(lab.git(&["write-tree"]), measured.tree);
    let read = slot.read_at(&measured.tree, "src/a.py").await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"a = 2\n"[..]));
    assert_eq!(slot.read_at(&measured.tree, "absent").await.unwrap(), None);
}
