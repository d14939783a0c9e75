//! Nothing is lost: two drains at once, interrupts, agents that kill. `torture` has kill -9 at every step.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use crate::support::process::{bearing, signal};
use crate::support::{Project, executable};
use serde_json::{Value, json};

/// Logs beside the repository who works on which phase, so that a double run is visible.
pub const WITNESSED: &str = r#"
import fcntl
witness = workspace.parent / 'witness' / "witness"
witness.mkdir(exist_ok=True)
# Held as long as this process lives; numbers of processes say nothing to other views.
lock = open(witness / (phase_id + ".running"), "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    (witness / "DOUBLE").write_text(phase_id)
write_deliverables()
"#;

/// Each in a directory of its own, so that several may run at once.
pub fn backlog(n: usize) -> Value {
    let phases: Vec<Value> = (0..n)
        .map(|i| json!({"phase_id": format!("p{i:03}"), "deliverables": [format!("d{i}/a.txt")]}))
        .collect();
    json!({ "phases": phases })
}

/// Waits for the event that a phase has started.
pub fn wait_for_event(child: &mut Child, event: &str) -> BufReader<std::process::ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        if line.contains(&format!("\"{event}\"")) {
            return reader;
        }
        line.clear();
    }
    panic!("the drain ended without {event}");
}

pub fn processes_of(project: &Project) -> Vec<String> {
    bearing(&format!("AUTOPACK_WORKSPACE={}\0", project.root().display()))
}

/// Asserts that all phases from `p000` are COMPLETE and on the branch once, that none ran twice at a time, and that
/// nothing is left running.
#[track_caller]
pub fn assert_each_landed_once(project: &Project, phases: usize) {
    let states = project.states();
    assert!(states.values().all(|state| state == "COMPLETE"), "{states:?}");
    let mut landed = project.landed();
    landed.sort();
    let expected: Vec<String> = (0..phases).map(|i| format!("p{i:03}")).collect();
    assert_eq!(landed, expected);
    assert!(!project.outside("witness/DOUBLE").exists());
    assert_eq!(processes_of(project), Vec::<String>::new());
    project.git(["fsck", "--no-dangling"]);
}

#[test]
fn two_drains_share_a_run_without_doing_anything_twice() {
    let project =
        Project::new().agent_with(WITNESSED, "ci: {command: [\"true\"]}\n").plan(backlog(200));
    let drains = [(); 2].map(|()| project.spawn(["drain", "--run-id", "run", "--json"]));
    for child in drains {
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
        assert!(!(stdout + &stderr).contains("database is locked"));
    }
    assert_each_landed_once(&project, 200);
}

#[test]
fn one_ctrl_c_requeues_running_phases_without_counting_an_attempt() {
    let slow = "if attempt == 1: time.sleep(600)\nwrite_deliverables()";
    let project = Project::new().agent(slow).plan(backlog(2));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let mut rest = wait_for_event(&mut child, "phase_started");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut text = String::new();
    rest.read_to_string(&mut text).unwrap();
    assert!(text.contains("\"interrupted\""), "{text}");
    let phase = project.phase("p000");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("QUEUED"), &json!(0)));
    assert_eq!(processes_of(&project), Vec::<String>::new());
    assert_eq!(project.states()["p001"], "QUEUED");
}

#[test]
fn sigterm_ends_a_drain_like_one_ctrl_c() {
    let project = Project::new().agent("time.sleep(600)").plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let _rest = wait_for_event(&mut child, "phase_started");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(project.states()["p000"], "QUEUED");
}

#[test]
fn a_terminal_that_closes_ends_a_drain_like_sigterm() {
    let project = Project::new().agent("time.sleep(600)").plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let _rest = wait_for_event(&mut child, "phase_started");
    // A shell sends it to its jobs, and the kernel to the processes in the foreground.
    signal(&child, "-HUP");
    signal(&child, "-HUP");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let phase = project.phase("p000");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("QUEUED"), &json!(0)));
    assert_eq!(phase["attempt_log"][0]["outcome"], "interrupted");
    assert_eq!(processes_of(&project), Vec::<String>::new());
}

