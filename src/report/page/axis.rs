//! Time axis of 100 %. Long idle periods are shortened to leave room for attempts.

/// Minimum length of a shortened idle period, in milliseconds. The period must also exceed a part of the busy
/// time.
const LEAST_CUT: i64 = 60_000;
const PART_OF_WORK: i64 = 25;
/// Maximum number of shortened periods, longest first.
const MOST_CUTS: usize = 12;
/// Width of a shortened period, in percent of the axis.
const CUT_WIDTH: f64 = 2.5;
/// Minimum distance of two labels, in percent of the visible part: on a phone, of 300 pixels.
const LABEL_WIDTH: f64 = 11.0;
/// Minimum distance of labels with seconds.
const LONG_LABEL_WIDTH: f64 = 19.0;
const MOST_TICKS: usize = 800;

/// Round label distances, in seconds.
const STEPS: [i64; 14] =
    [1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800];

/// Zoom levels that add labels.
pub const ZOOMS: [u32; 4] = [1, 4, 16, 64];

/// A segment of the axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisSegment {
    /// Start in milliseconds.
    pub from: i64,
    /// End in milliseconds.
    pub to: i64,
    /// Left edge in percent.
    pub left: f64,
    /// Right edge in percent.
    pub right: f64,
    /// Whether the segment is a shortened idle period.
    pub cut: bool,
}

/// The time axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Segments in order.
    pub pieces: Vec<AxisSegment>,
}

/// A label on the axis.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisTick {
    /// Position in percent.
    pub x: f64,
    /// Text.
    pub label: String,
    /// Smallest zoom level that shows the label.
    pub zoom: u32,
}

impl Axis {
    /// Builds the axis over all intervals, each from and to in milliseconds. Returns `None` without
    /// intervals.
    pub fn over(mut intervals: Vec<(i64, i64)>) -> Option<Self> {
        intervals.sort_unstable();
        let (first, _) = *intervals.first()?;
        let mut end = first;
        let (mut work, mut gaps) = (0, Vec::new());
        for (from, to) in intervals {
            if from > end {
                gaps.push((end, from));
            }
            work += (to - from.max(end)).max(0);
            end = end.max(to);
        }
        let cuts = longest(gaps, LEAST_CUT.max(work / PART_OF_WORK));
        Some(Self { pieces: pieces(first, end.max(first + 1), &cuts) })
    }

    /// Returns the position of a point in time, in percent.
    pub fn x(&self, at: i64) -> f64 {
        let index = self.pieces.partition_point(|piece| piece.to < at);
        let Some(piece) = self.pieces.get(index) else { return 100.0 };
        let share = (at - piece.from).max(0) as f64 / (piece.to - piece.from) as f64;
        piece.left + share * (piece.right - piece.left)
    }

    /// Returns the labels in order.
    pub fn ticks(&self) -> Vec<AxisTick> {
        let mut ticks: Vec<AxisTick> = Vec::new();
        for zoom in ZOOMS {
            let Some(step) = self.step(zoom) else { continue };
            for tick in self.every(step) {
                let near = |other: &&AxisTick| {
                    (other.x - tick.0).abs() < label_width(step) / f64::from(zoom)
                };
                if ticks.len() < MOST_TICKS && !ticks.iter().any(|other| near(&other)) {
                    ticks.push(AxisTick { x: tick.0, label: label(tick.1, step), zoom });
                }
            }
        }
        ticks.sort_by(|a, b| a.x.total_cmp(&b.x));
        ticks
    }

    /// Returns the smallest label distance without overlap, in milliseconds.
    fn step(&self, zoom: u32) -> Option<i64> {
        let piece = self.pieces.iter().find(|piece| !piece.cut)?;
        let scale = (piece.right - piece.left) / (piece.to - piece.from) as f64;
        let fits =
            |step: &i64| *step as f64 * 1e3 * scale * f64::from(zoom) >= label_width(*step * 1_000);
        STEPS.into_iter().find(fits).map(|step| step * 1_000)
    }

