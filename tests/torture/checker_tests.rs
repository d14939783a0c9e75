//! Checks the checker: forged histories, each with one breach.

use std::collections::BTreeSet;

use super::checker::complaints;
use super::history::{Attempt, Commit, History, Move, Phase, Position};

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn attempt(number: i64, owner: &str, at: i64, outcome: &str, commit: Option<&str>) -> Attempt {
    Attempt {
        phase: 1,
        attempt: number,
        owner: owner.to_owned(),
        started_at: at,
        ended_at: Some(at + 5),
        outcome: text(outcome),
        landing_commit: commit.map(str::to_owned),
    }
}

fn step(was: &str, is: &str, was_owner: Option<&str>, is_owner: Option<&str>) -> Move {
    let owner = |owner: Option<&str>| owner.map(str::to_owned);
    let (was, is) = (was.to_owned(), is.to_owned());
    Move { phase: 1, was, is, was_owner: owner(was_owner), is_owner: owner(is_owner) }
}

/// One phase: a drain crashed in it, the next one landed it.
fn honest() -> History {
    History {
        phases: vec![Phase {
            id: 1,
            phase_id: "p".to_owned(),
            state: "COMPLETE".to_owned(),
            attempts: 1,
            crashes: 1,
            executions: 2,
            commit_id: text("c2"),
            unmet: 0,
            really_unmet: 0,
        }],
        attempts: vec![
            attempt(1, "a", 10, "crashed", Some("c1")),
            attempt(2, "b", 20, "landed", Some("c2")),
        ],
        moves: vec![
            step("QUEUED", "EXECUTING", None, Some("a")),
            step("EXECUTING", "QUEUED", Some("a"), None),
            step("QUEUED", "EXECUTING", None, Some("b")),
            step("EXECUTING", "COMPLETE", Some("b"), None),
        ],
        commits: vec![commit("c2", "2")],
        steady_clock: true,
        ..History::default()
    }
}

fn commit(id: &str, attempt: &str) -> Commit {
    let tree = format!("tree of {id}");
    let [run, id, phase, attempt] = ["run", id, "p", attempt].map(str::to_owned);
    Commit { run, id, tree, phase, attempt }
}

#[track_caller]
fn complains(forge: impl FnOnce(&mut History), of: &str) {
    let mut history = honest();
    forge(&mut history);
    let found = complaints(&history);
    assert!(found.iter().any(|line| line.contains(of)), "{of:?} is not among {found:#?}");
}

#[test]
fn a_correct_history_has_no_complaint() {
    assert_eq!(complaints(&honest()), Vec::<String>::new());
}

#[test]
fn a_phase_landed_twice_is_detected() {
    complains(|h| h.commits.push(commit("c1", "1")), "landed 2 times");
    complains(|h| h.commits.push(commit("c1", "1")), "no attempt landed it");
    complains(
        |h| h.attempts[0] = attempt(1, "a", 10, "landed", Some("c1")),
        "passed more than once",
    );
    complains(|h| h.commits[0].attempt = "1".to_owned(), "says attempt 1, the store 2");
}

#[test]
fn a_lost_landing_is_detected() {
    complains(|h| h.commits.clear(), "is not on the branch");
    complains(|h| h.attempts[1].outcome = text("crashed"), "is COMPLETE");
}

#[test]
fn an_untested_or_misplaced_landing_is_detected() {
    complains(|h| h.tested = Some(BTreeSet::from(["tree of c1".to_owned()])), "landed untested");
    let at = |position: i64, commit: &str| Position { position, commit_id: commit.to_owned() };
    let misplaced = |h: &mut History| {
        h.commits = vec![commit("c2", "2"), commit("c1", "1")];
        h.positions = vec![at(1, "c2"), at(2, "c1")];
    };
    complains(misplaced, "with position 1 landed after position Some(2)");
    complains(|h| h.queued.push("position 7".to_owned()), "the merge queue is not empty");
}

#[test]
fn two_owners_of_one_phase_are_detected() {
    complains(|h| h.attempts[1].started_at = 12, "overlap");
    complains(|h| h.attempts[0].ended_at = None, "began before 1 ended");
    complains(|h| h.doubles.push("double p 2".to_owned()), "two agents at once");
    complains(|h| h.attempts[1].owner = "c".to_owned(), "attempts by");
    let theft = step("EXECUTING", "EXECUTING", Some("a"), Some("b"));
    complains(|h| h.moves.insert(1, theft), "from EXECUTING to EXECUTING");
}

#[test]
fn an_illegal_step_is_detected() {
    complains(|h| h.moves[3].is = "SKIPPED".to_owned(), "from EXECUTING to SKIPPED");
    complains(|h| drop(h.moves.remove(1)), "was EXECUTING, then moved from QUEUED");
    complains(|h| drop(h.moves.pop()), "without a move from");
    complains(|h| h.moves[3].is_owner = text("b"), "with owner");
}

#[test]
fn a_forgotten_phase_is_detected() {
    let queued = |h: &mut History| {
        h.phases[0].state = "QUEUED".to_owned();
        h.moves[3].is = "QUEUED".to_owned();
        h.attempts[1].outcome = text("crashed");
    };
    complains(queued, "could run");
    complains(|h| h.phases[0].unmet = 1, "unmet");
    complains(|h| h.phases[0].state = "EXECUTING".to_owned(), "no drain is at work");
    complains(|h| h.attempts[1].outcome = None, "never ended");
}

#[test]
fn a_wrong_count_is_detected() {
    complains(|h| h.phases[0].attempts = 2, "stores 2 counted attempts");
    complains(|h| h.phases[0].crashes = 0, "stores 0 crashes");
    complains(|h| h.phases[0].executions = 3, "counts 3 executions");
    complains(|h| h.attempts[1].attempt = 3, "found attempt 3 instead of 2");
}

#[test]
fn other_leftovers_and_damage_are_detected() {
    let one = || vec!["x".to_owned()];
    complains(|h| h.owners = one(), "an owner is still listed");
    complains(|h| h.integrity = one(), "the database is damaged");
    complains(|h| h.fsck = one(), "the repository is damaged");
    complains(|h| h.processes = one(), "a process is still running");
    complains(|h| h.changes = one(), "the user's files or settings changed");
}
