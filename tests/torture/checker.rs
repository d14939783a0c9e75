//! Checks a history for broken promises. The checker knows the promises, not how they are implemented.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::history::{Attempt, History, Move, Phase};

/// Legal moves, taken from docs/architecture.md, not from the code.
const LEGAL: [(&str, &str); 9] = [
    ("QUEUED", "EXECUTING"),
    ("EXECUTING", "COMPLETE"),
    ("EXECUTING", "QUEUED"),
    ("EXECUTING", "FAILED"),
    ("QUEUED", "FAILED"),
    ("QUEUED", "SKIPPED"),
    ("SKIPPED", "QUEUED"),
    ("FAILED", "QUEUED"),
    ("COMPLETE", "QUEUED"),
];

/// Moves made only by the operator; counters start over with them.
const OPERATOR_ACTIONS: [(&str, &str); 4] =
    [("QUEUED", "SKIPPED"), ("SKIPPED", "QUEUED"), ("FAILED", "QUEUED"), ("COMPLETE", "QUEUED")];

/// Returns one line for each breach.
pub fn complaints(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let (attempts, moves) =
        (by_phase(&history.attempts, |a| a.phase), by_phase(&history.moves, |m| m.phase));
    for phase in &history.phases {
        let mut of_phase = Vec::new();
        let attempts = attempts.get(&phase.id).cloned().unwrap_or_default();
        let moves = moves.get(&phase.id).cloned().unwrap_or_default();
        attempts_in_order(&attempts, history.steady_clock, &mut of_phase);
        moves_are_legal(phase, &moves, &mut of_phase);
        claims_are_attempts(&attempts, &moves, &mut of_phase);
        state_fits(phase, &attempts, &moves, &mut of_phase);
        nothing_forgotten(phase, &mut of_phase);
        found.extend(of_phase.into_iter().map(|why| format!("phase {:?}: {why}", phase.phase_id)));
    }
    landed_once(history, &mut found);
    landed_as_tested(history, &mut found);
    landed_in_order(history, &mut found);
    let lists = [
        ("the merge queue is not empty", &history.queued),
        ("an owner is still listed", &history.owners),
        ("two agents at once on one phase", &history.doubles),
        ("the database is damaged", &history.integrity),
        ("the repository is damaged", &history.fsck),
        ("a process is still running", &history.processes),
        ("the user's files or settings changed", &history.changes),
    ];
    for (what, list) in lists {
        found.extend(list.iter().map(|one| format!("{what}: {one}")));
    }
    found
}

fn by_phase<T>(all: &[T], phase: impl Fn(&T) -> i64) -> HashMap<i64, Vec<&T>> {
    let mut grouped: HashMap<i64, Vec<&T>> = HashMap::new();
    for one in all {
        grouped.entry(phase(one)).or_default().push(one);
    }
    grouped
}

/// Attempts are numbered from 1 without a gap, one runs at a time, and none follows an attempt that landed.
fn attempts_in_order(attempts: &[&Attempt], steady_clock: bool, found: &mut Vec<String>) {
    for (index, attempt) in attempts.iter().enumerate() {
        let number = attempt.attempt;
        if usize::try_from(number) != Ok(index + 1) {
            found.push(format!("found attempt {number} instead of {}", index + 1));
        }
        let Some(next) = attempts.get(index + 1) else { continue };
        match attempt.ended_at {
            None => found.push(format!("attempt {} began before {number} ended", next.attempt)),
            Some(end) if steady_clock && next.started_at < end => {
                found.push(format!("attempts {number} and {} overlap", next.attempt));
            }
            Some(_) => {}
        }
    }
}

/// Each move is legal and starts where the last one ended, and no claim reclaims another owner's phase directly.
fn moves_are_legal(phase: &Phase, moves: &[&Move], found: &mut Vec<String>) {
    let mut at = "QUEUED";
    for step in moves {
        let (was, is) = (step.was.as_str(), step.is.as_str());
        if !LEGAL.contains(&(was, is)) {
            let owners = format!("{:?} -> {:?}", step.was_owner, step.is_owner);
            found.push(format!("illegal move from {was} to {is} (owner {owners})"));
        }
        if was != at {
            found.push(format!("was {at}, then moved from {was}"));
        }
        if (is == "EXECUTING") != step.is_owner.is_some() {
            found.push(format!("is {is} with owner {:?}", step.is_owner));
        }
        at = is;
    }
    if phase.state != at {
        found.push(format!("is {} without a move from {at}", phase.state));
    }
}

/// Every claim is an attempt by the same owner, and every attempt was claimed.
fn claims_are_attempts(attempts: &[&Attempt], moves: &[&Move], found: &mut Vec<String>) {
    let claimed: Vec<Option<&str>> = moves
        .iter()
        .filter(|step| step.is == "EXECUTING")
        .map(|step| step.is_owner.as_deref())
        .collect();
    let tried: Vec<Option<&str>> =
        attempts.iter().map(|attempt| Some(attempt.owner.as_str())).collect();
    if claimed != tried {
        found.push(format!("claimed by {claimed:?}, attempts by {tried:?}"));
    }
}