#[test]
fn a_drain_under_nohup_outlives_its_terminal() {
    let agent = "while not (workspace.parent / 'witness' / 'go').exists(): time.sleep(0.05)\nwrite_deliverables()";
    let project = Project::new().agent(agent).plan(backlog(1));
    let drain = project.command(["drain", "--run-id", "run", "--json"]);
    let mut nohup = Command::new("sh");
    nohup.args(["-c", r#"trap "" HUP; exec "$0" "$@""#]);
    nohup.arg(drain.get_program()).args(drain.get_args());
    let variables = drain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    nohup.env_clear().envs(variables).current_dir(project.root());
    let mut child = nohup.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut rest = wait_for_event(&mut child, "phase_started");
    signal(&child, "-HUP");
    std::fs::write(project.outside("go"), "").unwrap();
    rest.read_to_string(&mut String::new()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_each_landed_once(&project, 1);
}

#[test]
fn twice_ctrl_c_ends_an_agent_that_ignores_sigterm_at_once() {
    let stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)";
    let project = Project::new().agent(stubborn).plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let _rest = wait_for_event(&mut child, "phase_started");
    signal(&child, "-INT");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(processes_of(&project), Vec::<String>::new());
}

#[test]
fn stop_from_another_terminal_is_a_ctrl_c() {
    let project = Project::new().agent("time.sleep(600)").plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let _rest = wait_for_event(&mut child, "phase_started");
    project.autopack(["stop", "--run-id", "run"]).succeeded();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(project.states()["p000"], "QUEUED");
}

#[test]
fn a_phase_that_repeatedly_kills_the_drain_fails() {
    let killer = r#"
for line in open(f"/proc/{os.getppid()}/status"):
    if line.startswith("PPid:"): os.kill(int(line.split()[1]), signal.SIGKILL)
time.sleep(600)
"#;
    let project = Project::new().without_sandbox().agent(killer).plan(backlog(1));
    for _ in 0..10 {
        assert_eq!(project.drain().code, None);
    }
    project.drain().exited(3);
    let phase = project.phase("p000");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("FAILED"), &json!(0)));
    assert_eq!(phase["last_failure"]["kind"], "gave_up");
}

#[test]
fn phases_of_a_dead_drain_are_not_reported_as_running() {
    let agent = "print('at it', flush=True)\ntime.sleep(600)";
    let project = Project::new().agent(agent).plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let _rest = wait_for_event(&mut child, "phase_started");
    let left = || project.json(["status", "--json"])["runs"][0]["running"][0]["drain_died"].clone();
    assert_eq!(left(), false);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(left(), true);
    let shown = project.autopack(["status"]).succeeded().stdout;
    assert!(shown.contains("left     p000 of run, attempt 1: its drain died"), "{shown}");
    assert!(!shown.contains("running  ") && !shown.contains("at it"), "{shown}");
}

#[test]
fn work_left_by_a_dead_drain_is_reported_by_the_next() {
    let agent = "if attempt == 1: time.sleep(600)\nwrite_deliverables()";
    let project = Project::new().agent(agent).plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let _rest = wait_for_event(&mut child, "phase_started");
    child.kill().unwrap();
    child.wait().unwrap();
    let shown = project.drain().succeeded().stdout;
    assert!(shown.starts_with("draining run · 1 phase left by a drain that died · "), "{shown}");
    assert!(
        shown.contains("a drain died during p000 of run: the phase is queued again"),
        "{shown}"
    );
}

