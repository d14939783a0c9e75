//! What a view costs a child process, beside bubblewrap with the same mounts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autopack::process::view::{Access, Mount, ViewMode, ViewSpec, probe};
use autopack::process::{self, Job, JobEnd, StopReceiver};

use super::linked_directory;
use super::process::{AUTOPACK, first_line_of};
use super::scale::Scale;
use super::stats::{Samples, figure, timed};

/// Directories bound over others in each view.
const BINDS: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Name, program and view.
type Case = (&'static str, Vec<String>, Option<Arc<ViewSpec>>);

pub fn section(scale: &Scale) -> String {
    process::use_supervisor(AUTOPACK);
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let temp = tempfile::tempdir().expect("a directory");
    let pairs: Vec<(std::path::PathBuf, std::path::PathBuf)> = (0..BINDS)
        .map(|n| {
            let [from, to] = ["from", "to"].map(|name| temp.path().join(format!("{name}-{n}")));
            for path in [&from, &to] {
                std::fs::create_dir(path).expect("a directory");
            }
            (from, to)
        })
        .collect();
    let bind = |(from, to): &(std::path::PathBuf, std::path::PathBuf)| Mount::Bind {
        source: from.into(),
        target: to.into(),
        access: Access::ReadWrite,
    };
    let namespaces = Arc::new(ViewSpec {
        mounts: pairs.iter().map(bind).collect(),
        ..ViewSpec::new(ViewMode::Namespaces)
    });
    let mut landlock = ViewSpec::new(ViewMode::Landlock);
    landlock.landlock.readable.push("/".into());
    landlock.landlock.writable.extend(pairs.iter().map(|(from, _)| from.into()));
    let landlock = Arc::new(landlock);
    let works = |mode| runtime.block_on(probe(mode)).is_ok();
    let mut bwrap: Vec<String> = [
        "bwrap",
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--die-with-parent",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
    ]
    .map(str::to_owned)
    .to_vec();
    for (from, to) in &pairs {
        bwrap.extend(["--bind".to_owned(), from.display().to_string(), to.display().to_string()]);
    }
    bwrap.push("true".to_owned());
    let plain = vec!["true".to_owned()];
    let mut cases: Vec<Case> = vec![("off", plain.clone(), None)];
    if works(ViewMode::Namespaces) {
        cases.push(("namespaces", plain.clone(), Some(namespaces)));
    }
    if works(ViewMode::Landlock) {
        cases.push(("landlock", plain, Some(landlock)));
    }
    if first_line_of("bwrap", &["--version"]).is_some() {
        cases.push(("off, `bwrap` as the program", bwrap, None));
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); cases.len()];
    for _ in 0..starts(scale) {
        for ((_, argv, view), times) in cases.iter().zip(&mut times) {
            times.push(timed(|| run(&runtime, argv, view.clone())).0);
        }
    }
    let medians: Vec<f64> =
        times.iter().map(|times| Samples::ms(times.iter().copied()).median()).collect();
    let mut text = format!(
        "{} starts of `true` under a supervisor in each mode, in turn, in milliseconds; {BINDS} directories bound over others.\n\n\
         | mode | p50 | more than off |\n|---|---|---|\n",
        starts(scale)
    );
    for ((name, ..), median) in cases.iter().zip(&medians) {
        text += &format!("| {name} | {} | {} |\n", figure(*median), figure(median - medians[0]));
    }
    let cost = |name: &str| {
        let index = cases.iter().position(|(case, ..)| case.starts_with(name))?;
        Some(medians[index] - medians[0])
    };
    if let (Some(own), Some(other)) = (cost("namespaces"), cost("off, `bwrap`")) {
        text +=
            &format!("\nNamespaces cost {} times as much as bubblewrap.\n", figure(own / other));
    }
    if cost("namespaces").is_some() {
        text += &linked_directory::table(scale);
    }
    text
}

/// Number of starts of each case.
fn starts(scale: &Scale) -> usize {
    2 * scale.starts
}

fn run(runtime: &tokio::runtime::Runtime, argv: &[String], view: Option<Arc<ViewSpec>>) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let job =
        Job { view, ..Job::new(argv, Path::new("/"), [("PATH".into(), path)].into(), TIMEOUT) };
    let ended = runtime.block_on(process::run(job, &StopReceiver::never())).expect("a supervisor");
    assert_eq!(ended.end, JobEnd::Exited(0), "{argv:?}: {}", ended.stderr.text());
}
