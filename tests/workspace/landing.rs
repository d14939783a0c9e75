//! Landing: once, and only with the right to do so.

use std::fs;

use autopack::phase::{PhaseId, RunId};
use autopack::workspace::{
    AgentCredit, CommitMessage, FenceOutcome, Landing, RebaseOutcome, Repo, Slot, WorkspaceError,
};

use super::lab::{
    Lab, claimed, commit, ensure_branch, error, measure, phase, run, settings, write,
};

/// A slot at the tip with one new file in it, committed.
async fn worked(repo: &Repo, tip: &str, file: &str) -> (Slot, String) {
    let mut slot = repo.acquire_slot().await.unwrap();
    slot.reset(tip, &settings()).await.unwrap();
    write(slot.path(), file, file);
    let new = commit(&slot, tip, file).await;
    (slot, new)
}

#[tokio::test]
async fn a_landing_is_one_commit_with_trailers() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let mut slot = repo.acquire_slot().await.unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    write(slot.path(), "src/b.py", "b\n");
    let measured = measure(&slot, &base).await;
    let (odd_run, odd_phase) = (RunId::new("r\nAutopack-Phase: forged"), PhaseId::new("p/1 é"));
    let model = Some("m\nAutopack-Phase: forged".to_owned());
    let credit = AgentCredit::Trailer { agent: "claude".to_owned(), model };
    let message = CommitMessage {
        run: &odd_run,
        phase: &odd_phase,
        attempt: 3,
        name: "Add b\nin two lines",
        body: "Because.\n\nAutopack-Attempt: 99",
        is_of_strangers: false,
        credit: Some(&credit),
    };
    let new = slot.commit(&measured.tree, &base, &message).await.unwrap();
    let claim = claimed(&repo, "p", 1, "me").await;
    assert!(!repo.has_landed(&run(), &new).await.unwrap());
    let landed = slot.land(&claim, &run(), &base, &new).await.unwrap();
    assert_eq!(landed, Landing::Landed { held_by: None });
    assert!(repo.has_landed(&run(), &new).await.unwrap());
    assert_eq!(lab.git(&["rev-parse", "autopack/r1"]), new);
    assert_eq!(lab.git(&["log", "-1", "--format=%s|%an|%cn", &new]), "Add b in two lines|Una|Una");
    let trailers = lab.git(&["log", "-1", "--format=%(trailers:only,unfold)", &new]);
    assert_eq!(
        trailers.trim(),
        "Autopack-Run: \"r\\nAutopack-Phase: forged\"\nAutopack-Phase: p/1 é\nAutopack-Attempt: 3\n\
         Autopack-Agent: claude (m Autopack-Phase: forged)"
    );
    lab.git(&["fsck", "--strict", "--no-dangling"]);
    // Repeating it is not a second landing.
    let again = slot.land(&claim, &run(), &base, &new).await.unwrap();
    assert_eq!(again, Landing::Landed { held_by: None });
    slot.renew_agents_git(&new).unwrap();
    assert_eq!(lab.git_in(slot.path(), &["status", "--porcelain"]), "");
}

