//! How good what is learnt would be on samples that it has not seen: cross-validation, group by group. Pure, and the same
//! for the same samples.

use std::collections::BTreeMap;

use super::calibration::Calibration;
use super::figures::smape_percent;
use super::learn::{Example, learn, split};
use super::shuffle::shuffled;

const FOLDS: usize = 10;
const SEED: u64 = 0xc0de;

/// Mean SMAPE in percent over known outputs; those that were cut off have none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    pub samples: usize,
    /// By the shipped numbers.
    pub shipped: f64,
    /// By numbers that were learnt from other samples.
    pub learnt: f64,
}

/// Whose samples: all of them, an agent's, an agent's with one model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    All,
    Agent(String),
    Model(String, String),
}

/// One sample's error, before and after.
struct Scored<'a> {
    example: &'a Example,
    shipped: f64,
    learnt: f64,
}

/// Learns ten times, each time without another tenth of the samples, and measures on that tenth.
pub fn held_out(examples: &[&Example]) -> BTreeMap<Whose, Errors> {
    let order = shuffled(examples, SEED);
    let folds = FOLDS.min(order.len());
    let scored: Vec<Scored<'_>> = (0..folds)
        .flat_map(|fold| {
            let (held, training) = split(&order, fold, folds);
            score(&held, &learn(&training))
        })
        .collect();
    by_group(&scored)
}

/// The mean error of these samples by these numbers, and by the shipped ones.
pub fn errors_of(examples: &[&Example], learnt: &Calibration) -> Errors {
    let scored = score(examples, learnt);
    by_group(&scored).remove(&Whose::All).unwrap_or_default()
}

fn score<'a>(held: &[&'a Example], learnt: &Calibration) -> Vec<Scored<'a>> {
    let shipped = Calibration::default();
    let known = held.iter().filter(|example| !example.observation.bound);
    known
        .map(|example| {
            let error = |by: &Calibration| {
                let (agent, model) = (example.agent.as_deref(), example.model.as_deref());
                let observation = &example.observation;
                smape_percent(by.predict(agent, model, &observation.features), observation.output)
            };
            Scored { example, shipped: error(&shipped), learnt: error(learnt) }
        })
        .collect()
}

fn by_group(scored: &[Scored<'_>]) -> BTreeMap<Whose, Errors> {
    let mut groups: BTreeMap<Whose, Errors> = BTreeMap::new();
    for one in scored {
        for whose in whose(one.example) {
            let sums = groups.entry(whose).or_default();
            sums.samples += 1;
            sums.shipped += one.shipped;
            sums.learnt += one.learnt;
        }
    }
    for sums in groups.values_mut() {
        sums.shipped /= sums.samples as f64;
        sums.learnt /= sums.samples as f64;
    }
    groups
}

fn whose(example: &Example) -> Vec<Whose> {
    let mut all = vec![Whose::All];
    if let Some(agent) = &example.agent {
        all.push(Whose::Agent(agent.clone()));
        all.extend(example.model.as_ref().map(|model| Whose::Model(agent.clone(), model.clone())));
    }
    all
}
