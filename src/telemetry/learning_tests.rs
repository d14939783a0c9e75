//! Property tests of learning: any samples and any starting coefficients give a usable calibration.

use proptest::prelude::*;

use super::coefficients::{COUNT, Coefficients, spread};
use super::estimate::predict;
use super::features::{Features, Task};
use super::fit::{Observation, fit};
use super::learn::{Example, learn};
use super::proposal::Proposal;
use crate::phase::{Complexity, UnixMs};

fn observation() -> impl Strategy<Value = Observation> {
    let complexity =
        prop_oneof![Just(Complexity::Low), Just(Complexity::Medium), Just(Complexity::High)];
    let paths = prop::collection::vec("(src/|tests/)?[a*]{0,2}(/|.md|.py|.toml)?", 0..6);
    let sizes = prop::collection::vec(prop::option::of(any::<u64>()), 0..6);
    let output = prop_oneof![4 => 1..50_000u64, 1 => any::<u64>()];
    let category = "(docs|frontend|test|x)";
    (category, complexity, paths, sizes, any::<u64>(), output, any::<bool>()).prop_map(
        |(category, complexity, paths, existing_bytes, description_chars, output, bound)| {
            let deliverables: Vec<&str> = paths.iter().map(String::as_str).collect();
            let task = Task {
                category: &category,
                complexity,
                deliverables: &deliverables,
                existing_bytes: &existing_bytes,
                description_chars,
            };
            Observation { features: Features::of(&task), output, bound }
        },
    )
}

fn example() -> impl Strategy<Value = Example> {
    let name = || prop::option::of("[ab]");
    (name(), name(), observation()).prop_map(|(agent, model, observation)| Example {
        at: UnixMs(0),
        agent,
        model,
        observation,
    })
}

fn usable(numbers: &Coefficients) -> bool {
    numbers.named().all(|(_, value)| value.is_finite() && value > 0.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_fit_is_finite_whatever_it_is_given(
        observed in prop::collection::vec(observation(), 0..20),
        start in prop::collection::vec(any::<f64>(), COUNT),
    ) {
        let start = Coefficients::new(start.try_into().unwrap());
        let observed: Vec<&Observation> = observed.iter().collect();
        let fitted = fit(&observed, &start, &spread());
        prop_assert!(usable(&fitted), "{fitted:?}");
        for observed in observed {
            prop_assert!((100..=1_000_000).contains(&predict(&fitted, &observed.features)));
        }
    }

    #[test]
    fn learning_is_total_and_says_the_same_each_time(examples in prop::collection::vec(example(), 0..24)) {
        let all: Vec<&Example> = examples.iter().collect();
        let learned = learn(&all);
        prop_assert!(usable(&learned.all) && learned.groups.iter().all(|group| usable(&group.coefficients)));
        prop_assert_eq!(&learned, &learn(&all));
        let proposal = Proposal::of(&examples, None);
        for errors in proposal.errors.values() {
            prop_assert!((0.0..=200.0).contains(&errors.shipped) && (0.0..=200.0).contains(&errors.learned));
        }
    }
}

/// Checks fixed coefficients: a spread of 0 allows no change.
#[test]
fn ridge_keeps_fixed_coefficients() {
    let task = Task {
        category: "x",
        complexity: Complexity::Low,
        deliverables: &["a.py"],
        existing_bytes: &[],
        description_chars: 0,
    };
    let one = Observation { features: Features::of(&task), output: 50_000, bound: false };
    let observed = vec![&one; 50];
    let held = fit(&observed, &Coefficients::default(), &[0.0; COUNT]);
    assert!(held.logs().iter().all(|log| log.abs() < 1e-6), "{held:?}");
    let free = fit(&observed, &Coefficients::default(), &spread());
    let off = predict(&free, &one.features) as f64 / 50_000.0;
    assert!((0.8..1.1).contains(&off), "many samples that agree outweigh the ridge: {off}");
}
