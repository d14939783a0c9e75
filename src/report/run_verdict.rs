//! The result of a run in one line: landed, done before, failed and remaining phases, time, cost.

use super::figure_words::{millis, money};
use super::story::RunReport;

/// Returns the parts of the line, the most important first.
pub fn verdict(report: &RunReport) -> Vec<String> {
    let counts = &report.run.counts;
    let blocked = report.run.blocked;
    let done = report.phases.iter().filter(|phase| phase.is_done_before()).count() as u64;
    let landed = counts.complete.saturating_sub(done);
    let mut parts = vec![format!("{landed} of {} phases landed", counts.total())];
    for (number, what) in [
        (done, "done before"),
        (counts.failed, "failed"),
        (blocked, "blocked"),
        (counts.executing, "running"),
        (report.run.held, "held"),
        (counts.queued.saturating_sub(blocked + report.run.held), "queued"),
        (counts.skipped, "skipped"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    if report.summary.attempts.ended > 0 {
        parts.push(millis(report.summary.time.span_ms));
        if report.summary.used.cost_usd.is_some() {
            parts.push(money(report.summary.used.cost_usd));
        }
    }
    parts
}
