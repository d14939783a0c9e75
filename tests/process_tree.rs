//! Programs that resist termination: nothing of them is left, whether they or the drain end.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::process::{LONG, MARK, env, job, marked, run, unique};
use crate::support::stubborn::STUBBORN;
use autopack::process::{
    FileLock, Job, JobEnd, SpawnError, StopLevel, StopReceiver, Stream, run as run_until,
    sweep_marked,
};
use futures_util::future::join_all;

fn stubborn(cwd: &Path, mark: &str, and_then: &str) -> Job<'static> {
    stubborn_of(4, cwd, mark, and_then)
}

/// The first `count` of them.
fn stubborn_of(count: usize, cwd: &Path, mark: &str, and_then: &str) -> Job<'static> {
    let script = format!("COUNT = {count}\n{STUBBORN}{and_then}");
    let mut job = job(&["python3", "-c", &script], cwd);
    job.env = env(mark);
    job.grace = Duration::from_millis(50);
    job
}

const STAY: &str = "while True: signal.pause()";

#[tokio::test]
async fn twenty_stubborn_trees_are_gone_when_their_leader_ends() {
    let at = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let mark = unique();
        let ended = run(stubborn(at.path(), &mark, "sys.exit(6)")).await.unwrap();
        assert_eq!(marked(&mark), Vec::<String>::new());
        assert_eq!((ended.end, ended.stdout.text().as_str()), (JobEnd::Exited(6), "up\n"));
        assert!(ended.swept >= 4, "{}", ended.swept);
    }
}

#[tokio::test]
async fn twenty_stubborn_trees_are_gone_when_they_are_stopped() {
    let at = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let mark = unique();
        let (handle, stop) = StopReceiver::pair();
        let level = if round % 2 == 0 { StopLevel::Graceful } else { StopLevel::Now };
        let when_up = |_: Stream, _: &str| handle.raise(level);
        let mut job = stubborn(at.path(), &mark, STAY);
        job.on_line = Some(&when_up);
        let ended = run_until(job, &stop).await.unwrap();
        assert_eq!(marked(&mark), Vec::<String>::new());
        assert_eq!(ended.end, JobEnd::Stopped);
    }
}

/// As many at once as a machine with few processors starts without trouble, and a hundred in all.
#[tokio::test]
async fn a_hundred_stubborn_process_trees_are_ended() {
    let at = tempfile::tempdir().unwrap();
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        let trees = (0..5).map(|_| end_stubborn(at.path(), round));
        slowest = join_all(trees).await.into_iter().fold(slowest, Duration::max);
    }
    println!("100 trees; the slowest was gone {} ms after it was stopped", slowest.as_millis());
}

