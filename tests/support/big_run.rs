//! A run of any size with past attempts, created through the store: without agent or git, and always the same.
//!
//! The generator is a linear congruential one with a fixed seed. Of the phases, 88 % land at the first attempt, 6 %
//! after one failure, 3 % fail finally (three attempts), 1 % meet a rate limit first, 2 % report no tokens. Four slots
//! take them in turn; the agent works 20 to 620 s, CI 5 to 65 s, autopack 1 s; after 40 % of the phases nothing runs
//! for nine hours. Failed attempts leave a log of 60 lines and a patch of 90.

use autopack::phase::{Failure, FailureKind, RequeueReason, Tokens, UnixMs, Usage, Verdict};
use autopack::store::Claim;
use serde_json::json;

use super::Project;
use super::by_hand::{ByHand, START, Went, attempt_dir};

const CATEGORIES: [&str; 6] =
    ["backend", "frontend", "testing", "docs", "refactoring", "integration"];
const COMPLEXITIES: [&str; 3] = ["low", "medium", "high"];
const AGENTS: [(&str, &str); 2] = [("claude", "claude-sonnet-4-5"), ("codex", "gpt-5-codex")];
const SLOTS: usize = 4;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Fate of a phase: number of failures, whether it meets a limit first, whether its agent reports usage.
#[derive(Clone, Copy)]
struct Fate {
    failures: u32,
    limited: bool,
    silent: bool,
}

/// Imports a run `big` with this many phases, and executes them all.
pub fn make(project: &Project, phases: usize) {
    let mut random = Random(42);
    let categories: Vec<u64> = (0..phases).map(|_| random.below(6)).collect();
    let list: Vec<_> = categories
        .iter()
        .enumerate()
        .map(|(n, category)| {
            json!({
                "id": format!("phase-{n:04}"),
                "name": format!("Part {n} of the {} work", CATEGORIES[*category as usize]),
                "description": "Write it as the module beside it is written, with tests.",
                "category": CATEGORIES[*category as usize],
                "complexity": COMPLEXITIES[n % 3],
                "deliverables": [format!("src/part_{n}.py"), format!("tests/test_part_{n}.py")],
            })
        })
        .collect();
    project.write("plan.json", &json!({"run_id": "big", "phases": list}).to_string());
    project.autopack(["import", "plan.json"]).succeeded();
    tokio::runtime::Runtime::new().unwrap().block_on(execute(project, phases, &mut random));
}

async fn execute(project: &Project, phases: usize, random: &mut Random) {
    let drain = ByHand::begin(project, "big").await;
    let mut free = [START; SLOTS];
    let mut done = 0;
    let mut fate = None;
    loop {
        let slot = (0..SLOTS).min_by_key(|slot| free[*slot]).unwrap();
        if done == phases * 2 / 5 {
            free.iter_mut().for_each(|at| *at = (*at).max(START) + 9 * 3_600_000);
            done += 1;
        }
        let Some(claim) = drain.claim(free[slot]).await else { break };
        let now = *fate.get_or_insert_with(|| fate_of(random));
        let (verdict, left) = verdict_of(now, &claim, free[slot]);
        done += usize::from(left.is_none());
        fate = left;
        free[slot] =
            run(project, &drain, claim, verdict, now.silent, slot, free[slot], random).await;
    }
    drain.end().await;
}

fn fate_of(random: &mut Random) -> Fate {
    let (failures, limited, silent) = match random.below(100) {
        0..6 => (1, false, false),
        6..9 => (3, false, false),
        9 => (0, true, false),
        10..12 => (0, false, true),
        _ => (0, false, false),
    };
    Fate { failures, limited, silent }
}

/// Verdict of this attempt and the phase's remaining fate; `None` once the phase is over.
fn verdict_of(fate: Fate, claim: &Claim, now: i64) -> (Verdict, Option<Fate>) {
    if fate.limited {
        let (not_before, message) = (UnixMs(now), "429: try again in a moment".to_owned());
        let verdict = Verdict::Requeued(RequeueReason::RateLimited { not_before, message });
        return (verdict, Some(Fate { limited: false, ..fate }));
    }
    if fate.failures == 0 {
        return (Verdict::Passed { commit: Some(format!("{:040x}", claim.attempt)) }, None);
    }
    let mut failure =
        Failure { exit_code: Some(1), ..Failure::new(FailureKind::CiFailed, "2 tests failed") };
    failure.detail.log_tail =
        (0..60).map(|n| format!("tests/test_part.py::case_{n} FAILED <x>\n")).collect();
    let over = claim.counted_attempts + 1 >= claim.max_attempts;
    let left = Fate { failures: fate.failures - 1, ..fate };
    (Verdict::Failed(failure), (!over).then_some(left))
}

#[expect(clippy::too_many_arguments, reason = "one call, beside its definition")]
async fn run(
    project: &Project,
    drain: &ByHand,
    claim: Claim,
    verdict: Verdict,
    silent: bool,
    slot: usize,
    from: i64,
    random: &mut Random,
) -> i64 {
    let dir = attempt_dir(&claim);
    if matches!(verdict, Verdict::Failed(_)) {
        let lines: String =
            (0..90).map(|n| format!("+    value_{n} = compute(\"{n}\") & mask\n")).collect();
        project.write(
            &format!("{dir}/changes.patch"),
            &format!("--- a/src/x.py\n+++ b/src/x.py\n{lines}"),
        );
    }
    let (agent, model) = AGENTS[random.below(2) as usize];
    let estimated = 2_000 + random.below(12_000);
    let requeued = matches!(verdict, Verdict::Requeued(_));
    let (agent_ms, ci_ms) = match requeued {
        true => (2_000, None),
        false => (20_000 + random.below(600_000), Some(5_000 + random.below(60_000))),
    };
    let output = estimated * (40 + random.below(160)) / 100;
    let tokens = match silent || requeued {
        true => Tokens::default(),
        false => Tokens {
            input: Some(output * 9),
            output: Some(output),
            cache_read: Some(output * 40),
            cache_write: Some(output),
        },
    };
    let cost_usd = tokens.output.map(|output| output as f64 * 15e-6);
    let usage = Usage { tokens, cost_usd, model: Some(model.to_owned()), ..Usage::default() };
    let ended = from + (agent_ms + ci_ms.unwrap_or(0)) as i64 + 1_000;
    let slot = slot.to_string();
    let went =
        Went { slot: &slot, agent, estimated, usage, agent_ms: Some(agent_ms), ci_ms, ended };
    drain.finish(claim, verdict, went).await;
    ended
}
