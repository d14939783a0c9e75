//! Formats the telemetry summary as text in 80 columns.

use crate::cli::output::table::{one_line, table};
use crate::progress::printable;
use crate::report::figure_words::{
    UNKNOWN, about, count, counted, figure, millis, money, percent, rate,
};
use crate::telemetry::summary::{Accuracy, Group, MeasuredUsage, Summary, TokenSums};

const WIDTH: usize = 80;
/// Column where values start.
const INDENT: usize = 12;
/// Maximum length of group names; longer names are cut.
const LONGEST_NAME: usize = 16;
const NAMED_RUNS: usize = 3;

pub(super) fn page(summary: &Summary) -> String {
    let mut page = Page(String::new());
    page.0 += &format!("{}\n", title(summary));
    if summary.attempts.ended == 0 {
        page.0 += "no finished attempts yet\n";
    } else {
        phases(&mut page, summary);
        used(&mut page, summary);
        time(&mut page, summary);
    }
    estimates(&mut page, &summary.estimate);
    for (name, groups) in [
        ("CATEGORY", &summary.by_category),
        ("COMPLEXITY", &summary.by_complexity),
        ("AGENT", &summary.by_agent),
        ("MODEL", &summary.by_model),
    ] {
        page.groups(name, groups);
    }
    failures(&mut page, summary);
    page.0
}

fn title(summary: &Summary) -> String {
    let names: Vec<String> = summary.runs.iter().map(|run| printable(run.as_str())).collect();
    match names.len() {
        0 => "no run".to_owned(),
        1..=NAMED_RUNS => names.join(", "),
        many => format!("{many} runs"),
    }
}

