//! The merge queue: members are tested at the same time, each on those before it, and land in order.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::database::{stop_between_writes, texts};
use crate::support::meeting::MEETING;
use crate::support::process::signal;
use crate::support::{Project, has_pytest};

/// Comes to the meeting place, and waits for others.
const COME: &str = r#"
def come(number):
    (meeting / f"came-{phase_id}-{attempt}").write_text("")
    wait_for("came-", number)
"#;

/// A project whose CI is a shell script with `$MEETING`, a directory outside of the checkouts. The script writes the tree
/// that it tests into `$MEETING/trees`.
fn project(agent: &str, ci: &str, more: &str) -> Project {
    let project = Project::new();
    std::fs::create_dir(project.outside("meeting")).unwrap();
    let meeting = project.outside("meeting");
    let script = format!(
        "MEETING='{}'\ngit rev-parse 'HEAD^{{tree}}' >> \"$MEETING/trees\"\n{ci}\n",
        meeting.display()
    );
    let project = project.file("ci.sh", &script).commit("ci");
    let config = format!("ci: {{command: [sh, ci.sh]{}}}\n", more.split('|').next().unwrap());
    let rest = more.split_once('|').map_or("", |(_, rest)| rest);
    project.agent_with(&format!("{MEETING}{COME}\n{agent}"), &format!("{config}{rest}"))
}

/// Phases without common paths.
fn apart(count: usize) -> Value {
    let phase =
        |n: usize| json!({"phase_id": format!("p{n}"), "deliverables": [format!("d{n}/a.txt")]});
    json!({ "phases": (0..count).map(phase).collect::<Vec<_>>() })
}

fn drain(project: &Project, jobs: u32) -> crate::support::Ran {
    project.autopack(["drain", "--run-id", "run", "--jobs", &jobs.to_string()])
}

fn meeting(project: &Project, name: &str) -> PathBuf {
    project.outside("meeting").join(name)
}

