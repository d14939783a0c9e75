//! Distribution of values: mean and quantiles, each with a confidence interval for small numbers.

use serde::Serialize;

use super::rate::Z;

/// A figure with a 95 % confidence interval; the ends are unknown for too few values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// The figure; unknown without values.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

/// Distribution of `n` values; all figures are unknown for `n` = 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Number of values.
    pub n: u64,
    /// Mean.
    pub mean: Figure,
    /// Median.
    pub p50: Figure,
    /// 90th percentile.
    pub p90: Figure,
}

impl Spread {
    /// Computes mean and quantiles.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        Self {
            n: values.len() as u64,
            mean: mean(&values),
            p50: quantile(&values, 0.5),
            p90: quantile(&values, 0.9),
        }
    }
}

/// Returns the mean with Student's interval, limited to the range of the values.
fn mean(sorted: &[f64]) -> Figure {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return Figure::default();
    };
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    if sorted.len() < 2 {
        return Figure { value: Some(mean), low: None, high: None };
    }
    let variance = sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let reach = student(sorted.len() - 1) * (variance / n).sqrt();
    let end = |at: f64| Some(at.clamp(*first, *last));
    Figure { value: Some(mean), low: end(mean - reach), high: end(mean + reach) }
}

/// Returns Student's quantile for 95 %, two-sided, by the expansion of Cornish and Fisher (Abramowitz and Stegun
/// 26.7.5). Within 0.1 % of the tables from six degrees of freedom on; the first five come from the tables.
fn student(degrees: usize) -> f64 {
    let v = degrees as f64;
    let z = Z;
    match degrees {
        0 | 1 => 12.706,
        2 => 4.303,
        3 => 3.182,
        4 => 2.776,
        5 => 2.571,
        _ => {
            z + (z.powi(3) + z) / (4.0 * v)
                + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v)
                + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z)
                    / (384.0 * v.powi(3))
        }
    }
}

/// Returns a quantile by linear interpolation between the two nearest values. Both ends of the interval are values too:
/// they enclose the quantile with 95 % probability under any distribution (binomial order statistics).
fn quantile(sorted: &[f64], q: f64) -> Figure {
    if sorted.is_empty() {
        return Figure::default();
    }
    let at = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    let value = below + (above - below) * at.fract();
    let (low, high) = ranks(sorted.len(), q);
    // A rank beyond the values: too few values for this end.
    let end = |rank: Option<usize>| rank.and_then(|rank| sorted.get(rank)).copied();
    Figure { value: Some(value), low: end(low), high: end(high) }
}

/// Returns the ranks, from 0, of the values enclosing the quantile, with 2.5 % left on either side. `None` for a rank
/// without a value.
fn ranks(n: usize, q: f64) -> (Option<usize>, Option<usize>) {
    const TAIL: f64 = 0.025;
    // The number of values below the quantile is binomial.
    let mut term = (n as f64 * (1.0 - q).ln()).exp();
    if term < f64::MIN_POSITIVE {
        return ranks_of_many(n, q);
    }
    let (mut sum, mut low, mut high) = (0.0, None, None);
    for k in 0..=n {
        sum += term;
        if sum <= TAIL {
            low = Some(k);
        }
        if high.is_none() && sum >= 1.0 - TAIL {
            high = Some(k);
        }
        term *= (n - k) as f64 / (k + 1) as f64 * q / (1.0 - q);
    }
    (low, high.filter(|rank| *rank < n))
}

/// Returns ranks by the normal approximation, for binomial terms too small for a floating-point number.
fn ranks_of_many(n: usize, q: f64) -> (Option<usize>, Option<usize>) {
    let (middle, reach) = (n as f64 * q, Z * (n as f64 * q * (1.0 - q)).sqrt());
    let low = (middle - reach).floor() as usize;
    let high = (middle + reach).ceil() as usize;
    (low.checked_sub(1), Some(high).filter(|rank| *rank < n))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(values: &[f64]) -> Spread {
        Spread::of(values.to_vec())
    }

    #[test]
    fn no_value_is_unknown_and_one_value_has_no_interval() {
        assert_eq!(spread(&[]), Spread::default());
        let one = Figure { value: Some(3.0), low: None, high: None };
        assert_eq!(spread(&[3.0, f64::NAN]), Spread { n: 1, mean: one, p50: one, p90: one });
    }

    /// Compares with the tables: the median of 10 lies between the 2nd and the 9th value, of 100 between the 40th and
    /// the 61st.
    #[test]
    fn quantile_intervals_match_published_tables() {
        let ends = |n: u32| {
            let figure = Spread::of((1..=n).map(f64::from).collect()).p50;
            (figure.low, figure.high)
        };
        assert_eq!(ends(10), (Some(2.0), Some(9.0)));
        assert_eq!(ends(100), (Some(40.0), Some(61.0)));
        assert_eq!(ends(5), (None, None));
    }

    #[test]
    fn students_quantile_matches_the_table() {
        for (degrees, value) in [(1, 12.706), (6, 2.447), (10, 2.228), (30, 2.042), (1000, 1.962)] {
            assert!(
                (student(degrees) / value - 1.0).abs() < 0.001,
                "{degrees}: {}",
                student(degrees)
            );
        }
    }

    proptest! {
        #[test]
        fn a_figure_lies_within_its_interval(values in prop::collection::vec(0.0..1e9_f64, 0..3000)) {
            let spread = Spread::of(values);
            for figure in [spread.mean, spread.p50, spread.p90] {
                let Some(value) = figure.value else { continue };
                prop_assert!(figure.low.is_none_or(|low| low <= value + 1e-6), "{figure:?}");
                prop_assert!(figure.high.is_none_or(|high| high >= value - 1e-6), "{figure:?}");
            }
        }
    }
}
