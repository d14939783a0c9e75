//! Events as lines for people: what each says, at 80 columns, with or without colour.

use std::time::Duration;

use console::Style;

use super::{BatchFinished, DrainFinished, DrainStarted, Event, PhaseFinished, Reason, RunCounts};
use crate::phase::{PhaseState, Tokens};

/// The line or lines of an event; `None` for those that only a script cares for.
pub fn render(event: &Event, color: bool) -> Option<String> {
    match event {
        Event::DrainStarted(start) => Some(started(start)),
        Event::PhaseFinished(phase) => Some(phase_line(phase, color)),
        Event::BatchFinished(batch) => Some(batch_line(batch)),
        Event::DrainFinished(end) => Some(finished(end)),
        Event::BatchStarted { .. } | Event::PhaseStarted(_) => None,
    }
}

fn started(start: &DrainStarted) -> String {
    let runs: Vec<String> = start.runs.iter().map(|run| printable(run.as_str())).collect();
    let memory = start.memory.as_ref().map_or(String::new(), |line| format!("\n{line}"));
    let jobs = if start.jobs > 1 { format!(" · {} at once", start.jobs) } else { String::new() };
    format!(
        "draining {} · {} · agent {} · batches of {}{jobs}\ndatabase {}{memory}",
        runs.join(", "),
        count(start.queued, "phase queued", "phases queued"),
        printable(&start.agent),
        start.batch_size,
        start.database,
    )
}

fn phase_line(phase: &PhaseFinished, color: bool) -> String {
    let (word, style) = match phase.state {
        PhaseState::Complete => ("landed", Style::new().green()),
        PhaseState::Failed => ("FAILED", Style::new().red()),
        _ => ("retry", Style::new().yellow()),
    };
    let word = match (phase.state, phase.verdict) {
        (PhaseState::Complete, "no_change_needed") => "done",
        (PhaseState::Queued, "failed") => "retry",
        (PhaseState::Queued, _) => "requeued",
        _ => word,
    };
    let word = style.force_styling(color).apply_to(format!("{word:<8}")).to_string();
    let mut line = format!("{word} {}", printable(phase.phase_id.as_str()));
    let mut facts = vec![duration(Duration::from_millis(phase.duration_ms))];
    if let Some(commit) = &phase.commit {
        facts.insert(0, commit.chars().take(10).collect());
    }
    if phase.state == PhaseState::Queued && phase.verdict != "failed" {
        facts.push(format!("{}, no try charged", phase.verdict.replace('_', " ")));
    } else if phase.tries > 1 || phase.state != PhaseState::Complete {
        facts.push(format!("try {}/{}", phase.tries, phase.max_attempts));
    }
    if let Some(tokens) = billed(&phase.tokens) {
        facts.push(format!("{} tokens", thousands(tokens)));
    }
    if phase.attempt.is_some() {
        line.push_str(&format!("  {}", facts.join(" · ")));
    }
    if let Some(failure) = &phase.failure {
        let message = printable(&failure.message);
        line.push_str(&format!("\n         {}: {message}", failure.kind.as_str()));
    }
    line
}

fn batch_line(batch: &BatchFinished) -> String {
    let rate = match batch.phases_per_hour {
        Some(rate) if rate >= 1.0 => format!(" · {rate:.0} phases/h"),
        _ => String::new(),
    };
    format!(
        "batch {}: {} done, {} failed, {} left · {} tokens{rate}",
        batch.batch,
        batch.done,
        batch.failed,
        batch.left,
        thousands(batch.tokens),
    )
}

fn finished(end: &DrainFinished) -> String {
    let what = match end.reason {
        Reason::Drained => "drained",
        Reason::StoppedOnFailure => "stopped at the first failure",
        Reason::Systemic => "stopped: the next phase would meet this too",
        Reason::Budget => "stopped: a budget is spent",
        Reason::Failed => "ended by a failure of our own",
        Reason::MaxBatches => "stopped after the batches asked for",
        Reason::Interrupted => "interrupted; what was running is queued again",
    };
    let took = duration(Duration::from_millis(end.duration_ms));
    let mut text = format!("{what} after {took}");
    if let Some(message) = &end.message {
        text.push_str(&format!("\nerror: {}", printable(message)));
    }
    if end.reason == Reason::Budget {
        text.push_str(
            "\nhint: raise it under executor.budgets in autopack.yaml, then start the drain again",
        );
    }
    for run in &end.counts {
        text.push_str(&format!("\n{}", run_line(run)));
    }
    let merges: Vec<&str> = end
        .counts
        .iter()
        .filter(|run| run.complete > 0)
        .filter_map(|run| run.tip.as_deref())
        .collect();
    for branch in merges {
        text.push_str(&format!("\nlook:  git log --oneline HEAD..{branch}"));
        text.push_str(&format!("\nmerge: git merge {branch}"));
    }
    text
}

fn run_line(run: &RunCounts) -> String {
    let mut parts = vec![format!("{} complete", run.complete)];
    for (n, word) in [
        (run.failed, "failed"),
        (run.blocked, "blocked"),
        (run.queued - run.blocked, "queued"),
        (run.skipped, "skipped"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    format!("{}: {}", printable(run.run_id.as_str()), parts.join(", "))
}

/// What a provider bills at the full rate or more; `None` where nothing is known.
pub fn billed(tokens: &Tokens) -> Option<u64> {
    let known: Vec<u64> =
        [tokens.input, tokens.output, tokens.cache_write].into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// Other people's text on a terminal: no control characters, no escape sequences, one line.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || turns_the_line(c) { ' ' } else { c }).collect()
}

/// Unicode's marks that show what follows in another order than it stands.
fn turns_the_line(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

pub fn thousands(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.1}k", n as f64 / 1e3),
        _ => format!("{:.2}M", n as f64 / 1e6),
    }
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_naturally() {
        let texts: Vec<String> =
            [400, 12_000, 75_000, 7_260_000].map(|ms| duration(Duration::from_millis(ms))).into();
        assert_eq!(texts, ["0.4 s", "12 s", "1 min 15 s", "2 h 01 min"]);
    }

    #[test]
    fn unknown_tokens_are_not_zero() {
        assert_eq!(billed(&Tokens::default()), None);
        assert_eq!(billed(&Tokens { output: Some(3), ..Tokens::default() }), Some(3));
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\nc"), "a [31mb c");
    }
}
