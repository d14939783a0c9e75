//! `status --watch` on a terminal: formats a snapshot as lines that fit. Pure.

use std::time::Duration;

use super::status_snapshot::{StatusSnapshot, format_reasons};
use crate::progress::screen::Size;
use crate::progress::view::{self, Fraction, RunningPhase};
use crate::progress::{fill, fit, shown_id, thousands, width};
use crate::store::{InFlight, RunSummary};

/// Minimum width of a run name; the maximum is a third of the line.
const LEAST_NAME: usize = 8;

/// Formats runs, running phases, waiting phases and advice, each cut to the screen with the number of further items.
pub(super) fn lines(snapshot: &StatusSnapshot, size: Size, color: bool) -> Vec<String> {
    let columns = view::room(size);
    let advice: Vec<String> = match snapshot.runs.is_empty() {
        true => vec![fit(&format!("{} has no runs", snapshot.database), columns)],
        false => snapshot.advice().map(|text| fit(&text, columns)).into_iter().collect(),
    };
    // A row stays free for the shell prompt.
    let rows = size.rows.saturating_sub(1 + advice.len()).max(1);
    let [runs, running, waiting] =
        shares(rows, [snapshot.runs.len(), snapshot.running.len(), snapshot.waiting()]);
    let mut lines = view::clip(bars(snapshot, columns, color), runs, "runs", columns);
    let at_work: Vec<RunningPhase> =
        snapshot.running.iter().map(|work| running_phase(snapshot, work)).collect();
    lines.extend(view::running(&at_work, running, columns, color));
    lines.extend(view::clip(
        format_waiting(snapshot, waiting + 1, columns),
        waiting,
        "waiting",
        columns,
    ));
    lines.extend(advice);
    lines
}

/// Distributes rows among runs, running and waiting phases. Unused rows go to the others.
fn shares(rows: usize, wanted: [usize; 3]) -> [usize; 3] {
    let mut given = [0; 3];
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
    let mut runs: Vec<&RunSummary> = snapshot.runs.iter().map(|(run, _)| run).collect();
    runs.sort_by_key(|run| (run.counts.executing == 0, run.counts.queued == 0));
    let widest = runs.iter().map(|run| width(&shown_id(run.run_id.as_str()))).max().unwrap_or(0);
    let name = widest.min(LEAST_NAME.max(columns / 3));
    let line = |run: &RunSummary| {
        let fraction = Fraction { done: run.counts.settled(), of: run.counts.total() };
        let bar = view::bar(fraction, &facts(run), columns.saturating_sub(name + 1), color);
        format!("{} {bar}", fill(run.run_id.as_str(), name))
    };
    runs.into_iter().map(line).collect()
}

fn facts(run: &RunSummary) -> Vec<String> {
    let counted = |n: u64, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let tokens = run.tokens.billed().map(|n| format!("{} tokens", thousands(n)));
    let facts = [
        counted(run.counts.failed, "failed"),
        counted(run.blocked, "blocked"),
        counted(run.held, "held"),
        counted(run.counts.skipped, "skipped"),
        run.paused_at.map(|_| "paused".to_owned()),
        tokens,
        run.cost_usd.map(|cost| format!("${cost:.2}")),
    ];
    facts.into_iter().flatten().collect()
}

fn running_phase(snapshot: &StatusSnapshot, work: &InFlight) -> RunningPhase {
    let phase = shown_id(work.phase_id.as_str());
    RunningPhase {
        name: match snapshot.runs.len() {
            1 => phase,
            _ => format!("{}/{phase}", shown_id(work.run_id.as_str())),
        },
        try_number: work.counted_attempts + 1,
        of_tries: Some(work.max_attempts.unwrap_or(snapshot.max_attempts)),
        elapsed: snapshot.since(work.started_at),
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

/// Formats up to `most` waiting phases, and pads the list to the total count.
fn format_waiting(snapshot: &StatusSnapshot, most: usize, columns: usize) -> Vec<String> {
    let waiting = snapshot
        .runs
        .iter()
        .flat_map(|(run, waiting)| waiting.iter().map(move |phase| (run, phase)));
    let mut lines: Vec<String> = waiting
        .take(most)
        .map(|(run, phase)| {
            let name = match snapshot.runs.len() {
                1 => phase.phase_id.to_string(),
                _ => format!("{}/{}", run.run_id, phase.phase_id),
            };
            let name = fit(&name, LEAST_NAME.max(columns / 3));
            fit(
                &format!("  {name}  waiting: {}", format_reasons(phase, snapshot.at, true)),
                columns,
            )
        })
        .collect();
    lines.resize(snapshot.waiting(), String::new());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_between_sections() {
        assert_eq!(shares(10, [1, 2, 100]), [1, 2, 7]);
        assert_eq!(shares(9, [70, 1, 40]), [4, 1, 4]);
        assert_eq!(shares(2, [1, 1, 1]), [1, 1, 0]);
        assert_eq!(shares(5, [0, 0, 0]), [0, 0, 0]);
    }
}
