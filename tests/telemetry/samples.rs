//! One sample for each attempt that reached its agent, however it ended.

use std::io::{BufRead, BufReader};
use std::process::Command;

use serde_json::{Value, json};

use super::{database, exported};
use crate::support::Project;

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn plan(count: usize) -> Value {
    let phase = |n: usize| json!({"phase_id": format!("p{n}"), "description": "twelve chars", "deliverables": [format!("src/p{n}.txt"), "README.md"]});
    json!({ "phases": (0..count).map(phase).collect::<Vec<_>>() })
}

/// The named fields of each sample.
fn field_rows(samples: &[Value], fields: &[&str]) -> Vec<Vec<Value>> {
    samples.iter().map(|s| fields.iter().map(|field| s[*field].clone()).collect()).collect()
}

const ENDS: [&str; 6] =
    ["phase_id", "attempt", "success", "failure_kind", "actual_output_tokens", "truncated"];

#[test]
fn every_end_of_an_attempt_leaves_a_sample() {
    let agent = r#"
report(tokens=dict(input=100, output=10 * attempt, cache_read=1), truncated=phase_id == "p1", model="m")
if phase_id == "p0" or attempt == 3: write_deliverables()
"#;
    let project = Project::new().agent_with(agent, GREEN).plan(plan(2));
    project.drain().succeeded();
    let samples = exported(&project, &[]);
    assert_eq!(
        field_rows(&samples, &ENDS),
        [
            vec![json!("p0"), json!(1), json!(true), json!(null), json!(10), json!(false)],
            vec![json!("p1"), json!(1), json!(false), json!("no_change"), json!(10), json!(true)],
            vec![json!("p1"), json!(2), json!(false), json!("no_change"), json!(20), json!(true)],
            vec![json!("p1"), json!(3), json!(true), json!(null), json!(30), json!(true)],
        ]
    );
    for sample in &samples {
        assert_eq!((&sample["run_id"], &sample["agent"]), (&json!("run"), &json!("fake")));
        assert_eq!((&sample["model"], &sample["deliverable_count"]), (&json!("m"), &json!(2)));
        assert!(sample["predicted_output_tokens"].as_u64().unwrap() > 0);
        assert!(sample["agent_ms"].is_u64());
    }
}

