//! Samples from a stated generator, for results that the few real ones cannot show.
//!
//! A phase has a random category and complexity; 1 to 5 deliverables, half of them code, a quarter tests, the rest
//! docs, configuration and a directory; a description of 100 to 3,000 characters. Of its files, 3 in 10 existed before,
//! with 0.5 to 60 KiB. Its tokens are the estimate's formula with the world's own numbers, times a log-normal error,
//! multiplied or divided by five for outliers. A phase that is cut off keeps 30 to 90 % of that.

use autopack::phase::{PhaseId, RunId, Sample, UnixMs};
use autopack::telemetry::estimate::predict;
use autopack::telemetry::{Coefficients, Features};
use serde_json::{Value, json};

use crate::support::dice::Dice;

/// The true numbers, as far as they differ from the shipped estimate.
pub struct World {
    pub name: &'static str,
    /// Agent, model, and the scale of their output.
    pub agents: &'static [(&'static str, &'static str, f64)],
    /// Numbers that differ from the shipped ones.
    pub numbers: fn() -> Value,
    /// Standard deviation of the logarithm of a phase's tokens.
    pub noise: f64,
    /// Shares of all samples.
    pub outliers: f64,
    pub cut_off: f64,
}

const PLAIN: World = World {
    name: "",
    agents: &[("claude", "m", 1.0)],
    numbers: || json!({}),
    noise: 0.35,
    outliers: 0.02,
    cut_off: 0.05,
};

pub const WORLDS: [World; 6] = [
    World { name: "as shipped", ..PLAIN },
    World { name: "thinks aloud", agents: &[("claude", "m", 1.9)], ..PLAIN },
    World {
        name: "other parts",
        numbers: || json!({"code": 3600, "tests": 900, "docs": 2600, "existing": 0.4, "description": 2.5}),
        ..PLAIN
    },
    World {
        name: "agents differ",
        agents: &[("claude", "large", 2.2), ("claude", "small", 0.7), ("codex", "m", 1.3)],
        ..PLAIN
    },
    World { name: "wild", agents: &[("claude", "m", 1.6)], noise: 0.5, outliers: 0.1, ..PLAIN },
    World { name: "often cut off", agents: &[("claude", "m", 1.6)], cut_off: 0.3, ..PLAIN },
];

/// Dice, with the distributions needed here.
pub struct Random(Dice);

impl Random {
    pub fn of(seed: u64) -> Self {
        Self(Dice::of(seed))
    }

    pub fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[(self.unit() * items.len() as f64) as usize]
    }

    /// Box-Muller transform.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().max(1e-12).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

pub fn samples(world: &World, count: usize, random: &mut Random) -> Vec<Sample> {
    (0..count).map(|number| sample(world, number, random)).collect()
}

fn sample(world: &World, number: usize, random: &mut Random) -> Sample {
    let (agent, model, scale) = random.one_of(world.agents);
    let count = random.between(1.0, 6.0) as usize;
    let paths = [
        "src/a.rs",
        "src/b.rs",
        "tests/a.rs",
        "src/c.rs",
        "docs/a.md",
        "src/d.rs",
        "tests/b.rs",
        "a.toml",
    ];
    let deliverable = |random: &mut Random| match random.unit() < 0.03 {
        true => "src/parts/".to_owned(),
        false => random.one_of(&paths).to_owned(),
    };
    let mut sample = Sample {
        run_id: RunId::new("simulated"),
        phase_id: PhaseId::new(format!("p{number}")),
        attempt: Some(1),
        timestamp: UnixMs(1_700_000_000_000 + number as i64),
        category: random
            .one_of(&["implementation", "backend", "frontend", "refactoring", "docs", "testing"])
            .to_owned(),
        complexity: random.one_of(&["low", "medium", "medium", "high"]).to_owned(),
        deliverables: (0..count).map(|_| deliverable(random)).collect(),
        description_chars: Some(random.between(100.0, 3_000.0) as u64),
        existing_bytes: Some(
            (0..count)
                .map(|_| (random.unit() < 0.3).then(|| random.between(500.0, 60_000.0) as u64))
                .collect(),
        ),
        predicted_output_tokens: None,
        actual_output_tokens: None,
        input_tokens: Some(10_000),
        cache_read_tokens: None,
        cost_usd: None,
        agent: Some(agent.to_owned()),
        model: Some(model.to_owned()),
        success: true,
        truncated: random.unit() < world.cut_off,
        stop_reason: None,
        failure_kind: None,
        agent_ms: Some(60_000),
        ci_ms: None,
        number: number as i64,
    };
    let features = Features::of_sample(&sample);
    sample.predicted_output_tokens = Some(predict(&Coefficients::default(), &features));
    let mut numbers = (world.numbers)();
    numbers["scale"] = json!(scale);
    let numbers: Coefficients = serde_json::from_value(numbers).unwrap();
    let mut output = predict(&numbers, &features) as f64 * (world.noise * random.normal()).exp();
    if random.unit() < world.outliers {
        output *= random.one_of(&[5.0, 0.2]);
    }
    if sample.truncated {
        output *= random.between(0.3, 0.9);
    }
    sample.actual_output_tokens = Some(output.max(1.0) as u64);
    sample
}
