//! Estimated against actual output: a point for each attempt with known output tokens, on logarithmic axes.

use maud::{Markup, html};

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
pub fn section(report: &RunReport) -> Markup {
    let points = points(report);
    if points.is_empty() {
        return html! { p.none { "No attempt reported its output tokens." } };
    }
    let scale = Scale::over(&points);
    html! {
        p.sub { (words(report)) }
        svg #scatter viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label="Output tokens, estimated and used" {
            (scale.grid())
            @for point in &points { (scale.draw(point)) }
        }
        (legend())
        p.readout #scatter-readout aria-live="polite" { "\u{a0}" }
    }
}

fn legend() -> Markup {
    let shapes = [
        (html! { circle.ok cx="8" cy="8" r="4" {} }, "landed"),
        (html! { path.xbad d="M4 4l8 8M12 4l-8 8" {} }, "did not land"),
        (html! { path.cutoff d="M8 3l5 9h-10z" {} }, "truncated, a lower bound"),
    ];
    html! {
        ul.legend {
            @for (shape, words) in shapes {
                li { svg width="16" height="16" aria-hidden="true" { (shape) } (words) }
            }
            li { "dashed: twice and half the estimate" }
        }
    }
}

fn words(report: &RunReport) -> String {
    let estimate = &report.summary.estimate;
    let n = estimate.samples;
    if n == 0 {
        return "No landed attempt can be compared with its estimate.".to_owned();
    }
    let smape = figure(&estimate.smape_percent.mean, n, 0);
    let waste = &estimate.waste_ratio;
    format!(
        "Output tokens. Of {} that landed: SMAPE {smape} %, too low for {} %, waste ratio p50 {}, p90 {}.",
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

    fn grid(&self) -> Markup {
        // With few powers of ten, there is room for all labels.
        let all_named = self.high / self.low <= 1e3;
        html! {
            @for value in lines().filter(|line| (self.low..=self.high).contains(line)) {
                @let (x, y) = (self.x(value), self.y(value));
                @let is_power = value.log10().fract() == 0.0;
                path class=(if is_power { "grid" } else { "fine" })
                    d=(format_args!("M{x:.1} {TOP}V{BOTTOM}M{LEFT} {y:.1}H{RIGHT}")) {}
                @if is_power || all_named {
                    text x=(format_args!("{x:.1}")) y="275" text-anchor="middle" { (tokens(value)) }
                    text x="36" y=(format_args!("{:.1}", y + 3.5)) text-anchor="end" { (tokens(value)) }
                }
            }
            path.same d=(self.line(1.0)) {}
            path.twice d=(self.line(2.0)) {}
            path.twice d=(self.line(0.5)) {}
            text.name x=(RIGHT) y="292" text-anchor="end" { "estimated →" }
            text.name x="46" y="20" { "used ↑" }
        }
    }

    /// Returns the line of a constant ratio of actual to estimated tokens.
    fn line(&self, times: f64) -> String {
        let (low, high) = (self.low, self.high);
        let (from, to) = (low.max(low / times), high.min(high / times));
        let (x, y) = (self.x(from), self.y(from * times));
        format!("M{x:.1} {y:.1}L{:.1} {:.1}", self.x(to), self.y(to * times))
    }

    fn draw(&self, point: &ScatterPoint<'_>) -> Markup {
        let (x, y) = (self.x(point.predicted as f64), self.y(point.actual as f64));
        let title = |words: &str| {
            html! {
                title {
                    (point.story.id) " #" (point.attempt.row.attempt) " " (words) ": "
                    (point.predicted) " estimated, " (point.actual) " used"
                }
            }
        };
        html! {
            @if point.attempt.row.usage.truncated {
                path.cutoff data-p=(point.phase) d=(format_args!("M{x:.1} {:.1}l3 5.4h-6z", y - 3.2)) {
                    (title("truncated"))
                }
            } @else if point.attempt.passed() {
                circle.ok data-p=(point.phase) cx=(format_args!("{x:.1}")) cy=(format_args!("{y:.1}")) r="2.6" {
                    (title("landed"))
                }
            } @else {
                path.xbad data-p=(point.phase) d=(format_args!("M{:.1} {:.1}l5 5m0-5l-5 5", x - 2.5, y - 2.5)) {
                    (title("did not land"))
                }
            }
        }
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
