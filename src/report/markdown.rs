//! A run as short Markdown for the description of a pull request.

use super::escape::markdown;
use super::figure_words::{UNKNOWN, count, counted, figure, millis, money, percent, rate};
use super::story::{PhaseStory, RunReport};
use crate::phase::PhaseState;
use crate::phase::words::short_commit;
use crate::telemetry::summary::Rate;

/// Maximum length of lists. GitHub accepts 65,536 characters; lists end well before.
const LISTED: usize = 100;

/// Renders the Markdown.
pub fn render(report: &RunReport) -> String {
    let mut text = format!("## Run {}\n\n", markdown(&report.name));
    text += &headline(report);
    text += &end(report);
    text += &figures(report);
    text += &landed(report);
    text += &failed(report);
    text += &left(report);
    text
}

fn headline(report: &RunReport) -> String {
    let counts = &report.run.counts;
    let mut parts = vec![format!("**{} of {} phases complete**", counts.complete, counts.total())];
    for (number, what) in [
        (counts.failed, "failed"),
        (counts.queued, "queued"),
        (counts.executing, "running"),
        (counts.skipped, "skipped"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    format!("{}\n\n", parts.join(", "))
}

/// CI on the run's tip in a clean clone.
fn end(report: &RunReport) -> String {
    let lines: Vec<String> = report.end.iter().map(|line| markdown(line)).collect();
    if lines.is_empty() { String::new() } else { format!("{}\n\n", lines.join("; ")) }
}

fn figures(report: &RunReport) -> String {
    let summary = &report.summary;
    if summary.attempts.ended == 0 {
        return "No attempt has ended yet.\n\n".to_owned();
    }
    let tokens = &summary.used.tokens;
    let known = tokens.known;
    let mut used = match tokens.billed {
        None => "unknown".to_owned(),
        Some(_) => format!("{} in, {} out", count(known.input), count(known.output)),
    };
    if known.cache_read.is_some() {
        used += &format!(", {} from cache", count(known.cache_read));
    }
    if tokens.unknown_attempts > 0 {
        used += &format!("; {} did not report", counted(tokens.unknown_attempts, "attempt"));
    }
    let estimate = &summary.estimate;
    let smape = figure(&estimate.smape_percent.mean, estimate.samples, 0);
    let time = &summary.time;
    let retries = &summary.retries;
    let rows = [
        ("Landed", share(&summary.phases.success, " of finished phases")),
        ("On the first attempt", share(&summary.phases.first_try, "")),
        ("Tokens", used),
        ("Cost", money(summary.used.cost_usd)),
        (
            "Retries",
            format!(
                "{}, {} of the tokens",
                counted(retries.attempts, "attempt"),
                percent(retries.share_of_tokens)
            ),
        ),
        (
            "Time",
            format!(
                "{}; agents {}, CI {}",
                millis(time.span_ms),
                millis(time.agent_ms),
                millis(time.ci_ms)
            ),
        ),
        (
            "Estimates",
            match estimate.samples {
                0 => "no samples to compare".to_owned(),
                samples => format!("SMAPE {smape} % of {}", counted(samples, "sample")),
            },
        ),
    ];
    let mut text = "| | |\n|---|---|\n".to_owned();
    for (name, value) in rows {
        text += &format!("| {name} | {} |\n", value.replace('|', "\\|"));
    }
    text + "\n"
}

fn share(of: &Rate, what: &str) -> String {
    if of.of == 0 { "no finished phases yet".to_owned() } else { format!("{} %{what}", rate(of)) }
}

fn landed(report: &RunReport) -> String {
    let done = |phase: &&PhaseStory| phase.state == PhaseState::Complete;
    let phases: Vec<&PhaseStory> = report.phases.iter().filter(done).collect();
    if phases.is_empty() {
        return String::new();
    }
    let mut text =
        "### Landed\n\n| Phase | Commit | Attempts | Tokens |\n|---|---|--:|--:|\n".to_owned();
    for phase in phases.iter().take(LISTED) {
        let commit = phase.commit.as_deref().map(short_commit);
        text += &format!(
            "| {} | {} | {} | {} |\n",
            title(phase),
            commit.map_or_else(|| UNKNOWN.to_owned(), markdown),
            phase.counted_attempts,
            count(phase.billed()),
        );
    }
    text + &more(phases.len())
}

fn failed(report: &RunReport) -> String {
    let failed = |phase: &&PhaseStory| phase.state == PhaseState::Failed;
    let phases: Vec<&PhaseStory> = report.phases.iter().filter(failed).collect();
    if phases.is_empty() {
        return String::new();
    }
    let mut text = "### Failed\n\n".to_owned();
    for phase in phases.iter().take(LISTED) {
        let why = match &phase.failure {
            Some(failure) => {
                format!("{}: {}", markdown(&failure.kind), markdown(&failure.message))
            }
            None => "no recorded reason".to_owned(),
        };
        let attempts = if phase.counted_attempts == 1 {
            "1 attempt".to_owned()
        } else {
            format!("{} attempts", phase.counted_attempts)
        };
        text += &format!("- {} after {attempts}: {why}\n", title(phase));
    }
    text + &more(phases.len())
}

fn left(report: &RunReport) -> String {
    let open = |phase: &&PhaseStory| {
        matches!(phase.state, PhaseState::Queued | PhaseState::Executing | PhaseState::Skipped)
    };
    let phases: Vec<&PhaseStory> = report.phases.iter().filter(open).collect();
    if phases.is_empty() {
        return String::new();
    }
    let mut text = "### Remaining\n\n".to_owned();
    for phase in phases.iter().take(LISTED) {
        text += &format!("- {}: {}\n", title(phase), phase.standing());
    }
    text + &more(phases.len())
}

fn title(phase: &PhaseStory) -> String {
    let title = format!("**{}** {}", markdown(&phase.id), markdown(phase.own_name()));
    title.trim_end().to_owned()
}

fn more(all: usize) -> String {
    match all.saturating_sub(LISTED) {
        0 => "\n".to_owned(),
        more => format!("\nand {more} more\n\n"),
    }
}