#[test]
fn an_interrupted_attempt_leaves_a_sample_without_numbers() {
    let project = Project::new()
        .agent("(workspace.parent / 'witness' / 'runs').write_text('')\ntime.sleep(600)");
    let project = project.plan(plan(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    while !project.outside("runs").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the drain ended by itself");
        std::thread::yield_now();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(
        field_rows(&exported(&project, &[]), &ENDS),
        [[json!("p0"), json!(1), json!(false), json!("interrupted"), json!(null), json!(false)]]
    );
}

#[test]
fn a_killed_drain_leaves_a_sample_when_recovered() {
    let agent = r#"
if attempt == 1:
    (workspace.parent / 'witness' / 'runs').write_text('')
    time.sleep(600)
write_deliverables()
report(tokens=dict(output=7))
"#;
    let project = Project::new().agent_with(agent, GREEN).plan(plan(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    while !project.outside("runs").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the drain ended by itself");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(exported(&project, &[]).is_empty(), "nobody could write it yet");
    project.drain().succeeded();
    let samples = exported(&project, &[]);
    assert_eq!(
        field_rows(&samples, &ENDS),
        [
            [json!("p0"), json!(1), json!(false), json!("crashed"), json!(null), json!(false)],
            [json!("p0"), json!(2), json!(true), json!(null), json!(7), json!(false)],
        ]
    );
    assert!(samples[0]["predicted_output_tokens"].is_u64(), "it was known before it started");
}

#[test]
fn a_timed_out_attempt_leaves_a_sample() {
    let more = format!("    timeout_seconds: 1\nexecutor: {{max_attempts: 1}}\n{GREEN}");
    let project = Project::new().agent_with("time.sleep(600)", &more).plan(plan(1));
    project.drain().exited(3);
    let kinds = field_rows(&exported(&project, &[]), &["success", "failure_kind", "input_tokens"]);
    assert_eq!(kinds, [[json!(false), json!("agent_timeout"), json!(null)]]);
}

#[test]
fn summed_samples_equal_the_status() {
    let agent = "report(tokens=dict(input=1000 + attempt, output=100 * attempt, cache_read=3), cost_usd=0.25)\n\
                 if attempt > 1 or phase_id != 'p1': write_deliverables()";
    let project = Project::new().agent_with(agent, GREEN).plan(plan(3));
    project.drain().succeeded();
    let samples = exported(&project, &["--run-id", "run"]);
    assert_eq!(samples.len(), 4);
    let run = &project.json(["status", "--json"])["runs"][0];
    for (field, of_status) in [
        ("input_tokens", &run["tokens"]["input"]),
        ("actual_output_tokens", &run["tokens"]["output"]),
        ("cache_read_tokens", &run["tokens"]["cache_read"]),
    ] {
        let sum: u64 = samples.iter().map(|sample| sample[field].as_u64().unwrap()).sum();
        assert_eq!(json!(sum), *of_status, "{field}");
    }
    let cost: f64 = samples.iter().map(|sample| sample["cost_usd"].as_f64().unwrap()).sum();
    assert_eq!(json!(cost), run["cost_usd"]);
    project.autopack(["runs", "remove", "run", "--yes"]).succeeded();
    assert_eq!(exported(&project, &["--run-id", "run"]), samples, "they outlive their run");
}

#[tokio::test]
async fn samples_contain_the_inputs_of_the_estimate() {
    let project = Project::new().agent_with("write_deliverables('x' * 50)", GREEN).plan(plan(2));
    project.drain().succeeded();
    let mut connection = database(&project).await;
    let kept: Vec<(i64, String)> =
        sqlx::query_as("SELECT description_chars, existing_bytes FROM samples ORDER BY id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let (first, second) = ("[null,10]".to_owned(), "[null,50]".to_owned());
    assert_eq!(kept, [(12, first), (12, second)], "README.md as the slot had it, before each");
}

#[tokio::test]
async fn imported_samples_keep_their_origin_and_have_a_run() {
    let Some(real) = crate::support::shared_file("python-autopack.db") else { return };
    let project = Project::new();
    project.autopack(["import", real.to_str().unwrap()]).succeeded();
    project.autopack(["import", real.to_str().unwrap()]);
    let samples = exported(&project, &[]);
    assert_eq!(samples.len(), 6, "once, however often it is imported");
    assert!(samples.iter().all(|s| s["run_id"] != "unknown" && s["attempt"].is_null()));
    let smape: Vec<f64> = samples.iter().map(|s| s["smape_percent"].as_f64().unwrap()).collect();
    assert!((smape[0] - 200.0 * 20.0 / 220.0).abs() < 1e-9, "derived anew: it said 100 there");
    let mut connection = database(&project).await;
    let origins: Vec<String> =
        sqlx::query_scalar("SELECT origin FROM samples ORDER BY timestamp, id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let expected: Vec<String> =
        (1..=6).map(|n| format!("token_estimation_v2_events/{n}")).collect();
    assert_eq!(origins, expected);
}

#[test]
fn a_batch_without_usable_samples_is_reported_once() {
    let project = Project::new().agent_with("write_deliverables()", GREEN).plan(plan(4));
    let ran = project.autopack(["drain", "--run-id", "run", "--batch-size", "2"]).succeeded();
    let output = "telemetry: no token counts in the 2 samples of this batch:\n           the agent reported none (a";
    assert_eq!(ran.stdout.matches(output).count(), 1, "{ran:#?}");
    let first = ran.stdout.find(output).unwrap();
    assert!(first < ran.stdout.find("batch 1:").unwrap(), "at once");
}

#[test]
fn a_batch_stopped_by_setup_prints_no_telemetry_warning() {
    let setup = format!("workspace: {{setup: [\"false\"]}}\n{GREEN}");
    let project = Project::new().agent_with("write_deliverables()", &setup).plan(plan(1));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("\nerror: "), "{ran:#?}");
    assert!(!ran.stdout.contains("telemetry: "), "{ran:#?}");
}

#[test]
fn a_healthy_telemetry_prints_nothing() {
    let counts = "write_deliverables()\nreport(tokens=dict(output=5))";
    let project = Project::new().agent_with(counts, GREEN).plan(plan(1));
    assert!(!project.drain().succeeded().stdout.contains("telemetry:"));
}

/// Another person may have disabled it.
#[test]
fn disabled_telemetry_is_reported_once() {
    let off = Project::new().agent_with("write_deliverables()", GREEN).plan(plan(2));
    let off = off.env("TELEMETRY_DB_ENABLED", "0");
    let ran = off.autopack(["drain", "--run-id", "run", "--batch-size", "1"]).succeeded();
    assert_eq!(ran.stdout.matches("telemetry: switched off").count(), 1, "{ran:?}");
    assert!(exported(&off, &[]).is_empty());
}

/// A drain's events remain pure JSON.
#[test]
fn json_output_reports_the_warning_on_stderr() {
    let project = Project::new().agent_with("write_deliverables()", GREEN).plan(plan(1));
    let ran = project.autopack(["drain", "--run-id", "run", "--json"]).succeeded();
    let mut lines = BufReader::new(ran.stdout.as_bytes()).lines();
    assert!(lines.all(|line| serde_json::from_str::<Value>(&line.unwrap()).is_ok()));
    assert!(ran.stderr.contains("telemetry: no token counts"), "{ran:#?}");
}
