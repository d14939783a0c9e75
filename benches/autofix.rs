//! The auto-fixer alone: one core, no database.

use std::path::Path;
use std::time::{Duration, Instant};

use autopack::phase::autofix::{Limits, Unscoped, autofix};
use autopack::phase::{RawSpec, Repair};
use serde_json::Value;

use super::scale::Scale;
use super::specs::{shapes, worked_example};
use super::stats::{Samples, figure};

/// Phases in one timing: enough for the clock's resolution, few enough to show the spread.
const ROUND: usize = 2_000;

pub fn section(scale: &Scale) -> String {
    let mut text = "Phases repaired in a second of processor time on a single core: specs as written, and repaired specs, the case of each \
        claim. With\nJSON: from a line of text to a line of text.\n\n\
        | specs | as written | spread | repaired already | as written, with JSON |\n|---|---|---|---|---|\n"
        .to_owned();
    for (name, specs) in corpora() {
        let fixed: Vec<RawSpec> =
            specs.iter().map(|spec| RawSpec(Value::clone(&fix(spec).spec))).collect();
        let written = rate(scale, &specs, fix);
        let again = rate(scale, &fixed, fix);
        let lines: Vec<String> = specs.iter().map(|spec| spec.0.to_string()).collect();
        let with_json = rate(scale, &lines, |line| {
            let spec = RawSpec(serde_json::from_str(line).expect("JSON"));
            fix(&spec).spec.to_string()
        });
        let [written_median, again, with_json] =
            [&written, &again, &with_json].map(|r| figure(r.median()));
        text += &format!(
            "| {name} | {written_median} | {} | {again} | {with_json} |\n",
            written.spread()
        );
    }
    text
}

fn fix(spec: &RawSpec) -> Repair {
    let limits = Limits {
        workspace: Some("/work/project"),
        max_timeout_seconds: 3600,
        unscoped: Unscoped::Refuse,
    };
    autofix(spec, None, &limits)
}

/// Phases per second, measured repeatedly.
fn rate<T, R>(scale: &Scale, inputs: &[T], work: impl Fn(&T) -> R) -> Samples {
    let mut rates = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < scale.pure || rates.len() < 5 {
        let started = processor_time();
        for input in inputs.iter().cycle().take(ROUND) {
            std::hint::black_box(work(std::hint::black_box(input)));
        }
        let spent = (processor_time() - started).max(Duration::from_nanos(1));
        rates.push(ROUND as f64 / spent.as_secs_f64());
    }
    Samples::of(rates)
}

/// CPU time of this thread, independent of other load.
fn processor_time() -> Duration {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.expect("the kernel has this clock").into()
}

fn corpora() -> Vec<(&'static str, Vec<RawSpec>)> {
    let mut all = vec![
        ("the worked example of `docs/plan-format.md`", vec![RawSpec(worked_example())]),
        ("eight common shapes", shapes().into_iter().map(RawSpec).collect()),
    ];
    if let Some(specs) = real() {
        all.push(("100 specs from real projects, with long descriptions", specs));
    }
    all
}

/// Real specs from beside the repository, if present; see `tests/support`.
fn real() -> Option<Vec<RawSpec>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let directory = std::env::var_os("AUTOPACK_SHARED_DATA").map_or(beside, Into::into);
    let text = std::fs::read_to_string(directory.join("real_phase_specs.jsonl")).ok()?;
    text.lines().map(|line| serde_json::from_str(line).map(RawSpec).ok()).collect()
}
