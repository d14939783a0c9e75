//! Rendering of events as lines for people: at 80 columns, with or without color.

use std::time::Duration;

use console::Style;

use super::terminal_text::{duration, fit, printable, shown_id, shown_message, width, wrap};
use super::usage_text::describe_money;
use super::{BatchFinished, DrainStarted, Event, PhaseFinished};
use crate::phase::words::short_commit;
use crate::phase::{PhaseState, RunId};

/// Options for rendering lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineOptions {
    /// Whether to use color.
    pub color: bool,
    /// Whether phases of several runs are shown, so that each name includes its run.
    pub several: bool,
    /// Width of the terminal, if any: names are cut and messages wrapped to fit.
    pub columns: Option<usize>,
}

/// Width of the verdict column, also used as indentation of further lines.
const VERDICT: usize = 9;
/// Minimum width of a cut name.
const LEAST_NAME: usize = 8;

/// Renders the lines of an event; `None` for events of interest only to scripts.
pub(super) fn render(event: &Event, options: LineOptions) -> Option<String> {
    match event {
        Event::DrainStarted(start) => {
            let lines = started(start);
            let lines = lines.lines().flat_map(|line| in_lines(line.to_owned(), 0, options));
            Some(lines.collect::<Vec<_>>().join("\n"))
        }
        Event::PhaseFinished(phase) => Some(finished_line(phase, options)),
        Event::BatchFinished(batch) => (!was_empty(batch)).then(|| batch_line(batch)),
        Event::DrainFinished(end) => Some(end.overview.trim_end().to_owned()),
        Event::BatchStarted { .. } | Event::PhaseStarted(_) => None,
    }
}

fn started(start: &DrainStarted) -> String {
    let memory = start.memory.as_ref().map_or(String::new(), |line| format!("\n{line}"));
    let jobs = if start.jobs > 1 { format!(" · {} workers", start.jobs) } else { String::new() };
    format!(
        "draining {} · {} · agent {} · batches of {}{jobs}\ndatabase {}{memory}",
        run_names(&start.runs),
        to_do(start),
        printable(&start.agent),
        start.batch_size,
        start.database,
    )
}

/// Describes the queued phases and the phases left by a dead drain.
fn to_do(start: &DrainStarted) -> String {
    let left = "left by a drain that died";
    match (start.queued, start.left_behind) {
        (queued, 0) => count(queued, "phase queued", "phases queued"),
        (0, more) => format!("{} {left}", count(more, "phase", "phases")),
        (queued, more) => {
            format!("{}, {more} {left}", count(queued, "phase queued", "phases queued"))
        }
    }
}

/// Lists the first runs by name.
fn run_names(runs: &[RunId]) -> String {
    const NAMED: usize = 3;
    let mut names: Vec<String> =
        runs.iter().take(NAMED).map(|run| shown_id(run.as_str())).collect();
    if runs.len() > NAMED {
        names.push(format!("{} more runs", runs.len() - NAMED));
    }
    names.join(", ")
}

/// Renders the result of a phase: a line, and further lines with the reason.
pub fn finished_line(phase: &PhaseFinished, options: LineOptions) -> String {
    let (word, style) = match (phase.state, phase.verdict) {
        _ if is_closed_elsewhere(phase) => ("closed", Style::new().yellow()),
        (PhaseState::Complete, "no_change_needed") => ("done", Style::new().green()),
        (PhaseState::Complete, _) => ("landed", Style::new().green()),
        (PhaseState::Failed, _) => ("failed", Style::new().red()),
        (_, "failed") => ("retry", Style::new().yellow()),
        (_, "scope_proposed" | "scope_granted") => ("scope", Style::new().cyan()),
        _ => ("requeued", Style::new().yellow()),
    };
    let word = style.force_styling(options.color).apply_to(format!("{word:<8}")).to_string();
    let facts = match phase.attempt {
        Some(_) => format!("  {}", facts_within(phase, options.columns).join(" · ")),
        None => String::new(),
    };
    let mut name = shown_id(phase.phase_id.as_str());
    if options.several {
        name = format!("{}/{name}", shown_id(phase.run_id.as_str()));
    }
    if let Some(columns) = options.columns {
        name = fit(&name, columns.saturating_sub(VERDICT + width(&facts)).max(LEAST_NAME));
    }
    let mut line = format!("{word} {name}{facts}");
    if let Some(failure) = &phase.failure {
        let message = shown_message(failure.message.trim());
        let message = format!("{}: {message}", failure.kind.as_str());
        for part in in_lines(message, VERDICT, options) {
            line.push_str(&format!("\n{:VERDICT$}{part}", ""));
        }
    }
    line
}