/// Ends a tree once it is up; returns the time until nothing of it was left.
async fn end_stubborn(at: &Path, round: u32) -> Duration {
    let mark = unique();
    let (handle, stop) = StopReceiver::pair();
    let level = if round.is_multiple_of(2) { StopLevel::Graceful } else { StopLevel::Now };
    let (say, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let when_up = |_: Stream, _: &str| {
        say.send(Instant::now()).unwrap();
        handle.raise(level);
    };
    let mut job = stubborn_of(1, at, &mark, STAY);
    job.on_line = Some(&when_up);
    let ended = run_until(job, &stop).await.unwrap();
    let took = hear.try_recv().unwrap().elapsed();
    assert_eq!(marked(&mark), Vec::<String>::new());
    assert_eq!(ended.end, JobEnd::Stopped);
    took
}

#[tokio::test]
async fn an_unwritable_log_ends_the_process_tree_before_the_error_is_reported() {
    let at = tempfile::tempdir().unwrap();
    let mark = unique();
    let mut job = stubborn(at.path(), &mark, STAY);
    // The first byte finds it full.
    let full = at.path().join("agent.log");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    job.log = Some(full);
    let error = run(job).await.unwrap_err();
    assert_eq!(marked(&mark), Vec::<String>::new());
    assert!(matches!(error, SpawnError::Log { .. }), "{error}");
}

#[tokio::test]
async fn a_dropped_future_ends_its_process_tree() {
    let at = tempfile::tempdir().unwrap();
    let mark = unique();
    let lock = FileLock::try_lock(&at.path().join("lock")).unwrap().unwrap();
    let (say, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let when_up = move |_: Stream, _: &str| say.send(()).unwrap();
    let mut job = stubborn(at.path(), &mark, STAY);
    job.hold = Some(lock.fd().unwrap());
    job.on_line = Some(&when_up);
    tokio::select! {
        ended = run(job) => panic!("it ended: {ended:?}"),
        _ = hear.recv() => {}
    }
    drop(lock);
    wait_for_lock(&at.path().join("lock"));
    assert_eq!(marked(&mark), Vec::<String>::new());
}

/// The drain of the tests below: not a test itself.
#[tokio::test]
#[ignore = "run by other tests as a process of its own"]
async fn drain() {
    let mark = std::env::var("TEST_DRAIN_MARK").unwrap();
    let directory = std::env::var("TEST_DRAIN_FOLDER").unwrap();
    let lock = FileLock::try_lock(&Path::new(&directory).join("lock")).unwrap().unwrap();
    let count = std::env::var("TEST_DRAIN_COUNT").unwrap().parse().unwrap();
    let mut job = stubborn_of(count, Path::new(&directory), &mark, STAY);
    job.hold = Some(lock.fd().unwrap());
    let show = |_: Stream, line: &str| println!("\n{line}");
    job.on_line = Some(&show);
    run(job).await.unwrap();
}

fn start_drain(directory: &Path, mark: &str, count: u8) -> std::process::Child {
    let mut drain = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_tree::drain", "--ignored", "--nocapture"])
        .env("TEST_DRAIN_MARK", mark)
        .env("TEST_DRAIN_FOLDER", directory)
        .env("TEST_DRAIN_COUNT", count.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(drain.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "up"), "the drain ended early");
    drain
}

#[test]
fn a_killed_drain_ends_its_process_trees() {
    let at = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let mark = unique();
        let mut drain = start_drain(at.path(), &mark, 4);
        assert!(!marked(&mark).is_empty());
        assert!(!autopack::process::lock::is_free(&at.path().join("lock")).unwrap());
        drain.kill().unwrap();
        drain.wait().unwrap();
        wait_for_lock(&at.path().join("lock"));
        assert_eq!(marked(&mark), Vec::<String>::new());
    }
}

#[test]
fn processes_outliving_their_supervisor_are_found_by_their_mark() {
    let at = tempfile::tempdir().unwrap();
    let mark = unique();
    // Without a parent that adopts it, a process that keeps moving into new sessions is out of reach.
    let mut drain = start_drain(at.path(), &mark, 3);
    // All at once, like `killall -9`: the leader goes with its supervisor, the others stay.
    let supervisors = children_named(drain.id(), "ap-supervise");
    assert_eq!(supervisors.len(), 1);
    let supervisor = nix::unistd::Pid::from_raw(supervisors[0]);
    let send = |signal| nix::sys::signal::kill(supervisor, signal).unwrap();
    // Stopped first: at the end of its drain, a supervisor ends its programs and itself.
    send(nix::sys::signal::Signal::SIGSTOP);
    drain.kill().unwrap();
    send(nix::sys::signal::Signal::SIGKILL);
    drain.wait().unwrap();
    wait_for_lock(&at.path().join("lock"));
    assert!(sweep_marked(MARK, &mark) > 0);
    // A process that was just starting another program had no mark at that moment.
    while sweep_marked(MARK, &mark) > 0 {}
    assert_eq!(marked(&mark), Vec::<String>::new());
}

#[tokio::test]
async fn signals_of_the_terminal_do_not_reach_supervisor_or_program() {
    let at = tempfile::tempdir().unwrap();
    // The program's parent is its supervisor, which survives all of these signals; the program goes on.
    let script = "import os, signal\nfor s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):\n    \
                  os.kill(os.getppid(), s)\n    assert signal.getsignal(s) != signal.SIG_IGN\nprint(os.getsid(os.getppid()) == os.getppid())";
    let ended = run(job(&["python3", "-c", script], at.path())).await.unwrap();
    assert_eq!(
        (ended.end, ended.stdout.text().as_str()),
        (JobEnd::Exited(0), "True\n"),
        "{}",
        ended.stderr.text()
    );
}

#[tokio::test]
async fn a_killed_supervisor_is_an_internal_failure_and_leaves_no_process() {
    let at = tempfile::tempdir().unwrap();
    let mark = unique();
    let mut job = job(&["sh", "-c", "sleep 1000 & kill -KILL $PPID; wait"], at.path());
    job.env = env(&mark);
    let error = run(job).await.unwrap_err();
    assert!(error.to_string().contains("the supervisor of a program was lost"), "{error}");
    sweep_marked(MARK, &mark);
    assert_eq!(marked(&mark), Vec::<String>::new());
}

#[tokio::test]
async fn a_killed_fork_server_is_started_again() {
    let at = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let ended = run(job(&["echo", "here"], at.path())).await.unwrap();
        assert_eq!((ended.end, ended.stdout.text().as_str()), (JobEnd::Exited(0), "here\n"));
        let servers = children_named(std::process::id(), "ap-forkserver");
        assert_eq!(servers.len(), 1);
        let server = nix::unistd::Pid::from_raw(servers[0]);
        nix::sys::signal::kill(server, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}

fn children_named(pid: u32, name: &str) -> Vec<i32> {
    let name_of = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
    let is_named = |pid: &i32| name_of(pid).is_ok_and(|found| found.trim_end() == name);
    children_of(pid).into_iter().filter(is_named).collect()
}

fn children_of(pid: u32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .flat_map(|task| {
            let children = std::fs::read_to_string(task.unwrap().path().join("children"));
            let pids: Vec<i32> =
                children.unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
            pids
        })
        .collect()
}

/// Waits until the lock is free: the supervisor holds it as long as anything of its tree is left.
fn wait_for_lock(path: &Path) {
    let file = File::open(path).unwrap();
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(file.lock().is_ok()));
    assert!(wait.recv_timeout(LONG).unwrap());
}
