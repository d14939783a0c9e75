//! Samples of one quantity, shown as median and spread.

use std::time::{Duration, Instant};

/// Never empty; sorted.
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub fn ms(times: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(times.into_iter().map(|time| time.as_secs_f64() * 1e3))
    }

    /// The nearest rank, so that the result is a measured value.
    pub fn quantile(&self, q: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[((q * self.0.len() as f64).ceil() as usize).saturating_sub(1).min(last)]
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The middle half, for a figure whose median is shown.
    pub fn spread(&self) -> String {
        format!("{} to {}", figure(self.quantile(0.25)), figure(self.quantile(0.75)))
    }

    pub fn p50_p99(&self) -> String {
        format!("{} | {}", figure(self.median()), figure(self.quantile(0.99)))
    }
}

/// Three significant figures, with separated thousands.
pub fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => grouped(value.round() as i64),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

pub fn grouped(value: i64) -> String {
    let digits = value.abs().to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    format!("{}{}", if value < 0 { "-" } else { "" }, groups.join(","))
}

pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}