/// Wraps the text at word boundaries, since a terminal breaks words.
pub(super) fn in_lines(text: String, indent: usize, options: LineOptions) -> Vec<String> {
    match options.columns {
        Some(columns) => wrap(&text, columns.saturating_sub(indent).max(LEAST_NAME)),
        None => vec![text],
    }
}

/// Drops facts on narrow terminals, first the commit: the branch has it.
fn facts_within(phase: &PhaseFinished, columns: Option<usize>) -> Vec<String> {
    let mut facts = facts(phase);
    let Some(columns) = columns else { return facts };
    let too_wide =
        |facts: &[String]| VERDICT + LEAST_NAME + 2 + width(&facts.join(" · ")) > columns;
    if too_wide(&facts) && phase.commit.is_some() {
        facts.remove(0);
    }
    while facts.len() > 1 && too_wide(&facts) {
        facts.pop();
    }
    facts
}

fn facts(phase: &PhaseFinished) -> Vec<String> {
    let mut facts = vec![duration(Duration::from_millis(phase.duration_ms))];
    if let Some(commit) = &phase.commit {
        facts.insert(0, short_commit(commit).to_owned());
    }
    if is_closed_elsewhere(phase) {
        facts.push("its issue was closed, not counted".to_owned());
    } else if phase.is_by_person {
        facts.push("by hand, not counted".to_owned());
    } else if phase.state == PhaseState::Queued && phase.verdict != "failed" {
        facts.push(format!("{}, not counted", phase.verdict.replace('_', " ")));
    } else if phase.tries > 1 || phase.state != PhaseState::Complete {
        facts.push(format!("attempt {}/{}", phase.tries, phase.max_attempts));
    }
    facts.extend(describe_money(phase.cost_usd, phase.tokens.billed()));
    facts
}

/// Checks whether the phase was settled because its issue was closed meanwhile, not by its attempt.
fn is_closed_elsewhere(phase: &PhaseFinished) -> bool {
    let is_passed = matches!(phase.verdict, "landed" | "no_change_needed");
    phase.state.satisfies_dependents() && !is_passed
}

/// Checks for a batch without work in which all remaining phases are blocked by failed phases.
fn was_empty(batch: &BatchFinished) -> bool {
    batch.done + batch.failed + batch.tokens == 0 && batch.left == batch.blocked
}

