//! A run as short Markdown for the description of a pull request.

use std::collections::HashSet;

use super::escape::{code, fence, markdown};
use super::figure_words::{UNKNOWN, count, counted, figure, millis, money, percent, rate};
use super::run_verdict::verdict;
use super::story::{PhaseStory, RunReport};
use crate::phase::words::short_commit;
use crate::phase::{PhaseId, PhaseState};
use crate::telemetry::summary::Rate;

/// Maximum length of lists. GitHub accepts 65,536 characters; lists end well before.
const LISTED: usize = 100;
/// Maximum number of failing tests of a phase.
const TESTS: usize = 10;
/// Maximum length of the list of changed files.
const STAT_LINES: usize = 120;

/// Landings that a pull request leaves out.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftOut<'a> {
    /// Merged before.
    pub merged: Option<&'a HashSet<PhaseId>>,
    /// No longer on the branch.
    pub gone: Option<&'a HashSet<PhaseId>>,
}

impl LeftOut<'_> {
    fn has(&self, phase: &PhaseStory) -> bool {
        let is_in =
            |set: Option<&HashSet<PhaseId>>| set.is_some_and(|s| s.contains(&phase.phase_id));
        is_in(self.merged) || is_in(self.gone)
    }

    /// Returns the landings that are left.
    pub fn rest<'r>(&self, report: &'r RunReport) -> Vec<&'r PhaseStory> {
        report.phases.iter().filter(|phase| phase.has_landed() && !self.has(phase)).collect()
    }
}

/// Renders the Markdown.
pub fn render(report: &RunReport) -> String {
    render_without(report, LeftOut::default())
}

/// Renders the Markdown without some landings.
pub fn render_without(report: &RunReport, left_out: LeftOut<'_>) -> String {
    let phases = left_out.rest(report);
    let before = left_out.merged.map_or(0, HashSet::len);
    let mut text = format!("## Run {}\n\n", markdown(&report.name));
    text += &headline(report, phases.len(), before);
    text += &end(report);
    text += &failed(report);
    text += &landed(&phases);
    text += &left(report);
    text += &done_before(report);
    text += &requests(report);
    text += &figures(report);
    text += &stat(report);
    text
}

fn headline(report: &RunReport, landed: usize, merged_before: usize) -> String {
    let mut parts = verdict(report);
    parts[0] = format!("{landed} of {} phases landed", report.run.counts.total());
    if merged_before > 0 {
        parts.insert(1, format!("{merged_before} merged before"));
    }
    let (first, others) = parts.split_first().expect("the number of landed phases");
    let rest: String = others.iter().map(|part| format!(", {}", markdown(part))).collect();
    format!("**{first}**{rest}\n\n")
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
    let changed = changed(report);
    let ci = report.ci_command.as_deref().map_or("none".to_owned(), code);
    let rows = [
        ("CI", ci),
        ("Changed", changed),
        ("Cost", markdown(&money(summary.used.cost_usd))),
        ("Landed", share(&summary.phases.success, " of finished phases")),
        ("On the first attempt", share(&summary.phases.first_try, "")),
        ("Tokens", used),
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
    let mut text = "### Figures\n\n| | |\n|---|---|\n".to_owned();
    for (name, value) in rows {
        text += &format!("| {name} | {} |\n", value);
    }
    text + "\n"
}

/// Returns files and lines changed between the base and the tip, as the last line of `git diff --stat` counts them.
fn changed(report: &RunReport) -> String {
    let last = report.stat.as_deref().and_then(|stat| stat.trim_end().lines().last());
    last.map_or_else(|| UNKNOWN.to_owned(), |line| markdown(line.trim()))
}

/// The changed files, folded.
fn stat(report: &RunReport) -> String {
    let Some(stat) = report.stat.as_deref().filter(|stat| !stat.trim().is_empty()) else {
        return String::new();
    };
    let lines: Vec<&str> = stat.trim_end().lines().collect();
    let (shown, more) = lines.split_at(lines.len().min(STAT_LINES));
    let mut text = shown.join("\n");
    if !more.is_empty() {
        text += &format!("\n ... {} more lines", more.len());
    }
    let fence = fence(&text, 3);
    format!("<details><summary>Changed files</summary>\n\n{fence}\n{text}\n{fence}\n\n</details>\n")
}

fn share(of: &Rate, what: &str) -> String {
    if of.of == 0 { "no finished phases yet".to_owned() } else { format!("{} %{what}", rate(of)) }
}

fn landed(phases: &[&PhaseStory]) -> String {
    if phases.is_empty() {
        return String::new();
    }
    let mut text = format!("### Landed\n\n{LANDED_HEAD}");
    for phase in phases.iter().take(LISTED) {
        text += &landed_row(phase);
    }
    text + &more(phases.len())
}

/// Returns a single landing, for its own pull request.
pub fn landed_phase(phase: &PhaseStory) -> String {
    format!("{LANDED_HEAD}{}\n", landed_row(phase))
}

const LANDED_HEAD: &str =
    "| Phase | Commit | Files | Lines | Attempts | Cost |\n|---|---|--:|--:|--:|--:|\n";

fn landed_row(phase: &PhaseStory) -> String {
    let commit = phase.commit.as_deref().map(short_commit);
    let unknown = || UNKNOWN.to_owned();
    let change = phase.change.as_ref();
    let lines = |(added, removed)| format!("+{added} -{removed}");
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        title(phase),
        commit.map_or_else(unknown, markdown),
        change.map_or_else(unknown, |change| change.files.len().to_string()),
        change.map_or_else(unknown, |change| lines(change.lines())),
        phase.counted_attempts,
        markdown(&money(phase.cost_usd())),
    )
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
        text += &tests(phase);
    }
    text + &more(phases.len())
}

/// Failing tests as a block below the phase.
fn tests(phase: &PhaseStory) -> String {
    let tests = phase.failure.as_ref().map_or(&[][..], |failure| &failure.tests);
    if tests.is_empty() {
        return String::new();
    }
    let text = tests[..tests.len().min(TESTS)].join("\n");
    let fence = fence(&text, 3);
    let lines = format!("{fence}\n{text}\n{fence}");
    let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("\n{indented}\n")
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

/// Phases that were done in the source of the run.
fn done_before(report: &RunReport) -> String {
    let phases: Vec<&PhaseStory> =
        report.phases.iter().filter(|phase| phase.is_done_before()).collect();
    if phases.is_empty() {
        return String::new();
    }
    let lines = phases.iter().take(LISTED).map(|phase| format!("- {}\n", title(phase)));
    format!("### Done before\n\n{}{}", lines.collect::<String>(), more(phases.len()))
}

/// Files that agents asked for, with the decisions.
fn requests(report: &RunReport) -> String {
    let of_phase = |phase: &PhaseStory| {
        let lines = phase.requests.iter().map(|request| {
            let (id, path) = (markdown(&phase.id), code(&request.path));
            let (attempt, decision, why) =
                (request.attempt, request.decision, markdown(&request.why));
            format!("- **{id}** attempt {attempt}: {path} {decision} ({why})\n")
        });
        lines.collect::<Vec<_>>()
    };
    let lines: Vec<String> = report.phases.iter().flat_map(of_phase).collect();
    if lines.is_empty() {
        return String::new();
    }
    let shown = lines.iter().take(LISTED).map(String::as_str);
    format!("### Files asked for\n\n{}{}", shown.collect::<String>(), more(lines.len()))
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
