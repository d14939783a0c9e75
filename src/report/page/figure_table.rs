//! Figures of the run: cards, use of time, and landings by category, complexity, agent and model.

use maud::{Markup, html};

use crate::phase::PhaseState;
use crate::progress::printable;
use crate::report::figure_words::{UNKNOWN, about, count, counted, millis, money, percent, rate};
use crate::report::story::RunReport;
use crate::telemetry::summary::{Group, Rate, Summary, Time};

/// Shorter parts would be shown as 0.0 s.
const SHORTEST_MS: u64 = 50;
/// Columns of figures in a table of landings.
const FIGURES: [&str; 6] = ["%", "of", "First attempt %", "Attempts", "Tokens", "Cost"];

/// Renders tokens, cost, and the use of time.
pub fn section(report: &RunReport) -> Markup {
    let summary = &report.summary;
    html! {
        (cards(used(summary)))
        @if summary.attempts.ended > 0 { (time(&summary.time)) }
    }
}

/// Renders the number of phases, and the rates of landings.
pub fn rates(report: &RunReport) -> Markup {
    cards(std::iter::once(phases(report)).chain(landings(&report.summary)))
}

fn cards(cards: impl IntoIterator<Item = FigureCard>) -> Markup {
    html! {
        dl.cards {
            @for FigureCard { name, value, more } in cards {
                div { dt { (name) } dd { (value) } dd.more { (more) } }
            }
        }
    }
}

struct FigureCard {
    name: &'static str,
    value: Markup,
    more: Markup,
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
        value: html! { (counts.complete) " " small { "of " (counts.total()) } },
        more: html! { (parts.join(", ")) },
    }
}

fn landings(summary: &Summary) -> [FigureCard; 3] {
    let share = |name: &'static str, rate: &Rate| FigureCard {
        name,
        value: html! { (percent(rate.value)) },
        more: html! {
            @if let Some((low, high)) = rate.low.zip(rate.high) {
                (rate.count) " of " (rate.of) " finished" br;
                (format_args!("{:.0}-{:.0} % at 95 %", low * 100.0, high * 100.0))
            } @else {
                "no finished phases yet"
            }
        },
    };
    let retries = &summary.retries;
    let failed = html! {
        @if retries.attempts == 0 {
            "every attempt landed"
        } @else {
            (retries.attempts) " did not land" br;
            (count(retries.used.tokens.billed)) " tokens, " (money(retries.used.cost_usd))
        }
    };
    let attempts = html! { (summary.attempts.ended) };
    [
        share("Landed", &summary.phases.success),
        share("First attempt", &summary.phases.first_try),
        FigureCard { name: "Attempts", value: attempts, more: failed },
    ]
}

fn used(summary: &Summary) -> [FigureCard; 4] {
    let tokens = &summary.used.tokens;
    let silent = |attempts: u64| format!("{} did not report", counted(attempts, "attempt"));
    let landed = &summary.per_landed_phase;
    let time = &summary.time;
    let unknown_costs = summary.used.cost_unknown_attempts;
    [
        FigureCard {
            name: "Tokens",
            value: html! { (count(tokens.billed)) },
            more: html! {
                (count(tokens.known.input)) " in, " (count(tokens.known.output)) " out"
                @if let Some(cached) = tokens.known.cache_read { br; (count(Some(cached))) " from cache" }
                @if tokens.unknown_attempts > 0 { br; (silent(tokens.unknown_attempts)) }
            },
        },
        FigureCard {
            name: "Cost",
            value: html! { (money(summary.used.cost_usd)) },
            more: html! { @if unknown_costs > 0 { (silent(unknown_costs)) } },
        },
        FigureCard {
            name: "Per landing",
            value: html! { (money(landed.cost_usd)) },
            more: html! { (about(landed.tokens)) " tokens" br; "including failed attempts" },
        },
        FigureCard {
            name: "Time",
            value: html! { (millis(time.span_ms)) },
            more: html! { (millis(time.busy_ms)) " at work" },
        },
    ]
}

