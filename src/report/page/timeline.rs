//! Timeline of attempts, with a lane for each slot. Color and shape of a bar show the outcome.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::axis::{Axis, AxisSegment};
use super::time;
use crate::phase::{AttemptOutcome, PhaseState, UnixMs};
use crate::report::escape::Html;
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
pub fn section(report: &RunReport) -> String {
    let bars = bars(report);
    let Some(axis) = Axis::over(bars.iter().map(|bar| (bar.from, bar.to)).collect()) else {
        return "<p class=none>No attempts yet.</p>".to_owned();
    };
    let lanes = lanes(&bars);
    let height = TOP + LANE * u32::try_from(lanes.len()).unwrap_or(u32::MAX / LANE - 1);
    let mut drawn = String::new();
    ground(&mut drawn, &axis, height);
    for bar in &bars {
        draw(&mut drawn, &axis, bar, lanes.get(lane_name(bar.attempt)).copied().unwrap_or(TOP));
    }
    let mut in_order: Vec<(&u32, &&str)> = lanes.iter().map(|(name, at)| (at, name)).collect();
    in_order.sort();
    let names: String = in_order.iter().map(|(_, name)| format!("<li>{}", Html(name))).collect();
    let (first, last) = (axis.pieces[0].from, axis.pieces[axis.pieces.len() - 1].to);
    format!(
        "<p class=sub>From {} to {}. Times on the axis are UTC. Gray areas are idle periods, \
              shortened.</p>{}<div class=lanes><ol class=names aria-hidden=true>{names}</ol>\
         <div class=scroll tabindex=0 role=region aria-label=\"Timeline, scrolls sideways\" id=scroll>\
         <svg id=timeline class=z1 width=\"100%\" height={height} role=img aria-label=\"Attempts by slot over time\">\
         {drawn}</svg></div></div><p class=readout id=timeline-readout aria-live=polite>&nbsp;</p>",
        time(UnixMs(first)),
        time(UnixMs(last)),
        legend(),
    )
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

fn ground(out: &mut String, axis: &Axis, height: u32) {
    for AxisSegment { left, right, from, to, .. } in axis.pieces.iter().filter(|piece| piece.cut) {
        let length = millis(u64::try_from(to - from).unwrap_or(0));
        let width = right - left;
        let _ = write!(
            out,
            "<rect class=cut x=\"{left:.2}%\" y={TOP} width=\"{width:.2}%\" height={}><title>idle for {length}\
             </title></rect>",
            height - TOP
        );
    }
    for tick in axis.ticks() {
        let (x, zoom) = (tick.x, tick.zoom);
        // The last label would be outside of the picture.
        let anchor = if x > 95.0 { " text-anchor=end" } else { "" };
        let _ = write!(
            out,
            "<g class=t{zoom}><line x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=14 y2={height} /><text x=\"{x:.2}%\" y=11{anchor}>{}\
             </text></g>",
            tick.label
        );
    }
}

fn draw(out: &mut String, axis: &Axis, bar: &AttemptBar<'_>, top: u32) {
    let (left, right) = (axis.x(bar.from), axis.x(bar.to));
    let shape = Shape::of(bar.attempt);
    let (y, height) = (top + shape.y, shape.height);
    let _ = write!(
        out,
        "<rect class={} data-p={} x=\"{left:.3}%\" y={y} width=\"{:.3}%\" height={height}><title>{} #{} {}, {}</title>\
         </rect>",
        shape.class,
        bar.phase,
        (right - left).max(0.02),
        Html(&bar.story.id),
        bar.attempt.row.attempt,
        shape.words,
        millis(u64::try_from(bar.to - bar.from).unwrap_or(0)),
    );
    let last = bar.story.attempts.last().is_some_and(|last| std::ptr::eq(last, bar.attempt));
    if last && bar.story.state == PhaseState::Failed {
        let _ = write!(out, "<text class=gone x=\"{right:.3}%\" y={}>✕</text>", top + 10);
    }
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
            Some(AttemptOutcome::Landed) => ("ok", "landed", 4, 20),
            Some(AttemptOutcome::NoChangeNeeded) => ("done", "needed no change", 5, 18),
            Some(AttemptOutcome::Failed) => ("bad", "failed", 14, 10),
            Some(AttemptOutcome::RateLimited) => ("late", "was rate limited", 12, 4),
            Some(AttemptOutcome::BaseMoved) => ("moved", "conflicted with another landing", 12, 4),
            Some(AttemptOutcome::Interrupted) => ("cutoff", "was interrupted", 4, 8),
            Some(AttemptOutcome::Crashed) => ("cutoff", "crashed", 4, 8),
            Some(AttemptOutcome::Systemic) => ("cutoff", "ended with a systemic failure", 4, 8),
            None => ("now", "is running", 5, 18),
        };
        Self { class, words, y, height }
    }
}

fn legend() -> String {
    let shapes = [
        ("ok", "landed", 2, 12),
        ("done", "no change needed", 3, 10),
        ("bad", "failed", 8, 6),
        ("cutoff", "interrupted, crashed", 2, 5),
        ("late", "rate limited", 6, 3),
        ("moved", "base moved", 6, 3),
        ("now", "running", 3, 10),
    ];
    let mut out = "<ul class=legend>".to_owned();
    for (class, words, y, height) in shapes {
        let _ = write!(
            out,
            "<li><svg width=18 height=16 aria-hidden=true><rect class={class} x=1 y={y} width=16 height={height} /></svg>\
             {words}"
        );
    }
    out + "<li><span class=gone aria-hidden=true>✕</span> the phase failed</ul>"
}