/// An attempt's objects may be in the user's packs already, and then the slot has no file of them.
#[tokio::test]
async fn objects_in_the_users_packs_land_again() {
    for init in [&[][..], &["--object-format=sha256"]] {
        let lab = Lab::with("repo", init);
        lab.write("src/deep/b.py", "b = 1\n");
        lab.commit_all("second");
        lab.git(&["rm", "-rq", "src/deep"]);
        let base = lab.commit_all("third");
        lab.git(&["repack", "-adq"]);
        let repo = lab.repo().await;
        ensure_branch(&repo, &run(), None, None).await.unwrap();
        let mut slot = repo.acquire_slot().await.unwrap();
        slot.reset(&base, &settings()).await.unwrap();
        write(slot.path(), "src/deep/b.py", "b = 1\n");
        let new = commit(&slot, &base, "back").await;
        let claim = claimed(&repo, "back", 1, "me").await;
        let landed = slot.land(&claim, &run(), &base, &new).await.unwrap();
        assert_eq!(landed, Landing::Landed { held_by: None });
        // And an attempt with a file for each of its objects, from where the first one landed.
        slot.reset(&new, &settings()).await.unwrap();
        write(slot.path(), "src/deep/c.py", "c = 1\n");
        let next = commit(&slot, &new, "on").await;
        let claim = claimed(&repo, "on", 1, "me").await;
        let landed = slot.land(&claim, &run(), &new, &next).await.unwrap();
        assert_eq!(landed, Landing::Landed { held_by: None });
        lab.git(&["fsck", "--strict", "--no-dangling"]);
        let files = lab.git(&["ls-tree", "-r", "--name-only", "autopack/r1"]);
        assert_eq!(files, "README\nrun.sh\nsrc/a.py\nsrc/deep/b.py\nsrc/deep/c.py");
    }
}

/// A commit equals the one that `git commit-tree` would have made at that moment.
#[tokio::test]
async fn a_commit_equals_gits_byte_for_byte() {
    for init in [&[][..], &["--object-format=sha256"]] {
        let lab = Lab::with("repo", init);
        let (_repo, slot, base) = lab.slot().await;
        write(slot.path(), "src/b.py", "b\n");
        let new = commit(&slot, &base, "Wörter, and more").await;
        let git_dir = slot.path().with_added_extension("git");
        let git = |args: &[&str]| lab.git_in(&git_dir, &[&["--git-dir", "."], args].concat());
        let read = git(&["cat-file", "commit", &new]);
        let (head, message) = read.split_once("\n\n").unwrap();
        let file = lab.temp.path().join("message");
        fs::write(&file, format!("{message}\n")).unwrap();
        let tree = head.lines().next().unwrap().strip_prefix("tree ").unwrap();
        let time = head.lines().last().unwrap().split_once("> ").unwrap().1;
        let made = std::process::Command::new("git")
            .args(["--git-dir", ".", "commit-tree", tree, "-p", &base, "-F"])
            .arg(&file)
            .current_dir(&git_dir)
            .envs(lab.env())
            .env("GIT_AUTHOR_DATE", time)
            .env("GIT_COMMITTER_DATE", time)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&made.stdout).trim(), new);
        let zone = lab.git(&["log", "-1", "--format=%ad", "--date=format-local:%z"]);
        assert_eq!(time.split(' ').nth(1), Some(zone.as_str()), "the time zone is the user's");
    }
}

/// The tree taken for the tip's by the next attempt is the one git reports.
#[tokio::test]
async fn a_measured_tree_is_not_listed_again() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let mut slot = repo.acquire_slot().await.unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    fs::remove_file(slot.path().join("src/a.py")).unwrap();
    fs::remove_file(slot.path().join("run.sh")).unwrap();
    write(slot.path(), "run.sh/now/a directory", "x");
    write(slot.path(), "README", "changed\n");
    let new = commit(&slot, &base, "p").await;
    let known = repo.tree(&new).await.unwrap();
    let claim = claimed(&repo, "p", 1, "me").await;
    slot.land(&claim, &run(), &base, &new).await.unwrap();
    let listed = lab.repo().await.tree(&new).await.unwrap();
    let paths: Vec<&str> = known.paths().collect();
    assert_eq!(paths, listed.paths().collect::<Vec<_>>());
    assert_eq!(paths, ["README", "run.sh/now/a directory"]);
    for directory in ["src", "run.sh", "run.sh/now"] {
        assert_eq!(known.has_directory(directory), listed.has_directory(directory), "{directory}");
    }
}

