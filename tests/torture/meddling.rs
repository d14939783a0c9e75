//! Another person works in the repository during a drain: commits, worktrees, stale locks, `git gc`. Their work is
//! kept, and so is autopack's.

use std::sync::atomic::{AtomicBool, Ordering};

use super::ground::{Ground, backlog};
use super::sizes::{jobs, size, summary};
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
fn hands_in_the_repository_lose_nothing_and_nothing_of_theirs_is_lost() {
    let mut dice = Dice::thrown();
    let seed = dice.seed();
    let (phases, jobs) = (size("MEDDLED_PHASES", 15, 400), jobs(1));
    let ground = Ground::new("deliver", "", jobs, backlog(phases));
    let mut drain = ground.start();
    let over = AtomicBool::new(false);
    let (acts, theirs) = std::thread::scope(|scope| {
        let hand = scope.spawn(|| meddle(&ground, &mut dice, &over));
        drain.wait_patiently(|| false);
        over.store(true, Ordering::Relaxed);
        hand.join().unwrap()
    });
    let said = drain.wait().exited(0);
    // Everything held back until the end follows now.
    ground.start().wait().exited(0);
    ground.assert_all_complete();
    for commit in &theirs {
        let there = ["merge-base", "--is-ancestor", commit, "autopack/run"];
        let answer = ground.git_command().args(there).status().unwrap();
        assert!(answer.success(), "their commit {commit} is lost\n{}", said.stdout);
    }
    // Branches, index and worktrees are as that person left them.
    ground.check_after(|history| history.changes.clear());
    let text = format!(
        "{acts} acts over {phases} phases, jobs {jobs}: each landed once, {} commits by others on the branch kept",
        theirs.len()
    );
    summary("interference in the repository", seed, &text);
}

/// Acts until the drain is over; returns the number of acts, and the commits made on the run's branch.
fn meddle(ground: &Ground, dice: &mut Dice, over: &AtomicBool) -> (u64, Vec<String>) {
    let (mut acts, mut theirs) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        act(ground, *dice.pick(&ACTS), acts, &mut theirs);
        acts += 1;
        // A person is slower than a program, by a random time.
        std::thread::sleep(std::time::Duration::from_millis(dice.below(60)));
    }
    let _ = std::fs::remove_file(ground.project.path(".git/index.lock"));
    // Everything held by a worktree is free now.
    let _ = std::fs::remove_dir_all(ground.project.outside("held"));
    git(ground, &["worktree", "prune"]);
    (acts, theirs)
}

fn act(ground: &Ground, act: Act, number: u64, theirs: &mut Vec<String>) {
    let lock = ground.project.path(".git/index.lock");
    let outside = |name: &str| ground.project.outside(name).display().to_string();
    match act {
        Act::CommitOnMain => drop(git(ground, &["commit", "-q", "--allow-empty", "-m", "mine"])),
        Act::CommitOnTheRun => theirs.extend(commit_on_the_run(ground, number)),
        Act::AddWorktree => {
            let at = outside(&format!("worktree-{number}"));
            git(ground, &["worktree", "add", "-q", "-b", &format!("side-{number}"), &at]);
        }
        Act::HoldTheRun => {
            let at = outside("held");
            if std::fs::exists(&at).unwrap() {
                git(ground, &["worktree", "remove", "--force", &at]);
            } else {
                git(ground, &["worktree", "add", "-q", &at, "autopack/run"]);
            }
        }
        Act::LeaveIndexLock if lock.exists() => std::fs::remove_file(lock).unwrap(),
        Act::LeaveIndexLock => std::fs::write(lock, "").unwrap(),
        Act::CollectGarbage => drop(git(ground, &["gc", "-q", "--prune=now"])),
        Act::PackRefs => drop(git(ground, &["pack-refs", "--all"])),
    }
}

/// Commits a file of its own onto the tip, unless the tip has moved meanwhile.
fn commit_on_the_run(ground: &Ground, number: u64) -> Option<String> {
    let branch = "refs/heads/autopack/run";
    let held = ground.project.outside("held").exists();
    let tip = git(ground, &["rev-parse", "--verify", "-q", branch]).filter(|_| !held)?;
    let tree = format!("{tip}^{{tree}}");
    let commit =
        git(ground, &["commit-tree", &tree, "-p", &tip, "-m", &format!("theirs {number}")])?;
    git(ground, &["update-ref", branch, &commit, &tip])?;
    Some(commit)
}

/// Output of git; `None` if git fails, as it may beside other programs.
fn git(ground: &Ground, args: &[&str]) -> Option<String> {
    let output = ground.git_command().args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// The user may move the branch. Landed work lost by this is reported and can be recovered.
#[test]
fn a_branch_that_somebody_moves_back_is_said_to_have_lost_what_landed() {
    let ground = Ground::new("deliver", "", 1, backlog(4));
    let first = ground.start_with(&["--batch-size", "3", "--max-batches", "1"]).wait().exited(0);
    assert!(!first.stderr.contains("no longer contains"), "{first:#?}");
    ground.project.git(["branch", "-f", "autopack/run", "autopack/run~2"]);
    let second = ground.start().wait().exited(0);
    let lost = "autopack/run no longer contains p00001 (";
    assert!(second.stderr.contains(lost) && second.stderr.contains(" and 1 more"), "{second:#?}");
    assert_eq!(ground.project.landed(), ["p00000", "p00003"]);
    let again = ["phases", "retry", "--run-id", "run", "--redo", "p00001", "p00002"];
    ground.project.autopack(again).succeeded();
    let third = ground.start().wait().exited(0);
    assert!(!third.stderr.contains("no longer contains p00001"), "{third:#?}");
    assert_eq!(ground.project.landed(), ["p00000", "p00003", "p00001", "p00002"]);
}
