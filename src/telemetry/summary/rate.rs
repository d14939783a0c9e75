//! Share of a count, with a confidence interval for small numbers.

use serde::Serialize;

/// Quantile of the normal distribution for 95 %, two-sided.
pub(super) const Z: f64 = 1.959_963_985;

/// Share `count` of `of`, unknown (not 0) when `of` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Share, from 0 to 1.
    pub value: Option<f64>,
    /// Numerator.
    pub count: u64,
    /// Denominator.
    pub of: u64,
    /// Ends of Wilson's interval at 95 %: valid for small numbers, and always within 0 to 1 (Wilson 1927,
    /// <https://doi.org/10.1080/01621459.1927.10502953>).
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

impl Rate {
    /// Computes share and interval.
    pub fn new(count: u64, of: u64) -> Self {
        if of == 0 {
            return Self { count, ..Self::default() };
        }
        let (n, p) = (of as f64, count as f64 / of as f64);
        let z2 = Z * Z / n;
        let middle = (p + z2 / 2.0) / (1.0 + z2);
        let reach = Z / (1.0 + z2) * (p * (1.0 - p) / n + z2 / (4.0 * n)).sqrt();
        let end = |at: f64| Some(at.clamp(0.0, 1.0));
        // At both ends the formula is off by a rounding error.
        Self {
            value: Some(p),
            count,
            of,
            low: if count == 0 { Some(0.0) } else { end(middle - reach) },
            high: if count == of { Some(1.0) } else { end(middle + reach) },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Compares with Newcombe 1998, table I, method 3.
    #[test]
    fn interval_matches_published_values() {
        for (count, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
        {
            let rate = Rate::new(count, of);
            assert!((rate.low.unwrap() - low).abs() < 5e-5, "{rate:?}");
            assert!((rate.high.unwrap() - high).abs() < 5e-5, "{rate:?}");
        }
        assert_eq!(Rate::new(0, 0).value, None);
    }

    proptest! {
        #[test]
        fn the_share_lies_within(of in 1..10_000_u64, share in 0.0..=1.0_f64) {
            let count = (of as f64 * share) as u64;
            let rate = Rate::new(count, of);
            let (low, value, high) = (rate.low.unwrap(), rate.value.unwrap(), rate.high.unwrap());
            prop_assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{rate:?}");
        }
    }
}
