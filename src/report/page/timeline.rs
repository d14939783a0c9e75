//! Timeline of attempts, with a lane for each slot. Color and shape of a bar show the outcome.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::axis::{Axis, AxisSegment};
use super::time;
use crate::phase::{AttemptOutcome, PhaseState, UnixMs};
use crate::report::figure_words::millis;
use crate::report::story::{AttemptStory, PhaseStory, RunReport};

/// Heights in pixels; widths are in percent, so zooming only stretches the picture.
const TOP: u32 = 20;
const LANE: u32 = 30;

/// An attempt in its lane.
struct AttemptBar<'a> {
    phase: usize,
    story: &'a PhaseStory,
    attempt: &'a AttemptStory,
    from: i64,
    to: i64,
}

/// Renders the timeline.
pub fn section(report: &RunReport) -> Markup {
    let bars = bars(report);
    let Some(axis) = Axis::over(bars.iter().map(|bar| (bar.from, bar.to)).collect()) else {
        return html! { p.none { "No attempts yet." } };
    };
    let lanes = lanes(&bars);
    let height = TOP + LANE * u32::try_from(lanes.len()).unwrap_or(u32::MAX / LANE - 1);
    let top = |bar: &AttemptBar| lanes.get(lane_name(bar.attempt)).copied().unwrap_or(TOP);
    let mut in_order: Vec<(&u32, &&str)> = lanes.iter().map(|(name, at)| (at, name)).collect();
    in_order.sort();
    let (first, last) = (axis.pieces[0].from, axis.pieces[axis.pieces.len() - 1].to);
    html! {
        p.sub {
            "From " (time(UnixMs(first))) " to " (time(UnixMs(last)))
            ". Times on the axis are UTC. Gray areas are idle periods, shortened."
        }
        (legend())
        div.lanes {
            ol.names aria-hidden="true" { @for (_, name) in in_order { li { (name) } } }
            div.scroll #scroll tabindex="0" role="region" aria-label="Timeline, scrolls sideways" {
                svg.z1 #timeline width="100%" height=(height) role="img" aria-label="Attempts by slot over time" {
                    (ground(&axis, height))
                    @for bar in &bars { (draw(&axis, bar, top(bar))) }
                }
            }
        }
        p.readout #timeline-readout aria-live="polite" { "\u{a0}" }
    }
}

fn bars(report: &RunReport) -> Vec<AttemptBar<'_>> {
    let mut bars = Vec::new();
    for (phase, story) in report.phases.iter().enumerate() {
        for attempt in &story.attempts {
            let from = attempt.row.started_at.0;
            let to = attempt.row.ended_at.unwrap_or(report.created_at).0.max(from);
            bars.push(AttemptBar { phase, story, attempt, from, to });
        }
    }
    bars
}

fn lane_name(attempt: &AttemptStory) -> &str {
    attempt.row.slot.as_deref().unwrap_or("none")
}

/// Returns the vertical position of each lane by name, with numbers sorted by value.
fn lanes<'a>(bars: &[AttemptBar<'a>]) -> BTreeMap<&'a str, u32> {
    let mut names: Vec<&str> = bars.iter().map(|bar| lane_name(bar.attempt)).collect();
    names.sort_by_key(|name| (name.parse::<u32>().unwrap_or(u32::MAX), *name));
    names.dedup();
    names.into_iter().zip((TOP..).step_by(LANE as usize)).collect()
}

fn ground(axis: &Axis, height: u32) -> Markup {
    html! {
        @for AxisSegment { left, right, from, to, .. } in axis.pieces.iter().filter(|piece| piece.cut) {
            rect.cut x=(percent(*left, 2)) y=(TOP) width=(percent(right - left, 2)) height=(height - TOP) {
                title { "idle for " (millis(u64::try_from(to - from).unwrap_or(0))) }
            }
        }
        @for tick in axis.ticks() {
            @let x = percent(tick.x, 2);
            // The last label would be outside of the picture.
            @let anchor = (tick.x > 95.0).then_some("end");
            g class={ "t" (tick.zoom) } {
                line x1=(x) x2=(x) y1="14" y2=(height) {}
                text x=(x) y="11" text-anchor=[anchor] { (tick.label) }
            }
        }
    }
}

fn draw(axis: &Axis, bar: &AttemptBar<'_>, top: u32) -> Markup {
    let (left, right) = (axis.x(bar.from), axis.x(bar.to));
    let shape = Shape::of(bar.attempt);
    let width = percent((right - left).max(0.02), 3);
    let length = millis(u64::try_from(bar.to - bar.from).unwrap_or(0));
    let is_last = bar.story.attempts.last().is_some_and(|last| std::ptr::eq(last, bar.attempt));
    html! {
        rect class=(shape.class) data-p=(bar.phase) x=(percent(left, 3)) y=(top + shape.y) width=(width) height=(shape.height) {
            title { (bar.story.id) " #" (bar.attempt.row.attempt) " " (shape.words) ", " (length) }
        }
        @if is_last && bar.story.state == PhaseState::Failed {
            text.gone x=(percent(right, 3)) y=(top + 10) { "✕" }
        }
    }
}

/// Formats a position or width of the picture.
fn percent(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}%")
}

struct Shape {
    class: &'static str,
    words: &'static str,
    y: u32,
    height: u32,
}

impl Shape {
    fn of(attempt: &AttemptStory) -> Self {
        let (class, words, y, height) = match attempt.row.outcome {
            Some(_) if attempt.row.reverted_by.is_some() => {
                ("cutoff", "landed and was undone", 4, 20)
            }
            Some(AttemptOutcome::Landed) => ("ok", "landed", 4, 20),
            Some(AttemptOutcome::NoChangeNeeded) => ("done", "needed no change", 5, 18),
            Some(AttemptOutcome::Failed) => ("bad", "failed", 14, 10),
            Some(AttemptOutcome::RateLimited) => ("late", "was rate limited", 12, 4),
            Some(AttemptOutcome::BaseMoved) => ("moved", "conflicted with another landing", 12, 4),
            Some(AttemptOutcome::Interrupted) => ("cutoff", "was interrupted", 4, 8),
            Some(AttemptOutcome::Crashed) => ("cutoff", "crashed", 4, 8),
            Some(AttemptOutcome::ScopeProposed) => ("done", "proposed a scope", 5, 18),
            Some(AttemptOutcome::ScopeGranted) => ("moved", "needed a wider scope", 12, 4),
            Some(AttemptOutcome::Systemic) => ("cutoff", "ended with a systemic failure", 4, 8),
            None => ("now", "is running", 5, 18),
        };
        Self { class, words, y, height }
    }
}

fn legend() -> Markup {
    let shapes = [
        ("ok", "landed", 2, 12),
        ("done", "no change needed", 3, 10),
        ("bad", "failed", 8, 6),
        ("cutoff", "interrupted, crashed", 2, 5),
        ("late", "rate limited", 6, 3),
        ("moved", "base moved", 6, 3),
        ("now", "running", 3, 10),
    ];
    html! {
        ul.legend {
            @for (class, words, y, height) in shapes {
                li {
                    svg width="18" height="16" aria-hidden="true" {
                        rect class=(class) x="1" y=(y) width="16" height=(height) {}
                    }
                    (words)
                }
            }
            li { span.gone aria-hidden="true" { "✕" } " the phase failed" }
        }
    }
}
