//! The run's branch: created, found, refused, followed.

use std::fs;

use autopack::workspace::{BranchUpdate, Landing, RunBranch, WorkspaceError};

use super::lab::{Lab, claimed, commit, ensure_branch, error, run, settings, write};

#[tokio::test]
async fn a_branch_starts_at_head_or_the_given_commit() {
    let lab = Lab::new();
    let first = lab.git(&["rev-parse", "HEAD"]);
    lab.write("x", "x");
    let second = lab.commit_all("second");
    let repo = lab.repo().await;
    let made = ensure_branch(&repo, &run(), None, None).await.unwrap();
    assert_eq!(made, RunBranch { branch: "autopack/r1".to_owned(), base_commit: second.clone() });
    assert_eq!(lab.git(&["rev-parse", "autopack/r1"]), second);
    assert_eq!(repo.tip(&run()).await.unwrap().commit, second);
    let other = autopack::phase::RunId::new("with space");
    let made = ensure_branch(&repo, &other, Some("HEAD~1"), None).await.unwrap();
    assert_eq!(made.base_commit, first);
    assert_eq!(lab.git(&["rev-parse", &made.branch]), first);
    for base in ["no-such", "-x", ""] {
        let run = autopack::phase::RunId::new("r2");
        let unknown = error(ensure_branch(&repo, &run, Some(base), None).await);
        assert!(matches!(unknown, WorkspaceError::UnknownBase { .. }), "{base:?}: {unknown}");
    }
}

#[tokio::test]
async fn a_branch_is_ours_only_when_recorded() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let made = ensure_branch(&repo, &run(), None, None).await.unwrap();
    assert_eq!(ensure_branch(&repo, &run(), Some("nonsense"), Some(&made)).await.unwrap(), made);
    let foreign = error(ensure_branch(&repo, &run(), None, None).await);
    assert!(matches!(foreign, WorkspaceError::BranchNotOurs { .. }), "{foreign}");
    // Recorded, and then the machine crashed before it was created.
    let planned = repo.plan_branch(&"r3".into_run(), None).await.unwrap();
    assert_eq!(lab.git(&["branch", "--list", "autopack/r3"]), "");
    repo.make_branch(&"r3".into_run(), &planned).await.unwrap();
    assert_eq!(lab.git(&["rev-parse", "autopack/r3"]), planned.base_commit);
    lab.git(&["branch", "-D", "autopack/r1"]);
    let gone = error(ensure_branch(&repo, &run(), None, Some(&made)).await);
    assert!(matches!(gone, WorkspaceError::BranchGone { .. }), "{gone}");
}

#[tokio::test]
async fn a_conflicting_branch_name_is_reported() {
    let lab = Lab::new();
    lab.git(&["branch", "autopack"]);
    let repo = lab.repo().await;
    let blocked = error(ensure_branch(&repo, &run(), None, None).await);
    assert!(
        matches!(&blocked, WorkspaceError::BranchBlocked { blocked_by, .. } if blocked_by == "autopack"),
        "{blocked}"
    );
    lab.git(&["branch", "-D", "autopack"]);
    lab.git(&["branch", "autopack/r1/mine"]);
    let blocked = error(ensure_branch(&repo, &run(), None, None).await).to_string();
    assert!(blocked.contains("autopack/r1/mine"), "{blocked}");
}

#[tokio::test]
async fn an_unborn_head_gets_an_empty_commit_and_stays_unborn() {
    let lab = Lab::unborn("repo", &[]);
    lab.write("untracked", "mine");
    let repo = lab.repo().await;
    let made = ensure_branch(&repo, &run(), None, None).await.unwrap();
    let mut slot = repo.acquire_slot().await.unwrap();
    slot.reset(&made.base_commit, &settings()).await.unwrap();
    write(slot.path(), "a", "a");
    let new = commit(&slot, &made.base_commit, "p").await;
    let claim = claimed(&repo, "p", 1, "me").await;
    slot.land(&claim, &run(), &made.base_commit, &new).await.unwrap();
    assert_eq!(lab.git(&["ls-tree", "--name-only", "autopack/r1"]), "a");
    assert!(!lab.try_git_in(&lab.root, &["rev-parse", "HEAD", "--"]).0);
    assert_eq!(lab.git(&["status", "--porcelain"]), "?? untracked");
}

