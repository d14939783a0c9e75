//! A reset leaves the commit and the permitted caches, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use autopack::config::WorkspaceSettings;
use autopack::workspace::{Repo, WorkspaceError};

use super::lab::{Lab, change_lines, error, measure, settings, write};

#[tokio::test]
async fn all_changes_of_an_agent_are_undone() {
    let lab = Lab::new();
    lab.write("dir/one", "1");
    lab.write("dir/two", "2");
    lab.commit_all("more");
    let (_repo, mut slot, base) = lab.slot().await;
    let elsewhere = lab.temp.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("a.py"), "precious").unwrap();
    let at = |path: &str| slot.path().join(path);
    fs::remove_dir_all(at("src")).unwrap();
    symlink(&elsewhere, at("src")).unwrap();
    fs::remove_file(at("README")).unwrap();
    write(slot.path(), "README/now/a/directory", "x");
    fs::remove_dir_all(at("dir")).unwrap();
    fs::write(at("dir"), "now a file").unwrap();
    write(slot.path(), "untracked/deep/x", "x");
    lab.git_in(&at("untracked"), &["init", "-q", "."]);
    write(slot.path(), "ignored.log", "x");
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::set_permissions(at("untracked/deep"), fs::Permissions::from_mode(0o500)).unwrap();
    fs::remove_dir_all(at(".git")).unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    let mut left: Vec<_> = fs::read_dir(slot.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, [".git", "README", "dir", "run.sh", "src"]);
    assert_eq!(change_lines(&measure(&slot, &base).await), [""; 0]);
    assert_eq!(lab.git_in(slot.path(), &["status", "--porcelain"]), "");
    assert_eq!(fs::read_to_string(elsewhere.join("a.py")).unwrap(), "precious");
}

#[tokio::test]
async fn reset_undoes_changes_before_and_after_measuring() {
    let lab = Lab::new();
    let (_repo, mut slot, base) = lab.slot().await;
    write(slot.path(), "new", "x");
    write(slot.path(), "src/a.py", "2\n");
    measure(&slot, &base).await;
    write(slot.path(), "later", "x");
    fs::remove_file(slot.path().join("run.sh")).unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    assert_eq!(change_lines(&measure(&slot, &base).await), [""; 0]);
    assert!(!slot.path().join("new").exists() && !slot.path().join("later").exists());
}

#[tokio::test]
async fn nested_git_directories_among_tracked_files_are_removed() {
    let lab = Lab::new();
    let (_repo, mut slot, base) = lab.slot().await;
    lab.git_in(&slot.path().join("src"), &["init", "-q", "."]);
    slot.reset(&base, &settings()).await.unwrap();
    assert!(!slot.path().join("src/.git").exists());
}

#[tokio::test]
async fn an_untouched_git_directory_is_reused_and_a_changed_one_is_restored() {
    let lab = Lab::new();
    let (_repo, mut slot, base) = lab.slot().await;
    let own = slot.path().join(".git");
    let inode = |path: &str| fs::symlink_metadata(own.join(path)).unwrap().ino();
    let before = ["config", "HEAD", "refs/heads"].map(inode);
    slot.reset(&base, &settings()).await.unwrap();
    assert_eq!(["config", "HEAD", "refs/heads"].map(inode), before);

    let config = fs::read(own.join("config")).unwrap();
    write(slot.path(), ".git/config", "[core]\n\tfsmonitor = evil\n");
    write(slot.path(), ".git/hooks/pre-commit", "evil");
    fs::remove_file(own.join("HEAD")).unwrap();
    symlink("/etc/passwd", own.join("HEAD")).unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    assert_eq!(fs::read(own.join("config")).unwrap(), config);
    assert!(!own.join("hooks/pre-commit").exists());
    assert_eq!(fs::read_to_string(own.join("HEAD")).unwrap(), "ref: refs/heads/work\n");

    fs::remove_dir_all(&own).unwrap();
    symlink(lab.root.join(".git"), &own).unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    assert!(fs::symlink_metadata(&own).unwrap().is_dir(), "a link to a repository is replaced");
}

#[tokio::test]
async fn a_link_in_place_of_autopacks_git_directory_is_replaced_and_its_target_stays() {
    let lab = Lab::new();
    let (_repo, mut slot, base) = lab.slot().await;
    let private = slot.path().with_added_extension("git");
    // The target looks like a git directory of ours.
    fs::write(lab.root.join(".git/objects/info/alternates"), "").unwrap();
    let before = lab.git(&["rev-list", "--objects", "--all"]);
    let relink = || {
        fs::remove_dir_all(&private).unwrap();
        symlink(lab.root.join(".git"), &private).unwrap();
    };
    relink();
    slot.reset(&base, &settings()).await.unwrap();
    relink();
    write(slot.path(), "src/new.py", "new");
    assert_eq!(change_lines(&measure(&slot, &base).await), ["A src/new.py"]);
    assert!(fs::symlink_metadata(&private).unwrap().is_dir());
    assert_eq!(lab.git(&["rev-list", "--objects", "--all"]), before);
}

