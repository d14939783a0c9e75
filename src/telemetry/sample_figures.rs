//! Figures derived from a sample: the error of an estimate. Pure, and never stored.
//!
//! The formulas are those of the Python Autopack's telemetry (hshk99/Autopack), to keep figures comparable:
//!
//! ```text
//! smape_percent  = 200 * |predicted - actual| / (predicted + actual)      0 (exact) to 200
//! waste_ratio    = predicted / actual                                     above 1: the estimate was too high
//! underestimated = actual > predicted
//! ```
//!
//! Two differences: the output of a truncated attempt is a lower bound, so only `underestimated` can be known; and the
//! figures always agree with the two numbers beside them.

use crate::phase::Sample;

/// Returns the symmetric mean absolute percentage error of an estimate (Armstrong 1985, as adjusted by Flores 1986): 0
/// to 200. Two zeros give 0.
pub fn smape_percent(predicted: u64, actual: u64) -> f64 {
    let sum = predicted as f64 + actual as f64;
    if sum == 0.0 { 0.0 } else { 200.0 * predicted.abs_diff(actual) as f64 / sum }
}

/// Returns predicted over actual; `None` without any output, because the ratio is infinite.
pub fn waste_ratio(predicted: u64, actual: u64) -> Option<f64> {
    (actual > 0).then(|| predicted as f64 / actual as f64)
}

/// Returns prediction and output, when both are known.
fn pair(sample: &Sample) -> Option<(u64, u64)> {
    sample.predicted_output_tokens.zip(sample.actual_output_tokens)
}

/// Error figures of a sample; empty when a number is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EstimateFigures {
    /// Symmetric error in percent, 0 to 200.
    pub smape_percent: Option<f64>,
    /// Predicted over actual.
    pub waste_ratio: Option<f64>,
    /// Whether the output exceeded the prediction.
    pub underestimated: Option<bool>,
}

impl EstimateFigures {
    /// Computes the figures of a sample.
    pub fn of(sample: &Sample) -> Self {
        let Some((predicted, actual)) = pair(sample) else { return Self::default() };
        let more = actual > predicted;
        if sample.truncated {
            // The output was truncated: the number is a lower bound.
            return Self { underestimated: more.then_some(true), ..Self::default() };
        }
        Self {
            smape_percent: Some(smape_percent(predicted, actual)),
            waste_ratio: waste_ratio(predicted, actual),
            underestimated: Some(more),
        }
    }
}

/// Checks whether a sample is usable for learning: the attempt landed, and nothing was truncated.
pub fn is_quality(sample: &Sample) -> bool {
    sample.success && !sample.truncated
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Compares with rows of a real database (hshk99/Autopack) and the figures stored there.
    #[test]
    fn figures_match_the_python_autopack() {
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
    fn zero_tokens_give_no_ratio() {
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