fn batch_line(batch: &BatchFinished) -> String {
    let rate = match batch.phases_per_hour {
        Some(rate) if rate >= 1.0 => format!(" · {rate:.0} phases/h"),
        _ => String::new(),
    };
    format!(
        "batch {}: {} done, {} failed, {} left · {}{rate}",
        batch.batch,
        batch.done,
        batch.failed,
        batch.left,
        describe_money(batch.cost_usd, Some(batch.tokens)).unwrap_or_default(),
    )
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Tokens;

    #[test]
    fn narrow_terminal_gets_one_fitting_line() {
        let tokens = Tokens { input: Some(1200), output: Some(345), ..Tokens::default() };
        let failure = crate::phase::Failure::new(crate::phase::FailureKind::NoChange, "nothing");
        let (run, id) = (RunId::new("demo"), crate::phase::PhaseId::new("漢字x".repeat(900)));
        let phase = PhaseFinished {
            attempt: Some(1),
            state: PhaseState::Complete,
            verdict: "landed",
            commit: Some("4ce8173b80ff".to_owned()),
            failure: None,
            tokens,
            duration_ms: 7800,
            ..PhaseFinished::refused(run, id, failure)
        };
        for columns in [30, 40, 60, 80, 120] {
            let options = LineOptions { columns: Some(columns), several: true, color: false };
            let line = finished_line(&phase, options);
            assert!(width(&line) <= columns, "{columns}: {line}");
        }
        let options = |columns| LineOptions { columns: Some(columns), ..LineOptions::default() };
        let facts = |columns| {
            finished_line(&phase, options(columns)).split("  ").last().unwrap().to_owned()
        };
        assert_eq!(facts(80), "4ce8173b80 · 7.8 s · 1545 tokens");
        assert_eq!(facts(40), "7.8 s · 1545 tokens");
    }

    #[test]
    fn an_attempt_by_hand_has_no_number() {
        let failure = crate::phase::Failure::new(crate::phase::FailureKind::CiFailed, "red");
        let (run, id) = (RunId::new("demo"), crate::phase::PhaseId::new("p"));
        let phase = PhaseFinished {
            attempt: Some(5),
            tries: 3,
            max_attempts: 4,
            verdict: "failed",
            ..PhaseFinished::refused(run, id, failure)
        };
        let facts = |is_by_person| facts(&PhaseFinished { is_by_person, ..phase.clone() });
        assert_eq!(facts(false), ["0.0 s", "attempt 3/4"]);
        assert_eq!(facts(true), ["0.0 s", "by hand, not counted"]);
    }

    #[test]
    fn message_wraps_in_a_terminal() {
        let message = "the agent wrote outside of the scope of the phase: src/core/engine.rs, docs/guide.md and 3 more";
        let failure = crate::phase::Failure::new(crate::phase::FailureKind::ScopeBreach, message);
        let (run, id) = (RunId::new("demo"), crate::phase::PhaseId::new("p"));
        let phase = PhaseFinished::refused(run, id, failure);
        let line =
            |columns| finished_line(&phase, LineOptions { columns, ..LineOptions::default() });
        for columns in [30, 80] {
            let line = line(Some(columns));
            let rest: Vec<&str> = line.lines().skip(1).collect();
            assert!(rest.len() > 1 && rest.iter().all(|line| width(line) <= columns), "{line}");
            assert!(rest.iter().all(|line| line.starts_with(&" ".repeat(VERDICT))), "{line}");
            assert!(rest.iter().any(|line| line.ends_with("phase:")), "between words: {line}");
        }
        assert_eq!(line(None).lines().count(), 2, "lines in a file or a pipe are not wrapped");
    }

    #[test]
    fn batch_without_work_has_no_line() {
        let nothing = BatchFinished {
            batch: 1,
            done: 0,
            failed: 0,
            left: 2,
            blocked: 2,
            tokens: 0,
            cost_usd: None,
            phases_per_hour: None,
        };
        let line = |batch| render(&Event::BatchFinished(batch), LineOptions::default());
        assert_eq!(line(nothing.clone()), None);
        assert!(line(BatchFinished { failed: 1, ..nothing.clone() }).is_some());
        assert!(line(BatchFinished { left: 3, ..nothing }).is_some());
    }

    #[test]
    fn drain_starts_with_the_amount_of_work() {
        let start = |queued, left_behind| DrainStarted {
            runs: vec![RunId::new("r")],
            workspace: String::new(),
            database: "d".to_owned(),
            agent: "a".to_owned(),
            queued,
            left_behind,
            phases: 3,
            settled: 0,
            batch_size: 5,
            jobs: 1,
            memory_backend: "off",
            memory: None,
        };
        let line = |queued, left| {
            started(&start(queued, left)).replace(" · agent a · batches of 5\ndatabase d", "")
        };
        assert_eq!(line(0, 0), "draining r · 0 phases queued");
        assert_eq!(line(1, 0), "draining r · 1 phase queued");
        assert_eq!(line(0, 1), "draining r · 1 phase left by a drain that died");
        assert_eq!(line(2, 1), "draining r · 2 phases queued, 1 left by a drain that died");
    }

    #[test]
    fn unknown_tokens_are_not_zero() {
        assert_eq!(Tokens::default().billed(), None);
        assert_eq!(Tokens { output: Some(3), ..Tokens::default() }.billed(), Some(3));
    }
}