#[tokio::test]
async fn a_detached_head_is_accepted() {
    let lab = Lab::new();
    lab.git(&["checkout", "-q", "--detach"]);
    let head = lab.git(&["rev-parse", "HEAD"]);
    let repo = lab.repo().await;
    assert_eq!(ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit, head);
}

#[tokio::test]
async fn a_checked_out_branch_stays_and_follows_when_it_is_free() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let elsewhere = lab.temp.path().canonicalize().unwrap().join("elsewhere");
    lab.git(&["worktree", "add", "-q", elsewhere.to_str().unwrap(), "autopack/r1"]);
    let mut slot = repo.acquire_slot().await.unwrap();
    let mut tip = base.clone();
    for name in ["one", "two"] {
        slot.reset(&tip, &settings()).await.unwrap();
        write(slot.path(), name, name);
        let new = commit(&slot, &tip, name).await;
        let claim = claimed(&repo, name, 1, "me").await;
        let landed = slot.land(&claim, &run(), &tip, &new).await.unwrap();
        assert_eq!(landed, Landing::Landed { held_by: Some(elsewhere.clone()) });
        let now = repo.tip(&run()).await.unwrap();
        assert_eq!((now.commit.as_str(), now.diverged), (new.as_str(), false));
        assert!(repo.has_landed(&run(), &new).await.unwrap());
        tip = new;
    }
    assert_eq!(lab.git(&["rev-parse", "autopack/r1"]), base);
    assert_eq!(lab.git_in(&elsewhere, &["status", "--porcelain"]), "");
    assert_eq!(repo.update_branch(&run()).await.unwrap(), BranchUpdate::Held(elsewhere.clone()));
    lab.git_in(&elsewhere, &["checkout", "-q", "--detach"]);
    assert_eq!(repo.update_branch(&run()).await.unwrap(), BranchUpdate::Moved);
    assert_eq!(lab.git(&["rev-parse", "autopack/r1"]), tip);
    assert_eq!(lab.git(&["for-each-ref", "refs/autopack/runs"]), "");
    assert_eq!(repo.update_branch(&run()).await.unwrap(), BranchUpdate::UpToDate);
}

#[tokio::test]
async fn a_landing_moves_a_branch_that_is_free_again() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    lab.git(&["checkout", "-q", "autopack/r1"]);
    let mut slot = repo.acquire_slot().await.unwrap();
    let mut tip = base;
    for name in ["one", "two"] {
        slot.reset(&tip, &settings()).await.unwrap();
        write(slot.path(), name, name);
        let new = commit(&slot, &tip, name).await;
        let claim = claimed(&repo, name, 1, "me").await;
        slot.land(&claim, &run(), &tip, &new).await.unwrap();
        lab.git(&["checkout", "-q", "main"]);
        tip = new;
    }
    assert_eq!(lab.git(&["rev-parse", "autopack/r1"]), tip);
    assert_eq!(lab.git(&["for-each-ref", "refs/autopack/runs"]), "");
}

#[tokio::test]
async fn a_users_commit_on_the_branch_is_the_tip_or_reported_as_diverged() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    lab.git(&["checkout", "-q", "autopack/r1"]);
    lab.write("mine", "x");
    let users = lab.commit_all("mine");
    assert_eq!(repo.tip(&run()).await.unwrap().commit, users);
    let mut slot = repo.acquire_slot().await.unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    write(slot.path(), "a", "a");
    let stale = commit(&slot, &base, "p").await;
    let claim = claimed(&repo, "p", 1, "me").await;
    let moved = slot.land(&claim, &run(), &base, &stale).await.unwrap();
    assert_eq!(moved, Landing::TipMoved(users.clone()));
    slot.reset(&users, &settings()).await.unwrap();
    write(slot.path(), "a", "a");
    let new = commit(&slot, &users, "p").await;
    slot.land(&claim, &run(), &users, &new).await.unwrap();
    lab.write("mine", "y");
    lab.commit_all("mine again");
    let tip = repo.tip(&run()).await.unwrap();
    assert_eq!((tip.commit, tip.diverged), (new, true));
    assert_eq!(repo.update_branch(&run()).await.unwrap(), BranchUpdate::Diverged);
    assert!(fs::exists(lab.root.join("mine")).unwrap());
}

trait IntoRun {
    fn into_run(self) -> autopack::phase::RunId;
}

impl IntoRun for &str {
    fn into_run(self) -> autopack::phase::RunId {
        autopack::phase::RunId::new(self)
    }
}