#[test]
fn an_agent_that_kills_its_supervisor_delays_no_phase_and_leaves_no_process() {
    let killer = r#"
if phase_id == "p000":
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
write_deliverables()
"#;
    let project = Project::new().without_sandbox().agent(killer).plan(backlog(2));
    let shown = project.drain().exited(3).stdout;
    let phase = project.phase("p000");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("FAILED"), &json!(0)));
    let why = "the drain or its supervisor died during 10 attempts";
    assert_eq!(phase["last_failure"]["message"], why);
    assert!(shown.contains(&format!("\n         gave_up: {why}\n")), "{shown}");
    assert_eq!(project.landed(), ["p001"]);
    assert_eq!(processes_of(&project), Vec::<String>::new());
}

/// CI kills the attempt with its supervisor, in each phase again where an agent worked; `times` in all.
fn with_deadly_ci(project: Project, times: u32) -> Project {
    let count = project.outside("deaths");
    let ci = format!(
        "ls d*/a.txt >/dev/null 2>&1 || exit 0; echo x >>'{0}'; test \"$(wc -l <'{0}')\" -gt {times} || kill -9 $PPID",
        count.display()
    );
    let config = format!("ci: {{command: {ci:?}}}\n");
    project.without_sandbox().agent_with("write_deliverables()", &config)
}

#[test]
fn work_is_kept_after_any_end_of_its_attempt() {
    let project = with_deadly_ci(Project::new(), 1).plan(backlog(1));
    project.drain().succeeded();
    let id = project.states().into_keys().next().unwrap();
    let log = project.phase(&id)["attempt_log"].clone();
    let outcomes = (&log[0]["outcome"], &log[1]["outcome"]);
    assert_eq!(outcomes, (&json!("crashed"), &json!("landed")));
    let file = |attempt: usize, name: &str| {
        project.path(log[attempt]["log_dir"].as_str().unwrap()).join(name)
    };
    let kept = file(0, "changes.patch");
    assert!(std::fs::read_to_string(&kept).unwrap().contains("made by the agent"));
    let prompt = std::fs::read_to_string(file(1, "prompt.md")).unwrap();
    assert!(prompt.contains(kept.to_str().unwrap()), "{prompt}");
    assert!(!file(1, "changes.patch").exists(), "what landed is on the branch");
}

#[test]
fn killed_supervisors_in_consecutive_phases_end_the_drain() {
    let project = with_deadly_ci(Project::new(), 1_000).plan(backlog(5));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("3 phases in a row"), "{ran:#?}");
    assert!(project.states().values().all(|state| state == "QUEUED"));
}

#[test]
fn an_agent_that_stops_its_supervisor_can_still_be_ended() {
    let stopper = r#"
os.kill(os.getppid(), signal.SIGSTOP)
(workspace.parent / "witness" / "stopped").write_text("")
time.sleep(600)
"#;
    let project = Project::new().without_sandbox().agent(stopper).plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let _rest = wait_for_event(&mut child, "phase_started");
    while !project.outside("stopped").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the drain ended by itself");
        std::thread::yield_now();
    }
    signal(&child, "-INT");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(project.states()["p000"], "QUEUED");
    assert_eq!(processes_of(&project), Vec::<String>::new());
}

/// A git before the real one that runs the script `meddling`: `$git` is the real one, `$sub` the command, `$input` the
/// input of `update-ref --stdin`, `$at` a directory.
pub fn with_git(project: Project, meddling: &str) -> Project {
    let bin = project.outside("bin");
    let path = std::env::var("PATH").unwrap();
    let git = std::env::split_paths(&path).map(|dir| dir.join("git")).find(|git| git.is_file());
    let script = format!(
        r#"#!/bin/sh
git='{}' at='{}'
sub= skip= input=
for a do
  if [ -n "$skip" ]; then skip=; continue; fi
  case $a in -c) skip=1 ;; -*) ;; *) sub=$a; break ;; esac