/// The state agrees with the outcomes of the attempts, and every counted attempt is counted once.
fn state_fits(phase: &Phase, attempts: &[&Attempt], moves: &[&Move], found: &mut Vec<String>) {
    let outcomes: Vec<&str> =
        attempts.iter().map(|attempt| attempt.outcome.as_deref().unwrap_or("open")).collect();
    let is_operator_action =
        moves.iter().any(|step| OPERATOR_ACTIONS.contains(&(step.was.as_str(), step.is.as_str())));
    let count = |of: &[&str]| outcomes.iter().filter(|outcome| of.contains(outcome)).count();
    let passed = |outcome: &str| ["landed", "no_change_needed"].contains(&outcome);
    let last = outcomes.last().copied().unwrap_or("none");
    let mut say =
        |what: String| found.push(format!("{what}; outcomes of its attempts: {outcomes:?}"));
    match phase.state.as_str() {
        "COMPLETE" if !passed(last) => say("is COMPLETE without having passed".to_owned()),
        "QUEUED" | "FAILED" if passed(last) && !is_operator_action => {
            say(format!("has passed, but is {}", phase.state));
        }
        "EXECUTING" => say("is EXECUTING, but no drain is at work".to_owned()),
        _ => {}
    }
    if last == "open" && phase.state != "EXECUTING" {
        say("the last attempt never ended".to_owned());
    }
    if phase.executions != i64::try_from(attempts.len()).unwrap() {
        say(format!("counts {} executions", phase.executions));
    }
    if is_operator_action {
        return;
    }
    if count(&["landed", "no_change_needed"]) > 1 {
        say("passed more than once".to_owned());
    }
    let counted = count(&["landed", "no_change_needed", "failed"]);
    for (what, counted, there) in [
        ("counted attempts", phase.attempts, counted),
        ("crashes", phase.crashes, count(&["crashed"])),
    ] {
        if usize::try_from(counted) != Ok(there) {
            say(format!("stores {counted} {what} instead of {there}"));
        }
    }
}

/// After a drain that ended by itself, only phases with an unmet dependency may be QUEUED.
fn nothing_forgotten(phase: &Phase, found: &mut Vec<String>) {
    if phase.unmet != phase.really_unmet {
        found.push(format!(
            "stores {} unmet dependencies instead of {}",
            phase.unmet, phase.really_unmet
        ));
    }
    if phase.state == "QUEUED" && phase.really_unmet == 0 {
        found.push("is QUEUED, but could run".to_owned());
    }
}

/// Each commit's tree was tested as exactly this tree.
fn landed_as_tested(history: &History, found: &mut Vec<String>) {
    let Some(tested) = &history.tested else { return };
    for commit in history.commits.iter().filter(|commit| !tested.contains(&commit.tree)) {
        found.push(format!("{} of {:?} landed untested", commit.id, commit.phase));
    }
}

/// Commits are on the branch in the order of their positions in the merge queue.
fn landed_in_order(history: &History, found: &mut Vec<String>) {
    let positions: HashMap<&str, i64> =
        history.positions.iter().map(|one| (one.commit_id.as_str(), one.position)).collect();
    let mut last: HashMap<&str, i64> = HashMap::new();
    for commit in history.commits.iter().rev() {
        let Some(position) = positions.get(commit.id.as_str()) else {
            // A revert does not go through the queue.
            continue;
        };
        let before = last.insert(&commit.run, *position);
        if before.is_some_and(|before| before > *position) {
            found.push(format!(
                "{} of {:?} with position {position} landed after position {before:?}",
                commit.id, commit.phase
            ));
        }
    }
}

/// The branch has exactly one commit for each landed phase: the commit named in the store.
fn landed_once(history: &History, found: &mut Vec<String>) {
    let mut times: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for commit in &history.commits {
        times.entry((&commit.run, &commit.phase)).or_default().push(&commit.id);
    }
    for ((run, phase), ids) in times.iter().filter(|(_, ids)| ids.len() > 1) {
        found.push(format!("phase {phase:?} of {run:?} landed {} times: {ids:?}", ids.len()));
    }
    let landed: HashMap<&str, &Attempt> = history
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome.as_deref() == Some("landed"))
        .filter_map(|attempt| Some((attempt.landing_commit.as_deref()?, attempt)))
        .collect();
    for commit in &history.commits {
        match landed.get(commit.id.as_str()) {
            None => found.push(format!(
                "{} is on the branch for {:?}, but no attempt landed it",
                commit.id, commit.phase
            )),
            Some(attempt) if attempt.attempt.to_string() != commit.attempt => found.push(format!(
                "{} says attempt {}, the store {}",
                commit.id, commit.attempt, attempt.attempt
            )),
            Some(_) => {}
        }
    }
    let there: HashSet<&str> = history.commits.iter().map(|commit| commit.id.as_str()).collect();
    for phase in history.phases.iter().filter(|phase| phase.state == "COMPLETE") {
        let named = phase.commit_id.as_deref();
        if let Some(id) = named.filter(|id| !there.contains(id)) {
            found.push(format!("{:?} landed as {id}, which is not on the branch", phase.phase_id));
        }
    }
}
