//! Accuracy of the estimates.
//!
//! Covers attempts with a landing, a known output, and no truncation: the usage of a failed attempt says little about
//! the task, the output of a truncated attempt is only a lower bound.

use serde::Serialize;

use super::rate::Rate;
use super::spread::Spread;
use crate::telemetry::sample_figures::{smape_percent, waste_ratio};

/// Errors of the estimates over all usable samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// Number of samples covered by the figures below.
    pub samples: u64,
    /// Samples without an attempt in this database: imported from other systems, or from removed runs.
    pub imported: u64,
    /// Samples excluded, by reason.
    pub left_out: ExcludedSamples,
    /// `200 * |predicted - actual| / (predicted + actual)`: 0 is exact, 200 the worst.
    pub smape_percent: Spread,
    /// Share of samples with more output than predicted.
    pub underestimated: Rate,
    /// Predicted over actual: above 1 is too high, below 1 too low.
    pub waste_ratio: Spread,
}

/// Excluded samples, each counted under the first matching reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ExcludedSamples {
    /// The prediction or the output is unknown.
    pub unknown: u64,
    /// The attempt did not land.
    pub did_not_land: u64,
    /// The output was truncated.
    pub truncated: u64,
}

/// A prediction with the measured output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub predicted: Option<u64>,
    pub actual: Option<u64>,
    pub landed: bool,
    pub truncated: bool,
    pub imported: bool,
}

#[derive(Debug, Default)]
pub(super) struct Pairs {
    smape: Vec<f64>,
    waste: Vec<f64>,
    under: u64,
    imported: u64,
    left_out: ExcludedSamples,
}

impl Pairs {
    pub fn add(&mut self, pair: Pair) {
        let (Some(predicted), Some(actual)) = (pair.predicted, pair.actual) else {
            self.left_out.unknown += 1;
            return;
        };
        if !pair.landed {
            self.left_out.did_not_land += 1;
        } else if pair.truncated {
            self.left_out.truncated += 1;
        } else {
            self.smape.push(smape_percent(predicted, actual));
            self.waste.extend(waste_ratio(predicted, actual));
            self.under += u64::from(actual > predicted);
            self.imported += u64::from(pair.imported);
        }
    }

    pub fn accuracy(self) -> Accuracy {
        let samples = self.smape.len() as u64;
        Accuracy {
            samples,
            imported: self.imported,
            left_out: self.left_out,
            smape_percent: Spread::of(self.smape),
            underestimated: Rate::new(self.under, samples),
            waste_ratio: Spread::of(self.waste),
        }
    }
}
