//! Failures, and every phase with its history.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::time;
use crate::phase::{PhaseState, UnixMs};
use crate::progress::printable;
use crate::report::excerpt::Excerpt;
use crate::report::failure_story::FailureStory;
use crate::report::figure_words::{UNKNOWN, count, counted, millis, money};
use crate::report::story::{AttemptStory, PhaseStory, RunReport};

/// Number of log lines shown directly under a failure; the phase entry has the rest.
const GLANCE: usize = 6;
/// Maximum number of failures shown in detail.
const TOLD: usize = 60;
/// Columns of figures in a table of attempts.
const FIGURES: [&str; 7] = ["Duration", "Agent time", "CI", "In", "Out", "Estimate", "Cost"];

/// Renders the failed phases.
pub fn failures(report: &RunReport) -> Markup {
    let failed = |(_, phase): &(usize, &PhaseStory)| phase.state == PhaseState::Failed;
    let all: Vec<(usize, &PhaseStory)> = report.phases.iter().enumerate().filter(failed).collect();
    html! {
        (kinds(report))
        @if all.is_empty() { p.none { "No phase failed." } }
        @for (index, (at, phase)) in all.iter().enumerate() {
            article.failure {
                h3 { a href={ "#p" (at) } { (phase.id) } " " small { (phase.own_name()) } }
                @if let Some(failure) = &phase.failure { (why(failure)) }
                @if let Some(lines) = (index < TOLD).then(|| glance(phase)).flatten() {
                    pre { (lines) }
                }
            }
        }
    }
}

fn glance(phase: &PhaseStory) -> Option<String> {
    let tail = phase.attempts.last()?.tail.as_ref()?;
    let lines: Vec<&str> = tail.text.lines().collect();
    Some(lines[lines.len().saturating_sub(GLANCE)..].join("\n"))
}

