//! The verdict line of a run: counts, why the last drain ended and how long it took, cost, and the rest of the budget.

use std::time::Duration;

use super::budget_left::describe_left;
use super::run_overview::RunOverview;
use super::text_options::TextOptions;
use crate::phase::UnixMs;
use crate::phase::budget::BudgetUsage;
use crate::progress::{Reason, describe_money, duration, shown_id, width};
use crate::store::LastDrain;

/// Indentation of further lines of a verdict.
const INDENT: usize = 2;

/// Formats the verdict of a run; a narrow terminal breaks the line between facts.
pub(super) fn verdict_lines(run: &RunOverview, options: &TextOptions) -> Vec<String> {
    let id = shown_id(run.summary.run_id.as_str());
    let mut facts = vec![format!("{id}: {}", counts(run))];
    let ended = || run.end.as_ref().and_then(|end| describe_end(end, options.now));
    facts.extend(ended().filter(|_| !run.is_draining));
    facts.extend(describe_money(run.summary.cost_usd, run.summary.tokens.billed()));
    facts.extend(describe_rest(run));
    join_facts(&facts, options.width())
}

/// Describes what is left of the run's budget, else of the budget of the last drain.
fn describe_rest(run: &RunOverview) -> Vec<String> {
    let left = describe_left(&run.budgets.run, &run.summary.spent);
    let Some(end) = run.end.as_ref().filter(|_| left.is_empty() && !run.is_draining) else {
        return left;
    };
    let used = BudgetUsage {
        tokens: end.tokens,
        cost_usd: end.cost_usd,
        wall: Duration::from_millis(end.duration_ms),
        ..BudgetUsage::default()
    };
    let of_drain = describe_left(&run.budgets.drain, &used);
    of_drain.into_iter().map(|text| format!("{text} for the drain")).collect()
}

/// Joins facts with ` · ` and breaks lines only between them.
pub(super) fn join_facts(facts: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fact in facts {
        match lines.last_mut() {
            Some(line) if width(line) + width(fact) + " · ".len() <= columns => {
                *line += &format!(" · {fact}");
            }
            Some(_) => lines.push(format!("{:INDENT$}{fact}", "")),
            None => lines.push(fact.clone()),
        }
    }
    lines
}

fn counts(run: &RunOverview) -> String {
    let counts = &run.summary.counts;
    let landed = run.landings.len() as u64;
    let rest = counts.complete.saturating_sub(landed);
    let mut parts = Vec::new();
    for (n, word) in [
        (landed, "landed"),
        (rest, if landed == 0 { "complete" } else { "complete without a change" }),
        (counts.failed, "failed"),
        (run.summary.blocked, "blocked"),
        (counts.executing, "running"),
        (run.summary.held, "held"),
        (counts.queued.saturating_sub(run.summary.blocked + run.summary.held), "queued"),
        (counts.skipped, "skipped"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    if parts.is_empty() { "no phases".to_owned() } else { parts.join(", ") }
}

/// Describes the end of the last drain; with `now`, also its age.
fn describe_end(end: &LastDrain, now: Option<UnixMs>) -> Option<String> {
    let reason = Reason::of_name(&end.reason)?;
    let text = reason.describe(Duration::from_millis(end.duration_ms));
    let Some(now) = now else { return Some(text) };
    let age = now.since(end.ended_at);
    // The end of this drain.
    let is_just_now = age < Duration::from_secs(1);
    Some(if is_just_now { text } else { format!("{text}, {} ago", duration(age)) })
}