    fn every(&self, step: i64) -> Vec<(f64, i64)> {
        let pieces = self.pieces.iter().filter(|piece| !piece.cut);
        pieces
            .flat_map(|piece| {
                let first =
                    piece.from.div_euclid(step) + i64::from(piece.from.rem_euclid(step) > 0);
                let last = piece.to.div_euclid(step);
                (first..=last).take(MOST_TICKS).map(move |n| n * step)
            })
            .map(|at| (self.x(at), at))
            .collect()
    }
}

fn longest(mut gaps: Vec<(i64, i64)>, least: i64) -> Vec<(i64, i64)> {
    gaps.retain(|(from, to)| to - from > least);
    gaps.sort_by_key(|(from, to)| std::cmp::Reverse(to - from));
    gaps.truncate(MOST_CUTS);
    gaps.sort_unstable();
    gaps
}

fn pieces(first: i64, end: i64, cuts: &[(i64, i64)]) -> Vec<AxisSegment> {
    let hidden: i64 = cuts.iter().map(|(from, to)| to - from).sum();
    let scale = (100.0 - CUT_WIDTH * cuts.len() as f64) / (end - first - hidden).max(1) as f64;
    let (mut at, mut left, mut pieces) = (first, 0.0, Vec::new());
    let mut push = |from: i64, to: i64, width: f64, cut: bool| {
        if to > from {
            pieces.push(AxisSegment { from, to, left, right: left + width, cut });
            left += width;
        }
    };
    for (from, to) in cuts {
        push(at, *from, (from - at) as f64 * scale, false);
        push(*from, *to, CUT_WIDTH, true);
        at = *to;
    }
    push(at, end, (end - at) as f64 * scale, false);
    pieces
}

fn label_width(step: i64) -> f64 {
    if step < 60_000 { LONG_LABEL_WIDTH } else { LABEL_WIDTH }
}

/// Formats a label in UTC.
fn label(at: i64, step: i64) -> String {
    let form = match step {
        ..60_000 => "%H:%M:%S",
        60_000..86_400_000 => "%H:%M",
        _ => "%m-%d",
    };
    jiff::Timestamp::from_millisecond(at)
        .map_or_else(|_| String::new(), |time| time.strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn idle_night_is_shortened() {
        let axis = Axis::over(vec![(0, 10 * MINUTE), (600 * MINUTE, 610 * MINUTE)]).unwrap();
        let cuts: Vec<bool> = axis.pieces.iter().map(|piece| piece.cut).collect();
        assert_eq!(cuts, [false, true, false]);
        assert!((axis.x(10 * MINUTE) - 48.75).abs() < 1e-9);
        assert!((axis.x(600 * MINUTE) - 51.25).abs() < 1e-9);
        assert!((axis.x(610 * MINUTE) - 100.0).abs() < 1e-9);
        assert!(Axis::over(Vec::new()).is_none());
    }

    #[test]
    fn labels_are_round_times() {
        let axis = Axis::over(vec![(0, 60 * MINUTE)]).unwrap();
        let shown: Vec<String> =
            axis.ticks().into_iter().filter(|tick| tick.zoom == 1).map(|tick| tick.label).collect();
        assert_eq!(shown, ["00:00", "00:15", "00:30", "00:45", "01:00"]);
        assert!(axis.ticks().len() > 20);
    }

    proptest! {
        #[test]
        fn later_is_never_to_the_left(
            intervals in prop::collection::vec((0..1_000_000_000_i64, 0..10_000_000_i64), 1..40),
            a in 0..1_000_000_000_i64, b in 0..1_000_000_000_i64,
        ) {
            let axis = Axis::over(intervals.into_iter().map(|(from, n)| (from, from + n)).collect()).unwrap();
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(axis.x(a) <= axis.x(b) + 1e-9);
            prop_assert!((0.0..=100.0 + 1e-6).contains(&axis.x(a)));
            prop_assert!((axis.pieces.last().unwrap().right - 100.0).abs() < 1e-6);
        }
    }
}
