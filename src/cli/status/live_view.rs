//! `status --watch` on a terminal: formats a snapshot as lines that fit. Pure.

use std::time::Duration;

use super::status_snapshot::{RunStatus, StatusSnapshot};
use crate::overview::{describe_failures, describe_waiting};
use crate::progress::screen::Size;
use crate::progress::view::{self, Fraction, RunningPhase};
use crate::progress::{
    describe_money, fill, fit, fit_words, printable, shown_id, shown_phase, width,
};
use crate::store::InFlight;

/// Minimum width of a run name; the maximum is a third of the line.
const LEAST_NAME: usize = 8;

/// Formats runs, running phases, failures, waiting phases and advice, each cut to the screen with the number of
/// further items.
pub(super) fn lines(snapshot: &StatusSnapshot, size: Size, color: bool) -> Vec<String> {
    let columns = view::room(size);
    let causes = snapshot.runs.iter().flat_map(|run| run.overview.stop_cause());
    let mut advice: Vec<String> =
        causes.map(|why| fit_words(&format!("error: {}", printable(why)), columns)).collect();
    advice.dedup();
    match snapshot.runs.is_empty() {
        true => advice.push(fit(&format!("{} has no runs", snapshot.database), columns)),
        false => advice.extend(snapshot.advice().map(|text| fit(&text, columns))),
    }
    let several = snapshot.runs.len() > 1;
    let failures =
        labeled("failed", columns, |run| describe_failures(&run.overview, several), snapshot);
    let waiting =
        labeled("waiting", columns, |run| describe_waiting(&run.overview, snapshot.at), snapshot);
    // A row stays free for the shell prompt.
    let rows = size.rows.saturating_sub(1 + advice.len()).max(1);
    let wanted = [snapshot.runs.len(), snapshot.running.len(), failures.len(), waiting.len()];
    let [runs, running, failed, waits] = shares(rows, wanted);
    let mut lines = view::clip(bars(snapshot, columns, color), runs, "runs", columns);
    let at_work: Vec<RunningPhase> =
        snapshot.running.iter().map(|work| running_phase(snapshot, work)).collect();
    lines.extend(view::running(&at_work, running, columns, color));
    lines.extend(view::clip(failures, failed, "reasons of failures", columns));
    lines.extend(view::clip(waiting, waits, "reasons to wait", columns));
    lines.extend(advice);
    lines
}

/// Formats one line for each text of each run.
fn labeled(
    label: &str,
    columns: usize,
    texts: impl Fn(&RunStatus) -> Vec<String>,
    snapshot: &StatusSnapshot,
) -> Vec<String> {
    const LABEL: usize = 7;
    let texts = snapshot.runs.iter().flat_map(texts);
    texts.map(|text| fit_words(&format!("  {label:LABEL$}  {text}"), columns)).collect()
}

/// Distributes rows among runs, running phases, failures and waiting phases. Unused rows go to the others.
fn shares(rows: usize, wanted: [usize; 4]) -> [usize; 4] {
    let mut given = [0; 4];
    let mut left = rows;
    while left > 0 && given != wanted {
        for (given, wanted) in given.iter_mut().zip(wanted) {
            if *given < wanted && left > 0 {
                *given += 1;
                left -= 1;
            }
        }
    }
    given
}

/// Formats progress bars; runs with open phases come first.
fn bars(snapshot: &StatusSnapshot, columns: usize, color: bool) -> Vec<String> {
    let mut runs: Vec<&RunStatus> = snapshot.runs.iter().collect();
    runs.sort_by_key(|run| {
        let counts = &run.overview.summary.counts;
        (counts.executing == 0, counts.queued == 0)
    });
    let id = |run: &RunStatus| run.overview.summary.run_id.to_string();
    let widest = runs.iter().map(|run| width(&shown_id(&id(run)))).max().unwrap_or(0);
    let name = widest.min(LEAST_NAME.max(columns / 3));
    let line = |run: &RunStatus| {
        let counts = &run.overview.summary.counts;
        let fraction = Fraction { done: counts.settled(), of: counts.total() };
        let bar = view::bar(fraction, &facts(run), columns.saturating_sub(name + 1), color);
        format!("{} {bar}", fill(&id(run), name))
    };
    runs.into_iter().map(line).collect()
}

fn facts(status: &RunStatus) -> Vec<String> {
    let run = &status.overview.summary;
    let counted = |n: u64, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let left = run.counts.total().saturating_sub(run.counts.settled() + run.blocked);
    // A drain has at least the workers that run now.
    let time = match status.overview.is_draining {
        true => status.pace.time_left(left, run.counts.executing),
        false => None,
    };
    let facts = [
        counted(run.counts.failed, "failed"),
        counted(run.blocked, "blocked"),
        counted(run.held, "held"),
        counted(run.counts.skipped, "skipped"),
        time.map(|time| format!("about {} left", view::roughly(time))),
        run.paused_at.map(|_| "paused".to_owned()),
        describe_money(run.cost_usd, run.tokens.billed()),
    ];
    facts.into_iter().flatten().collect()
}

fn running_phase(snapshot: &StatusSnapshot, work: &InFlight) -> RunningPhase {
    RunningPhase {
        name: shown_phase(&work.run_id, &work.phase_id, snapshot.runs.len() != 1),
        try_number: work.counted_attempts + 1,
        of_tries: Some(work.max_attempts.unwrap_or(snapshot.max_attempts)),
        elapsed: snapshot.since(work.started_at),
        agent: work.agent.as_deref().map(shown_id).unwrap_or_default(),
        activity: activity(snapshot, work),
    }
}

/// Returns the activity of a phase. For a dead drain, the time since its last activity.
fn activity(snapshot: &StatusSnapshot, work: &InFlight) -> Option<(String, Duration)> {
    let latest = work.activity.as_ref();
    match snapshot.is_abandoned(work) {
        true => {
            let last = latest.map_or(work.started_at, |(_, since)| *since);
            Some(("left: its drain died".to_owned(), snapshot.since(last)))
        }
        false => latest.map(|(what, since)| (what.clone(), snapshot.since(*since))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_between_sections() {
        assert_eq!(shares(10, [1, 2, 0, 100]), [1, 2, 0, 7]);
        assert_eq!(shares(9, [70, 1, 0, 40]), [4, 1, 0, 4]);
        assert_eq!(shares(3, [1, 1, 1, 1]), [1, 1, 1, 0]);
        assert_eq!(shares(5, [0, 0, 0, 0]), [0, 0, 0, 0]);
    }
}
