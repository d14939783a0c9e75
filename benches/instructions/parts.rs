//! The parts whose instructions are counted: pure, with fixed input.

use std::hint::black_box;

use super::allocations;
use super::import::parse_plan;
use super::member_step::{MemberCommit, MemberTest, next_step};
use super::phase::autofix::{Limits, Unscoped, autofix};
use super::phase::footprint::{Footprint, FootprintSet};
use super::phase::scope::{Change, ChangeKind, breaches};
use super::phase::{FixedSpec, RawSpec};
use super::prompt::{MAX_CHARS, PromptInput, compose};
use super::specs::{shapes, worked_example};
use super::telemetry::{Coefficients, Features, estimate};

use serde_json::Value;

/// Name of the function whose instructions are counted.
pub const COUNTED: &str = "autopack_counted_part";

/// Protected paths as shipped.
const PROTECTED: [&str; 5] =
    [".git*", ".github/", ".autopack/", "config/autopack.yaml", "config/memory.yaml"];

/// A part: its work, after its input is prepared.
pub struct Part {
    pub name: &'static str,
    prepare: fn() -> Work,
}

type Work = Box<dyn FnMut()>;

/// All parts.
pub const PARTS: [Part; 10] = [
    Part { name: "autofix-worked-example", prepare: || autofix_all(vec![worked_example()]) },
    Part { name: "autofix-eight-shapes", prepare: || autofix_all(shapes()) },
    Part { name: "autofix-repaired-shapes", prepare: || autofix_all(repaired(shapes())) },
    Part { name: "plan-json-lines", prepare: || plan("plan.jsonl", json_lines()) },
    Part { name: "plan-yaml", prepare: || plan("plan.yaml", yaml()) },
    Part { name: "scope-check", prepare: scope_check },
    Part { name: "footprints-overlap", prepare: overlaps },
    Part { name: "merge-queue-next-step", prepare: queue_steps },
    Part { name: "prompt", prepare: prompts },
    Part { name: "estimate", prepare: estimates },
];

/// Runs a part and prints the number of its allocations. The first, uncounted time fills tables that are made once.
pub fn run(name: &str) -> Result<(), String> {
    let part = PARTS
        .iter()
        .find(|part| part.name == name)
        .ok_or_else(|| format!("no part is called {name}"))?;
    let mut work = (part.prepare)();
    work();
    let before = allocations::so_far();
    autopack_counted_part(&mut work);
    println!("{}", allocations::so_far() - before);
    Ok(())
}

/// The function that callgrind counts.
#[unsafe(no_mangle)]
#[inline(never)]
extern "Rust" fn autopack_counted_part(work: &mut Work) {
    work();
}

fn fix(spec: &RawSpec) -> super::phase::Repair {
    let limits = Limits {
        workspace: Some("/work/project"),
        max_timeout_seconds: 3600,
        unscoped: Unscoped::Refuse,
    };
    autofix(spec, None, &limits)
}

fn autofix_all(specs: Vec<Value>) -> Work {
    let specs: Vec<RawSpec> = specs.into_iter().map(RawSpec).collect();
    Box::new(move || specs.iter().for_each(|spec| drop(black_box(fix(black_box(spec))))))
}

fn repaired(specs: Vec<Value>) -> Vec<Value> {
    specs.into_iter().map(|spec| Value::clone(&fix(&RawSpec(spec)).spec)).collect()
}

/// The specs that can be executed.
fn fixed() -> Vec<FixedSpec> {
    shapes().into_iter().filter_map(|spec| fix(&RawSpec(spec)).result.ok()).collect()
}

fn json_lines() -> String {
    shapes().iter().map(|phase| format!("{phase}\n")).collect()
}

fn yaml() -> String {
    serde_yaml::to_string(&serde_json::json!({"run_id": "r", "phases": shapes()}))
        .unwrap_or_default()
}

fn plan(file: &'static str, text: String) -> Work {
    Box::new(move || {
        let plan = parse_plan(file, black_box(text.as_bytes())).expect("a plan");
        assert_eq!(black_box(plan).runs[0].phases.len(), shapes_count());
    })
}

fn shapes_count() -> usize {
    8
}

/// A change of each kind, for each phase: its own files and those of the others.
fn scope_check() -> Work {
    let fixed = fixed();
    let protected = PROTECTED.map(str::to_owned);
    let kinds = [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted];
    let deliverables = fixed.iter().flat_map(FixedSpec::deliverables);
    let changes: Vec<Change> = deliverables
        .zip(kinds.iter().cycle())
        .map(|(path, kind)| Change {
            path: path.as_str().to_owned(),
            kind: *kind,
            symlink_target: None,
            lets_out: None,
        })
        .collect();
    Box::new(move || {
        for spec in &fixed {
            drop(black_box(breaches(spec, black_box(&changes), &protected, &|_| true)));
        }
    })
}

fn overlaps() -> Work {
    let footprints: Vec<Footprint> = fixed().iter().map(Footprint::of_deliverables).collect();
    Box::new(move || {
        let mut running = FootprintSet::default();
        for footprint in &footprints {
            if !black_box(running.overlaps(footprint)) {
                running.add(footprint);
            }
        }
    })
}

/// Every state of a member in a queue of eight.
fn queue_steps() -> Work {
    let tests = [MemberTest::Missing, MemberTest::Green, MemberTest::Red];
    let members =
        tests.map(|test| MemberCommit { parent: "a".repeat(40), commit: "b".repeat(40), test });
    let parents = ["a".repeat(40), "c".repeat(40)];
    Box::new(move || {
        for (ahead, depth) in (0..8).flat_map(|ahead| [1, 4, 8].map(|depth| (ahead, depth))) {
            for (parent, member) in
                parents.iter().flat_map(|parent| members.iter().map(move |m| (parent, m)))
            {
                let step = next_step(black_box(ahead), Some(parent), Some(member), depth);
                drop(black_box(step));
            }
        }
    })
}

fn prompts() -> Work {
    let fixed = fixed();
    let protected = PROTECTED.map(str::to_owned);
    Box::new(move || {
        for spec in &fixed {
            let input = PromptInput {
                spec,
                counted_attempt: 1,
                max_attempts: 3,
                protected: &protected,
                ci_command: Some("pytest -q"),
                request_offer: None,
                requests: &[],
                memories: &[],
                last_failure: None,
                max_chars: MAX_CHARS,
            };
            drop(black_box(compose(black_box(&input))));
        }
    })
}

fn estimates() -> Work {
    let fixed = fixed();
    let coefficients = Coefficients::default();
    Box::new(move || {
        for spec in &fixed {
            let features = Features::of_spec(black_box(spec), &[Some(4_096), None]);
            black_box(estimate::predict(&coefficients, &features));
        }
    })
}
