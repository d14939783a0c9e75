//! Estimate of the output tokens of a phase, made before an attempt starts. Pure.
//!
//! ```text
//! tokens = scale * (base + files + existing_kib * KiB + description * characters / 5) * complexity * category
//!
//! files        tokens for each deliverable, by kind; an existing deliverable counts `existing` times as much
//! KiB          size of the existing deliverables, at most 256 per file
//! characters   length of the description, at most 10,000
//! ```
//!
//! The shipped numbers are in [`coefficients`](super::coefficients); learning produces another set of the same numbers.
//! The shipped estimates are within a third of the measured attempts of an earlier system with the same kinds of phases
//! (5,700 tokens on average for two to four files, 13,200 for five of high complexity). Agents with visible reasoning
//! use more.

use super::coefficients::{BASE, Coefficients, DESCRIPTION, EXISTING, EXISTING_KIB, KINDS, SCALE};
use super::features::Features;
use super::file_kind::Kind;

/// Lower bound of an estimate, in tokens: about the shortest answer of an agent with a single tool call.
const LEAST: f64 = 100.0;
/// Upper bound of an estimate, in tokens: more than any agent writes in an attempt.
const MOST: f64 = 1_000_000.0;

/// Predicts output tokens. The result never falls with another deliverable, a larger file, a longer description, or a
/// higher complexity.
pub fn predict(coefficients: &Coefficients, features: &Features) -> u64 {
    // Correct whole numbers for rounding errors.
    (tokens(coefficients, features) + 1e-6).clamp(LEAST, MOST) as u64
}

/// Applies the formula without bounds.
pub(super) fn tokens(coefficients: &Coefficients, features: &Features) -> f64 {
    let parts: f64 = parts(coefficients, features).iter().map(|(tokens, _)| tokens).sum();
    let (complexity, _) = coefficients.complexity(features.complexity);
    let (category, _) = coefficients.category(features.category);
    coefficients.value(SCALE) * parts * complexity * category
}

/// Positions of the coefficients multiplied in a term.
type FactorPositions = (usize, Option<usize>);

/// Returns the terms of the sum, each with the positions of the coefficients used.
pub(super) fn parts(
    coefficients: &Coefficients,
    features: &Features,
) -> [(f64, FactorPositions); 13] {
    let value = |at: usize| coefficients.value(at);
    let mut parts = [(0.0, (BASE, None)); 13];
    parts[0].0 = value(BASE);
    parts[1] = (features.description * value(DESCRIPTION), (DESCRIPTION, None));
    parts[2] = (features.existing_kib * value(EXISTING_KIB), (EXISTING_KIB, None));
    for kind in Kind::ALL {
        let (at, each) = (kind as usize, coefficients.of_kind(kind));
        parts[3 + at] = (features.new[at] * each, (KINDS + at, None));
        let existing = features.existing[at] * each * value(EXISTING);
        parts[8 + at] = (existing, (KINDS + at, Some(EXISTING)));
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::coefficients::COUNT;
    use super::super::features::Task;
    use super::*;
    use crate::phase::Complexity;

    fn tokens(category: &str, complexity: Complexity, deliverables: &[&str]) -> u64 {
        let task = Task {
            category,
            complexity,
            deliverables,
            existing_bytes: &[],
            description_chars: 500,
        };
        predict(&Coefficients::default(), &Features::of(&task))
    }

    /// Compares with attempts of an earlier system (hshk99/Autopack): each estimate is within a third of the measured
    /// use.
    #[test]
    fn shipped_coefficients_are_near_the_measurements() {
        let two = ["src/a.py", "tests/test_a.py"];
        let four = ["src/a.py", "src/b.py", "config/a.yaml", "tests/test_a.py"];
        let five = ["src/a.py", "src/b.py", "src/c.py", "tests/test_a.py", "docs/a.md"];
        for (predicted, measured) in [
            (tokens("implementation", Complexity::Low, &two), (3_788 + 7_700) / 2),
            (tokens("refactoring", Complexity::Medium, &two), 5_606),
            (tokens("configuration", Complexity::Medium, &four), 6_756),
            (tokens("integration", Complexity::High, &five), 13_211),
        ] {
            let off = predicted.abs_diff(measured) as f64 / measured as f64;
            assert!(off < 0.34, "{predicted} for {measured}");
        }
    }

    #[test]
    fn editing_costs_less_than_writing_only_for_small_files() {
        let with = |existing: Option<u64>| {
            let existing_bytes = &[existing];
            let (category, complexity) = ("", Complexity::Low);
            let deliverables = &["a.py"];
            let task =
                Task { category, complexity, deliverables, existing_bytes, description_chars: 0 };
            predict(&Coefficients::default(), &Features::of(&task))
        };
        assert!(with(Some(1_000)) < with(None));
        assert!(with(Some(100_000)) > with(None));
        assert_eq!(with(Some(u64::MAX)), with(Some(256 * 1024)));
    }

    fn complexity() -> impl Strategy<Value = Complexity> {
        prop_oneof![Just(Complexity::Low), Just(Complexity::Medium), Just(Complexity::High)]
    }

    /// Any coefficients found in memory or a database.
    fn coefficients() -> impl Strategy<Value = Coefficients> {
        let log = prop_oneof![
            4 => -2.0..2.0f64,
            1 => any::<f64>(),
            1 => Just(f64::NAN),
        ];
        prop::collection::vec(log, COUNT)
            .prop_map(|logs| Coefficients::new(logs.try_into().expect("so many")))
    }

    proptest! {
        #[test]
        fn more_work_is_never_less_and_no_estimate_is_absurd(
            numbers in coefficients(), category in "(frontend|docs|test|\\PC{0,8})",
            paths in prop::collection::vec("(tests/)?[a.*é]{0,3}(/|.md|.py)?", 0..12),
            sizes in prop::collection::vec(prop::option::of(any::<u64>()), 12),
            (chars, more) in (0..20_000u64, any::<u64>()),
        ) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let at = |count: usize, complexity, description_chars: u64, sizes: &[Option<u64>]| {
                let task = Task {
                    category: &category, complexity, deliverables: &paths[..count], existing_bytes: sizes,
                    description_chars,
                };
                predict(&numbers, &Features::of(&task))
            };
            let (low, medium, high) = (Complexity::Low, Complexity::Medium, Complexity::High);
            let all = paths.len();
            for count in 0..=all {
                let here = at(count, low, chars, &sizes);
                prop_assert!((100..=1_000_000).contains(&here));
                prop_assert!(at(count + usize::from(count < all), low, chars, &sizes) >= here);
                prop_assert!(at(count, medium, chars, &sizes) >= here);
                prop_assert!(at(count, high, chars, &sizes) >= at(count, medium, chars, &sizes));
                prop_assert!(at(count, low, chars.saturating_add(more), &sizes) >= here);
            }
            let larger: Vec<_> = sizes.iter().map(|size| size.map(|n| n.saturating_add(more))).collect();
            prop_assert!(at(all, high, chars, &larger) >= at(all, high, chars, &sizes));
        }

        #[test]
        fn as_shipped_one_more_deliverable_is_always_more(
            complexity in complexity(), paths in prop::collection::vec("(tests/)?[a.*]{1,3}(/|.md|.py)", 0..12),
        ) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            for count in 1..=paths.len() {
                prop_assert!(tokens("", complexity, &paths[..count]) > tokens("", complexity, &paths[..count - 1]));
            }
        }
    }
}
