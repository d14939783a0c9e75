//! Learning from samples: for all, then per agent, then per agent and model, each from where its parent stands. Pure,
//! total, and the same for the same samples.
//!
//! At each level three things are tried on samples held out: to stay with the parent's numbers, to move `scale` alone, and to
//! move everything. The simpler one stays unless the other is better by more than chance would have it, so that a
//! handful of samples changes nothing, some change the scale, and many change the parts.

use std::collections::BTreeMap;

use super::calibration::{Calibration, Group};
use super::coefficients::{COUNT, Coefficients, SCALE, spread};
use super::estimate::predict;
use super::features::Features;
use super::fit::{Observation, fit};
use super::sample_figures::smape_percent;
use super::shuffle::shuffled;
use crate::phase::{Sample, UnixMs};

/// Fewer known outputs than this say nothing about a group.
pub const LEAST_SAMPLES: usize = 5;
/// How far a group may be from its parent, of what the shipped numbers may be off by.
const AGENT_SPREAD: f64 = 0.6;
const MODEL_SPREAD: f64 = 0.4;
/// What is held out in turn to choose how much to move: a fifth.
const FOLDS: usize = 5;
/// A group with more than this share of its parent's samples is its parent.
const MOST: f64 = 0.9;
const SEED: u64 = 0x5eed;

/// One attempt to learn from.
#[derive(Clone, Debug)]
pub struct Example {
    /// When the attempt ended.
    pub at: UnixMs,
    pub agent: Option<String>,
    pub model: Option<String>,
    pub observation: Observation,
}

impl Example {
    /// What the sample teaches: its output where it landed whole, a bound where it was cut off, else nothing.
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

/// What nearly all samples are of says nothing beyond what all of them say.
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
    let learnt = apart.filter_map(|(model, observed)| {
        let own = level(&observed, parent, MODEL_SPREAD)?;
        Some(group(agent, Some(model), &observed, own))
    });
    learnt.collect()
}

fn group(agent: &str, model: Option<&str>, observed: &[&Observation], own: Coefficients) -> Group {
    Group {
        agent: agent.to_owned(),
        model: model.map(str::to_owned),
        samples: known(observed),
        coefficients: own,
    }
}

/// Those with an output, not a bound.
fn known(observed: &[&Observation]) -> usize {
    observed.iter().filter(|observation| !observation.bound).count()
}

/// Numbers of its own for one group, where they are better than its parent's.
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

/// The error of each known output by numbers that were made without it.
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

/// What is held out in this fold, and the rest.
pub(super) fn split<T: Copy>(order: &[T], fold: usize, folds: usize) -> (Vec<T>, Vec<T>) {
    let indexed = order.iter().copied().enumerate();
    let (held, rest): (Vec<_>, Vec<_>) = indexed.partition(|(at, _)| at % folds == fold);
    let plain = |side: Vec<(usize, T)>| side.into_iter().map(|(_, item)| item).collect();
    (plain(held), plain(rest))
}

/// The same samples, in the same order, with less error: by more than chance explains.
fn is_better(before: &[f64], after: &[f64]) -> bool {
    let gains: Vec<f64> = before.iter().zip(after).map(|(before, after)| before - after).collect();
    let count = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / count;
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (count - 1.0);
    // Student's t at 97.5 %, near enough from five samples on.
    let sure = 1.96 + 3.3 / (count - 1.0);
    mean > 0.0 && mean > sure * (variance / count).sqrt()
}
