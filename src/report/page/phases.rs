//! Failures, and every phase with its history.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::time;
use crate::phase::{PhaseState, UnixMs};
use crate::progress::printable;
use crate::report::escape::Html;
use crate::report::excerpt::Excerpt;
use crate::report::figure_words::{UNKNOWN, count, counted, millis, money};
use crate::report::story::{AttemptStory, FailureStory, PhaseStory, RunReport};

/// Number of log lines shown directly under a failure; the phase entry has the rest.
const GLANCE: usize = 6;
/// Maximum number of failures shown in detail.
const TOLD: usize = 60;

/// Renders the failed phases.
pub fn failures(report: &RunReport) -> String {
    let failed = |(_, phase): &(usize, &PhaseStory)| phase.state == PhaseState::Failed;
    let all: Vec<(usize, &PhaseStory)> = report.phases.iter().enumerate().filter(failed).collect();
    let mut out = kinds(report);
    if all.is_empty() {
        out += "<p class=none>No phase failed.</p>";
    }
    for (index, (at, phase)) in all.iter().enumerate() {
        let lines = (index < TOLD).then(|| glance(phase)).flatten();
        let _ = write!(
            out,
            "<article class=failure><h3><a href=\"#p{at}\">{}</a> <small>{}</small></h3>{}{}</article>",
            Html(&phase.id),
            Html(phase.own_name()),
            phase.failure.as_ref().map(why).unwrap_or_default(),
            lines.map(|text| format!("<pre>{}</pre>", Html(&text))).unwrap_or_default(),
        );
    }
    out
}

fn glance(phase: &PhaseStory) -> Option<String> {
    let tail = phase.attempts.last()?.tail.as_ref()?;
    let lines: Vec<&str> = tail.text.lines().collect();
    Some(lines[lines.len().saturating_sub(GLANCE)..].join("\n"))
}

/// Renders the number of failed attempts by kind.
fn kinds(report: &RunReport) -> String {
    let failures = &report.summary.failures;
    if failures.is_empty() {
        return String::new();
    }
    let mut out = "<div class=wide><table class=kinds><thead><tr><th scope=col>Kind<th scope=col class=n>Attempts<th scope=col class=n>\
                   Failed phases<tbody>"
        .to_owned();
    for failure in failures {
        let _ = write!(
            out,
            "<tr><th scope=row>{}<td class=n>{}<td class=n>{}",
            Html(&printable(&failure.kind)),
            failure.attempts,
            failure.phases
        );
    }
    out + "</table></div>"
}

/// Renders the filters; hidden without the script.
pub fn filters(report: &RunReport) -> String {
    let mut categories: BTreeMap<&str, usize> = BTreeMap::new();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for phase in &report.phases {
        *categories.entry(&phase.category).or_default() += 1;
        *states.entry(state_word(phase)).or_default() += 1;
    }
    let options = |counts: &BTreeMap<&str, usize>| {
        counts.iter().fold(String::new(), |mut out, (name, count)| {
            let shown = if name.is_empty() { UNKNOWN } else { name };
            let _ = write!(out, "<option value=\"{}\">{} ({count})", Html(name), Html(shown));
            out
        })
    };
    format!(
        "<label>State <select id=state><option value=\"*\">all{}</select></label>\
         <label>Category <select id=category><option value=\"*\">all{}</select></label>",
        options(&states),
        options(&categories)
    )
}

/// Renders all phases with their attempts.
pub fn list(report: &RunReport) -> String {
    let mut out = String::new();
    for (at, phase) in report.phases.iter().enumerate() {
        entry(&mut out, at, phase, report.created_at);
    }
    out
}

fn state_word(phase: &PhaseStory) -> &'static str {
    if phase.blocked { "blocked" } else { phase.standing() }
}

fn sign(word: &str) -> &'static str {
    match word {
        "landed" => "✓",
        "failed" => "✕",
        "running" => "▶",
        "skipped" => "–",
        "blocked" => "⊘",
        _ => "○",
    }
}

fn entry(out: &mut String, at: usize, phase: &PhaseStory, now: UnixMs) {
    let word = state_word(phase);
    let _ = write!(
        out,
        "<details id=p{at} data-s={word} data-c=\"{}\"><summary><span class=\"s s-{word}\">{} {word}</span> <b>{}</b> \
         <span class=n>{}</span> <span class=m>{}</span></summary>",
        Html(&phase.category),
        sign(word),
        Html(&phase.id),
        Html(phase.own_name()),
        facts(phase, now),
    );
    excerpt(out, "p", &phase.description);
    let mut more = Vec::new();
    if let Some(commit) = &phase.commit {
        more.push(format!("commit <code>{}</code>", Html(commit)));
    }
    if !phase.depends_on.is_empty() {
        more.push(format!("after {}", Html(&phase.depends_on.join(", "))));
    }
    if !more.is_empty() {
        let _ = write!(out, "<p class=sub>{}</p>", more.join(" · "));
    }
    // A failure of the last attempt is shown with the attempt.
    if phase.attempts.last().is_none_or(|last| last.failure.is_none()) && phase.commit.is_none() {
        out.push_str(&phase.failure.as_ref().map(why).unwrap_or_default());
    }
    attempts(out, &phase.attempts, now);
    out.push_str("</details>");
}

