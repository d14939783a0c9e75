//! Learning from samples: for all attempts, then per agent, then per agent and model, each level starting from the
//! parent's coefficients. Pure, total, and deterministic.
//!
//! Each level compares three choices on held-out samples: keep the parent's coefficients, change only `scale`, or
//! change all coefficients. A more complex choice has to be better by more than chance explains. A handful of samples
//! therefore changes nothing, some change the scale, and many change the terms.

use std::collections::BTreeMap;

use super::calibration::{Calibration, Group};
use super::coefficients::{COUNT, Coefficients, SCALE, spread};
use super::estimate::predict;
use super::features::Features;
use super::fit::{Observation, fit};
use super::sample_figures::smape_percent;
use super::shuffle::shuffled;
use crate::phase::{Sample, UnixMs};

/// Minimum number of samples with a known output per group.
pub const LEAST_SAMPLES: usize = 5;
/// Spread of a group around the parent, as a share of the uncertainty of the shipped coefficients.
const AGENT_SPREAD: f64 = 0.6;
const MODEL_SPREAD: f64 = 0.4;
/// Number of folds for the choice of level: each fold holds out a fifth.
const FOLDS: usize = 5;
/// A group with more than this share of the parent's samples uses the parent's coefficients.
const MOST: f64 = 0.9;
const SEED: u64 = 0x5eed;

/// An attempt to learn from.
#[derive(Clone, Debug)]
pub struct Example {
    /// End of the attempt.
    pub at: UnixMs,
    /// Agent name, if known.
    pub agent: Option<String>,
    /// Model name, if known.
    pub model: Option<String>,
    /// Features and output.
    pub observation: Observation,
}

impl Example {
    /// Converts a sample: a known output for a complete landed attempt, a lower bound for a truncated attempt, else
    /// `None`.
    pub fn of(sample: &Sample) -> Option<Self> {
        let output = sample.actual_output_tokens.filter(|output| *output > 0)?;
        (sample.success || sample.truncated).then(|| Self {
            at: sample.timestamp,
            agent: sample.agent.clone(),
            model: sample.model.clone(),
            observation: Observation {
                features: Features::of_sample(sample),
                output,
                bound: sample.truncated,
            },
        })
    }
}

/// Learns coefficients for all attempts and for each group with enough samples.
pub fn learn(examples: &[&Example]) -> Calibration {
    let all: Vec<&Observation> = examples.iter().map(|example| &example.observation).collect();
    let shipped = Coefficients::default();
    let numbers = level(&all, &shipped, 1.0).unwrap_or(shipped);
    let mut groups = Vec::new();
    let mut agents: BTreeMap<&str, Vec<&Example>> = BTreeMap::new();
    for example in examples {
        if let Some(agent) = &example.agent {
            agents.entry(agent).or_default().push(example);
        }
    }
    for (agent, of_agent) in agents {
        let observed: Vec<&Observation> = of_agent.iter().map(|e| &e.observation).collect();
        let own = match is_most(&observed, &all) {
            true => None,
            false => level(&observed, &numbers, AGENT_SPREAD),
        };
        let parent = own.clone().unwrap_or_else(|| numbers.clone());
        groups.extend(own.map(|own| group(agent, None, &observed, own)));
        groups.extend(models(agent, &of_agent, &parent));
    }
    Calibration { all: numbers, groups }
}

/// Checks whether a group contains nearly all samples and so adds nothing to the parent.
fn is_most(group: &[&Observation], all: &[&Observation]) -> bool {
    group.len() as f64 > MOST * all.len() as f64
}

fn models(agent: &str, of_agent: &[&Example], parent: &Coefficients) -> Vec<Group> {
    let mut models: BTreeMap<&str, Vec<&Observation>> = BTreeMap::new();
    for example in of_agent {
        if let Some(model) = &example.model {
            models.entry(model).or_default().push(&example.observation);
        }
    }
    let all: Vec<&Observation> = of_agent.iter().map(|example| &example.observation).collect();
    let apart = models.into_iter().filter(|(_, observed)| !is_most(observed, &all));
    let learned = apart.filter_map(|(model, observed)| {
        let own = level(&observed, parent, MODEL_SPREAD)?;
        Some(group(agent, Some(model), &observed, own))
    });
    learned.collect()
}

fn group(agent: &str, model: Option<&str>, observed: &[&Observation], own: Coefficients) -> Group {
    Group {
        agent: agent.to_owned(),
        model: model.map(str::to_owned),
        samples: known(observed),
        coefficients: own,
    }
}

/// Counts the observations with a complete output.
fn known(observed: &[&Observation]) -> usize {
    observed.iter().filter(|observation| !observation.bound).count()
}

/// Fits coefficients for a group; `None` unless the result is better than the parent's coefficients.
fn level(observed: &[&Observation], parent: &Coefficients, share: f64) -> Option<Coefficients> {
    if known(observed) < LEAST_SAMPLES {
        return None;
    }
    let all = spread().map(|spread| spread * share);
    let mut scale = [0.0; COUNT];
    scale[SCALE] = all[SCALE];
    let order = shuffled(observed, SEED);
    let mut best = None;
    let mut errors = held_out(&order, |_| parent.clone());
    for spread in [scale, all] {
        let moved = held_out(&order, |training| fit(training, parent, &spread));
        if is_better(&errors, &moved) {
            errors = moved;
            best = Some(spread);
        }
    }
    best.map(|spread| fit(&order, parent, &spread))
}

/// Returns the error of each known output, by coefficients made without the observation.
fn held_out(order: &[&Observation], make: impl Fn(&[&Observation]) -> Coefficients) -> Vec<f64> {
    let mut errors = Vec::with_capacity(order.len());
    for fold in 0..FOLDS.min(order.len()) {
        let (held, training) = split(order, fold, FOLDS);
        let numbers = make(&training);
        let known = held.iter().filter(|observation| !observation.bound);
        errors.extend(known.map(|o| smape_percent(predict(&numbers, &o.features), o.output)));
    }
    errors
}

/// Splits into the held-out samples of a fold and the rest.
pub(super) fn split<T: Copy>(order: &[T], fold: usize, folds: usize) -> (Vec<T>, Vec<T>) {
    let indexed = order.iter().copied().enumerate();
    let (held, rest): (Vec<_>, Vec<_>) = indexed.partition(|(at, _)| at % folds == fold);
    let plain = |side: Vec<(usize, T)>| side.into_iter().map(|(_, item)| item).collect();
    (plain(held), plain(rest))
}

/// Checks whether paired errors fell by more than chance explains.
fn is_better(before: &[f64], after: &[f64]) -> bool {
    let gains: Vec<f64> = before.iter().zip(after).map(|(before, after)| before - after).collect();
    let count = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / count;
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (count - 1.0);
    // Student's t at 97.5 %, a good approximation from five samples on.
    let sure = 1.96 + 3.3 / (count - 1.0);
    mean > 0.0 && mean > sure * (variance / count).sqrt()
}