done
case "$sub $*" in "update-ref "*--stdin*) input=$(cat) ;; esac
real() {{ if [ -n "$input" ]; then printf '%s\n' "$input" | "$git" "$@"; else "$git" "$@"; fi; }}
{meddling}
real "$@"
"#,
        git.expect("git is installed").display(),
        bin.display()
    );
    executable(&bin.join("git"), &script);
    project.env("PATH", format!("{}:{path}", bin.display()))
}

/// The transaction of a landing: it moves the branch on from a value.
pub const LANDING: &str = r#"case $input in *"delete refs/autopack/claims/"*"update refs/heads/autopack/run "*) landing=1 ;; *) landing= ;; esac"#;

/// The branch checked out is another name of a branch: autopack leaves such cases to git.
fn let_git_read_refs(project: &Project) {
    let branch = project.git(["symbolic-ref", "HEAD"]);
    project.git(["symbolic-ref", "refs/heads/alias", branch.trim()]);
    project.git(["symbolic-ref", "HEAD", "refs/heads/alias"]);
}

fn agent_that_can_only_once() -> Project {
    let project = Project::new();
    let ran = project.outside("ran");
    let body = format!(
        "with open({ran:?}, 'a') as f: f.write(phase_id + chr(10))\nwrite_deliverables()\n"
    );
    project.agent_with(&body, "ci: {command: [\"true\"]}\n").plan(backlog(1))
}

#[track_caller]
fn assert_done_once(project: &Project) {
    assert_eq!(std::fs::read_to_string(project.outside("ran")).unwrap(), "p000\n");
    assert_each_landed_once(project, 1);
}

#[test]
fn landings_before_a_git_failure_are_not_repeated() {
    // The branch is moved, git dies, and one later question to git fails.
    let meddling = format!(
        r#"{LANDING}
if [ -n "$landing" ] && [ ! -e "$at/moved" ]; then real "$@"; : >"$at/moved"; exit 137; fi
if [ "$sub" = for-each-ref ] && [ -e "$at/moved" ] && [ ! -e "$at/failed" ]; then : >"$at/failed"; exit 128; fi"#
    );
    let project = with_git(agent_that_can_only_once(), &meddling);
    let_git_read_refs(&project);
    project.drain().succeeded();
    assert!(project.outside("bin/failed").exists());
    assert_done_once(&project);
}

/// git reads files of a new worktree that `git worktree add` has created and not yet written.
#[test]
fn a_worktree_under_creation_ends_no_drain() {
    let meddling = r#"
case "$*" in *worktreepath*)
  echo x >>"$at/looks"
  if [ $(($(wc -l <"$at/looks") % 2)) = 1 ]; then
    echo "fatal: failed to read /project/.git/worktrees/new/commondir: Success" >&2; exit 128
  fi ;;
esac"#;
    let project = with_git(agent_that_can_only_once(), meddling);
    let_git_read_refs(&project);
    let ran = project.drain().succeeded();
    assert!(project.outside("bin/looks").exists());
    assert!(!ran.stdout.contains("requeued"), "{ran:#?}");
    assert_done_once(&project);
}

#[test]
fn a_possible_landing_is_settled_by_the_next_drain_if_git_stays_broken() {
    let meddling = format!(
        r#"{LANDING}
if [ -n "$landing" ] && [ ! -e "$at/moved" ]; then real "$@"; : >"$at/moved"; exit 137; fi
if [ "$sub" = for-each-ref ] && [ -e "$at/moved" ] && [ ! -e "$at/mended" ]; then exit 128; fi"#
    );
    let project = with_git(agent_that_can_only_once(), &meddling);
    let_git_read_refs(&project);
    let broken = project.drain();
    assert_ne!(broken.code, Some(0));
    assert_eq!(project.states()["p000"], "EXECUTING");
    let output = broken.stdout + &broken.stderr;
    assert!(output.contains("the next drain checks whether p000 landed"), "{output}");
    std::fs::write(project.outside("bin/mended"), "").unwrap();
    project.drain().succeeded();
    assert_done_once(&project);
}