/// Renders the text to the right of a phase's name.
fn facts(phase: &PhaseStory, now: UnixMs) -> String {
    let mut parts = Vec::new();
    for text in [&phase.category, &phase.complexity] {
        if !text.is_empty() {
            parts.push(Html(text).to_string());
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

fn attempts(out: &mut String, attempts: &[AttemptStory], now: UnixMs) {
    if attempts.is_empty() {
        return;
    }
    out.push_str(
        "<div class=wide><table><thead><tr><th>#<th>Started<th>Outcome<th>Agent<th class=n>Duration<th class=n>Agent time<th \
         class=n>CI<th class=n>In<th class=n>Out<th class=n>Estimate<th class=n>Cost<tbody>",
    );
    for attempt in attempts {
        row(out, attempt, now);
    }
    out.push_str("</table></div>");
    for attempt in attempts.iter().filter(|attempt| !attempt.passed()) {
        particulars(out, attempt, attempts.len() > 1);
    }
}

fn row(out: &mut String, attempt: &AttemptStory, now: UnixMs) {
    let row = &attempt.row;
    let part = |ms: Option<u64>| ms.map_or_else(|| UNKNOWN.to_owned(), millis);
    let agent = match (&row.agent, &row.usage.model) {
        (Some(agent), Some(model)) => format!("{} {}", Html(agent), Html(model)),
        (Some(agent), None) => Html(agent).to_string(),
        (None, _) => UNKNOWN.to_owned(),
    };
    let cut = if row.usage.truncated { "≥" } else { "" };
    let _ = write!(
        out,
        "<tr><td>{}<td>{}<td>{}<td>{agent}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{cut}{}\
         <td class=n>{}<td class=n>{}",
        row.attempt,
        time(row.started_at).trim_end_matches(" UTC"),
        row.outcome.map_or("running", |outcome| outcome.as_str()).replace('_', " "),
        millis(attempt.wall_ms(now)),
        part(row.agent_ms),
        part(row.ci_ms),
        count(row.usage.tokens.input),
        count(row.usage.tokens.output),
        count(row.estimated_output),
        money(row.usage.cost_usd),
    );
}

/// Renders why an attempt did not land, its last lines, and its patch.
fn particulars(out: &mut String, attempt: &AttemptStory, several: bool) {
    if several && (attempt.failure.is_some() || attempt.note.is_some()) {
        let _ = write!(out, "<h4>Attempt {}</h4>", attempt.row.attempt);
    }
    out.push_str(&attempt.failure.as_ref().map(why).unwrap_or_default());
    if let Some(note) = &attempt.note {
        let _ = write!(out, "<p>{}</p>", Html(note));
    }
    for (name, text) in [("Last lines", &attempt.tail), ("Patch", &attempt.patch)] {
        if let Some(text) = text {
            let _ = write!(out, "<details class=x><summary>{name}{}</summary>", missing(text));
            excerpt(out, "pre", text);
            out.push_str("</details>");
        }
    }
    if attempt.no_room {
        let _ = write!(
            out,
            "<p class=sub>The rest did not fit into this page{}.</p>",
            attempt
                .row
                .log_dir
                .as_ref()
                .map_or_else(String::new, |dir| format!("; see <code>{}</code>", Html(dir)))
        );
    }
}

fn why(failure: &FailureStory) -> String {
    let code = failure.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
    let mut out = format!(
        "<p class=why><b>{}</b>{code}: {}</p>",
        Html(&failure.kind),
        Html(&failure.message)
    );
    if !failure.particulars.is_empty() {
        out += "<ul>";
        for text in &failure.particulars {
            let _ = write!(out, "<li>{}", Html(text));
        }
        out += "</ul>";
    }
    out
}

fn excerpt(out: &mut String, element: &str, text: &Excerpt) {
    if !text.text.is_empty() {
        let _ = write!(out, "<{element} class=text>{}</{element}>", Html(&text.text));
    }
}

fn missing(text: &Excerpt) -> String {
    match (text.is_whole(), text.of_more) {
        (true, _) => String::new(),
        (false, true) => " <small>partial</small>".to_owned(),
        (false, false) => {
            format!(" <small>{} left out</small>", counted(text.left_out as u64, "line"))
        }
    }
}