fn phases(page: &mut Page, summary: &Summary) {
    let phases = &summary.phases;
    let mut parts = vec![format!("{} tried", phases.tried), format!("{} landed", phases.landed)];
    for (number, what) in [(phases.failed, "failed"), (phases.open, "open")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    page.line("phases", parts);
    page.line(
        "success",
        match phases.success.of {
            0 => vec!["no finished phases yet".to_owned()],
            _ => vec![
                format!("{} % landed", rate(&phases.success)),
                format!("{} % on the first attempt", rate(&phases.first_try)),
            ],
        },
    );
    let mut parts = vec![counted(summary.attempts.ended, "attempt")];
    if summary.attempts.running > 0 {
        parts.push(format!("{} running", summary.attempts.running));
    }
    page.line("attempts", parts);
}

fn used(page: &mut Page, summary: &Summary) {
    page.line("tokens", tokens(&summary.used.tokens));
    page.line("cost", cost(&summary.used));
    let per_phase = &summary.per_phase;
    if per_phase.tokens.n > 0 {
        page.line(
            "per phase",
            vec![
                format!("{} tokens", about(per_phase.tokens.mean.value)),
                format!("p50 {}", about(per_phase.tokens.p50.value)),
                format!("p90 {}", about(per_phase.tokens.p90.value)),
                money(per_phase.cost_usd.mean.value),
            ],
        );
        let landed = &summary.per_landed_phase;
        page.line(
            "per landing",
            vec![format!("{} tokens", about(landed.tokens)), money(landed.cost_usd)],
        );
    }
    let retries = &summary.retries;
    page.line(
        "retries",
        match retries.attempts {
            0 => vec!["none: all attempts landed".to_owned()],
            attempts => vec![
                format!("{} did not land", counted(attempts, "attempt")),
                format!(
                    "{} tokens ({})",
                    count(retries.used.tokens.billed),
                    percent(retries.share_of_tokens)
                ),
                money(retries.used.cost_usd),
                millis(retries.wall_ms),
            ],
        },
    );
}

fn tokens(sums: &TokenSums) -> Vec<String> {
    let known = sums.known;
    let mut parts: Vec<String> = [
        (known.input, "in"),
        (known.output, "out"),
        (known.cache_read, "from cache"),
        (known.cache_write, "to cache"),
    ]
    .into_iter()
    .filter(|(tokens, _)| tokens.is_some())
    .map(|(tokens, what)| format!("{} {what}", count(tokens)))
    .collect();
    if parts.is_empty() {
        parts.push("unknown".to_owned());
    }
    parts.extend(silent(sums.unknown_attempts));
    parts
}

fn cost(used: &MeasuredUsage) -> Vec<String> {
    let known = used.cost_usd.map_or_else(|| "unknown".to_owned(), |usd| money(Some(usd)));
    std::iter::once(known).chain(silent(used.cost_unknown_attempts)).collect()
}

fn silent(attempts: u64) -> Option<String> {
    (attempts > 0).then(|| format!("{} did not report", counted(attempts, "attempt")))
}

fn time(page: &mut Page, summary: &Summary) {
    let time = &summary.time;
    let share = |ms: u64, of: u64| {
        let share = (of > 0).then(|| ms as f64 / of as f64);
        format!("{} ({})", millis(ms), percent(share))
    };
    let part = |ms: u64, what: &str| format!("{what} {}", share(ms, time.attempts_ms));
    let mut parts =
        vec![part(time.agent_ms, "agent"), part(time.ci_ms, "CI"), part(time.ours_ms, "autopack")];
    if time.unknown_ms > 0 {
        parts.push(part(time.unknown_ms, "unknown"));
    }
    page.line("time", parts);
    let waiting = [(time.rate_limited_ms, "rate limited"), (time.idle_ms, "idle")];
    let mut parts = vec![format!("{} total", millis(time.span_ms))];
    parts.push(format!("busy {}", share(time.busy_ms, time.span_ms)));
    let some = waiting.into_iter().filter(|(ms, _)| *ms > 0);
    parts.extend(some.map(|(ms, what)| format!("{what} {}", share(ms, time.span_ms))));
    page.line("", parts);
}

fn estimates(page: &mut Page, estimate: &Accuracy) {
    let n = estimate.samples;
    if n == 0 {
        return page.line("estimates", vec!["no samples to compare".to_owned()]);
    }
    let mut parts = vec![counted(n, "sample")];
    if estimate.imported > 0 {
        parts.push(format!("{} imported", estimate.imported));
    }
    page.line("estimates", parts);
    let smape = &estimate.smape_percent;
    page.line(
        "SMAPE",
        vec![
            format!("mean {} %", figure(&smape.mean, n, 0)),
            format!("p50 {} %", figure(&smape.p50, n, 0)),
            format!("p90 {} %", figure(&smape.p90, n, 0)),
        ],
    );
    page.line("too low", vec![format!("{} % of samples", rate(&estimate.underestimated))]);
    let waste = &estimate.waste_ratio;
    page.line(
        "waste ratio",
        vec![
            format!("p50 {}", figure(&waste.p50, n, 2)),
            format!("p90 {}", figure(&waste.p90, n, 2)),
        ],
    );
}

fn failures(page: &mut Page, summary: &Summary) {
    if summary.failures.is_empty() {
        return;
    }
    let rows = summary.failures.iter().map(|failure| {
        vec![printable(&failure.kind), failure.attempts.to_string(), failure.phases.to_string()]
    });
    page.0 += "\n";
    page.0 += &table(&["FAILURE", "ATTEMPTS", "FAILED PHASES"], &[1, 2], rows.collect());
}

struct Page(String);

impl Page {
    /// Adds a label with parts; wraps between parts at the page width.
    fn line(&mut self, name: &str, parts: Vec<String>) {
        let mut line = format!("  {name:INDENT$}");
        let mut fresh = true;
        for part in parts {
            let more = if fresh { part } else { format!(" · {part}") };
            if !fresh && line.chars().count() + more.chars().count() > WIDTH {
                self.0 += &format!("{}\n", line.trim_end());
                line = format!("  {:INDENT$}{}", "", more.trim_start_matches(" · "));
            } else {
                line += &more;
            }
            fresh = false;
        }
        self.0 += &format!("{}\n", line.trim_end());
    }

    fn groups(&mut self, name: &str, groups: &[Group]) {
        // Without named groups, the table would repeat the lines above.
        if groups.iter().all(|group| group.name.is_none()) {
            return;
        }
        let cells = |group: &Group| {
            vec![
                group.name.as_deref().map_or_else(|| UNKNOWN.to_owned(), short),
                group.success.of.to_string(),
                rate(&group.success),
                rate(&group.first_try),
                group.attempts.to_string(),
                count(group.used.tokens.billed),
                money(group.used.cost_usd),
            ]
        };
        let headers = [name, "PHASES", "LANDED %", "1ST ATTEMPT %", "ATTEMPTS", "TOKENS", "COST"];
        self.0 += "\n";
        self.0 += &table(&headers, &[1, 2, 3, 4, 5, 6], groups.iter().map(cells).collect());
    }
}

/// Shortens a name in the middle, because the end says more: `claude-so…20250929`.
fn short(name: &str) -> String {
    let name = one_line(&printable(name));
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= LONGEST_NAME {
        return name;
    }
    let half = LONGEST_NAME / 2;
    let (head, tail) = (&characters[..half], &characters[characters.len() - (half - 1)..]);
    format!("{}…{}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}