#[test]
fn a_landing_that_somebody_built_on_before_git_could_say_so_is_not_put_on_top_again() {
    let meddling = format!(
        r#"{LANDING}
if [ -n "$landing" ] && [ ! -e "$at/moved" ]; then
  real "$@"; : >"$at/moved"
  unset GIT_WORK_TREE
  new=$("$git" commit-tree 'autopack/run^{{tree}}' -p autopack/run -m theirs)
  "$git" update-ref refs/heads/autopack/run "$new"
  exit 137
fi"#
    );
    let project = with_git(agent_that_can_only_once(), &meddling);
    project.drain().succeeded();
    assert_eq!(project.git(["log", "-1", "--format=%s", "autopack/run"]), "theirs\n");
    assert_done_once(&project);
}

#[test]
fn a_disk_full_while_storing_the_work_counts_no_attempt() {
    // Twice, since files unreadable for git are unlocked and read once more; after that there is space again.
    let meddling = r#"if [ "$sub" = add ] && [ ! -e "$at/twice" ]; then
  [ ! -e "$at/once" ] || : >"$at/twice"
  : >"$at/once"; echo "fatal: unable to write loose object file: No space left on device" >&2; exit 128
fi"#;
    let agent = Project::new().agent_with(WITNESSED, "ci: {command: [\"true\"]}\n");
    let project = with_git(agent.plan(backlog(2)), meddling);
    let ran = project.autopack(["drain", "--run-id", "run", "--json"]);
    let output = ran.stdout + &ran.stderr;
    assert!(output.contains("there is space again"), "{output}");
    assert!(!output.contains("scope_breach"), "{output}");
    assert_each_landed_once(&project, 2);
}

#[test]
fn a_full_disk_uses_up_no_attempts_of_the_drain() {
    // A quota: git meets it, and the file system shows no shortage.
    let meddling = r#"if [ "$sub" = write-tree ] && [ ! -e "$at/first" ]; then
  : >"$at/first"
elif [ "$sub" = write-tree ] && [ ! -e "$at/full" ]; then
  : >"$at/full"; echo "fatal: cannot write: No space left on device" >&2; exit 128
fi"#;
    let agent = Project::new().agent_with(WITNESSED, "ci: {command: [\"true\"]}\n");
    let project = with_git(agent.plan(backlog(4)), meddling);
    let args = ["drain", "--run-id", "run", "--max-batches", "1", "--batch-size", "3"];
    let ran = project.autopack(args.into_iter().chain(["--sample", "1"]));
    let output = ran.stdout + &ran.stderr;
    assert!(output.contains("there is space again"), "{output}");
    let (full, sampled) = (output.find("No space left"), output.find("sampled phase passed"));
    assert!(sampled < full && sampled.is_some(), "{output}");
    assert_eq!(output.matches("the sampled phase passed").count(), 1, "{output}");
    assert_each_landed_once(&project, 4);
}

#[test]
fn a_stop_does_not_wait_for_an_endless_measurement() {
    let meddling = r#"if [ "$sub" = add ]; then echo >"$at/measuring"; exec sleep 300; fi"#;
    let agent = Project::new().agent_with(WITNESSED, "ci: {command: [\"true\"]}\n");
    let project = with_git(agent.plan(backlog(1)), meddling);
    let measuring = project.outside("bin/measuring");
    nix::unistd::mkfifo(&measuring, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut drain = project.spawn(["drain", "--run-id", "run"]);
    std::fs::read(measuring).unwrap();
    project.autopack(["stop", "--now"]).succeeded();
    assert_eq!(drain.wait().unwrap().code(), Some(130));
    assert_eq!(project.states()["p000"], "QUEUED");
    assert_eq!(project.phase("p000")["attempts"], 0);
    assert_eq!(processes_of(&project), Vec::<String>::new());
}
