//! Coefficients of the estimate: meaning, shipped values, and limits for learned values. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::features::Category;
use super::file_kind::Kind;
use crate::phase::Complexity;

/// Name, shipped value, and uncertainty: the standard deviation of the logarithm of the true value over the shipped
/// value. Agents differ mostly in overall verbosity, expressed by `scale`.
///
/// The shipped values are within a third of the measured attempts of an earlier system (see the test in `estimate`).
/// The samples did not tell new files from existing files: `existing` and `existing_kib` are assumptions (changing a
/// small file costs less than writing a new file, changing a large file more) and may therefore move furthest.
const TABLE: [(&str, f64, f64); COUNT] = [
    ("scale", 1.0, 0.7),
    ("base", 1_200.0, 0.4),
    ("code", 2_000.0, 0.4),
    ("tests", 1_800.0, 0.4),
    ("docs", 1_300.0, 0.4),
    ("config", 500.0, 0.4),
    ("several", 2_600.0, 0.4),
    ("description", 1.0, 0.4),
    ("existing", 0.8, 0.5),
    ("existing_kib", 25.0, 0.7),
    ("medium", 1.10, 0.2),
    ("high", 1.35, 0.2),
    ("integration", 1.15, 0.2),
    ("frontend", 1.15, 0.2),
    ("security", 1.15, 0.2),
    ("refactoring", 1.05, 0.2),
    ("configuration", 0.90, 0.2),
    ("documentation", 0.85, 0.2),
    ("testing", 1.0, 0.2),
];
/// Number of coefficients.
pub const COUNT: usize = 19;

/// All other complexities are relative to this value.
const LOW: f64 = 0.90;

pub(super) const SCALE: usize = 0;
pub(super) const BASE: usize = 1;
/// Position of the first [`Kind`]; the others follow in order.
pub(super) const KINDS: usize = 2;
pub(super) const DESCRIPTION: usize = 7;
pub(super) const EXISTING: usize = 8;
pub(super) const EXISTING_KIB: usize = 9;
const MEDIUM: usize = 10;
const HIGH: usize = 11;

/// Largest factor between any coefficient and the shipped value, for learned and stored coefficients alike.
const FURTHEST: f64 = 20.0;

/// Coefficients, each stored as the logarithm of a factor on the shipped value: all zeros are the shipped coefficients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "BTreeMap<String, f64>", from = "BTreeMap<String, f64>")]
pub struct Coefficients {
    logs: [f64; COUNT],
    /// Resulting values, computed once.
    values: [f64; COUNT],
}

impl Default for Coefficients {
    /// Returns the shipped coefficients.
    fn default() -> Self {
        Self::new([0.0; COUNT])
    }
}

impl Coefficients {
    /// Creates coefficients from logarithms of factors; a value other than a number selects the shipped coefficient.
    pub(super) fn new(logs: [f64; COUNT]) -> Self {
        let most = FURTHEST.ln();
        let logs = logs.map(|log| if log.is_finite() { log.clamp(-most, most) } else { 0.0 });
        let values = std::array::from_fn(|at| TABLE[at].1 * logs[at].exp());
        Self { logs, values }
    }

    pub(super) fn logs(&self) -> &[f64; COUNT] {
        &self.logs
    }

    /// Returns a value: tokens, or a factor.
    pub(super) fn value(&self, at: usize) -> f64 {
        self.values[at]
    }

    /// Returns names and values, in order.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        (0..COUNT).map(|at| (TABLE[at].0, self.value(at)))
    }

    /// Returns the factor for a complexity and the position of the coefficient used. The factor never falls as
    /// complexity rises: `high` is at least `medium`, `medium` at least `low`.
    pub(super) fn complexity(&self, complexity: Complexity) -> (f64, Option<usize>) {
        let medium = (self.value(MEDIUM), Some(MEDIUM));
        let high = (self.value(HIGH), Some(HIGH));
        let steps: &[(f64, Option<usize>)] = match complexity {
            Complexity::Low => &[],
            Complexity::Medium => &[medium],
            Complexity::High => &[medium, high],
        };
        let larger =
            |a: (f64, Option<usize>), b: &(f64, Option<usize>)| if b.0 > a.0 { *b } else { a };
        steps.iter().fold((LOW, None), larger)
    }

    pub(super) fn category(&self, category: Category) -> (f64, Option<usize>) {
        match category {
            Category::Other => (1.0, None),
            known => (self.value(HIGH + 1 + known as usize), Some(HIGH + 1 + known as usize)),
        }
    }

    pub(super) fn of_kind(&self, kind: Kind) -> f64 {
        self.value(KINDS + kind as usize)
    }
}

/// Returns the spread of each coefficient around the parent's value, from the uncertainty of the shipped values.
pub(super) fn spread() -> [f64; COUNT] {
    TABLE.map(|(_, _, spread)| spread)
}

impl From<Coefficients> for BTreeMap<String, f64> {
    fn from(coefficients: Coefficients) -> Self {
        coefficients.named().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Missing names select the shipped value; unknown names are ignored.
impl From<BTreeMap<String, f64>> for Coefficients {
    fn from(named: BTreeMap<String, f64>) -> Self {
        let log = |(name, shipped, _): (&str, f64, f64)| {
            named.get(name).map_or(0.0, |value| (value / shipped).ln())
        };
        Self::new(TABLE.map(log))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_values_are_read_back_unchanged() {
        let mut logs = [0.0; COUNT];
        logs[SCALE] = 0.5;
        logs[KINDS] = -0.25;
        let before = Coefficients::new(logs);
        let text = serde_json::to_string(&before).unwrap();
        let after: Coefficients = serde_json::from_str(&text).unwrap();
        let off = before.logs().iter().zip(after.logs()).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f64::max) < 1e-12, "{text}");
    }

    #[test]
    fn invalid_values_are_clamped() {
        let read = |text: &str| serde_json::from_str::<Coefficients>(text).unwrap();
        assert_eq!(read(r#"{"code": -5, "tests": 0, "nonsense": 3}"#).value(KINDS), 2_000.0);
        assert!((read(r#"{"code": 1e300}"#).value(KINDS) - 40_000.0).abs() < 1e-6);
        assert_eq!(read("{}"), Coefficients::default());
    }
}
