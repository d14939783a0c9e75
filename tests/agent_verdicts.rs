//! From an agent's recorded output to the drain's verdict: every known kind, through the real program.
//!
//! The recordings are those of `agent_streams`; the diff beside them decides whether a phase lands. Three were never
//! seen and are written in the form of the others: OpenCode's limit, and mini-swe-agent's limit and refusal. Goose
//! reports no limit; it is ended as stalled.

use std::io::{BufRead, BufReader};

use crate::support::{Project, executable, fake_agent};
use serde_json::{Value, json};

const CI: &str = "ci: {command: [\"true\"]}\nexecutor: {max_attempts: 1, circuit_breaker: 0}\n";

/// Replays the recording with the phase's name; `hang` and `nothing` replay a success.
const PLAY: &str = r#"
account=
for arg in "$@"; do case "$arg" in */account) account=$arg;; esac; done
case $AUTOPACK_PHASE_ID in hang|nothing) case=success;; crash) echo 'it broke' >&2; exit 7;; *) case=$AUTOPACK_PHASE_ID;; esac
case $AUTOPACK_PHASE_ID in nothing) ;; *) mkdir -p src; echo made > "src/$AUTOPACK_PHASE_ID.txt";; esac
cat "$RECORDINGS/$case.jsonl" "$RECORDINGS/$case.txt" 2>/dev/null
[ ! -e "$RECORDINGS/$case.stderr" ] || cat "$RECORDINGS/$case.stderr" >&2
[ ! -e "$RECORDINGS/$case.account" ] || cp "$RECORDINGS/$case.account" "$account"
case $AUTOPACK_PHASE_ID in hang) exec sleep 60;; limit) exit 1;; refused) exit "$REFUSED";; *) exit 0;; esac
"#;

/// `refused` is the real program's exit code when its provider refuses.
fn project(kind: &str, refused: u8, phases: &[&str]) -> Project {
    let project = Project::new().env("IS_SANDBOX", "1");
    let program = project.outside("agent");
    let recordings = fake_agent::recordings(kind);
    let head = format!("#!/bin/sh\nRECORDINGS='{}'\nREFUSED={refused}\n", recordings.display());
    executable(&program, &(head + PLAY));
    let phase = |id: &&str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")]});
    project
        .config(&format!("agents:\n  it:\n    kind: {kind}\n    program: {program:?}\n{CI}"))
        .plan(json!({ "phases": phases.iter().map(phase).collect::<Vec<_>>() }))
}

fn attempt(project: &Project, phase: &str) -> Value {
    let log = project.phase(phase)["attempt_log"].clone();
    assert_eq!(log.as_array().unwrap().len(), 1, "{phase}: {log}");
    log[0].clone()
}

/// Success, a success without changes, a crash, a refusal, and an agent that keeps running after its last output.
/// `used` is input, output, cache read and cost.
#[track_caller]
fn verdicts(kind: &str, refused: u8, stays: bool, used: Value) {
    let mut phases = vec!["success", "nothing", "crash", "refused"];
    phases.extend(stays.then_some("hang"));
    let project = project(kind, refused, &phases);
    project.drain().exited(3);
    for landed in phases.iter().filter(|phase| ["success", "hang"].contains(phase)) {
        let attempt = attempt(&project, landed);
        assert_eq!(attempt["outcome"], "landed", "{kind} {landed}: {attempt}");
        let tokens = &attempt["tokens"];
        let seen =
            json!([tokens["input"], tokens["output"], tokens["cache_read"], attempt["cost_usd"]]);
        assert_eq!(seen, used, "{kind} {landed}");
    }
    let failure = |phase: &str| attempt(&project, phase)["failure"].clone();
    assert_eq!(failure("nothing")["kind"], "no_change", "{kind}: its word is no change");
    assert_eq!(failure("crash")["kind"], "agent_failed", "{kind}: {}", failure("crash"));
    assert_eq!(attempt(&project, "crash")["tokens"]["input"], Value::Null, "unknown is not 0");
    assert_eq!(failure("refused")["kind"], "agent_failed", "{kind}: {}", failure("refused"));
}

/// The phase goes back to the queue and no attempt is counted, although the work was done.
#[track_caller]
fn limited(kind: &str) {
    let project = project(kind, 0, &["limit"]);
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let events = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let finished = events.into_iter().find(|event| event["event"] == "phase_finished").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        (&finished["verdict"], &finished["state"]),
        (&json!("rate_limited"), &json!("QUEUED"))
    );
    assert_eq!(project.phase("limit")["attempts"], 0, "{kind}");
    let status = project.json(["status", "--run-id", "run", "--json"]);
    let why = status["runs"][0]["waiting"][0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("rate limited for another"), "{kind}: {why}");
}

/// What is known of each kind stands in its `expected.json`. A program whose end is its last word has nothing to stay after.
#[test]
fn each_kind_gets_its_verdicts() {
    std::thread::scope(|scope| {
        for kind in autopack::agent::program_kinds() {
            scope.spawn(move || {
                let expected = fake_agent::expected(kind);
                let (success, refused) = (&expected["success"], &expected["refused"]["exit"]);
                let refused = u8::try_from(refused.as_u64().unwrap()).unwrap();
                let lingers = success["lingers"].as_bool().unwrap();
                verdicts(kind, refused, lingers, success["used"].clone());
                if expected["limit"]["outcome"] == "limited" {
                    limited(kind);
                }
            });
        }
    });
}
