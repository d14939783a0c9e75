//! Figures of the run: cards, use of time, and landings by category, complexity, agent and model.

use std::fmt::Write as _;

use crate::phase::PhaseState;
use crate::progress::printable;
use crate::report::escape::Html;
use crate::report::figure_words::{UNKNOWN, about, count, counted, millis, money, percent, rate};
use crate::report::story::RunReport;
use crate::telemetry::summary::{Group, Rate, Summary, Time};

/// Shorter parts would be shown as 0.0 s.
const SHORTEST_MS: u64 = 50;

/// Renders the cards and the use of time.
pub fn section(report: &RunReport) -> String {
    let summary = &report.summary;
    let mut cards = vec![phases(report)];
    cards.extend(landings(summary));
    cards.extend(used(summary));
    let mut out = "<dl class=cards>".to_owned();
    for FigureCard { name, value, more } in cards {
        let _ = write!(out, "<div><dt>{name}<dd>{value}<dd class=more>{more}</div>");
    }
    out += "</dl>";
    if summary.attempts.ended > 0 {
        out += &time(&summary.time);
    }
    out
}

/// A card. All texts are constant or escaped.
struct FigureCard {
    name: &'static str,
    value: String,
    more: String,
}

fn phases(report: &RunReport) -> FigureCard {
    let counts = &report.run.counts;
    let others = PhaseState::ALL.into_iter().filter(|state| *state != PhaseState::Complete);
    let parts: Vec<String> = others
        .filter(|state| counts.get(*state) > 0)
        .map(|state| {
            let blocked = match (state, report.run.blocked) {
                (PhaseState::Queued, blocked) if blocked > 0 => format!(" ({blocked} blocked)"),
                _ => String::new(),
            };
            format!("{} {state}{blocked}", counts.get(state))
        })
        .collect();
    FigureCard {
        name: "Complete",
        value: format!("{} <small>of {}</small>", counts.complete, counts.total()),
        more: parts.join(", "),
    }
}

fn landings(summary: &Summary) -> [FigureCard; 3] {
    let phases = &summary.phases;
    let share = |name: &'static str, rate: &Rate, what: &str| FigureCard {
        name,
        value: percent(rate.value),
        more: match rate.low.zip(rate.high) {
            Some((low, high)) => format!(
                "{} of {} {what}<br>{:.0}-{:.0} % at 95 %",
                rate.count,
                rate.of,
                low * 100.0,
                high * 100.0
            ),
            None => "no finished phases yet".to_owned(),
        },
    };
    let retries = &summary.retries;
    let failed = match retries.attempts {
        0 => "every attempt landed".to_owned(),
        attempts => format!(
            "{attempts} did not land<br>{} tokens, {}",
            count(retries.used.tokens.billed),
            money(retries.used.cost_usd)
        ),
    };
    [
        share("Landed", &phases.success, "finished"),
        share("First attempt", &phases.first_try, "finished"),
        FigureCard { name: "Attempts", value: summary.attempts.ended.to_string(), more: failed },
    ]
}

fn used(summary: &Summary) -> [FigureCard; 4] {
    let tokens = &summary.used.tokens;
    let silent = |attempts: u64| match attempts {
        0 => String::new(),
        n => format!("<br>{} did not report", counted(n, "attempt")),
    };
    let cached = |tokens: u64| format!("<br>{} from cache", count(Some(tokens)));
    let landed = &summary.per_landed_phase;
    let time = &summary.time;
    [
        FigureCard {
            name: "Tokens",
            value: count(tokens.billed),
            more: format!(
                "{} in, {} out{}{}",
                count(tokens.known.input),
                count(tokens.known.output),
                tokens.known.cache_read.map_or_else(String::new, cached),
                silent(tokens.unknown_attempts)
            ),
        },
        FigureCard {
            name: "Cost",
            value: money(summary.used.cost_usd),
            more: silent(summary.used.cost_unknown_attempts).trim_start_matches("<br>").to_owned(),
        },
        FigureCard {
            name: "Per landing",
            value: money(landed.cost_usd),
            more: format!("{} tokens<br>including failed attempts", about(landed.tokens)),
        },
        FigureCard {
            name: "Time",
            value: millis(time.span_ms),
            more: format!("{} at work", millis(time.busy_ms)),
        },
    ]
}

