//! Estimated against actual output: a point for each attempt with known output tokens, on logarithmic axes.

use std::fmt::Write as _;

use crate::report::escape::Html;
use crate::report::figure_words::{counted, figure, rate};
use crate::report::story::{AttemptStory, PhaseStory, RunReport};

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 342.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 262.0;

struct ScatterPoint<'a> {
    phase: usize,
    story: &'a PhaseStory,
    attempt: &'a AttemptStory,
    predicted: u64,
    actual: u64,
}

/// Range of both axes, so that the diagonal means "as estimated". Both ends are grid lines: 1, 2 and 5 times
/// a power of ten.
struct Scale {
    low: f64,
    high: f64,
}

/// Renders the scatter plot with its figures.
pub fn section(report: &RunReport) -> String {
    let points = points(report);
    if points.is_empty() {
        return "<p class=none>No attempt reported its output tokens.</p>".to_owned();
    }
    let scale = Scale::over(&points);
    let mut drawn = String::new();
    scale.grid(&mut drawn);
    for point in &points {
        scale.draw(&mut drawn, point);
    }
    format!(
        "{}<svg id=scatter viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"Output tokens, estimated and used\">\
         {drawn}</svg><ul class=legend>{LEGEND}</ul><p class=readout id=scatter-readout aria-live=polite>&nbsp;</p>",
        words(report)
    )
}

const LEGEND: &str = "\
<li><svg width=16 height=16 aria-hidden=true><circle class=ok cx=8 cy=8 r=4 /></svg>landed\
<li><svg width=16 height=16 aria-hidden=true><path class=xbad d=\"M4 4l8 8M12 4l-8 8\"/></svg>did not land\
<li><svg width=16 height=16 aria-hidden=true><path class=cutoff d=\"M8 3l5 9h-10z\"/></svg>truncated, a lower bound\
<li>dashed: twice and half the estimate";

fn words(report: &RunReport) -> String {
    let estimate = &report.summary.estimate;
    let n = estimate.samples;
    if n == 0 {
        return "<p class=sub>No landed attempt can be compared with its estimate.</p>".to_owned();
    }
    let smape = figure(&estimate.smape_percent.mean, n, 0);
    let waste = &estimate.waste_ratio;
    format!(
        "<p class=sub>Output tokens. Of {} that landed: SMAPE {smape} %, too low for {} %, waste ratio p50 {}, p90 {}.</p>",
        counted(n, "attempt"),
        rate(&estimate.underestimated),
        figure(&waste.p50, n, 2),
        figure(&waste.p90, n, 2),
    )
}

fn points(report: &RunReport) -> Vec<ScatterPoint<'_>> {
    let mut points = Vec::new();
    for (phase, story) in report.phases.iter().enumerate() {
        for attempt in &story.attempts {
            let row = &attempt.row;
            if let (Some(predicted @ 1..), Some(actual @ 1..)) =
                (row.estimated_output, row.usage.tokens.output)
            {
                points.push(ScatterPoint { phase, story, attempt, predicted, actual });
            }
        }
    }
    points
}

impl Scale {
    /// Returns the range around all points.
    fn over(points: &[ScatterPoint<'_>]) -> Self {
        let all = || points.iter().flat_map(|point| [point.predicted, point.actual]);
        let (least, most) = (all().min().unwrap_or(1) as f64, all().max().unwrap_or(1) as f64);
        let low = lines().filter(|line| *line < least).last().unwrap_or(1.0);
        let high = lines().find(|line| *line > most).unwrap_or(most * 2.0);
        Self { low, high }
    }

    fn share(&self, value: f64) -> f64 {
        (value.max(1.0) / self.low).log10() / (self.high / self.low).log10()
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.share(value) * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - self.share(value) * (BOTTOM - TOP)
    }

    fn grid(&self, out: &mut String) {
        // With few powers of ten, there is room for all labels.
        let all_named = self.high / self.low <= 1e3;
        for value in lines().filter(|line| (self.low..=self.high).contains(line)) {
            let (x, y) = (self.x(value), self.y(value));
            let is_power = value.log10().fract() == 0.0;
            let class = if is_power { "grid" } else { "fine" };
            let _ = write!(
                out,
                "<path class={class} d=\"M{x:.1} {TOP}V{BOTTOM}M{LEFT} {y:.1}H{RIGHT}\"/>"
            );
            if is_power || all_named {
                let words = tokens(value);
                let _ = write!(
                    out,
                    "<text x={x:.1} y=275 text-anchor=middle>{words}</text>\
                     <text x=36 y={:.1} text-anchor=end>{words}</text>",
                    y + 3.5
                );
            }
        }
        self.line(out, 1.0, "same");
        self.line(out, 2.0, "twice");
        self.line(out, 0.5, "twice");
        let _ = write!(
            out,
            "<text class=name x={RIGHT} y=292 text-anchor=end>estimated →</text>\
             <text class=name x=46 y=20>used ↑</text>"
        );
    }

    /// Draws the line of a constant ratio of actual to estimated tokens.
    fn line(&self, out: &mut String, times: f64, class: &str) {
        let (low, high) = (self.low, self.high);
        let (from, to) = (low.max(low / times), high.min(high / times));
        let _ = write!(
            out,
            "<path class={class} d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
            self.x(from),
            self.y(from * times),
            self.x(to),
            self.y(to * times)
        );
    }

    fn draw(&self, out: &mut String, point: &ScatterPoint<'_>) {
        let (x, y) = (self.x(point.predicted as f64), self.y(point.actual as f64));
        let phase = point.phase;
        let (words, shape) = if point.attempt.row.usage.truncated {
            let d = format!("M{x:.1} {:.1}l3 5.4h-6z", y - 3.2);
            ("truncated", format!("path class=cutoff data-p={phase} d=\"{d}\""))
        } else if point.attempt.passed() {
            ("landed", format!("circle class=ok data-p={phase} cx={x:.1} cy={y:.1} r=2.6"))
        } else {
            let d = format!("M{:.1} {:.1}l5 5m0-5l-5 5", x - 2.5, y - 2.5);
            ("did not land", format!("path class=xbad data-p={phase} d=\"{d}\""))
        };
        let element = shape.split(' ').next().unwrap_or_default();
        let _ = write!(
            out,
            "<{shape}><title>{} #{} {words}: {} estimated, {} used</title></{element}>",
            Html(&point.story.id),
            point.attempt.row.attempt,
            point.predicted,
            point.actual
        );
    }
}

/// Returns 1, 2, 5, 10, and so on, beyond any token count.
fn lines() -> impl Iterator<Item = f64> {
    (0..16).flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)))
}

/// Formats a token count: `500`, `20k`, `1M`.
fn tokens(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", v / 1e6),
        v if v >= 1e3 => format!("{}k", v / 1e3),
        v => format!("{v}"),
    }
}