#[tokio::test]
async fn many_files_land_as_a_pack() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let mut slot = repo.acquire_slot().await.unwrap();
    slot.reset(&base, &settings()).await.unwrap();
    for n in 0..150 {
        write(slot.path(), &format!("many/{n}"), &n.to_string());
    }
    let new = commit(&slot, &base, "many").await;
    let claim = claimed(&repo, "many", 1, "me").await;
    slot.land(&claim, &run(), &base, &new).await.unwrap();
    assert_eq!(lab.git(&["ls-tree", "-r", "--name-only", &new, "many/"]).lines().count(), 150);
    lab.git(&["fsck", "--strict", "--no-dangling"]);
}

#[tokio::test]
async fn only_one_of_two_landers_wins() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let (one, first) = worked(&repo, &base, "one").await;
    let (two, second) = worked(&repo, &base, "two").await;
    let (run_one, run_two) = (run(), run());
    let (a, b) = (claimed(&repo, "one", 1, "a").await, claimed(&repo, "two", 1, "b").await);
    let (a, b) =
        tokio::join!(one.land(&a, &run_one, &base, &first), two.land(&b, &run_two, &base, &second));
    let landed = Landing::Landed { held_by: None };
    let expected = match (a.unwrap(), b.unwrap()) {
        (a, Landing::TipMoved(tip)) if a == landed => (tip, first.clone()),
        (Landing::TipMoved(tip), b) if b == landed => (tip, second.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(expected.0, expected.1);
    // The loser goes on top of the winner.
    let (slot, mine, name) =
        if expected.1 == first { (&two, &second, "two") } else { (&one, &first, "one") };
    let RebaseOutcome::Commit(moved) = slot.rebase(mine, &expected.1).await.unwrap() else {
        panic!("no conflict between two files")
    };
    let claim = claimed(&repo, name, 2, "c").await;
    assert_eq!(slot.land(&claim, &run(), &expected.1, &moved).await.unwrap(), landed);
    let files = lab.git(&["ls-tree", "--name-only", "autopack/r1"]);
    assert!(files.contains("one") && files.contains("two"), "{files}");
    assert_eq!(lab.git(&["log", "-1", "--format=%s", "autopack/r1"]), name);
}

#[tokio::test]
async fn a_rebase_keeps_the_message_and_reports_conflicts() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let (slot, mine) = worked(&repo, &base, "src/a.py").await;
    let (mut other, aside) = worked(&repo, &base, "aside").await;
    // Commits of two slots meet in the user's repository.
    let claim = claimed(&repo, "aside", 1, "x").await;
    other.land(&claim, &run(), &base, &aside).await.unwrap();
    let RebaseOutcome::Commit(moved) = slot.rebase(&mine, &aside).await.unwrap() else { panic!() };
    slot.renew_agents_git(&moved).unwrap();
    let show = |what| lab.git_in(slot.path(), &["log", "-1", &format!("--format={what}"), &moved]);
    assert_eq!(show("%P %s"), format!("{aside} src/a.py"));
    assert!(show("%b").contains("Autopack-Phase: src/a.py"));
    other.reset(&aside, &settings()).await.unwrap();
    write(other.path(), "src/a.py", "otherwise\n");
    let clash = commit(&other, &aside, "clash").await;
    let claim = claimed(&repo, "clash", 1, "x").await;
    other.land(&claim, &run(), &aside, &clash).await.unwrap();
    let conflict = slot.rebase(&mine, &clash).await.unwrap();
    assert_eq!(conflict, RebaseOutcome::Conflict { paths: vec!["src/a.py".to_owned()] });
}

