//! Proposed calibration: changes learned from samples, errors on held-out samples, and whether activation is allowed.
//! Pure.

use std::collections::BTreeMap;

use super::calibration::{Calibration, Group};
use super::coefficients::Coefficients;
use super::held_out::{
    ActiveCalibration, CalibrationComparison, Errors, SampleGroup, by_group, compare_with_active,
    cross_validate,
};
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
    pub errors: BTreeMap<SampleGroup, Errors>,
    /// Comparison with the active calibration; `None` while the shipped coefficients are active.
    pub comparison: Option<CalibrationComparison>,
    /// Groups with errors larger than by the shipped coefficients; they keep the shipped ones.
    pub held_back: Vec<SampleGroup>,
}

impl Proposal {
    /// Learns from samples; `active` is `None` while the shipped coefficients are active.
    pub fn of(examples: &[Example], active: Option<&ActiveCalibration<'_>>) -> Self {
        let examples: Vec<&Example> = examples.iter().collect();
        let scored = cross_validate(&examples);
        let errors = by_group(&scored);
        let comparison = active.and_then(|active| compare_with_active(&scored, active));
        let bounds = examples.iter().filter(|example| example.observation.bound).count();
        let mut calibration = learn(&examples);
        let worse =
            errors.iter().filter(|(_, e)| e.samples >= LEAST_SAMPLES && e.learned > e.shipped);
        let held_back: Vec<SampleGroup> = worse
            .map(|(group, _)| group.clone())
            .filter(|group| *group != SampleGroup::All)
            .collect();
        for group in &held_back {
            let samples = errors.get(group).map_or(0, |errors| errors.samples);
            hold_back(&mut calibration, group, samples);
        }
        Self { calibration, known: examples.len() - bounds, bounds, errors, comparison, held_back }
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
        let errors = self.errors.get(&SampleGroup::All).copied().unwrap_or_default();
        if errors.learned > errors.shipped {
            return Some(format!(
                "worse on held-out samples than the shipped numbers: mean error {:.1} % instead of {:.1} %",
                errors.learned, errors.shipped
            ));
        }
        if let Some(comparison) =
            self.comparison.filter(|a| a.samples >= LEAST_SAMPLES && a.learned > a.active)
        {
            return Some(format!(
                "worse than the active calibration: mean error {:.1} % instead of {:.1} %",
                comparison.learned, comparison.active
            ));
        }
        let shipped = Coefficients::default();
        let groups = self.calibration.groups.iter().map(|group| &group.coefficients);
        let nothing = groups.chain([&self.calibration.all]).all(|numbers| *numbers == shipped);
        nothing.then(|| "the samples give no reason to differ from the shipped numbers".to_owned())
    }
}

/// Assigns the shipped coefficients to a group.
fn hold_back(calibration: &mut Calibration, group: &SampleGroup, samples: usize) {
    let (agent, model) = match group {
        SampleGroup::All => return,
        SampleGroup::Agent(agent) => (agent.clone(), None),
        SampleGroup::Model(agent, model) => (agent.clone(), Some(model.clone())),
    };
    calibration.groups.retain(|group| group.agent != agent || group.model != model);
    calibration.groups.push(Group { agent, model, samples, coefficients: Coefficients::default() });
}