fn time(time: &Time) -> Markup {
    let of_attempts = [
        ("w-agent", "agent", time.agent_ms),
        ("w-ci", "CI", time.ci_ms),
        ("w-ours", "autopack", time.ours_ms),
        ("w-unknown", "unknown", time.unknown_ms),
    ];
    let of_span = [
        ("w-busy", "at work", time.busy_ms),
        ("w-late", "rate limited", time.rate_limited_ms),
        ("w-idle", "idle", time.idle_ms),
    ];
    html! {
        h3 { "Where time went" }
        div.two {
            (stacked("Attempts", time.attempts_ms, &of_attempts))
            (stacked("The run", time.span_ms, &of_span))
        }
    }
}

fn stacked(name: &str, all: u64, parts: &[(&str, &str, u64)]) -> Markup {
    let width = |ms: u64| ms as f64 / all.max(1) as f64 * 100.0;
    let mut left = 0.0;
    let mut shown = Vec::new();
    for (class, words, ms) in parts.iter().filter(|(.., ms)| *ms >= SHORTEST_MS) {
        shown.push((class, words, *ms, left));
        left += width(*ms);
    }
    html! {
        figure {
            figcaption { (name) ", " (millis(all)) }
            svg.stack viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
                @for (class, _, ms, left) in &shown {
                    rect class=(class) x=(format_args!("{left:.2}")) width=(format_args!("{:.2}", width(*ms))) height="10" {}
                }
            }
            ul.legend {
                @for (class, words, ms, _) in &shown {
                    li {
                        svg width="12" height="12" aria-hidden="true" { rect class=(class) width="12" height="12" {} }
                        (words) " " b { (millis(*ms)) } " " (percent(Some(width(*ms) / 100.0)))
                    }
                }
            }
        }
    }
}

/// Renders the landings by group.
pub fn groups(report: &RunReport) -> Markup {
    let summary = &report.summary;
    let all = [
        ("Category", &summary.by_category),
        ("Complexity", &summary.by_complexity),
        ("Agent", &summary.by_agent),
        ("Model", &summary.by_model),
    ];
    let has_names = |groups: &[Group]| groups.iter().any(|group| group.name.is_some());
    html! {
        @for (name, groups) in all {
            @if has_names(groups) { (table(name, groups)) }
        }
        @if !all.iter().any(|(_, groups)| has_names(groups)) {
            p.none { "No attempts yet." }
        }
    }
}

fn table(name: &str, groups: &[Group]) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label=(name) {
            table.groups {
                thead {
                    tr {
                        th scope="col" { (name) }
                        th scope="col" { "Landed, with its 95 % interval" }
                        @for figure in FIGURES { th.n scope="col" { (figure) } }
                    }
                }
                tbody {
                    @for group in groups {
                        tr {
                            th scope="row" { (printable(group.name.as_deref().unwrap_or(UNKNOWN))) }
                            td { (bar(&group.success)) }
                            @for figure in figures(group) { td.n { (figure) } }
                        }
                    }
                }
            }
        }
    }
}

fn figures(group: &Group) -> [String; FIGURES.len()] {
    [
        rate(&group.success),
        group.success.of.to_string(),
        rate(&group.first_try),
        group.attempts.to_string(),
        count(group.used.tokens.billed),
        money(group.used.cost_usd),
    ]
}

/// Draws a share as a bar, with its interval as a line.
fn bar(rate: &Rate) -> Markup {
    let Some(value) = rate.value else { return Markup::default() };
    let (low, high) = (rate.low.unwrap_or(value) * 100.0, rate.high.unwrap_or(value) * 100.0);
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.back width="100" height="10" {}
            rect.ok width=(format_args!("{:.1}", value * 100.0)) height="10" {}
            path.reach d=(format_args!("M{low:.1} 5H{high:.1}M{low:.1} 2V8M{high:.1} 2V8")) {}
        }
    }
}
