//! Learning helps, and never hurts: on real samples and on those of a stated generator.

use autopack::import::{self, Existing};
use autopack::phase::{PhaseId, Sample};
use autopack::telemetry::held_out::errors_of;
use autopack::telemetry::{Calibration, Example, learn, shuffled};

use super::generator::{Random, WORLDS, samples};

/// A row of the table for one world: mean SMAPE on held-out samples, and the split with the worst result.
struct Row {
    shipped: f64,
    learned: f64,
    worst: f64,
}

/// Learns from 7 in 10 and measures on the rest, `times` times.
fn splits(examples: &[&Example], times: u64) -> Row {
    let mut row = Row { shipped: 0.0, learned: 0.0, worst: f64::MIN };
    for seed in 0..times {
        let order = shuffled(examples, seed);
        let (training, held) = order.split_at(order.len() * 7 / 10);
        let errors = errors_of(held, &learn(training));
        row.shipped += errors.shipped / times as f64;
        row.learned += errors.learned / times as f64;
        row.worst = row.worst.max(errors.learned - errors.shipped);
    }
    row
}

/// Samples of the Python Autopack's database (hshk99/Autopack, MIT); none without the data.
async fn real() -> Vec<Sample> {
    let Some(file) = crate::support::shared_file("python-autopack.db") else { return Vec::new() };
    let plan = import::read(&file, &import::ReadOptions::default())
        .await
        .unwrap()
        .resolve(&Existing::default())
        .unwrap();
    let imported = plan.runs.iter().flat_map(|run| run.samples.iter().map(|s| (&run.run_id, s)));
    imported
        .map(|(run, s)| Sample {
            run_id: run.clone(),
            phase_id: PhaseId::new(s.phase_id.as_str()),
            attempt: None,
            timestamp: s.timestamp,
            category: s.category.clone(),
            complexity: s.complexity.clone(),
            deliverables: s.deliverables.clone(),
            description_chars: None,
            existing_bytes: None,
            predicted_output_tokens: s.predicted_output_tokens,
            actual_output_tokens: s.usage.tokens.output,
            input_tokens: None,
            cache_read_tokens: None,
            cost_usd: None,
            agent: None,
            model: s.usage.model.clone(),
            success: s.success,
            truncated: s.usage.truncated,
            stop_reason: None,
            failure_kind: None,
            agent_ms: None,
            ci_ms: None,
            number: 0,
        })
        .collect()
}

#[tokio::test]
async fn on_fifty_splits_it_lowers_the_error_and_never_raises_it_by_more_than_a_point() {
    let real = real().await;
    println!(
        "{:15} {:>8} {:>9} {:>8} {:>12}",
        "world", "samples", "shipped", "learned", "worst split"
    );
    for world in &WORLDS {
        let mut all = samples(world, 300, &mut Random::of(20_260));
        all.extend(real.clone());
        let examples: Vec<Example> = all.iter().filter_map(Example::of).collect();
        let row = splits(&examples.iter().collect::<Vec<_>>(), 50);
        println!(
            "{:15} {:8} {:7.1} % {:6.1} % {:+10.1} pt",
            world.name,
            examples.len(),
            row.shipped,
            row.learned,
            row.worst
        );
        assert!(row.worst <= 1.0, "{}: {:+.2}", world.name, row.worst);
        let right_already = world.name == "as shipped";
        assert!(right_already || row.learned < row.shipped - 3.0, "{}", world.name);
    }
}

/// A handful of samples may not be worth much; on average they must not cost anything.
#[test]
fn few_samples_cost_nothing_on_average() {
    println!("{:15} {:>8} {:>9} {:>8}", "world", "samples", "shipped", "learned");
    for (world, count) in WORLDS.iter().flat_map(|world| [(world, 8), (world, 24)]) {
        let mut sum = Row { shipped: 0.0, learned: 0.0, worst: 0.0 };
        for seed in 1..=8 {
            let all = samples(world, count, &mut Random::of(seed * 7_919));
            let examples: Vec<Example> = all.iter().filter_map(Example::of).collect();
            let row = splits(&examples.iter().collect::<Vec<_>>(), 20);
            sum.shipped += row.shipped / 8.0;
            sum.learned += row.learned / 8.0;
        }
        println!("{:15} {count:8} {:7.1} % {:6.1} %", world.name, sum.shipped, sum.learned);
        assert!(sum.learned <= sum.shipped + 1.0, "{}", world.name);
    }
}

#[test]
fn few_samples_do_not_change_the_calibration() {
    let all = samples(&WORLDS[1], 4, &mut Random::of(5));
    let examples: Vec<Example> = all.iter().filter_map(Example::of).collect();
    assert_eq!(learn(&examples.iter().collect::<Vec<_>>()), Calibration::default());
    assert_eq!(learn(&[]), Calibration::default());
}

/// A third of the samples was cut off, at 30 to 90 % of the full value. Taken as full values, they would pull the
/// estimate down.
#[test]
fn truncated_samples_raise_estimates_and_never_lower_them() {
    let mut all = samples(&WORLDS[1], 200, &mut Random::of(11));
    let scale = |all: &[Sample]| {
        let examples: Vec<Example> = all.iter().filter_map(Example::of).collect();
        let learned = learn(&examples.iter().collect::<Vec<_>>());
        let numbers = learned.coefficients(Some("claude"), None).clone();
        numbers.named().find(|(name, _)| *name == "scale").unwrap().1
    };
    let whole = scale(&all);
    for sample in all.iter_mut().step_by(3) {
        sample.truncated = true;
        sample.actual_output_tokens = sample.actual_output_tokens.map(|n| n * 4 / 10);
    }
    let bounded = scale(&all);
    for sample in &mut all {
        sample.truncated = false;
    }
    let as_values = scale(&all);
    println!("scale: whole {whole:.2}, as bounds {bounded:.2}, as values {as_values:.2}");
    assert!((bounded / whole - 1.0).abs() < 0.1, "{bounded} {whole}");
    assert!(as_values < 0.85 * bounded, "{as_values} {bounded}");
}
