//! `autopack metrics`: the text format, its values, and scrapes over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;

use serde_json::json;

use crate::support::Project;
use crate::support::database::execute;
use crate::telemetry_summary::drained;

/// Name with labels in order, and value.
type Samples = BTreeMap<String, f64>;

/// Reads the text format, version 0.0.4, and refuses everything that it does not define.
fn parse(text: &str) -> Samples {
    assert!(text.ends_with('\n'), "the last line has no end");
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    let mut family: Option<(String, String)> = None;
    let mut help: Option<String> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').expect(line);
            assert!(!words.is_empty() && is_name(name), "{line}");
            assert!(families.insert(name.to_owned()), "{name} is described twice");
            help = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert_eq!(help.take().as_deref(), Some(name), "{line}");
            assert!(matches!(kind, "gauge" | "counter"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (name, labels, value) = sample(line);
            let (of, _) = family.as_ref().expect(line);
            assert_eq!(*of, name, "{line}");
            let key = format!("{name}{{{}}}", labels.join(","));
            assert!(samples.insert(key, value).is_none(), "twice: {line}");
        }
    }
    samples
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || "_:".contains(first))
        && letters.all(|next| next.is_ascii_alphanumeric() || "_:".contains(next))
}

/// Name, labels with their values unescaped, value.
fn sample(line: &str) -> (String, Vec<String>, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, value) = rest.split_once("=\"").expect(line);
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (text, behind) = quoted(value);
            labels.push(format!("{label}={text}"));
            rest = behind;
            match rest.split_at(1) {
                (",", behind) => rest = behind,
                ("}", behind) => {
                    rest = behind;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    (name.to_owned(), labels, value.parse().expect(line))
}

/// Text up to an unescaped quote, and the rest.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in text.char_indices() {
        match (escaped, letter) {
            (true, 'n') => value.push('\n'),
            (true, '\\' | '"') => value.push(letter),
            (true, other) => panic!("\\{other} is no escape"),
            (false, '\\') => {}
            (false, '"') => return (value, &text[at + 1..]),
            (false, letter) => value.push(letter),
        }
        escaped = !escaped && letter == '\\';
    }
    panic!("no end: {text}")
}

fn metrics(project: &Project) -> Samples {
    parse(&project.autopack(["metrics"]).succeeded().stdout)
}

#[test]
fn values_equal_the_status() {
    let project = drained();
    project.drain().exited(3);
    let samples = metrics(&project);
    let status = project.json(["status", "--json"])["runs"][0].clone();
    for state in ["QUEUED", "EXECUTING", "COMPLETE", "FAILED", "SKIPPED"] {
        let key = format!("autopack_phases{{run=run,state={state}}}");
        assert_eq!(Some(samples[&key]), status["counts"][state].as_f64(), "{key}");
    }
    for kind in ["input", "output", "cache_read"] {
        let key = format!("autopack_tokens_total{{run=run,model=m-1,kind={kind}}}");
        assert_eq!(Some(samples[&key]), status["tokens"][kind].as_f64(), "{key}");
    }
    let cost = samples["autopack_cost_usd_total{run=run,model=m-1}"];
    assert_eq!(Some(cost), status["cost_usd"].as_f64());
    assert_eq!(samples["autopack_phases_blocked{run=run}"], 1.0);
    assert_eq!(samples["autopack_run_paused{run=run}"], 0.0);
    assert_eq!(samples["autopack_attempts_total{run=run,agent=fake,outcome=landed}"], 2.0);
    assert_eq!(samples["autopack_attempts_total{run=run,agent=fake,outcome=failed}"], 3.0);
    assert!(samples["autopack_agent_seconds_total{run=run}"] > 0.0);
    assert_eq!(samples["autopack_merge_queue_members{run=run,state=green}"], 0.0);
    let bytes = fs::metadata(project.path(".autopack/autopack.db")).unwrap().len();
    assert!(samples["autopack_database_size_bytes{}"] >= bytes as f64);
    assert!(!samples.keys().any(|key| key.contains("budget")), "{samples:?}");
}

