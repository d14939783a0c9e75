//! Jobs for tests, and a search for processes with a mark.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use autopack::process::{self, FinishedJob, Job, SpawnError, StopReceiver};

pub const MARK: &str = "AUTOPACK_TEST_MARK";
/// Longer than any test that works, so that this limit never ends one.
pub const LONG: Duration = Duration::from_secs(120);

pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A whole environment: a PATH and a mark.
pub fn env(mark: &str) -> BTreeMap<OsString, OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    BTreeMap::from([("PATH".into(), path), (MARK.into(), mark.into())])
}

pub fn job(argv: &[&str], cwd: &Path) -> Job<'static> {
    process::use_supervisor(env!("CARGO_BIN_EXE_autopack"));
    Job::new(argv, cwd, env(&unique()), LONG)
}

pub fn sh(script: &str, cwd: &Path) -> Job<'static> {
    job(&["sh", "-c", script], cwd)
}

pub async fn run(job: Job<'_>) -> Result<FinishedJob, SpawnError> {
    process::run(job, &StopReceiver::never()).await
}

/// Sends a signal, by its name with a dash: `-INT`.
pub fn signal(child: &std::process::Child, name: &str) {
    let mut kill = std::process::Command::new("kill");
    kill.args([name, &child.id().to_string()]).status().unwrap();
}

/// Processes with the mark, except zombies.
pub fn marked(mark: &str) -> Vec<String> {
    let entry = format!("{MARK}={mark}");
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter(|process| {
            std::fs::read(process.path().join("environ"))
                .is_ok_and(|all| all.split(|b| *b == 0).any(|one| one == entry.as_bytes()))
        })
        .map(|process| std::fs::read_to_string(process.path().join("stat")).unwrap_or_default())
        .filter(|stat| !stat.is_empty())
        .collect()
}

/// Command lines of processes with this text in their environment, except zombies. A process that names a test's
/// directory belongs to that test.
pub fn bearing(text: &str) -> Vec<String> {
    let has = |path: &Path| {
        std::fs::read(path.join("environ"))
            .is_ok_and(|all| all.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .map(|process| process.path())
        .filter(|path| has(path))
        .map(|path| std::fs::read(path.join("cmdline")).unwrap_or_default())
        .filter(|cmdline| !cmdline.is_empty())
        .map(|cmdline| String::from_utf8_lossy(&cmdline).replace('\0', " "))
        .collect()
}
