//! The metrics by name. Documented in docs/guides/metrics.md.

use super::exposition::{Exposition, Kind};
use crate::phase::PhaseState;
use crate::phase::budget::Budget;
use crate::store::{MemberState, MetricRows, RunMetrics};

/// Label of an attempt without agent, and of usage without model.
const NONE: &str = "none";

/// What is shown.
pub struct Snapshot {
    pub rows: MetricRows,
    pub schema_version: i64,
    pub bytes: u64,
    /// Budget of each run.
    pub budget: Budget,
}

/// Returns the text of a scrape.
pub fn text(snapshot: &Snapshot) -> String {
    let mut text = Exposition::default();
    database(&mut text, snapshot);
    runs(&mut text, &snapshot.rows);
    attempts(&mut text, &snapshot.rows);
    usage(&mut text, &snapshot.rows);
    merge_queue(&mut text, &snapshot.rows);
    drains(&mut text, &snapshot.rows);
    budgets(&mut text, &snapshot.rows, &snapshot.budget);
    text.text()
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn database(text: &mut Exposition, snapshot: &Snapshot) {
    text.family("autopack_build_info", Kind::Gauge, "Version of autopack; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family("autopack_database_size_bytes", Kind::Gauge, "Size of the database.")
        .sample(&[], snapshot.bytes);
    text.family("autopack_database_schema_version", Kind::Gauge, "Version of the schema.")
        .sample(&[], snapshot.schema_version);
}

fn runs(text: &mut Exposition, rows: &MetricRows) {
    let mut family = text.family("autopack_phases", Kind::Gauge, "Phases by state.");
    for run in &rows.runs {
        for state in PhaseState::ALL.map(PhaseState::as_str) {
            let mut found =
                rows.phases.iter().filter(|row| row.run == run.run && row.state == state);
            let count = found.next().map_or(0, |row| row.count);
            family.sample(&[("run", &run.run), ("state", state)], count);
        }
    }
    let help = "Queued phases behind a failed one.";
    let mut family = text.family("autopack_phases_blocked", Kind::Gauge, help);
    for run in &rows.runs {
        family.sample(&[("run", &run.run)], run.blocked);
    }
    let help = "1 if the run is paused, 0 if not.";
    let mut family = text.family("autopack_run_paused", Kind::Gauge, help);
    for run in &rows.runs {
        family.sample(&[("run", &run.run)], i64::from(run.paused));
    }
}

fn attempts(text: &mut Exposition, rows: &MetricRows) {
    let help = "Ended attempts by agent and outcome.";
    let mut family = text.family("autopack_attempts_total", Kind::Counter, help);
    for row in &rows.attempts {
        let agent = row.agent.as_deref().unwrap_or(NONE);
        let labels = [("run", row.run.as_str()), ("agent", agent), ("outcome", &row.outcome)];
        family.sample(&labels, row.count);
    }
    let sum = |run: &RunMetrics, of: fn(&crate::store::AttemptMetrics) -> i64| {
        let rows = rows.attempts.iter().filter(|row| row.run == run.run);
        seconds(rows.map(of).sum())
    };
    let help = "Time that agents of ended attempts ran.";
    let mut family = text.family("autopack_agent_seconds_total", Kind::Counter, help);
    for run in &rows.runs {
        family.sample(&[("run", &run.run)], sum(run, |row| row.agent_ms));
    }
    let help = "Time that CI of ended attempts ran.";
    let mut family = text.family("autopack_ci_seconds_total", Kind::Counter, help);
    for run in &rows.runs {
        family.sample(&[("run", &run.run)], sum(run, |row| row.ci_ms));
    }
}

fn usage(text: &mut Exposition, rows: &MetricRows) {
    let help = "Tokens that agents reported, by model and kind.";
    let mut family = text.family("autopack_tokens_total", Kind::Counter, help);
    for row in &rows.usage {
        let model = row.model.as_deref().unwrap_or(NONE);
        for (kind, tokens) in [
            ("input", row.input),
            ("output", row.output),
            ("cache_read", row.cache_read),
            ("cache_write", row.cache_write),
        ] {
            family.sample(&[("run", &row.run), ("model", model), ("kind", kind)], tokens);
        }
    }
    let help = "Known cost in US dollars, by model.";
    let mut family = text.family("autopack_cost_usd_total", Kind::Counter, help);
    for row in &rows.usage {
        let model = row.model.as_deref().unwrap_or(NONE);
        family.sample(&[("run", &row.run), ("model", model)], row.cost_usd);
    }
}

fn merge_queue(text: &mut Exposition, rows: &MetricRows) {
    let help = "Members of the merge queue by state.";
    let mut family = text.family("autopack_merge_queue_members", Kind::Gauge, help);
    for run in &rows.runs {
        for state in MemberState::ALL.map(MemberState::as_str) {
            let mut found =
                rows.queue.iter().filter(|row| row.run == run.run && row.state == state);
            let count = found.next().map_or(0, |row| row.count);
            family.sample(&[("run", &run.run), ("state", state)], count);
        }
    }
}

fn drains(text: &mut Exposition, rows: &MetricRows) {
    let help = "Registered drains, dead ones included until their work is reclaimed; always 1.";
    let mut family = text.family("autopack_drain_info", Kind::Gauge, help);
    for (owner, _) in &rows.drains {
        let (id, process) = (owner.id.as_str(), &owner.process);
        let pid = process.pid.to_string();
        family.sample(&[("owner", id), ("host", &process.host), ("pid", &pid)], 1);
    }
    let help = "Time since the last heartbeat of a drain, by the clock of the database.";
    let mut family = text.family("autopack_drain_heartbeat_age_seconds", Kind::Gauge, help);
    for (owner, silent_ms) in &rows.drains {
        let Some(ms) = silent_ms else { continue };
        let labels = [("owner", owner.id.as_str()), ("host", owner.process.host.as_str())];
        family.sample(&labels, seconds((*ms).max(0)));
    }
}

fn budgets(text: &mut Exposition, rows: &MetricRows, budget: &Budget) {
    if let Some(limit) = budget.tokens {
        let help = "Tokens of ended attempts that count against executor.budgets.run.tokens.";
        let mut family = text.family("autopack_run_budget_used_tokens", Kind::Gauge, help);
        for run in &rows.runs {
            family.sample(&[("run", &run.run)], run.spent_tokens);
        }
        text.family("autopack_run_budget_limit_tokens", Kind::Gauge, "executor.budgets.run.tokens")
            .sample(&[], limit);
    }
    if let Some(limit) = budget.cost_usd {
        let help = "Cost of ended attempts that counts against executor.budgets.run.cost_usd.";
        let mut family = text.family("autopack_run_budget_used_usd", Kind::Gauge, help);
        for run in &rows.runs {
            family.sample(&[("run", &run.run)], run.spent_usd);
        }
        text.family("autopack_run_budget_limit_usd", Kind::Gauge, "executor.budgets.run.cost_usd")
            .sample(&[], limit);
    }
    if let Some(limit) = budget.wall_seconds {
        let help = "Time of ended attempts that counts against executor.budgets.run.wall_seconds.";
        let mut family = text.family("autopack_run_budget_used_seconds", Kind::Gauge, help);
        for run in &rows.runs {
            family.sample(&[("run", &run.run)], seconds(run.spent_ms));
        }
        let help = "executor.budgets.run.wall_seconds";
        text.family("autopack_run_budget_limit_seconds", Kind::Gauge, help).sample(&[], limit);
    }
}
