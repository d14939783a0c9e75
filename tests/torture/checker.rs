//! The checker: a history -> what is wrong with it. It knows the promises, and nothing of how they are kept.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::history::{Attempt, History, Move, Phase};

/// From docs/architecture.md, not from the code.
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

/// Steps that only the operator takes; counters start over with them.
const STEERED: [(&str, &str); 4] =
    [("QUEUED", "SKIPPED"), ("SKIPPED", "QUEUED"), ("FAILED", "QUEUED"), ("COMPLETE", "QUEUED")];

/// One line for each breach; none is what everybody hopes for.
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
    let lists = [
        ("an owner was left on the list", &history.owners),
        ("two agents at once on one phase", &history.doubles),
        ("the database is damaged", &history.integrity),
        ("the repository is damaged", &history.fsck),
        ("a process was left", &history.processes),
        ("the user's own was changed", &history.changes),
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

/// Numbered from 1 without a gap, one at a time, and none after one that landed.
fn attempts_in_order(attempts: &[&Attempt], steady_clock: bool, found: &mut Vec<String>) {
    for (index, attempt) in attempts.iter().enumerate() {
        let number = attempt.attempt;
        if usize::try_from(number) != Ok(index + 1) {
            found.push(format!("attempt {number} stands where {} should", index + 1));
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

/// Each move is a legal one, from where the last one led, and nobody takes over an owner's phase in passing.
fn moves_are_legal(phase: &Phase, moves: &[&Move], found: &mut Vec<String>) {
    let mut at = "QUEUED";
    for step in moves {
        let (was, is) = (step.was.as_str(), step.is.as_str());
        if !LEGAL.contains(&(was, is)) {
            let owners = format!("{:?} -> {:?}", step.was_owner, step.is_owner);
            found.push(format!("it went from {was} to {is} (owner {owners})"));
        }
        if was != at {
            found.push(format!("it was {at} and then moved from {was}"));
        }
        if (is == "EXECUTING") != step.is_owner.is_some() {
            found.push(format!("it is {is} with the owner {:?}", step.is_owner));
        }
        at = is;
    }
    if phase.state != at {
        found.push(format!("it is {} without having moved there from {at}", phase.state));
    }
}

/// Every claim is an attempt of the same owner, and the other way round.
fn claims_are_attempts(attempts: &[&Attempt], moves: &[&Move], found: &mut Vec<String>) {
    let claimed: Vec<Option<&str>> = moves
        .iter()
        .filter(|step| step.is == "EXECUTING")
        .map(|step| step.is_owner.as_deref())
        .collect();
    let tried: Vec<Option<&str>> =
        attempts.iter().map(|attempt| Some(attempt.owner.as_str())).collect();
    if claimed != tried {
        found.push(format!("claimed by {claimed:?}, tried by {tried:?}"));
    }
}

/// The state is what the attempts came to, and every charged try is there.
fn state_fits(phase: &Phase, attempts: &[&Attempt], moves: &[&Move], found: &mut Vec<String>) {
    let outcomes: Vec<&str> =
        attempts.iter().map(|attempt| attempt.outcome.as_deref().unwrap_or("open")).collect();
    let steered = moves.iter().any(|step| STEERED.contains(&(step.was.as_str(), step.is.as_str())));
    let count = |of: &[&str]| outcomes.iter().filter(|outcome| of.contains(outcome)).count();
    let passed = |outcome: &str| ["landed", "no_change_needed"].contains(&outcome);
    let last = outcomes.last().copied().unwrap_or("none");
    let mut say = |what: String| found.push(format!("{what}; its attempts came to {outcomes:?}"));
    match phase.state.as_str() {
        "COMPLETE" if !passed(last) => say("it is COMPLETE".to_owned()),
        "QUEUED" | "FAILED" if passed(last) && !steered => {
            say(format!("it passed and is {}", phase.state));
        }
        "EXECUTING" => say("it is EXECUTING and nobody is at work".to_owned()),
        _ => {}
    }
    if last == "open" && phase.state != "EXECUTING" {
        say("its last attempt never ended".to_owned());
    }
    if phase.executions != i64::try_from(attempts.len()).unwrap() {
        say(format!("it counts {} executions", phase.executions));
    }
    if steered {
        return;
    }
    if count(&["landed", "no_change_needed"]) > 1 {
        say("it passed more than once".to_owned());
    }
    let charged = count(&["landed", "no_change_needed", "failed"]);
    for (what, counted, there) in
        [("tries", phase.attempts, charged), ("crashes", phase.crashes, count(&["crashed"]))]
    {
        if usize::try_from(counted) != Ok(there) {
            say(format!("it counts {counted} {what}"));
        }
    }
}

/// After a drain that ended by itself, only what waits for a phase that did not pass may be QUEUED.
fn nothing_forgotten(phase: &Phase, found: &mut Vec<String>) {
    if phase.unmet != phase.really_unmet {
        found.push(format!("it counts {} unmet of {}", phase.unmet, phase.really_unmet));
    }
    if phase.state == "QUEUED" && phase.really_unmet == 0 {
        found.push("it is QUEUED and could run".to_owned());
    }
}

/// The branch has one commit for each phase that landed, the one that the store names, and no other.
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
                "{} is on the branch for {:?}, and no attempt landed it",
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