fn lines(project: &Project, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(meeting(project, name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Asserts that each landed tree was tested as exactly this tree, and that nothing of the queue is left.
#[track_caller]
fn assert_tested_and_clean(project: &Project) {
    let tested: BTreeSet<String> = lines(project, "trees").into_iter().collect();
    let landed = project.git(["log", "--format=%T", "autopack/run"]);
    let untested: Vec<&str> = landed.lines().filter(|tree| !tested.contains(*tree)).collect();
    // The first commits were made before the run.
    let own = project.git(["rev-list", "--count", "main"]).trim().parse::<usize>().unwrap() - 1;
    assert!(untested.len() <= own, "landed and not tested: {untested:?} of {landed}");
    assert_eq!(project.git(["for-each-ref", "refs/autopack/queue"]), "");
    assert_eq!(
        texts(&project.path(".autopack/autopack.db"), "SELECT owner FROM queue_members"),
        [""; 0]
    );
}

fn attempts(project: &Project, phase: &str) -> usize {
    project.phase(phase)["attempt_log"].as_array().unwrap().len()
}

#[test]
fn members_are_tested_at_the_same_time() {
    // Each run of CI with a change waits until three are under way.
    let ci = "ls d* > /dev/null 2>&1 || exit 0\nmktemp \"$MEETING/run.XXXXXX\" > /dev/null\n\
              for n in $(seq 3000); do [ $(ls \"$MEETING\"/run.* | wc -l) -ge 3 ] && exit 0; sleep 0.01; done; exit 1";
    let project = project("come(3)\nwrite_deliverables()", ci, "").plan(apart(3));
    drain(&project, 3).succeeded();
    assert_eq!(project.landed().len(), 3);
    assert_tested_and_clean(&project);
}

#[test]
fn a_failure_caused_by_a_change_before_is_not_charged() {
    // p0 breaks CI for everything on top of it; p1 and p2 wait until its commit is in the queue.
    let agent = "if phase_id != 'p0': wait_for('red-')\nwrite_deliverables()";
    let ci = "[ -e d0/a.txt ] || exit 0\ntouch \"$MEETING/red-$$\"\n\
              for n in $(seq 300); do [ $(ls \"$MEETING\"/red-* | wc -l) -ge 3 ] && exit 1; sleep 0.01; done; exit 1";
    let project = project(agent, ci, "|executor: {max_attempts: 1}\n").plan(apart(3));
    drain(&project, 3).exited(3);
    assert_eq!(project.states()["p0"], "FAILED");
    assert_eq!([project.states()["p1"].as_str(), &project.states()["p2"]], ["COMPLETE"; 2]);
    assert_tested_and_clean(&project);
}

#[test]
fn a_stop_reaches_a_red_member_in_the_queue_and_is_not_counted() {
    // CI of p0 lasts until p1 was red on top of it, and was stopped.
    let agent = "if phase_id == 'p1': wait_for('p0-ci')\nwrite_deliverables()";
    let ci = "[ -e d0/a.txt ] || exit 0\n[ -e d1/a.txt ] && { touch \"$MEETING/p1-red\"; exit 1; }\ntouch \"$MEETING/p0-ci\"\n\
              for n in $(seq 3000); do [ -e \"$MEETING/go\" ] && exit 0; sleep 0.01; done; exit 1";
    let project = project(agent, ci, "").plan(apart(2));
    let child = project.spawn(["drain", "--run-id", "run", "--jobs", "2", "--json"]);
    while !meeting(&project, "p1-red").exists() {
        std::thread::yield_now();
    }
    project.autopack(["stop", "run/p1"]).succeeded();
    while project.states()["p1"] != "QUEUED" {
        std::thread::yield_now();
    }
    std::fs::write(meeting(&project, "go"), "").unwrap();
    project.wait(child);
    assert_eq!(project.phase("p1")["attempts"], 0);
    assert_eq!(project.landed(), ["p0"]);
    assert_tested_and_clean(&project);
}

#[test]
fn a_suspended_drain_keeps_no_permit() {
    // CI hangs in the first drain, which is suspended; the second reclaims its phase and runs CI alone.
    let ci =
        "[ -e d0/a.txt ] || exit 0\nmkdir \"$MEETING/hangs\" 2> /dev/null && sleep 600\nexit 0";
    let more = ", parallel: 1|executor: {lease_seconds: 1}\n";
    let project = project("write_deliverables()", ci, more).plan(apart(1));
    let first = project.spawn(["drain", "--run-id", "run", "--json"]);
    while !meeting(&project, "hangs").exists() {
        std::thread::yield_now();
    }
    stop_between_writes(&project, &first);
    project.autopack(["drain", "--run-id", "run"]).succeeded();
    assert_eq!(project.landed(), ["p0"]);
    signal(&first, "-CONT");
    project.wait(first).succeeded();
    assert_tested_and_clean(&project);
}

#[test]
fn a_resource_used_by_later_phases_alone_is_charged_to_nobody() {
    // p0 to p3 pass beside each other; the tests of the others use one lock.
    let ci = "ls d[4-9]/a.txt > /dev/null 2>&1 || exit 0\nexec 9>\"$MEETING/port\"\nflock -n 9 || exit 1\nsleep 0.2";
    let agent = "come(4)\nwrite_deliverables()";
    let project = project(agent, ci, "|executor: {max_attempts: 1}\n").plan(apart(10));
    drain(&project, 4).succeeded();
    assert_eq!(project.landed().len(), 10);
    assert_tested_and_clean(&project);
}

#[test]
fn a_red_member_is_run_once_more_in_place() {
    // CI of p0 lasts until the first run with p1's change, on top of it, has failed; the next run passes.
    let agent = "if phase_id != 'p0': wait_for('p0-ci')\nwrite_deliverables()";
    let ci = "[ -e d0/a.txt ] || exit 0\nif [ -e d1/a.txt ]; then mkdir \"$MEETING/first\" 2> /dev/null && exit 1; exit 0; fi\n\
              touch \"$MEETING/p0-ci\"\nfor n in $(seq 3000); do [ -e \"$MEETING/first\" ] && exit 0; sleep 0.01; done; exit 1";
    let project = project(agent, ci, "|executor: {max_attempts: 1}\n").plan(apart(2));
    drain(&project, 2).succeeded();
    assert_eq!(lines(&project, "trees").len(), 4, "the base, p0, and p1 twice");
    assert_eq!(project.landed().len(), 2);
    assert_tested_and_clean(&project);
}

#[test]
fn the_second_of_two_workers_waits_for_the_first_test() {
    // Tests of changes take less than the test of the base, so the other worker expects their end soon.
    let ci = "ls d*/a.txt > /dev/null 2>&1 || { sleep 3; exit 0; }\nmkdir \"$MEETING/runs\" || { touch \"$MEETING/BESIDE\"; exit 1; }\n\
              sleep 0.2\nrmdir \"$MEETING/runs\"\n[ ! -e d0/a.txt ]";
    let project = project("come(2)\nwrite_deliverables()", ci, "|executor: {max_attempts: 1}\n");
    let project = project.plan(apart(2));
    drain(&project, 2).exited(3);
    assert_eq!(project.landed(), ["p1"]);
    assert!(!meeting(&project, "BESIDE").exists());
    assert_eq!(lines(&project, "trees").len(), 3, "the base, p0, and p1 without p0");
    assert_tested_and_clean(&project);
}

#[test]
fn those_behind_a_red_member_are_tested_without_it_while_it_is_tested_again() {
    // Three pass together. Then p0 and p1 are red together, and CI of p0 ends once CI of p1 without p0 has started, and the
    // other way around.
    let ci = "come() { touch \"$MEETING/$1\"; for n in $(seq 3000); do [ -e \"$MEETING/$2\" ] && return; sleep 0.01; done; touch \"$MEETING/LATE\"; }\n\
              if [ -e d0/a.txt ]; then if [ -e d1/a.txt ]; then come both one; else\n\
              if mkdir \"$MEETING/again\" 2> /dev/null; then come one both; else come p0 p1; fi; fi; exit 1; fi\n\
              if [ -e d1/a.txt ]; then come p1 p0; exit 0; fi\n\
              ls d* > /dev/null 2>&1 || exit 0\n\
              mktemp \"$MEETING/green.XXXXXX\" > /dev/null\n\
              for n in $(seq 3000); do [ $(ls \"$MEETING\"/green.* | wc -l) -ge 3 ] && break; sleep 0.01; done\n\
              sleep $(($(date +%s) - $(stat -c %Y \"$MEETING\"/green.* | sort -n | head -n 1) + 2))";
    let agent = "if phase_id == 'p1': wait_for('one')\nwrite_deliverables()";
    let mut plan = apart(5);
    for phase in 0..2 {
        plan["phases"][phase]["dependencies"] = json!(["p2", "p3", "p4"]);
    }
    let project = project(agent, ci, "|executor: {max_attempts: 1}\n").plan(plan);
    drain(&project, 4).exited(3);
    assert_eq!(project.states()["p0"], "FAILED");
    assert_eq!(project.landed().len(), 4);
    assert!(!meeting(&project, "LATE").exists());
    assert_tested_and_clean(&project);
}

#[test]
fn tests_that_were_red_before_keep_nobody_waiting() {
    if !has_pytest() {
        return;
    }
    // A test fails on the base. Runs of CI with a change wait for two others, and each leaves a file.
    let tests = "import glob, os, pathlib, time\n\
                 meeting = pathlib.Path(os.environ['AUTOPACK_WORKSPACE']).parent / 'witness' / 'meeting'\n\
                 def test_old(): assert False\n\
                 def test_good():\n    if not glob.glob('d*'): return\n    (meeting / f'ci-{os.getpid()}').touch()\n\
                 \x20   for n in range(3000):\n        if len(list(meeting.glob('ci-*'))) >= 3: return\n        time.sleep(0.01)\n    assert False\n";
    let project = Project::new().file("tests/test_a.py", tests).commit("tests");
    std::fs::create_dir(project.outside("meeting")).unwrap();
    let agent = format!("{MEETING}{COME}\ncome(3)\nwrite_deliverables()");
    let ci = "ci: {command: python3 -m pytest -q tests, final: off}\n";
    let project = project.agent_with(&agent, ci).plan(apart(3));
    drain(&project, 3).succeeded();
    assert_eq!(project.landed().len(), 3);
    let runs = std::fs::read_dir(project.outside("meeting")).unwrap();
    let of_ci = |file: &std::fs::DirEntry| file.file_name().to_string_lossy().starts_with("ci-");
    assert_eq!(runs.filter(|file| of_ci(file.as_ref().unwrap())).count(), 3, "once for each phase");
}

#[test]
fn a_phases_own_check_with_a_fixed_port_is_charged_to_nobody() {
    // The lock is taken by the own checks alone; CI passes in any case.
    let plan = json!({"phases": (0..4).map(|n| json!({
        "phase_id": format!("p{n}"), "deliverables": [format!("d{n}/a.txt")], "test_cmd": "sh check.sh",
    })).collect::<Vec<_>>()});
    let project =
        project("come(4)\nwrite_deliverables()", "exit 0", "|executor: {max_attempts: 1}\n");
    let check = format!(
        "ls d* > /dev/null 2>&1 || exit 0\nexec 9>'{}'\nflock -n 9 || exit 1\nsleep 0.3\n",
        meeting(&project, "port").display()
    );
    let project = project.file("check.sh", &check).commit("check").plan(plan);
    drain(&project, 4).succeeded();
    assert_eq!(project.landed().len(), 4);
    assert_tested_and_clean(&project);
}

#[test]
fn ci_with_a_fixed_port_runs_one_at_a_time_after_two_failures() {
    // The run with the port waits until another one has failed: under load, that one may start late.
    let ci = "ls d* > /dev/null 2>&1 || exit 0\nexec python3 -c \"
import os, socket, sys, time
path = lambda name: os.path.join('$MEETING', name)
failures = lambda: os.path.getsize(path('failures'))
s = socket.socket()
try: s.bind(('127.0.0.1', int(open(path('port')).read())))
except OSError:
    open(path('failures'), 'a').write('x')
    sys.exit(1)
s.listen()
before = failures()
for _ in range(100):
    if failures() > before: break
    time.sleep(0.01)
\"";
    let project = project("come(4)\nwrite_deliverables()", ci, "|executor: {max_attempts: 1}\n");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(meeting(&project, "port"), port.to_string()).unwrap();
    std::fs::write(meeting(&project, "failures"), "").unwrap();
    let ran = drain(&project.plan(apart(8)), 4);
    let ran = ran.succeeded();
    assert!(
        (ran.stdout.clone() + &ran.stderr).contains("CI runs one at a time from here on"),
        "{ran:#?}"
    );
}

#[test]
fn with_a_fixed_port_only_red_changes_are_charged() {
    // Half of the changes are red. CI finds that out only while it has the port, so the red ones keep it from others too.
    let ci =
        "exec 9>\"$MEETING/port\"\nflock -n 9 || exit 1\nsleep 0.5\n! ls d*/red > /dev/null 2>&1";
    let agent = "if int(phase_id[1:]) in (0, 3, 4, 6, 9, 10): write_deliverables(); open(f'd{phase_id[1:]}/red', 'w').close()\n\
                 else: write_deliverables()";
    let project = project(agent, ci, "|executor: {max_attempts: 1}\n").plan(apart(12));
    drain(&project, 4).exited(3);
    let states = project.states();
    let charged: Vec<&String> =
        states.iter().filter(|(_, state)| *state == "FAILED").map(|(phase, _)| phase).collect();
    assert_eq!(charged, ["p0", "p10", "p3", "p4", "p6", "p9"]);
    assert_tested_and_clean(&project);
}

#[test]
fn ci_jobs_bounds_the_runs_of_all_drains() {
    let ci = "exec 9>\"$MEETING/running\"\nflock -n 9 || { touch \"$MEETING/TWO\"; exit 1; }\nsleep 0.02";
    let project = project("write_deliverables()", ci, ", jobs: 1").plan(apart(8));
    let runtime = project.outside("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let project = project.env("XDG_RUNTIME_DIR", runtime.display().to_string());
    let drains =
        [(); 2].map(|()| project.spawn(["drain", "--run-id", "run", "--jobs", "2", "--json"]));
    for child in drains {
        project.wait(child).succeeded();
    }
    assert_eq!(project.landed().len(), 8);
    assert!(!meeting(&project, "TWO").exists());
    assert_tested_and_clean(&project);
}

#[test]
fn the_key_of_older_versions_is_ignored_with_one_line() {
    let project = Project::new()
        .agent_with("write_deliverables()", "ci: {command: [\"true\"], moved_tip: overlapping}\n");
    let ran = drain(&project.plan(apart(2)), 1).succeeded();
    let line = "ci.moved_tip is ignored: CI always runs on exactly what lands";
    assert_eq!((ran.stdout.clone() + &ran.stderr).matches(line).count(), 1, "{ran:#?}");
}

#[test]
fn a_member_of_a_killed_drain_holds_up_nobody() {
    // The CI run of p0 lasts until the drain is killed; the second drain's phases queue behind it.
    let agent = "if phase_id != 'p0': wait_for('hangs')\nwrite_deliverables()";
    let ci = "[ -e d0/a.txt ] || exit 0\n[ -e \"$MEETING/killed\" ] && exit 0\ntouch \"$MEETING/hangs\"\nsleep 600";
    let project = project(agent, ci, "|executor: {lease_seconds: 2}\n").plan(apart(3));
    let mut first = project.spawn(["drain", "--run-id", "run", "--jobs", "2", "--json"]);
    while !meeting(&project, "hangs").exists() {
        std::thread::yield_now();
    }
    let second = project.spawn(["drain", "--run-id", "run", "--jobs", "2", "--json"]);
    let behind = || {
        texts(
            &project.path(".autopack/autopack.db"),
            "SELECT owner FROM queue_members GROUP BY owner",
        )
        .len()
    };
    while behind() < 2 {
        std::thread::yield_now();
    }
    std::fs::write(meeting(&project, "killed"), "").unwrap();
    signal(&first, "-KILL");
    first.wait().unwrap();
    project.wait(second).succeeded();
    assert_eq!(project.landed().len(), 3);
    assert_tested_and_clean(&project);
    assert_eq!(super::recovery::processes_of(&project), Vec::<String>::new());
}

#[test]
fn ctrl_c_empties_the_queue_and_counts_no_attempt() {
    let ci = "ls d* > /dev/null 2>&1 || exit 0\n[ -e \"$MEETING/go\" ] && exit 0\nmktemp \"$MEETING/run.XXXXXX\" > /dev/null\nsleep 600";
    let project = project("come(3)\nwrite_deliverables()", ci, "").plan(apart(3));
    let child = project.spawn(["drain", "--run-id", "run", "--jobs", "3", "--json"]);
    let running = || {
        let names = std::fs::read_dir(project.outside("meeting")).unwrap();
        names
            .filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().starts_with("run."))
            .count()
    };
    while running() < 3 {
        std::thread::yield_now();
    }
    signal(&child, "-INT");
    let code = child.wait_with_output().unwrap().status.code();
    assert_eq!(code, Some(130));
    assert!(project.states().values().all(|state| state == "QUEUED"), "{:?}", project.states());
    assert_eq!(
        texts(&project.path(".autopack/autopack.db"), "SELECT owner FROM queue_members"),
        [""; 0]
    );
    assert_eq!(project.git(["for-each-ref", "refs/autopack/queue"]), "");
    std::fs::write(meeting(&project, "go"), "").unwrap();
    drain(&project, 3).succeeded();
    assert_eq!(project.landed().len(), 3);
    assert_eq!(project.phase("p0")["attempts"], 1);
}

#[test]
fn a_commit_of_the_user_meanwhile_rebuilds_the_queue() {
    // While the CI of both is under way, somebody commits to the run's branch.
    let ci = "ls d* > /dev/null 2>&1 || exit 0\n[ -e \"$MEETING/go\" ] && exit 0\nmktemp \"$MEETING/run.XXXXXX\" > /dev/null\n\
              for n in $(seq 3000); do [ -e \"$MEETING/go\" ] && exit 0; sleep 0.01; done; exit 1";
    let project = project("come(2)\nwrite_deliverables()", ci, "").plan(apart(2));
    let child = project.spawn(["drain", "--run-id", "run", "--jobs", "2", "--json"]);
    while std::fs::read_dir(project.outside("meeting"))
        .unwrap()
        .filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().starts_with("run."))
        .count()
        < 2
    {
        std::thread::yield_now();
    }
    let tree = project.git(["rev-parse", "autopack/run^{tree}"]);
    let tip = project.git(["rev-parse", "autopack/run"]);
    let commit = project.git(["commit-tree", tree.trim(), "-p", tip.trim(), "-m", "theirs"]);
    project.git(["update-ref", "refs/heads/autopack/run", commit.trim()]);
    std::fs::write(meeting(&project, "go"), "").unwrap();
    project.wait(child).succeeded();
    let log = project.git(["log", "--format=%s", "autopack/run"]);
    assert!(log.contains("theirs"), "{log}");
    assert_eq!(project.landed().len(), 2);
    assert_eq!([attempts(&project, "p0"), attempts(&project, "p1")], [1, 1]);
    assert_tested_and_clean(&project);
}

/// Interrupts a drain once p1 is green behind p0, drains again, and returns the number of runs of CI.
fn runs_with_an_interruption(cache: &str) -> usize {
    // CI of p0 alone lasts until the second drain.
    let agent = "if phase_id == 'p1': wait_for('p0-ci')\nwrite_deliverables()";
    let ci = "[ -e d0/a.txt ] || exit 0\n[ -e d1/a.txt ] && exit 0\n[ -e \"$MEETING/go\" ] && exit 0\ntouch \"$MEETING/p0-ci\"\nsleep 600";
    let project = project(agent, ci, &format!(", cache: {cache}")).plan(apart(2));
    let child = project.spawn(["drain", "--run-id", "run", "--jobs", "2", "--json"]);
    let green = "SELECT state FROM queue_members WHERE state = 'green'";
    while texts(&project.path(".autopack/autopack.db"), green).is_empty() {
        std::thread::yield_now();
    }
    signal(&child, "-INT");
    child.wait_with_output().unwrap();
    std::fs::write(meeting(&project, "go"), "").unwrap();
    let ran = drain(&project, 2).succeeded();
    let line = "CI passed on exactly this tree before, and is not run again";
    assert_eq!((ran.stdout + &ran.stderr).contains(line), cache == "on");
    assert_tested_and_clean(&project);
    lines(&project, "trees").len()
}

#[test]
fn a_green_result_answers_again_for_the_same_tree() {
    assert_eq!(runs_with_an_interruption("on"), 4, "the base, p0 and p1, then p0");
    assert_eq!(runs_with_an_interruption("off"), 6, "all of them twice");
}
