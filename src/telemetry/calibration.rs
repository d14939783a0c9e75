//! Calibration: learned coefficients for all attempts, per agent, and per agent and model. Pure.

use serde::{Deserialize, Serialize};

use super::coefficients::Coefficients;
use super::estimate::predict;
use super::features::Features;

/// Coefficients for all attempts, with overrides for groups. The default contains the shipped coefficients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Used for every agent without a group.
    pub all: Coefficients,
    /// Overrides, for an agent or for an agent with a model.
    pub groups: Vec<Group>,
}

/// Coefficients of an agent, or of an agent with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Agent name.
    pub agent: String,
    /// Model name; `None` covers every model without a group.
    pub model: Option<String>,
    /// Number of samples with a known output used for the fit.
    pub samples: usize,
    /// Fitted coefficients.
    pub coefficients: Coefficients,
}

impl Calibration {
    /// Returns the most specific coefficients: of the agent and model, else of the agent, else of all.
    pub fn coefficients(&self, agent: Option<&str>, model: Option<&str>) -> &Coefficients {
        let group = |model: Option<&str>| {
            self.groups.iter().find(|group| {
                Some(group.agent.as_str()) == agent && group.model.as_deref() == model
            })
        };
        let own = model.and_then(|model| group(Some(model))).or_else(|| group(None));
        own.map_or(&self.all, |group| &group.coefficients)
    }

    /// Checks equality up to the rounding of a round trip through the database.
    pub fn is_like(&self, other: &Self) -> bool {
        let numbers = |a: &Coefficients, b: &Coefficients| {
            a.named().zip(b.named()).all(|((_, a), (_, b))| (a - b).abs() <= 1e-9 * a.abs())
        };
        let group = |(a, b): (&Group, &Group)| {
            (&a.agent, &a.model) == (&b.agent, &b.model)
                && numbers(&a.coefficients, &b.coefficients)
        };
        numbers(&self.all, &other.all)
            && self.groups.len() == other.groups.len()
            && self.groups.iter().zip(&other.groups).all(group)
    }

    /// Predicts the output tokens of an attempt; `model` is `None` when unknown.
    pub fn predict(&self, agent: Option<&str>, model: Option<&str>, features: &Features) -> u64 {
        predict(self.coefficients(agent, model), features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_specific_coefficients_apply() {
        let numbers = |scale: f64| {
            serde_json::from_value::<Coefficients>(serde_json::json!({ "scale": scale })).unwrap()
        };
        let group = |agent: &str, model: Option<&str>, scale| Group {
            agent: agent.to_owned(),
            model: model.map(str::to_owned),
            samples: 9,
            coefficients: numbers(scale),
        };
        let calibration = Calibration {
            all: numbers(2.0),
            groups: vec![
                group("a", None, 3.0),
                group("a", Some("m"), 4.0),
                group("b", Some("m"), 5.0),
            ],
        };
        let scale = |agent, model| calibration.coefficients(agent, model).named().next().unwrap().1;
        for (agent, model, expected) in [
            (Some("a"), Some("m"), 4.0),
            (Some("a"), Some("n"), 3.0),
            (Some("a"), None, 3.0),
            (Some("b"), Some("m"), 5.0),
            (Some("b"), None, 2.0),
            (None, Some("m"), 2.0),
        ] {
            assert!((scale(agent, model) - expected).abs() < 1e-9, "{agent:?} {model:?}");
        }
    }
}
