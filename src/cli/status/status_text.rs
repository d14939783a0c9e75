//! `status` as text: a table of runs, and lines for running and waiting phases.

use super::status_snapshot::{StatusSnapshot, format_reasons};
use crate::attempt::run_end;
use crate::cli::output::table::table;
use crate::phase::words::quoted;
use crate::progress::{duration, printable, shown_id, thousands};
use crate::store::{InFlight, RunSummary, Waiting};

/// Maximum number of waiting phases listed per run.
const MAX_LISTED: usize = 10;

pub(super) fn format_status(snapshot: &StatusSnapshot) -> String {
    format_page(snapshot, true)
}

/// Formats the status without times and agent activity, for change detection.
pub(super) fn format_stable(snapshot: &StatusSnapshot) -> String {
    format_page(snapshot, false)
}

fn format_page(snapshot: &StatusSnapshot, show_times: bool) -> String {
    if snapshot.runs.is_empty() {
        return format!("{} has no runs\n", snapshot.database);
    }
    let number_columns = [1, 2, 3, 4, 5, 6, 7];
    let headers =
        ["RUN", "QUEUED", "RUNNING", "COMPLETE", "FAILED", "SKIPPED", "BLOCKED", "TOKENS"];
    let rows = snapshot.runs.iter().map(|(run, _)| format_row(run)).collect();
    let mut text = table(&headers, &number_columns, rows);
    for work in &snapshot.running {
        text += &format_running(snapshot, work, show_times);
    }
    for (run, waiting) in &snapshot.runs {
        text += &format_waiting(snapshot, run, waiting, show_times);
    }
    for (run, _) in &snapshot.runs {
        text += &format_pause(snapshot, run, show_times);
    }
    for (run, _) in &snapshot.runs {
        text += &format_final_test(snapshot, run);
    }
    if let Some(advice) = snapshot.advice().filter(|_| snapshot.has_work()) {
        text += &format!("{advice}\n");
    }
    text
}

impl StatusSnapshot {
    /// Checks whether any run has work for a drain.
    fn has_work(&self) -> bool {
        self.runs.iter().any(|(run, _)| run.has_work())
    }
}

fn format_running(snapshot: &StatusSnapshot, work: &InFlight, show_times: bool) -> String {
    let what = format!(
        "{} of {}, attempt {}",
        shown_id(work.phase_id.as_str()),
        shown_id(work.run_id.as_str()),
        work.attempt,
    );
    if snapshot.is_abandoned(work) {
        return format!("left     {what}: its drain died, the next drain reclaims it\n");
    }
    let mut text = format!("running  {what}");
    if show_times {
        text += &format!(", for {}\n", duration(snapshot.since(work.started_at)));
        if let Some((activity, since)) = &work.activity {
            text += &format!(
                "         {} for {}\n",
                printable(activity),
                duration(snapshot.since(*since))
            );
        }
        return text;
    }
    text + "\n"
}

/// Lists waiting phases with reasons, the first few by name.
fn format_waiting(
    snapshot: &StatusSnapshot,
    run: &RunSummary,
    waiting: &[Waiting],
    show_times: bool,
) -> String {
    let mut text = String::new();
    let name = shown_id(run.run_id.as_str());
    for phase in waiting.iter().take(MAX_LISTED) {
        let reasons = format_reasons(phase, snapshot.at, show_times);
        text += &format!("waiting  {} of {name}: {reasons}\n", shown_id(phase.phase_id.as_str()));
    }
    if waiting.len() > MAX_LISTED {
        text += &format!("waiting  {} more of {name}\n", waiting.len() - MAX_LISTED);
    }
    text
}

/// Formats the pause of a run, if any.
fn format_pause(snapshot: &StatusSnapshot, run: &RunSummary, show_times: bool) -> String {
    let Some(at) = run.paused_at else { return String::new() };
    let name = shown_id(run.run_id.as_str());
    let time = match show_times {
        true => format!(" for {}", duration(snapshot.since(at))),
        false => String::new(),
    };
    let resume = format!("autopack resume {}", quoted(&name));
    format!("paused   {name}{time}; continue with `{resume}`\n")
}

/// Formats the result of the final test: CI on the run's tip, in a clean clone.
fn format_final_test(snapshot: &StatusSnapshot, run: &RunSummary) -> String {
    let mut lines = run_end(run, snapshot.final_test).into_iter();
    let Some(first) = lines.next() else { return String::new() };
    let name = shown_id(run.run_id.as_str());
    let rest = lines.map(|line| format!("         {}\n", printable(&line)));
    std::iter::once(format!("tested   {name}: {}\n", printable(&first))).chain(rest).collect()
}

fn format_row(run: &RunSummary) -> Vec<String> {
    let counts = &run.counts;
    let mut row = vec![run.run_id.to_string()];
    let counts = [
        counts.queued,
        counts.executing,
        counts.complete,
        counts.failed,
        counts.skipped,
        run.blocked,
    ];
    row.extend(counts.map(|n| n.to_string()));
    row.push(run.tokens.billed().map_or_else(|| "-".to_owned(), thousands));
    row
}