/// Renders the number of failed attempts by kind.
fn kinds(report: &RunReport) -> Markup {
    let failures = &report.summary.failures;
    html! {
        @if !failures.is_empty() {
            div.wide {
                table.kinds {
                    thead {
                        tr { th scope="col" { "Kind" } th.n scope="col" { "Attempts" } th.n scope="col" { "Failed phases" } }
                    }
                    tbody {
                        @for failure in failures {
                            tr {
                                th scope="row" { (printable(&failure.kind)) }
                                td.n { (failure.attempts) }
                                td.n { (failure.phases) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Renders the filters; hidden without the script.
pub fn filters(report: &RunReport) -> Markup {
    let mut categories: BTreeMap<&str, usize> = BTreeMap::new();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for phase in &report.phases {
        *categories.entry(&phase.category).or_default() += 1;
        *states.entry(state_word(phase)).or_default() += 1;
    }
    html! {
        @for (label, id, counts) in [("State", "state", &states), ("Category", "category", &categories)] {
            label {
                (label) " "
                select id=(id) {
                    option value="*" { "all" }
                    @for (name, count) in counts {
                        option value=(name) {
                            (if name.is_empty() { UNKNOWN } else { name }) " (" (count) ")"
                        }
                    }
                }
            }
        }
    }
}

/// Renders all phases with their attempts.
pub fn list(report: &RunReport) -> Markup {
    html! {
        @for (at, phase) in report.phases.iter().enumerate() { (entry(at, phase, report.created_at)) }
    }
}

fn state_word(phase: &PhaseStory) -> &'static str {
    match phase.standing() {
        _ if phase.blocked => "blocked",
        "done before" => "done",
        word => word,
    }
}

fn sign(word: &str) -> &'static str {
    match word {
        "landed" | "done" => "✓",
        "failed" => "✕",
        "running" => "▶",
        "skipped" => "–",
        "blocked" => "⊘",
        _ => "○",
    }
}

fn entry(at: usize, phase: &PhaseStory, now: UnixMs) -> Markup {
    let word = state_word(phase);
    let (commit, after) = (phase.commit.as_ref(), phase.depends_on.join(", "));
    // A failure of the last attempt is shown with the attempt.
    let is_told = phase.attempts.last().is_some_and(|last| last.failure.is_some());
    let failure = phase.failure.as_ref().filter(|_| !is_told && commit.is_none());
    html! {
        details id={ "p" (at) } data-s=(word) data-c=(phase.category) {
            summary {
                span class={ "s s-" (word) } { (sign(word)) " " (word) } " "
                b { (phase.id) } " "
                span.n { (phase.own_name()) } " "
                span.m { (facts(phase, now)) }
            }
            @if !phase.description.text.is_empty() { p.text { (phase.description.text) } }
            @if commit.is_some() || !after.is_empty() {
                p.sub {
                    @if let Some(commit) = commit { "commit " code { (commit) } }
                    @if commit.is_some() && !after.is_empty() { " · " }
                    @if !after.is_empty() { "after " (after) }
                }
            }
            @if let Some(failure) = failure { (why(failure)) }
            @if !phase.attempts.is_empty() { (attempts(&phase.attempts, now)) }
        }
    }
}

/// Returns the text to the right of a phase's name.
fn facts(phase: &PhaseStory, now: UnixMs) -> String {
    let mut parts = Vec::new();
    for text in [&phase.category, &phase.complexity] {
        if !text.is_empty() {
            parts.push(text.clone());
        }
    }
    if !phase.attempts.is_empty() {
        let wall: u64 = phase.attempts.iter().map(|attempt| attempt.wall_ms(now)).sum();
        parts.push(counted(phase.attempts.len() as u64, "attempt"));
        parts.push(millis(wall));
    }
    if let Some(tokens) = phase.billed() {
        parts.push(format!("{} tokens", count(Some(tokens))));
    }
    if let Some(cost) = phase.cost_usd() {
        parts.push(money(Some(cost)));
    }
    parts.join(" · ")
}

fn attempts(attempts: &[AttemptStory], now: UnixMs) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Attempts" {
            table {
                thead {
                    tr {
                        th { "#" } th { "Started" } th { "Outcome" } th { "Agent" }
                        @for figure in FIGURES { th.n { (figure) } }
                    }
                }
                tbody { @for attempt in attempts { (row(attempt, now)) } }
            }
        }
        @for attempt in attempts.iter().filter(|attempt| !attempt.passed()) {
            (particulars(attempt, attempts.len() > 1))
        }
    }
}

fn row(attempt: &AttemptStory, now: UnixMs) -> Markup {
    let row = &attempt.row;
    let part = |ms: Option<u64>| ms.map_or_else(|| UNKNOWN.to_owned(), millis);
    let cut = if row.usage.truncated { "≥" } else { "" };
    let figures: [String; FIGURES.len()] = [
        millis(attempt.wall_ms(now)),
        part(row.agent_ms),
        part(row.ci_ms),
        count(row.usage.tokens.input),
        format!("{cut}{}", count(row.usage.tokens.output)),
        count(row.estimated_output),
        money(row.usage.cost_usd),
    ];
    html! {
        tr {
            td { (row.attempt) }
            td { (time(row.started_at).trim_end_matches(" UTC")) }
            td { (row.outcome.map_or("running", |outcome| outcome.as_str()).replace('_', " ")) }
            td {
                @match (&row.agent, &row.usage.model) {
                    (Some(agent), Some(model)) => { (agent) " " (model) }
                    (Some(agent), None) => { (agent) }
                    (None, _) => { (UNKNOWN) }
                }
            }
            @for figure in figures { td.n { (figure) } }
        }
    }
}

/// Renders why an attempt did not land, its last lines, and its patch.
fn particulars(attempt: &AttemptStory, several: bool) -> Markup {
    let has_reason = attempt.failure.is_some() || attempt.note.is_some();
    html! {
        @if several && has_reason { h4 { "Attempt " (attempt.row.attempt) } }
        @if let Some(failure) = &attempt.failure { (why(failure)) }
        @if let Some(note) = &attempt.note { p { (note) } }
        @for (name, text) in [("Last lines", &attempt.tail), ("Patch", &attempt.patch)] {
            @if let Some(text) = text {
                details.x {
                    summary { (name) (missing(text)) }
                    @if !text.text.is_empty() { pre.text { (text.text) } }
                }
            }
        }
        @if attempt.no_room {
            p.sub {
                "The rest did not fit into this page"
                @if let Some(dir) = &attempt.row.log_dir { "; see " code { (dir) } }
                "."
            }
        }
    }
}

fn why(failure: &FailureStory) -> Markup {
    html! {
        p.why {
            b { (failure.kind) }
            @if let Some(code) = failure.exit_code { " (exit code " (code) ")" }
            ": " (failure.message)
        }
        @if !failure.particulars.is_empty() {
            ul { @for text in &failure.particulars { li { (text) } } }
        }
        @for test in &failure.tests { pre.test { (test) } }
        @if failure.more_tests > 0 { p.sub { "and " (failure.more_tests) " more failing tests" } }
    }
}

/// Renders the size of the part left out.
pub fn missing(text: &Excerpt) -> Markup {
    html! {
        @if !text.is_whole() {
            " " small {
                @if text.of_more {
                    "partial"
                } @else {
                    (counted(text.left_out as u64, "line")) " left out"
                }
            }
        }
    }
}