#[test]
fn budgets_and_drains_are_shown_where_there_are_any() {
    let project = drained();
    project.drain().exited(3);
    execute(
        &project,
        "INSERT INTO owners (owner, pid, boot_id, host, lock_path, runs, started_at, heartbeat_boot_ms, renewed_at)
         VALUES ('7-1', 7, 'b', 'here', '/none', '[\"run\"]', 0, 0, 1000),
                ('8-1', 8, 'c', 'odd\"\\host', '/none', '[\"run\"]', 0, 0, NULL)",
    );
    let more = "executor: {budgets: {run: {tokens: 5000, cost_usd: 9.5}}}\n";
    let samples = metrics(&project.agent_with("", more));
    assert_eq!(samples["autopack_run_budget_limit_tokens{}"], 5000.0);
    assert_eq!(samples["autopack_run_budget_limit_usd{}"], 9.5);
    let used = samples["autopack_run_budget_used_usd{run=run}"];
    assert_eq!(used, samples["autopack_cost_usd_total{run=run,model=m-1}"]);
    assert_eq!(samples["autopack_drain_info{owner=7-1,host=here,pid=7}"], 1.0);
    assert_eq!(samples["autopack_drain_info{owner=8-1,host=odd\"\\host,pid=8}"], 1.0);
    // The other drain has recorded none.
    assert!(samples["autopack_drain_heartbeat_age_seconds{owner=7-1,host=here}"] > 0.0);
    let ages = samples.keys().filter(|key| key.contains("heartbeat"));
    assert_eq!(ages.count(), 1);
}

/// The exporter, ended with the value.
struct Exporter {
    child: Child,
    port: u16,
}

impl Exporter {
    fn start(project: &Project) -> Self {
        let mut child = project.spawn(["metrics", "--port", "0"]);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let at = line.trim().strip_prefix("serving http://127.0.0.1:").expect(&line);
        let port = at.strip_suffix("/metrics").unwrap().parse().unwrap();
        Self { child, port }
    }

    /// Status, headers and body.
    fn request(&self, line: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let host = self.port;
        write!(stream, "{line} HTTP/1.1\r\nHost: 127.0.0.1:{host}\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect(&text);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn scrapes_over_http_follow_the_database() {
    let project = Project::new().agent("write_deliverables()").plan(json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/a.py"]},
    ]}));
    let exporter = Exporter::start(&project);
    let scrape = || {
        let (status, head, body) = exporter.request("GET /metrics");
        assert_eq!(status, 200, "{body}");
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        parse(&body)
    };
    assert_eq!(scrape()["autopack_phases{run=run,state=QUEUED}"], 1.0);
    project.drain().succeeded();
    assert_eq!(scrape()["autopack_phases{run=run,state=COMPLETE}"], 1.0);
    let (status, _, body) = exporter.request("HEAD /metrics");
    assert_eq!((status, body.as_str()), (200, ""));
    assert_eq!(exporter.request("GET /").0, 404);
    let (status, head, _) = exporter.request("POST /metrics");
    assert!(status == 405 && head.contains("allow: get, head"), "{head}");
    let database = project.path(".autopack/autopack.db");
    fs::rename(&database, project.path("away.db")).unwrap();
    let (status, _, body) = exporter.request("GET /metrics");
    assert_eq!(status, 503);
    assert!(body.contains("there is no database at"), "{body}");
    fs::rename(project.path("away.db"), &database).unwrap();
    assert_eq!(scrape()["autopack_phases{run=run,state=COMPLETE}"], 1.0);
}

#[test]
fn a_server_that_does_not_answer_is_unavailable() {
    // A port without a listener: closed right after it was given.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://me:hunter2@127.0.0.1:{port}/none");
    let project = Project::new().env("AUTOPACK_DATABASE_URL", url);
    let exporter = Exporter::start(&project);
    let (status, _, body) = exporter.request("GET /metrics");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("not answer"), "{body}");
    assert!(!body.contains("hunter2"), "{body}");
}
