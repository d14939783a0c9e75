//! What can be derived from a sample: how far off its estimate was. Pure, and never stored.
//!
//! The formulas are those of the Python Autopack's telemetry (hshk99/Autopack), so that figures compare:
//!
//! ```text
//! smape_percent  = 200 * |predicted - actual| / (predicted + actual)      0 (exact) to 200
//! waste_ratio    = predicted / actual                                     above 1: too much was expected
//! underestimated = actual > predicted
//! ```
//!
//! Two things differ from there: what was cut off is a lower bound, so that only `underestimated` may be known of it; and
//! the figures are always those of the two numbers beside them.

use crate::phase::Sample;

/// Symmetric mean absolute percentage error of one estimate (Armstrong 1985, as adjusted by Flores 1986): 0 to 200.
/// Two zeros agree.
pub fn smape_percent(predicted: u64, actual: u64) -> f64 {
    let sum = predicted as f64 + actual as f64;
    if sum == 0.0 { 0.0 } else { 200.0 * predicted.abs_diff(actual) as f64 / sum }
}

/// `None`: nothing was put out, and any estimate is infinitely too much.
pub fn waste_ratio(predicted: u64, actual: u64) -> Option<f64> {
    (actual > 0).then(|| predicted as f64 / actual as f64)
}

/// Both numbers, where both are known.
fn pair(sample: &Sample) -> Option<(u64, u64)> {
    sample.predicted_output_tokens.zip(sample.actual_output_tokens)
}

/// What a sample says of its estimate; nothing where a number is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub smape_percent: Option<f64>,
    pub waste_ratio: Option<f64>,
    pub underestimated: Option<bool>,
}

impl Figures {
    pub fn of(sample: &Sample) -> Self {
        let Some((predicted, actual)) = pair(sample) else { return Self::default() };
        let more = actual > predicted;
        if sample.truncated {
            // More would have come: at least this much, however much.
            return Self { underestimated: more.then_some(true), ..Self::default() };
        }
        Self {
            smape_percent: Some(smape_percent(predicted, actual)),
            waste_ratio: waste_ratio(predicted, actual),
            underestimated: Some(more),
        }
    }
}

/// Whether a sample is one to learn from: it landed, and nothing was cut off.
pub fn is_quality(sample: &Sample) -> bool {
    sample.success && !sample.truncated
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows of a real database (hshk99/Autopack), with what it says of them.
    #[test]
    fn the_figures_are_those_of_the_python_autopack() {
        for (predicted, actual, smape, waste) in [
            (7_020, 3_788, 59.807_549_962_990_4, 1.853_220_695_937_7),
            (8_970, 5_606, 46.158_068_057_080_1, 1.600_071_352_122_73),
            (7_020, 7_700, 9.239_130_434_782_61, 0.911_688_311_688_312),
        ] {
            assert!((smape_percent(predicted, actual) - smape).abs() < 1e-9);
            assert!((waste_ratio(predicted, actual).unwrap() - waste).abs() < 1e-9);
        }
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!((smape_percent(0, 0), waste_ratio(0, 0)), (0.0, None));
        assert_eq!((smape_percent(5, 0), waste_ratio(5, 0)), (200.0, None));
        assert_eq!((smape_percent(0, 5), waste_ratio(0, 5)), (200.0, Some(0.0)));
    }

    proptest! {
        #[test]
        fn smape_is_symmetric_and_stays_between_0_and_200(a: u64, b: u64) {
            let smape = smape_percent(a, b);
            prop_assert!((0.0..=200.0).contains(&smape), "{smape}");
            prop_assert_eq!(smape, smape_percent(b, a));
        }
    }
}