#[tokio::test]
async fn caches_are_kept_outside_the_diff() {
    let lab = Lab::new();
    lab.write("src/target/mod.rs", "a module of that name");
    lab.commit_all("more");
    let (_repo, mut slot, base) = lab.slot().await;
    let keep = vec!["target".to_owned(), "/cache/".to_owned()];
    let settings = WorkspaceSettings { keep, ..settings() };
    slot.reset(&base, &settings).await.unwrap();
    fs::create_dir(slot.path().join("lib")).unwrap();
    symlink("/", slot.path().join("lib/target")).unwrap();
    slot.reset(&base, &settings).await.unwrap();
    assert!(fs::symlink_metadata(slot.path().join("lib")).is_err(), "a link is no cache");
    for path in ["target/x", "pkg/target/x", "cache/x", "src/cache/x", "src/target/new.rs"] {
        write(slot.path(), path, "x");
    }
    let measured = measure(&slot, &base).await;
    assert_eq!(change_lines(&measured), ["A src/cache/x", "A src/target/new.rs"]);
    assert_eq!(measured.omitted, ["cache/", "pkg/", "target/"]);
    slot.reset(&base, &settings).await.unwrap();
    for (path, stays) in
        [("target/x", true), ("pkg/target/x", true), ("cache/x", true), ("src/cache/x", false)]
    {
        assert_eq!(slot.path().join(path).exists(), stays, "{path}");
    }
    assert!(!slot.path().join("src/target/new.rs").exists(), "tracked files inside: no cache");
    let measured = measure(&slot, &base).await;
    assert_eq!((change_lines(&measured), measured.omitted), (vec![], vec![]));
}

#[tokio::test]
async fn links_are_copies_outside_the_diff() {
    let lab = Lab::new();
    lab.write(".gitignore", "node_modules/\n");
    lab.commit_all("ignore");
    lab.write("node_modules/left/index.js", "left");
    symlink("../left/index.js", lab.root.join("node_modules/left/bin")).unwrap();
    lab.write("untracked.env", "A=1");
    let (_repo, mut slot, base) = lab.slot().await;
    let link = ["node_modules", "untracked.env", "absent", "src"].map(str::to_owned).to_vec();
    let settings = WorkspaceSettings { link, ..settings() };
    let reset = slot.reset(&base, &settings).await.unwrap();
    assert_eq!(reset.missing_links, ["absent"]);
    assert_eq!(reset.tracked_links, ["src"]);
    assert_eq!(fs::read_to_string(slot.path().join("untracked.env")).unwrap(), "A=1");
    assert_eq!(lab.git_in(slot.path(), &["status", "--porcelain"]), "");
    fs::write(slot.path().join("node_modules/left/index.js"), "the agent's").unwrap();
    write(slot.path(), "node_modules/extra/x", "x");
    let measured = measure(&slot, &base).await;
    assert_eq!((change_lines(&measured), measured.omitted), (vec![], vec![]));
    assert_eq!(fs::read_to_string(lab.root.join("node_modules/left/index.js")).unwrap(), "left");
    slot.reset(&base, &settings).await.unwrap();
    assert_eq!(fs::read_to_string(slot.path().join("node_modules/left/index.js")).unwrap(), "left");
    assert!(!slot.path().join("node_modules/extra").exists());
}

#[tokio::test]
async fn the_agent_finds_a_repository_that_works() {
    let lab = Lab::new();
    let (_repo, slot, base) = lab.slot().await;
    let git = |args: &[&str]| lab.git_in(slot.path(), args);
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert_eq!(git(&["rev-parse", "HEAD"]), base);
    assert_eq!(git(&["remote"]), "");
    assert_eq!(git(&["log", "--format=%s"]), "first");
    write(slot.path(), "src/a.py", "2\n");
    assert!(git(&["diff"]).contains("+2"));
    git(&["commit", "-qam", "mine"]);
    assert_eq!(git(&["log", "-1", "--format=%an %s"]), "Una mine");
    slot.renew_agents_git(&base).unwrap();
    assert_eq!(git(&["rev-parse", "HEAD"]), base);
    assert!(lab.git(&["log", "--all", "--format=%s"]).lines().all(|line| line != "mine"));
}

#[tokio::test]
async fn without_its_git_a_slot_does_not_reach_the_users() {
    let lab = Lab::new();
    let (_repo, slot, _) = lab.slot().await;
    fs::remove_dir_all(slot.path().join(".git")).unwrap();
    let mut command = std::process::Command::new("git");
    command.args(["rev-parse", "--git-dir"]).current_dir(slot.path()).envs(slot.environment());
    assert!(!command.output().unwrap().status.success());
}

/// A program started by another test holds every lock for the moment between fork and exec.
async fn free(repo: &Repo, number: u32) {
    while repo.slots().unwrap().iter().any(|slot| slot.number == number && slot.in_use) {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn slots_are_locked_reused_and_collected() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let (first, second) = (repo.acquire_slot().await.unwrap(), repo.acquire_slot().await.unwrap());
    assert_eq!((first.number(), second.number()), (0, 1));
    let fd = first.lock_fd().unwrap();
    drop(first);
    assert_eq!(repo.acquire_slot().await.unwrap().number(), 2, "a child still holds slot 0");
    drop(fd);
    free(&repo, 0).await;
    assert_eq!(repo.acquire_slot().await.unwrap().number(), 0);
    free(&repo, 0).await;
    free(&repo, 2).await;
    let removed = repo.remove_free_slots().unwrap();
    assert_eq!(removed.iter().map(|slot| slot.number).collect::<Vec<_>>(), [0, 2]);
    let left = repo.slots().unwrap();
    assert_eq!(left.iter().map(|s| (s.number, s.in_use)).collect::<Vec<_>>(), [(1, true)]);
    assert!(second.path().exists());
}

#[tokio::test]
async fn a_slot_is_used_only_after_a_reset_and_settings_are_checked() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let mut slot = repo.acquire_slot().await.unwrap();
    let unused = error(slot.measure("HEAD", &[]).await);
    assert!(matches!(unused, WorkspaceError::NotReset(0)));
    let bad = WorkspaceSettings { link: vec!["../x".to_owned()], ..settings() };
    let output = error(slot.reset("HEAD", &bad).await).to_string();
    assert!(output.contains("workspace.link") && output.contains("../x"), "{output}");
}
