//! Submodules and large files are present, and submodules do not change unnoticed.

use std::fs;

use super::lab::{Lab, change_lines, measure, settings, write};
use crate::support::skip;

/// `lib/sub` with `s.txt` in it, and `inner` in that with `i.txt`.
fn with_submodules() -> Lab {
    let lab = Lab::new();
    let other = |name: &str, file: &str| {
        let dir = lab.temp.path().join(name);
        fs::create_dir(&dir).unwrap();
        lab.git_in(&dir, &["init", "-q", "."]);
        write(&dir, file, "1\n");
        lab.git_in(&dir, &["add", "."]);
        lab.git_in(&dir, &["commit", "-qm", "first"]);
        dir.to_str().unwrap().to_owned()
    };
    let (inner, sub) = (other("inner", "i.txt"), other("sub", "s.txt"));
    lab.git_in(sub.as_ref(), &["submodule", "--quiet", "add", &inner, "inner"]);
    lab.git_in(sub.as_ref(), &["commit", "-qm", "inner"]);
    lab.git(&["submodule", "--quiet", "add", &sub, "lib/sub"]);
    lab.git(&["submodule", "--quiet", "update", "--init", "--recursive"]);
    lab.commit_all("submodule");
    lab
}

#[tokio::test]
async fn submodule_files_are_present_and_their_changes_are_measured() {
    let lab = with_submodules();
    let before = lab.fingerprint();
    let (_repo, mut slot, base) = lab.slot().await;
    let file = |path: &str| fs::read_to_string(slot.path().join(path)).unwrap();
    assert_eq!((file("lib/sub/s.txt"), file("lib/sub/inner/i.txt")), ("1\n".into(), "1\n".into()));
    assert_eq!(lab.git_in(slot.path(), &["status", "--porcelain"]), "");
    assert_eq!(change_lines(&measure(&slot, &base).await), [""; 0]);
    write(slot.path(), "lib/sub/inner/i.txt", "2\n");
    let measured = measure(&slot, &base).await;
    assert_eq!(change_lines(&measured), ["M lib/sub/inner"]);
    assert_eq!(measured.submodules, ["lib/sub/inner"]);
    slot.reset(&base, &settings()).await.unwrap();
    write(slot.path(), "lib/sub/new", "x");
    assert_eq!(measure(&slot, &base).await.submodules, ["lib/sub"]);
    slot.reset(&base, &settings()).await.unwrap();
    assert_eq!(change_lines(&measure(&slot, &base).await), [""; 0]);
    assert_eq!(lab.fingerprint(), before);
}

#[tokio::test]
async fn a_nested_or_replaced_repository_is_detected() {
    let lab = with_submodules();
    let (_repo, mut slot, base) = lab.slot().await;
    let sub = slot.path().join("lib/sub");
    write(&sub, "s.txt", "2\n");
    lab.git_in(&sub, &["init", "-q", "."]);
    lab.git_in(&sub, &["add", "-A"]);
    lab.git_in(&sub, &["commit", "-qm", "hidden"]);
    assert_eq!(measure(&slot, &base).await.submodules, ["lib/sub"]);
    slot.reset(&base, &settings()).await.unwrap();
    fs::remove_dir_all(slot.path().join("lib/sub")).unwrap();
    fs::write(slot.path().join("lib/sub"), "a file").unwrap();
    assert_eq!(change_lines(&measure(&slot, &base).await), ["T lib/sub"]);
    slot.reset(&base, &settings()).await.unwrap();
    fs::remove_dir_all(slot.path().join("lib/sub")).unwrap();
    assert_eq!(change_lines(&measure(&slot, &base).await), ["D lib/sub"]);
    slot.reset(&base, &settings()).await.unwrap();
    assert!(slot.path().join("lib/sub/inner/i.txt").exists());
}

#[tokio::test]
async fn an_unfetched_submodule_is_an_empty_directory() {
    let lab = with_submodules();
    fs::remove_dir_all(lab.root.join(".git/modules")).unwrap();
    let repo = lab.repo().await;
    let mut slot = repo.acquire_slot().await.unwrap();
    let head = fs::read_to_string(lab.root.join(".git/refs/heads/main")).unwrap();
    let reset = slot.reset(head.trim(), &settings()).await.unwrap();
    assert_eq!(reset.missing_submodules, ["lib/sub"]);
    assert!(slot.path().join("lib/sub").is_dir());
    write(slot.path(), "lib/sub/new", "lost without notice?");
    assert_eq!(measure(&slot, head.trim()).await.submodules, ["lib/sub"]);
}

#[tokio::test]
async fn lfs_files_are_present_if_lfs_is_installed() {
    let lab = Lab::new();
    if !lab.try_git_in(&lab.root, &["lfs", "version"]).0 {
        return skip("git-lfs", "git-lfs is not installed");
    }
    lab.git(&["lfs", "install"]);
    lab.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    lab.write("big.bin", "large");
    lab.commit_all("lfs");
    let (_repo, slot, base) = lab.slot().await;
    assert_eq!(fs::read_to_string(slot.path().join("big.bin")).unwrap(), "large");
    assert_eq!(change_lines(&measure(&slot, &base).await), [""; 0]);
    write(slot.path(), "new.bin", "larger");
    let measured = measure(&slot, &base).await;
    assert_eq!(change_lines(&measured), ["A new.bin"]);
    let kept = slot.read_at(&measured.tree, "new.bin").await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&kept).starts_with("version https://git-lfs"), "{kept:?}");
}
