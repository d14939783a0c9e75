//! `world.py`: servers, processes with secrets and shared memory outside of the view.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

/// The running script.
pub struct World {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What attempts may know.
    pub facts: Value,
    /// What this machine has.
    pub has: Vec<String>,
}

/// What happened outside.
pub struct Happened {
    /// Listener and data.
    received: Vec<(String, String)>,
    /// State of each process, `S` or `R` if nothing happened.
    pub victims: BTreeMap<String, String>,
    /// Shared memory and files that only the script has open.
    reports: BTreeMap<String, String>,
}

impl World {
    /// Starts the script; `dir` is the outside's directory, `victims` the names of processes.
    pub fn start(dir: &Path, name: &str, victims: &[String], secrets: &Value) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/escapes/world.py");
        let mut child = Command::new("python3")
            .arg(script)
            .env("HOME", dir.join("home"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let plan = json!({"dir": dir, "runtime": dir.join("run-user"), "name": name, "victims": victims,
            "secrets": secrets});
        writeln!(input, "{plan}").unwrap();
        let started = line(&mut output);
        let has = serde_json::from_value(started["has"].clone()).unwrap();
        Self { child, input: Some(input), output, facts: started["facts"].clone(), has }
    }

    /// Ends the script, which cleans up.
    pub fn end(mut self) -> Happened {
        drop(self.input.take());
        let end = line(&mut self.output);
        let text = |data: &Value| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(data.as_str().unwrap());
            String::from_utf8_lossy(&bytes.unwrap()).into_owned()
        };
        let received = end["received"].as_array().unwrap().iter();
        let happened = Happened {
            received: received.map(|r| (r[0].as_str().unwrap().to_owned(), text(&r[1]))).collect(),
            victims: serde_json::from_value(end["victims"].clone()).unwrap(),
            reports: serde_json::from_value(end["reports"].clone()).unwrap(),
        };
        self.child.wait().unwrap();
        happened
    }
}

impl Drop for World {
    /// After a failed assertion.
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

impl Happened {
    /// Whether a text arrived, at a listener if one is named.
    pub fn arrived(&self, mark: &str, listener: Option<&str>) -> bool {
        let counts = |at: &str| listener.is_none_or(|listener| at == listener);
        // A mark may be split over two reads.
        let at = |name: &str| {
            let parts = self.received.iter().filter(|(at, _)| at == name);
            parts.map(|(_, data)| data.as_str()).collect::<String>()
        };
        let mut names: Vec<&str> = self.received.iter().map(|(at, _)| at.as_str()).collect();
        names.dedup();
        names.into_iter().any(|name| counts(name) && at(name).contains(mark))
    }

    pub fn is_reported(&self, mark: &str) -> bool {
        self.reports.values().any(|report| report.contains(mark))
    }
}

fn line(output: &mut impl BufRead) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("world.py ended early: {line}"))
}
