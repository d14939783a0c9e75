//! Another person works in the repository during a drain: commits, worktrees, stale locks, `git gc`. Their work is
//! kept, and so is autopack's.

use std::sync::atomic::{AtomicBool, Ordering};

use super::sizes::{jobs, size, summary};
use super::testbed::{Testbed, backlog};
use crate::support::dice::Dice;

/// An act of that person in the repository.
#[derive(Clone, Copy, Debug)]
enum Act {
    CommitOnMain,
    CommitOnTheRun,
    AddWorktree,
    HoldTheRun,
    LeaveIndexLock,
    CollectGarbage,
    PackRefs,
}

const ACTS: [Act; 7] = [
    Act::CommitOnMain,
    Act::CommitOnTheRun,
    Act::AddWorktree,
    Act::HoldTheRun,
    Act::LeaveIndexLock,
    Act::CollectGarbage,
    Act::PackRefs,
];

#[test]
fn manual_changes_in_the_repository_and_landings_are_both_kept() {
    let mut dice = Dice::thrown();
    let seed = dice.seed();
    let (phases, jobs) = (size("MEDDLED_PHASES", 15, 400), jobs(1));
    let testbed = Testbed::new("deliver", "", jobs, backlog(phases));
    let mut drain = testbed.start();
    let over = AtomicBool::new(false);
    let (acts, theirs) = std::thread::scope(|scope| {
        let hand = scope.spawn(|| meddle(&testbed, &mut dice, &over));
        drain.wait_patiently(|| false);
        over.store(true, Ordering::Relaxed);
        hand.join().unwrap()
    });
    let output = drain.wait().exited(0);
    // Everything held back until the end follows now.
    testbed.start().wait().exited(0);
    testbed.assert_all_complete();
    for commit in &theirs {
        let there = ["merge-base", "--is-ancestor", commit, "autopack/run"];
        let answer = testbed.git_command().args(there).status().unwrap();
        assert!(answer.success(), "their commit {commit} is lost\n{}", output.stdout);
    }
    // Branches, index and worktrees are as that person left them.
    testbed.check_after(|history| history.changes.clear());
    let text = format!(
        "{acts} acts over {phases} phases, jobs {jobs}: each landed once, {} commits by others on the branch kept",
        theirs.len()
    );
    summary("interference in the repository", seed, &text);
}

/// Acts until the drain is over; returns the number of acts, and the commits made on the run's branch.
fn meddle(testbed: &Testbed, dice: &mut Dice, over: &AtomicBool) -> (u64, Vec<String>) {
    let (mut acts, mut theirs) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        act(testbed, *dice.pick(&ACTS), acts, &mut theirs);
        acts += 1;
        // A person is slower than a program, by a random time.
        std::thread::sleep(std::time::Duration::from_millis(dice.below(60)));
    }
    let _ = std::fs::remove_file(testbed.project.path(".git/index.lock"));
    // Everything held by a worktree is free now.
    let _ = std::fs::remove_dir_all(testbed.project.outside("held"));
    git(testbed, &["worktree", "prune"]);
    (acts, theirs)
}

fn act(testbed: &Testbed, act: Act, number: u64, theirs: &mut Vec<String>) {
    let lock = testbed.project.path(".git/index.lock");
    let outside = |name: &str| testbed.project.outside(name).display().to_string();
    match act {
        Act::CommitOnMain => drop(git(testbed, &["commit", "-q", "--allow-empty", "-m", "mine"])),
        Act::CommitOnTheRun => theirs.extend(commit_on_the_run(testbed, number)),
        Act::AddWorktree => {
            let at = outside(&format!("worktree-{number}"));
            git(testbed, &["worktree", "add", "-q", "-b", &format!("side-{number}"), &at]);
        }
        Act::HoldTheRun => {
            let at = outside("held");
            if std::fs::exists(&at).unwrap() {
                git(testbed, &["worktree", "remove", "--force", &at]);
            } else {
                git(testbed, &["worktree", "add", "-q", &at, "autopack/run"]);
            }
        }
        Act::LeaveIndexLock if lock.exists() => std::fs::remove_file(lock).unwrap(),
        Act::LeaveIndexLock => std::fs::write(lock, "").unwrap(),
        Act::CollectGarbage => drop(git(testbed, &["gc", "-q", "--prune=now"])),
        Act::PackRefs => drop(git(testbed, &["pack-refs", "--all"])),
    }
}

/// Commits a file of its own onto the tip, unless the tip has moved meanwhile.
fn commit_on_the_run(testbed: &Testbed, number: u64) -> Option<String> {
    let branch = "refs/heads/autopack/run";
    let held = testbed.project.outside("held").exists();
    let tip = git(testbed, &["rev-parse", "--verify", "-q", branch]).filter(|_| !held)?;
    let tree = format!("{tip}^{{tree}}");
    let commit =
        git(testbed, &["commit-tree", &tree, "-p", &tip, "-m", &format!("theirs {number}")])?;
    git(testbed, &["update-ref", branch, &commit, &tip])?;
    Some(commit)
}

/// Output of git; `None` if git fails, as it may beside other programs.
fn git(testbed: &Testbed, args: &[&str]) -> Option<String> {
    let output = testbed.git_command().args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// The user may move the branch. Landed work lost by this is reported and can be recovered.
#[test]
fn a_branch_reset_by_the_user_is_reported_to_lack_landings() {
    let testbed = Testbed::new("deliver", "", 1, backlog(4));
    let first = testbed.start_with(&["--batch-size", "3", "--max-batches", "1"]).wait().exited(0);
    assert!(!first.stderr.contains("no longer contains"), "{first:#?}");
    testbed.project.git(["branch", "-f", "autopack/run", "autopack/run~2"]);
    let second = testbed.start().wait().exited(0);
    let lost = "autopack/run no longer contains p00001 (";
    assert!(second.stderr.contains(lost) && second.stderr.contains(" and 1 more"), "{second:#?}");
    assert_eq!(testbed.project.landed(), ["p00000", "p00003"]);
    let again = ["phases", "retry", "--run-id", "run", "--redo", "p00001", "p00002"];
    testbed.project.autopack(again).succeeded();
    let third = testbed.start().wait().exited(0);
    assert!(!third.stderr.contains("no longer contains p00001"), "{third:#?}");
    assert_eq!(testbed.project.landed(), ["p00000", "p00003", "p00001", "p00002"]);
}