fn time(time: &Time) -> String {
    let of_attempts = [
        ("agent", "agent", time.agent_ms),
        ("ci", "CI", time.ci_ms),
        ("ours", "autopack", time.ours_ms),
        ("unknown", "unknown", time.unknown_ms),
    ];
    let of_span = [
        ("busy", "at work", time.busy_ms),
        ("late", "rate limited", time.rate_limited_ms),
        ("idle", "idle", time.idle_ms),
    ];
    format!(
        "<h3>Where time went</h3><div class=two>{}{}</div>",
        stacked("Attempts", time.attempts_ms, &of_attempts),
        stacked("The run", time.span_ms, &of_span)
    )
}

fn stacked(name: &str, all: u64, parts: &[(&str, &str, u64)]) -> String {
    let mut bars = String::new();
    let mut list = String::new();
    let mut at = 0.0;
    for (class, words, ms) in parts.iter().filter(|(.., ms)| *ms >= SHORTEST_MS) {
        let width = *ms as f64 / all.max(1) as f64 * 100.0;
        let _ = write!(bars, "<rect class=\"w-{class}\" x={at:.2} width={width:.2} height=10 />");
        let _ = write!(
            list,
            "<li><svg width=12 height=12 aria-hidden=true><rect class=\"w-{class}\" width=12 height=12 /></svg>{words} \
             <b>{}</b> {}",
            millis(*ms),
            percent(Some(width / 100.0))
        );
        at += width;
    }
    format!(
        "<figure><figcaption>{name}, {}</figcaption>\
         <svg class=stack viewBox=\"0 0 100 10\" preserveAspectRatio=none aria-hidden=true>{bars}</svg>\
         <ul class=legend>{list}</ul></figure>",
        millis(all)
    )
}

/// Renders the landings by group.
pub fn groups(report: &RunReport) -> String {
    let summary = &report.summary;
    let mut out = String::new();
    for (name, groups) in [
        ("Category", &summary.by_category),
        ("Complexity", &summary.by_complexity),
        ("Agent", &summary.by_agent),
        ("Model", &summary.by_model),
    ] {
        if groups.iter().any(|group| group.name.is_some()) {
            out += &table(name, groups);
        }
    }
    match out.is_empty() {
        true => "<p class=none>No attempts yet.</p>".to_owned(),
        false => out,
    }
}

fn table(name: &str, groups: &[Group]) -> String {
    let mut out = format!(
        "<div class=wide tabindex=0 role=region aria-label=\"{name}\"><table class=groups><thead><tr>\
         <th scope=col>{name}<th scope=col>Landed, with its 95 % interval<th scope=col class=n>%\
         <th scope=col class=n>of<th scope=col class=n>First attempt %<th scope=col class=n>Attempts<th scope=col class=n>Tokens\
         <th scope=col class=n>Cost<tbody>"
    );
    for group in groups {
        let shown = group.name.as_deref().unwrap_or(UNKNOWN);
        let _ = write!(
            out,
            "<tr><th scope=row>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}\
             <td class=n>{}",
            Html(&printable(shown)),
            bar(&group.success),
            rate(&group.success),
            group.success.of,
            rate(&group.first_try),
            group.attempts,
            count(group.used.tokens.billed),
            money(group.used.cost_usd),
        );
    }
    out + "</table></div>"
}

/// Draws a share as a bar, with its interval as a line.
fn bar(rate: &Rate) -> String {
    let Some(value) = rate.value else { return String::new() };
    let (low, high) = (rate.low.unwrap_or(value) * 100.0, rate.high.unwrap_or(value) * 100.0);
    format!(
        "<svg class=bar viewBox=\"0 0 100 10\" preserveAspectRatio=none aria-hidden=true>\
         <rect class=back width=100 height=10 /><rect class=ok width={:.1} height=10 />\
         <path class=reach d=\"M{low:.1} 5H{high:.1}M{low:.1} 2V8M{high:.1} 2V8\"/></svg>",
        value * 100.0
    )
}
