//! Cross-validation, group by group: errors of learned coefficients on samples not used for learning. Pure and
//! deterministic.

use std::collections::BTreeMap;

use super::calibration::Calibration;
use super::learn::{Example, learn, split};
use super::sample_figures::smape_percent;
use super::shuffle::shuffled;
use crate::phase::UnixMs;

const FOLDS: usize = 10;
const SEED: u64 = 0xc0de;

/// Mean SMAPE in percent over known outputs, without truncated attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    /// Number of samples.
    pub samples: usize,
    /// Error of the shipped coefficients.
    pub shipped: f64,
    /// Error of coefficients learned from other samples.
    pub learned: f64,
}

/// Error of the active calibration, measured on later samples: the samples used for learning would give too small an
/// error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationComparison {
    /// Number of samples.
    pub samples: usize,
    /// Error of the active calibration.
    pub active: f64,
    /// Error of coefficients learned from other samples.
    pub learned: f64,
}

/// Active calibration, with the time of activation.
#[derive(Clone, Copy, Debug)]
pub struct ActiveCalibration<'a> {
    /// The calibration.
    pub calibration: &'a Calibration,
    /// Time of activation.
    pub since: UnixMs,
}

/// Owner of samples: everyone, an agent, or an agent with a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SampleGroup {
    /// All samples.
    All,
    /// Samples of an agent.
    Agent(String),
    /// Samples of an agent with a model.
    Model(String, String),
}

/// Errors of a sample, with shipped and with learned coefficients.
pub struct SampleErrors<'a> {
    example: &'a Example,
    shipped: f64,
    learned: f64,
}

/// Learns ten times, each time without another tenth of the samples, and measures the errors on the tenth left out.
pub fn cross_validate<'a>(examples: &[&'a Example]) -> Vec<SampleErrors<'a>> {
    let order = shuffled(examples, SEED);
    let folds = FOLDS.min(order.len());
    (0..folds)
        .flat_map(|fold| {
            let (held, training) = split(&order, fold, folds);
            score(&held, &learn(&training))
        })
        .collect()
}

/// Compares with the active calibration; `None` without samples after the activation.
pub fn compare_with_active(
    scored: &[SampleErrors<'_>],
    active: &ActiveCalibration<'_>,
) -> Option<CalibrationComparison> {
    let later: Vec<&SampleErrors<'_>> =
        scored.iter().filter(|one| one.example.at > active.since).collect();
    let mean = |error: &dyn Fn(&SampleErrors<'_>) -> f64| {
        later.iter().map(|one| error(one)).sum::<f64>() / later.len() as f64
    };
    (!later.is_empty()).then(|| CalibrationComparison {
        samples: later.len(),
        active: mean(&|one| error(one.example, active.calibration)),
        learned: mean(&|one| one.learned),
    })
}

/// Returns the mean errors of these samples, with the given calibration and with the shipped coefficients.
pub fn errors_of(examples: &[&Example], learned: &Calibration) -> Errors {
    let scored = score(examples, learned);
    by_group(&scored).remove(&SampleGroup::All).unwrap_or_default()
}

fn score<'a>(held: &[&'a Example], learned: &Calibration) -> Vec<SampleErrors<'a>> {
    let shipped = Calibration::default();
    let known = held.iter().filter(|example| !example.observation.bound);
    known
        .map(|example| SampleErrors {
            example,
            shipped: error(example, &shipped),
            learned: error(example, learned),
        })
        .collect()
}

fn error(example: &Example, by: &Calibration) -> f64 {
    let (agent, model) = (example.agent.as_deref(), example.model.as_deref());
    let observation = &example.observation;
    smape_percent(by.predict(agent, model, &observation.features), observation.output)
}

/// Returns the mean errors of each group of samples.
pub fn by_group(scored: &[SampleErrors<'_>]) -> BTreeMap<SampleGroup, Errors> {
    let mut groups: BTreeMap<SampleGroup, Errors> = BTreeMap::new();
    for one in scored {
        for group in groups_of(one.example) {
            let sums = groups.entry(group).or_default();
            sums.samples += 1;
            sums.shipped += one.shipped;
            sums.learned += one.learned;
        }
    }
    for sums in groups.values_mut() {
        sums.shipped /= sums.samples as f64;
        sums.learned /= sums.samples as f64;
    }
    groups
}

fn groups_of(example: &Example) -> Vec<SampleGroup> {
    let mut all = vec![SampleGroup::All];
    if let Some(agent) = &example.agent {
        all.push(SampleGroup::Agent(agent.clone()));
        all.extend(
            example.model.as_ref().map(|model| SampleGroup::Model(agent.clone(), model.clone())),
        );
    }
    all
}
