//! `telemetry export`: selection, order, format and destination of samples.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use autopack::phase::{RunId, Sample, UnixMs};
use serde_json::{Value, json};

use super::generator::{Random, WORLDS, samples};
use super::{execute, exported, holding};
use crate::support::has;

/// From three worlds, one more cut off and one failed than landed; times go backwards.
fn mixed(count: usize) -> Vec<Sample> {
    let mut random = Random::of(3);
    let mut all = samples(&WORLDS[5], count, &mut random);
    let length = all.len() as i64;
    for (at, sample) in all.iter_mut().enumerate() {
        sample.run_id = RunId::new(if at % 3 == 0 { "one" } else { "two" });
        sample.success = at % 4 != 0;
        sample.timestamp = UnixMs(1_700_000_000_000 + (length - at as i64) * 1_000);
    }
    all
}

#[tokio::test]
async fn samples_are_exported_oldest_first() {
    let project = holding(&mixed(1_203)).await;
    let all = exported(&project, &[]);
    assert_eq!(all.len(), 1_203, "several pages");
    let times: Vec<&str> = all.iter().map(|s| s["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted());
    assert!(all.iter().all(|sample| sample["run_id"].is_string()));
}

#[tokio::test]
async fn quality_is_what_jq_selects() {
    let project = holding(&mixed(400)).await;
    let quality = exported(&project, &["--quality"]);
    assert!((100..300).contains(&quality.len()), "{}", quality.len());
    assert!(quality.iter().all(|s| s["success"] == true && s["truncated"] == false));
    if !has("jq", &["--version"]) {
        return;
    }
    let all = project.autopack(["telemetry", "export"]).succeeded().stdout;
    let mut jq = Command::new("jq")
        .args(["-c", "select(.success == true and .truncated == false)"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = jq.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(all.as_bytes()).unwrap());
    let selected = jq.wait_with_output().unwrap();
    writer.join().unwrap();
    let selected: Vec<Value> = String::from_utf8(selected.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(selected, quality);
}

#[tokio::test]
async fn runs_and_times_filter_the_export() {
    let project = holding(&mixed(30)).await;
    let of = |args: &[&str]| exported(&project, args).len();
    assert_eq!(of(&["--run-id", "one"]), 10);
    assert_eq!(of(&["--run-id", "one", "--run-id", "two"]), 30);
    // 1,700,000,000 s is 2023-11-14T22:13:20Z, and the last sample comes 30 s later.
    assert_eq!(of(&["--since", "2023-11-14T22:13:41Z"]), 10);
    assert_eq!(of(&["--since", "2023-11-14T23:13:41+01:00"]), 10);
    assert_eq!(of(&["--since", "2023-11-14"]), 30);
    assert_eq!(of(&["--since", "2023-11-15"]), 0);
    assert_eq!(of(&["--since", "7d"]), 0);
    let bad = project.autopack(["telemetry", "export", "--since", "lately"]).exited(2);
    assert!(bad.stderr.contains("expected a date (2026-01-31)"), "{bad:#?}");
}

#[tokio::test]
async fn an_unknown_run_is_reported_with_the_existing_runs() {
    let project = holding(&mixed(6)).await;
    let ran = project.autopack(["telemetry", "export", "--run-id", "three"]).exited(1);
    let database = project.root().canonicalize().unwrap().join(".autopack/autopack.db");
    let expected = format!(
        "error: no run is called \"three\" in the database {}; existing runs: one, two\n",
        database.display()
    );
    assert_eq!((ran.stderr.as_str(), ran.stdout.as_str()), (expected.as_str(), ""));
}

#[tokio::test]
async fn csv_has_the_same_samples() {
    let project = holding(&mixed(30)).await;
    let csv = project.autopack(["telemetry", "export", "--format", "csv"]).succeeded().stdout;
    let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(rows.len(), 31);
    let script = "import csv, json, sys\n\
        print(json.dumps([dict(row, deliverables=json.loads(row['deliverables'])) for row in csv.DictReader(sys.stdin)]))";
    let file = project.outside("samples.csv");
    std::fs::write(&file, &csv).unwrap();
    let read = Command::new("python3")
        .args(["-c", script])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let read: Vec<Value> = serde_json::from_slice(&read.stdout).unwrap();
    let as_text = |value: &Value| match value {
        Value::Null => json!(""),
        Value::Array(_) => value.clone(),
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    };
    for (csv, json) in read.iter().zip(exported(&project, &[])) {
        for (field, value) in json.as_object().unwrap() {
            match value.as_f64().filter(|_| value.is_f64()) {
                // serde_json may read the last digit of a fraction differently.
                Some(number) => {
                    let read: f64 = csv[field].as_str().unwrap().parse().unwrap();
                    assert!((read - number).abs() <= 1e-12 * number.abs(), "{field}");
                }
                None => assert_eq!(csv[field], as_text(value), "{field}"),
            }
        }
    }
}

#[tokio::test]
async fn a_closed_pipe_ends_the_command_quietly() {
    let project = holding(&mixed(4_000)).await;
    let mut child = project.spawn(["telemetry", "export"]);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    assert!(line.starts_with("{\"run_id\":"));
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_named() {
    let project = holding(&mixed(3)).await;
    execute(&project, "UPDATE samples SET deliverables = '[broken' WHERE id = 2").await;
    let ran = project.autopack(["telemetry", "export"]).exited(1);
    assert!(ran.stderr.contains("telemetry sample 2"), "{ran:#?}");
}

#[test]
fn a_missing_database_creates_no_files() {
    let project = crate::support::Project::new();
    let ran = project.autopack(["telemetry", "export"]).exited(1);
    assert!(ran.stderr.contains("there is no database at"), "{ran:#?}");
    assert!(!ran.stderr.contains("hint:"), "{ran:#?}");
    assert!(!project.path(".autopack/autopack.db").exists());
    let elsewhere = [("AUTOPACK_DATABASE_URL", "sqlite:///nowhere/app.db")];
    let ran = project.autopack_with(["telemetry", "export"], &elsewhere).exited(1);
    assert!(ran.stderr.ends_with("hint: the URL comes from AUTOPACK_DATABASE_URL\n"), "{ran:#?}");
}
