//! Proposed calibration: changes learned from samples, errors on held-out samples, and whether activation is allowed.
//! Pure.

use std::collections::BTreeMap;

use super::calibration::{Calibration, Group};
use super::coefficients::Coefficients;
use super::held_out::{Against, Errors, InForce, Whose, against, by_group, held_out};
use super::learn::{Example, LEAST_SAMPLES, learn};

/// A calibration learned from samples, with the evidence for and against.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The learned calibration.
    pub calibration: Calibration,
    /// Number of samples with a complete output.
    pub known: usize,
    /// Number of truncated samples, used as lower bounds.
    pub bounds: usize,
    /// Errors on held-out samples, by group.
    pub errors: BTreeMap<Whose, Errors>,
    /// Comparison with the active calibration; `None` while the shipped coefficients are active.
    pub against: Option<Against>,
    /// Groups with errors larger than by the shipped coefficients; they keep the shipped ones.
    pub held_back: Vec<Whose>,
}

impl Proposal {
    /// Learns from samples; `in_force` is `None` while the shipped coefficients are active.
    pub fn of(examples: &[Example], in_force: Option<&InForce<'_>>) -> Self {
        let examples: Vec<&Example> = examples.iter().collect();
        let scored = held_out(&examples);
        let errors = by_group(&scored);
        let against = in_force.and_then(|in_force| against(&scored, in_force));
        let bounds = examples.iter().filter(|example| example.observation.bound).count();
        let mut calibration = learn(&examples);
        let worse =
            errors.iter().filter(|(_, e)| e.samples >= LEAST_SAMPLES && e.learnt > e.shipped);
        let held_back: Vec<Whose> =
            worse.map(|(whose, _)| whose.clone()).filter(|whose| *whose != Whose::All).collect();
        for whose in &held_back {
            let samples = errors.get(whose).map_or(0, |errors| errors.samples);
            hold_back(&mut calibration, whose, samples);
        }
        Self { calibration, known: examples.len() - bounds, bounds, errors, against, held_back }
    }

    /// Returns the reason against activation, as text for people; `None` when activation is allowed.
    pub fn refusal(&self) -> Option<String> {
        if self.known < LEAST_SAMPLES {
            let known = match self.known {
                1 => "is 1 sample".to_owned(),
                known => format!("are {known} samples"),
            };
            return Some(format!(
                "there {known} with a known output; at least {LEAST_SAMPLES} are needed"
            ));
        }
        let errors = self.errors.get(&Whose::All).copied().unwrap_or_default();
        if errors.learnt > errors.shipped {
            return Some(format!(
                "worse on held-out samples than the shipped numbers: mean error {:.1} % instead of {:.1} %",
                errors.learnt, errors.shipped
            ));
        }
        if let Some(against) =
            self.against.filter(|a| a.samples >= LEAST_SAMPLES && a.learnt > a.in_force)
        {
            return Some(format!(
                "worse than the calibration in force: mean error {:.1} % instead of {:.1} %",
                against.learnt, against.in_force
            ));
        }
        let shipped = Coefficients::default();
        let groups = self.calibration.groups.iter().map(|group| &group.coefficients);
        let nothing = groups.chain([&self.calibration.all]).all(|numbers| *numbers == shipped);
        nothing.then(|| "the samples give no reason to differ from the shipped numbers".to_owned())
    }
}

/// Assigns the shipped coefficients to a group.
fn hold_back(calibration: &mut Calibration, whose: &Whose, samples: usize) {
    let (agent, model) = match whose {
        Whose::All => return,
        Whose::Agent(agent) => (agent.clone(), None),
        Whose::Model(agent, model) => (agent.clone(), Some(model.clone())),
    };
    calibration.groups.retain(|group| group.agent != agent || group.model != model);
    calibration.groups.push(Group { agent, model, samples, coefficients: Coefficients::default() });
}
