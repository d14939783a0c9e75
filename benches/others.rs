//! The usual alternatives: a shell loop over worktrees, GNU parallel, pueue. Each performs the steps of a successful
//! phase (worktree, agent, CI, commit, branch) and none of a drain's other work: no claim that survives a crash, no
//! scope, no judgement, no supervision, no records.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::drains::Series;
use super::process::{cpu_seconds, first_line_of, succeed};
use super::scale::{DrainSize, Scale};
use super::scratch::{AGENT, Scratch, id_of};
use super::stats::{Samples, figure};

/// One phase by hand: `$1` is its id. On a conflict at the branch, it tries again.
fn by_hand() -> String {
    format!(
        r#"set -e
AUTOPACK_PHASE_ID=$1; export AUTOPACK_PHASE_ID
w=.worktrees/$1
git worktree add -q --detach "$w" refs/heads/work
cd "$w"
echo prompt | sh -c '{agent}'
true
git add -A
git commit -q -m "Phase $1"
until old=$(git rev-parse refs/heads/work); git rebase -q "$old" >/dev/null; git update-ref refs/heads/work HEAD "$old" 2>/dev/null; do :; done
cd ../..
git worktree remove --force "$w"
date +%s%N >>.done
"#,
        agent = AGENT
    )
}

/// Rows of the same table as the drain's.
pub fn loops(size: DrainSize, jobs: &[usize], kept: &mut Vec<Scratch>) -> String {
    let DrainSize { files, by_hand: phases, .. } = size;
    let mut text = String::new();
    let mut row = |jobs: usize, what: &str, drive: &dyn Fn(&Scratch, &str) -> Command| {
        let scratch = Scratch::new(files);
        let script = scratch.write("phase.sh", &by_hand()).display().to_string();
        scratch.git(["branch", "work"]);
        let ids: String = (0..phases).map(|number| id_of(number) + "\n").collect();
        scratch.write("ids", &ids);
        let series = series(&scratch, &mut drive(&scratch, &script));
        text += &format!("| {files} | {jobs} | {what} | {} |\n", series.row());
        kept.push(scratch);
    };
    row(1, "a shell loop", &|scratch, script| {
        let mut command = scratch.command("sh");
        let ids = scratch.outside("ids").display().to_string();
        command
            .args(["-ec", &format!("while read -r id; do sh '{script}' \"$id\"; done <'{ids}'")]);
        command
    });
    if first_line_of("parallel", &["--version"]).is_some() {
        for jobs in jobs {
            row(*jobs, "GNU parallel", &|scratch, script| {
                let mut command = scratch.command("parallel");
                let ids = scratch.outside("ids").display().to_string();
                command.args([
                    "--halt",
                    "now,fail=1",
                    "-j",
                    &jobs.to_string(),
                    "sh",
                    script,
                    "{}",
                    "::::",
                    &ids,
                ]);
                command
            });
        }
    }
    text
}

/// Computed from the times that each phase writes at its end.
fn series(scratch: &Scratch, command: &mut Command) -> Series {
    let before = cpu_seconds();
    succeed(command);
    let cpu_seconds = cpu_seconds() - before;
    let done = std::fs::read_to_string(scratch.root().join(".done")).expect("phases were done");
    let mut ends: Vec<u64> = done.lines().filter_map(|line| line.parse().ok()).collect();
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| Duration::from_nanos(pair[1] - pair[0])).collect();
    Series { gaps, cpu_seconds }
}

/// A line below the claims: the same with pueue, whose queue is in the memory of a daemon and in a file.
pub fn queue(scale: &Scale) -> String {
    let tools = (first_line_of("pueue", &["--version"]), first_line_of("pueued", &["--version"]));
    let (Some(version), Some(_)) = tools else {
        return "\npueue was not installed for comparison.\n".to_owned();
    };
    let scratch = Scratch::new(1);
    let mut daemon = scratch.command("pueued");
    let mut daemon = daemon
        .env("XDG_RUNTIME_DIR", scratch.outside("home"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pueued starts");
    let ask = |args: &[&str]| {
        let mut command = scratch.command("pueue");
        command
            .env("XDG_RUNTIME_DIR", scratch.outside("home"))
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let begun = Instant::now();
    while !ask(&["status"]) && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let count = scale.claims.min(500);
    ask(&["pause"]);
    let added = Samples::ms((0..count).map(|_| {
        let started = Instant::now();
        assert!(ask(&["add", "--", "true"]), "pueue add");
        started.elapsed()
    }));
    let started = Instant::now();
    assert!(ask(&["start"]) && ask(&["wait", "--quiet"]), "pueue wait");
    let each = started.elapsed().as_secs_f64() * 1e3 / count as f64;
    ask(&["shutdown"]);
    let _ = daemon.wait();
    format!(
        "\n{version} with {count} tasks `true` in its queue: adding a task takes {} ms (p50; p99 {} ms), and the time between two starts is \
         {} ms.\n",
        figure(added.median()),
        figure(added.quantile(0.99)),
        figure(each)
    )
}