#[tokio::test]
async fn a_fence_yields_only_to_later_attempts_and_reclaims() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let p = phase("p");
    claimed(&repo, "p", 2, "a").await;
    claimed(&repo, "p", 2, "a").await;
    for (attempt, owner) in [(1, "b"), (2, "b"), (1, "a")] {
        let fence = repo.fence(&run(), &p, attempt, owner).await.unwrap();
        assert_eq!(fence, FenceOutcome::Fenced { attempt: 2, holder: "a".to_owned() });
    }
    let FenceOutcome::Ours(_) = repo.reclaim_fence(&run(), &p, 2, "r").await.unwrap() else {
        panic!()
    };
    let fence = repo.fence(&run(), &p, 2, "a").await.unwrap();
    assert_eq!(fence, FenceOutcome::Fenced { attempt: 2, holder: "r".to_owned() });
    claimed(&repo, "p", 3, "b").await;
    let late = repo.reclaim_fence(&run(), &p, 2, "r").await.unwrap();
    assert_eq!(late, FenceOutcome::Fenced { attempt: 3, holder: "b".to_owned() });
    // A reclaim also fences a drain that has not reached the fence yet.
    repo.reclaim_fence(&run(), &phase("q"), 1, "r").await.unwrap();
    assert!(matches!(
        repo.fence(&run(), &phase("q"), 1, "slow").await.unwrap(),
        FenceOutcome::Fenced { attempt: 1, .. }
    ));
}

#[tokio::test]
async fn only_one_of_many_claimers_gets_the_fence() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let mut all = tokio::task::JoinSet::new();
    for n in 0..8 {
        let repo = repo.clone();
        all.spawn(async move {
            let fence = repo.fence(&run(), &phase("p"), 1, &format!("owner {n}")).await.unwrap();
            matches!(fence, FenceOutcome::Ours(_))
        });
    }
    let ours = all.join_all().await;
    assert_eq!(ours.iter().filter(|ours| **ours).count(), 1);
}

#[tokio::test]
async fn a_landing_removes_its_claim() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let (slot, new) = worked(&repo, &base, "p").await;
    let claim = claimed(&repo, "p", 1, "a").await;
    claimed(&repo, "q", 1, "a").await;
    let landed = slot.land(&claim, &run(), &base, &new).await.unwrap();
    assert_eq!(landed, Landing::Landed { held_by: None });
    assert_eq!(repo.count_fences(&run()).await.unwrap(), 1, "another phase's stays");
    assert_eq!(lab.git(&["rev-parse", "autopack/r1"]), new);
}

#[tokio::test]
async fn a_reclaimed_attempt_cannot_land() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let (slot, new) = worked(&repo, &base, "stale").await;
    let stale = claimed(&repo, "p", 1, "stale").await;
    repo.reclaim_fence(&run(), &phase("p"), 1, "reclaimer").await.unwrap();
    assert_eq!(slot.land(&stale, &run(), &base, &new).await.unwrap(), Landing::Fenced);
    claimed(&repo, "p", 2, "next").await;
    assert_eq!(slot.land(&stale, &run(), &base, &new).await.unwrap(), Landing::Fenced);
    assert_eq!(lab.git(&["rev-parse", "autopack/r1"]), base);
    assert_eq!(repo.drop_fences(&run()).await.unwrap(), 1);
    assert_eq!(slot.land(&stale, &run(), &base, &new).await.unwrap(), Landing::Fenced);
    assert_eq!(repo.drop_fences(&run()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stale_lock_is_named_and_no_lock_stays() {
    let lab = Lab::new();
    let repo = lab.repo().await;
    let base = ensure_branch(&repo, &run(), None, None).await.unwrap().base_commit;
    let (slot, new) = worked(&repo, &base, "one").await;
    let claim = claimed(&repo, "one", 1, "me").await;
    let lock = lab.root.join(".git/refs/heads/autopack/r1.lock");
    fs::write(&lock, "").unwrap();
    let locked = error(slot.land(&claim, &run(), &base, &new).await);
    assert!(
        matches!(&locked, WorkspaceError::RefLocked { lock: named, .. } if named.ends_with("r1.lock")),
        "{locked}"
    );
    fs::remove_file(&lock).unwrap();
    slot.land(&claim, &run(), &base, &new).await.unwrap();
    let locks = walk(&lab.root.join(".git"));
    assert!(!locks.iter().any(|path| path.ends_with(".lock")), "{locks:?}");
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            all.extend(walk(&entry.path()));
        }
        all.push(entry.path().display().to_string());
    }
    all
}
