//! What a linked directory of 300 MB costs: a program in a new copy, with the directory and without, in turn.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::process::succeed;
use super::scale::Scale;
use super::scratch::Scratch;
use super::stats::{Samples, figure, timed};

/// Packages in the directory, files of each, and bytes of a file.
const PACKAGES: usize = 600;
const FILES: usize = 50;
const BYTES: usize = 10_240;

pub fn table(scale: &Scale) -> String {
    let scratch = Scratch::new(100);
    fs::write(scratch.root().join(".gitignore"), "node_modules\n").expect("a file");
    scratch.git(["add", "-A"]);
    scratch.git(["commit", "-q", "-m", "packages are ignored"]);
    let agent = json!({"default": "noop",
        "noop": {"kind": "command", "command": ["sh", "-c", super::scratch::AGENT]}});
    scratch.configure(&json!({"agents": agent, "ci": {"command": ["true"]},
        "workspace": {"link": ["node_modules"]}}));
    scratch.plan("links", 0..1);
    let (linked, away) = (scratch.root().join("node_modules"), scratch.outside("away"));
    fill(&linked);
    let shell = || {
        let mut shell = scratch.autopack(["shell", "--fresh", "--", "true"]);
        succeed(shell.env("AUTOPACK_SANDBOX_MODE", "namespaces"));
    };
    let (mut with, mut without): (Vec<Duration>, Vec<Duration>) = Default::default();
    for _ in 0..scale.starts.min(15) {
        with.push(timed(shell).0);
        fs::rename(&linked, &away).expect("a move");
        without.push(timed(shell).0);
        fs::rename(&away, &linked).expect("a move");
    }
    let mut drain = scratch.autopack(["drain", "--run-id", "links"]);
    succeed(drain.env("AUTOPACK_SANDBOX_MODE", "namespaces"));
    let [with, without] = [with, without].map(|times| Samples::ms(times).median());
    format!(
        "\n`autopack shell --fresh -- true` with a linked directory of {} MB in {} files: {} ms; without: {} ms; \
         difference: {} ms. After a drain, all slots hold {} KiB.\n",
        PACKAGES * FILES * BYTES / 1_000_000,
        PACKAGES * FILES,
        figure(with),
        figure(without),
        figure(with - without),
        total(&scratch.outside("home")) / 1024
    )
}

fn fill(directory: &Path) {
    for package in 0..PACKAGES {
        let package = directory.join(format!("package-{package}"));
        fs::create_dir_all(&package).expect("a directory");
        fs::write(package.join("package.json"), "{}").expect("a file");
        for file in 1..FILES {
            fs::write(package.join(format!("{file}.js")), [b'x'; BYTES]).expect("a file");
        }
    }
}

/// Bytes of all files below a directory.
fn total(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => total(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
