//! How far the estimates were off.
//!
//! Over attempts that landed, said how much they put out, and were not cut short: what a try used before it failed says
//! little about the task, and a cut one says only "at least".

use serde::Serialize;

use super::rate::Rate;
use super::spread::Spread;
use crate::telemetry::sample_figures::{smape_percent, waste_ratio};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// What the figures below are of.
    pub samples: u64,
    /// Of those, how many stand for no attempt of this database: other systems', or of runs that were removed.
    pub imported: u64,
    pub left_out: LeftOut,
    /// `200 * |predicted - actual| / (predicted + actual)`: 0 is exact, 200 the worst.
    pub smape_percent: Spread,
    /// More was used than predicted.
    pub underestimated: Rate,
    /// Predicted over actual: above 1 is too much, below 1 too little.
    pub waste_ratio: Spread,
}

/// Each is counted under the first of these that holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LeftOut {
    /// The prediction or the output is not known.
    pub unknown: u64,
    pub did_not_land: u64,
    pub truncated: u64,
}

/// One measurement.
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
    left_out: LeftOut,
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
