//! What was learnt, as it is kept and looked up: numbers for all, for an agent, for an agent with a model. Pure.

use serde::{Deserialize, Serialize};

use super::coefficients::Coefficients;
use super::estimate::predict;
use super::features::Features;

/// The numbers that hold for whoever has none of its own, and the groups that do. The default is what is shipped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    pub all: Coefficients,
    pub groups: Vec<Group>,
}

/// An agent, or one agent with one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub agent: String,
    /// `None`: with any model that has no group of its own.
    pub model: Option<String>,
    /// Samples with a known output that it was fitted on.
    pub samples: usize,
    pub coefficients: Coefficients,
}

impl Calibration {
    /// The most particular numbers that there are: of the agent with this model, of the agent, of all.
    pub fn coefficients(&self, agent: Option<&str>, model: Option<&str>) -> &Coefficients {
        let group = |model: Option<&str>| {
            self.groups.iter().find(|group| {
                Some(group.agent.as_str()) == agent && group.model.as_deref() == model
            })
        };
        let own = model.and_then(|model| group(Some(model))).or_else(|| group(None));
        own.map_or(&self.all, |group| &group.coefficients)
    }

    /// Whether both say the same, but for rounding on the way through a database.
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

    /// Output tokens that this agent is expected to take for such a phase; a model that is not known is `None`.
    pub fn predict(&self, agent: Option<&str>, model: Option<&str>, features: &Features) -> u64 {
        predict(self.coefficients(agent, model), features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_particular_numbers_hold() {
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
