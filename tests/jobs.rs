//! `drain --jobs N`: several phases at once, each landed once, none beside another that touches the same paths.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::support::database::{stop_between_writes, texts};
use crate::support::meeting::MEETING;
use crate::support::process::signal;
use crate::support::{Project, Ran, executable};

const GREEN: &str = "ci: {command: [\"true\"]}\n";

/// The state of another phase, for agents of these tests.
const STATES: &str = r#"
# Asks the database, which no sandbox shows.
def wait_for_state(of, wanted):
    for _ in range(500):
        listed = subprocess.run([os.environ["THE_BINARY"], "phases", "list", "--run-id", "run", "--json"],
            cwd=workspace, capture_output=True, text=True).stdout
        if any(p["phase_id"] == of and p["state"] == wanted for p in json.loads(listed)): return
        time.sleep(0.02)
    sys.exit(f"{phase_id} waited in vain for {of} to be {wanted}")
"#;

fn project(agent: &str, more: &str) -> Project {
    let project = Project::new().env("THE_BINARY", env!("CARGO_BIN_EXE_autopack"));
    std::fs::create_dir(project.outside("meeting")).unwrap();
    project.agent_with(&format!("{MEETING}{STATES}\n{agent}"), more)
}

/// Phases without common paths, each in a directory of its own.
fn apart(count: usize) -> Value {
    let phase =
        |n: usize| json!({"phase_id": format!("p{n:03}"), "deliverables": [format!("d{n}/a.txt")]});
    json!({ "phases": (0..count).map(phase).collect::<Vec<_>>() })
}

fn drain(project: &Project, jobs: u32, more: &[&str]) -> Ran {
    let jobs = jobs.to_string();
    let args = ["drain", "--run-id", "run", "--jobs", &jobs];
    project.autopack(args.into_iter().chain(more.iter().copied()))
}

fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("a whole JSON object")).collect()
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

fn outcomes(project: &Project, phase: &str) -> Vec<String> {
    let log = project.phase(phase)["attempt_log"].as_array().unwrap().clone();
    log.iter().map(|attempt| attempt["outcome"].as_str().unwrap_or("none").to_owned()).collect()
}

/// A drain whose events are read one by one.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(project: &Project, jobs: u32) -> Self {
        Self::start_with(project, jobs, &[])
    }

    fn start_with(project: &Project, jobs: u32, more: &[&str]) -> Self {
        let jobs = jobs.to_string();
        let args = ["drain", "--run-id", "run", "--json", "--jobs", &jobs];
        let mut command = project.command(args.into_iter().chain(more.iter().copied()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads until this number of an event has come, and returns the last.
    fn wait_for(&mut self, event: &str, number: usize) -> Value {
        let wanted = format!("\"event\":\"{event}\"");
        let seen = self.lines.by_ref().map(Result::unwrap).filter(|line| line.contains(&wanted));
        let seen = events(&seen.take(number).collect::<Vec<_>>().join("\n"));
        assert_eq!(seen.len(), number, "the drain ended before");
        seen.last().unwrap().clone()
    }

    fn ended(mut self) -> (Option<i32>, Vec<Value>) {
        let rest: Vec<String> = self.lines.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), events(&rest.join("\n")))
    }
}

#[test]
fn jobs_run_as_many_phases_at_once() {
    // Each waits until all four are there.
    let meets = "say('came-' + phase_id)\nsay('slot-' + os.environ['AUTOPACK_SLOT'])\n\
                 wait_for('came-', 4)\nwait_for('slot-', 4)\nwrite_deliverables()";
    let project = project(meets, GREEN).plan(apart(4));
    let ran = drain(&project, 4, &[]).succeeded();
    assert!(ran.stdout.contains("4 workers"), "{ran:#?}");
    let mut landed = project.landed();
    landed.sort();
    assert_eq!(landed, ["p000", "p001", "p002", "p003"]);
    project.git(["fsck", "--no-dangling"]);
}

#[test]
fn the_configuration_may_say_how_many_and_nobody_may_ask_for_none() {
    let meets = "say('came-' + phase_id)\nwait_for('came-', 2)\nwrite_deliverables()";
    let more = format!("{GREEN}executor: {{jobs: 2}}\n");
    let project = project(meets, &more).plan(apart(2));
    project.drain().succeeded();
    assert_eq!(project.landed().len(), 2);
    for wrong in ["0", "-1", "257", "many"] {
        let ran = project.autopack(["drain", "--run-id", "run", &format!("--jobs={wrong}")]);
        let ran = ran.exited(2);
        assert!(ran.stderr.contains("--jobs"), "{ran:#?}");
    }
}

#[test]
fn phases_that_overlap_never_run_at_once() {
    let alone = r#"
area = phase["deliverables"][0].split("/")[0]
try: os.mkdir(meeting / ("in-" + area))
except FileExistsError: say("DOUBLE")
time.sleep(0.02)
write_deliverables()
os.rmdir(meeting / ("in-" + area))
"#;
    let phase = |n: usize| {
        let area = format!("d{}", n % 3);
        json!({"phase_id": format!("p{n:03}"), "deliverables": [format!("{area}/{n}.txt")],
               "scope": {"paths": [area]}})
    };
    let plan = json!({ "phases": (0..18).map(phase).collect::<Vec<_>>() });
    let project = project(alone, GREEN).plan(plan);
    let ran = drain(&project, 6, &[]).succeeded();
    assert_eq!(
        ran.stdout
            .matches("of 6 workers busy: the other queued phases touch the same paths")
            .count(),
        1
    );
    assert!(!project.outside("meeting/DOUBLE").exists());
    let landed = project.landed();
    assert_eq!(landed.len(), 18);
    for area in 0..3 {
        let number = |id: &str| id[1..].parse::<usize>().unwrap();
        let order: Vec<usize> =
            landed.iter().map(|id| number(id)).filter(|n| n % 3 == area).collect();
        assert!(order.is_sorted(), "what overlaps keeps the order of the plan: {landed:?}");
    }
}

#[test]
fn a_phase_without_a_scope_runs_alone_and_is_not_deferred_forever() {
    let alone = r#"
if phase_id == "free":
    if said("in-"): say("DOUBLE")
    write("anywhere.txt")
else:
    say("in-" + phase_id)
    time.sleep(0.05)
    write_deliverables()
    os.remove(meeting / ("in-" + phase_id))
"#;
    let mut plan = apart(8);
    let free = json!({"phase_id": "free", "description": "Tidy up."});
    plan["phases"].as_array_mut().unwrap().insert(3, free);
    let more = format!("{GREEN}executor: {{unscoped: allow}}\n");
    let project = project(alone, &more).plan(plan);
    drain(&project, 3, &[]).succeeded();
    assert!(!project.outside("meeting/DOUBLE").exists());
    let landed = project.landed();
    assert_eq!(landed.iter().position(|id| id == "free"), Some(3), "{landed:?}");
}

#[test]
fn read_only_paths_delay_no_phase() {
    let meets = "say('came-' + phase_id)\nwait_for('came-', 2)\nwrite_deliverables()";
    let phase = |n: usize| {
        json!({"phase_id": format!("p{n}"), "deliverables": [format!("d{n}/a.txt")],
        "scope": {"paths": [format!("d{n}")], "read_only_context": ["docs", format!("d{}", 1 - n)]}})
    };
    let project = project(meets, GREEN).plan(json!({"phases": [phase(0), phase(1)]}));
    drain(&project, 2, &[]).succeeded();
}

#[test]
fn a_dependent_starts_only_after_its_dependency_landed() {
    // `late` needs `early` to have landed; `slow` runs until `late` has landed, too.
    let agent = r#"
if phase_id == "late":
    assert os.path.exists("early/a.txt")
if phase_id == "slow": wait_for_state("late", "COMPLETE")
write_deliverables()
"#;
    let plan = json!({"phases": [
        {"phase_id": "late", "deliverables": ["late/a.txt"], "depends_on": ["early"]},
        {"phase_id": "slow", "deliverables": ["slow/a.txt"]},
        {"phase_id": "early", "deliverables": ["early/a.txt"]}]});
    let project = project(agent, GREEN).without_sandbox().plan(plan);
    drain(&project, 2, &[]).succeeded();
    assert_eq!(project.landed(), ["early", "late", "slow"]);
}

#[test]
fn a_batch_counts_finished_attempts() {
    let project = project("write_deliverables()", GREEN).plan(apart(10));
    let args = ["--batch-size", "3", "--max-batches", "2", "--json"];
    let ran = drain(&project, 4, &args).succeeded();
    let events = events(&ran.stdout);
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let of_batches: Vec<&str> =
        names.iter().copied().filter(|name| name.contains("batch")).collect();
    assert_eq!(of_batches, ["batch_started", "batch_finished", "batch_started", "batch_finished"]);
    assert_eq!(of(&events, "drain_started")[0]["jobs"], 4);
    assert!(of(&events, "batch_finished").iter().all(|batch| batch["done"] == 3), "{events:#?}");
    assert_eq!(of(&events, "phase_started").len(), 6, "no more are begun than may end");
    assert_eq!(events.last().unwrap()["reason"], "max_batches");
    assert_eq!(project.landed().len(), 6);
}

#[test]
fn running_phases_are_counted_as_left_at_the_end_of_a_batch() {
    let agent = r#"
say("came-" + phase_id)
wait_for("came-", 2)
if phase_id == "p001": wait_for("seen")
write_deliverables()
"#;
    let project = project(agent, GREEN).plan(apart(3));
    let mut drain = Running::start_with(&project, 2, &["--batch-size", "2"]);
    let batch = drain.wait_for("batch_finished", 1);
    std::fs::write(project.outside("meeting/seen"), "").unwrap();
    assert_eq!((&batch["done"], &batch["left"]), (&json!(2), &json!(1)), "{batch}");
    assert_eq!(drain.ended().0, Some(0));
}

#[test]
fn status_says_with_what_a_waiting_phase_overlaps() {
    let agent = "if phase_id == 'first': wait_for('seen')\nwrite_deliverables()";
    let plan = json!({"phases": [
        {"phase_id": "first", "deliverables": ["src/a.txt"], "scope": {"paths": ["src"]}},
        {"phase_id": "second", "deliverables": ["src/b.txt"]}]});
    let project = project(agent, GREEN).plan(plan);
    let mut drain = Running::start(&project, 2);
    drain.wait_for("phase_started", 1);
    let status = project.autopack(["status"]).succeeded();
    let json = project.json(["status", "--json"]);
    std::fs::write(project.outside("meeting/seen"), "").unwrap();
    let why = "overlaps with the scope of first, which is running";
    assert_eq!(json["runs"][0]["waiting"][0]["why"], why);
    let line = "waiting  1 touches the same paths as phases ahead\n";
    assert!(status.stdout.contains(line), "{status:#?}");
    assert_eq!(drain.ended().0, Some(0));
}

#[test]
fn the_first_failure_lets_running_phases_finish_and_starts_no_other() {
    let agent = r#"
say("came-" + phase_id)
wait_for("came-", 3)
if phase_id == "p001": sys.exit(0)
wait_for_state("p001", "FAILED")
write_deliverables()
"#;
    let mut plan = apart(6);
    plan["phases"].as_array_mut().unwrap().iter_mut().for_each(|p| p["max_attempts"] = json!(1));
    let project = project(agent, GREEN).without_sandbox().plan(plan);
    let ran = drain(&project, 3, &["--stop-on-first-failure"]).exited(4);
    assert!(ran.stdout.contains("waiting for 2 running phases"), "{ran:#?}");
    let states = project.states();
    assert_eq!(states["p001"], "FAILED");
    assert_eq!((&*states["p000"], &*states["p002"]), ("COMPLETE", "COMPLETE"));
    for never in ["p003", "p004", "p005"] {
        assert_eq!((&*states[never], outcomes(&project, never).len()), ("QUEUED", 0), "{never}");
    }
}

#[test]
fn one_ctrl_c_ends_all_workers_and_counts_no_attempt() {
    let slow = "if not said('go'): time.sleep(600)\nwrite_deliverables()";
    let project = project(slow, GREEN).plan(apart(5));
    let mut running = Running::start(&project, 3);
    running.wait_for("phase_started", 3);
    signal(&running.child, "-INT");
    let (code, events) = running.ended();
    assert_eq!(code, Some(130));
    let finished = of(&events, "phase_finished");
    assert_eq!(finished.len(), 3, "{events:#?}");
    assert!(finished.iter().all(|phase| phase["verdict"] == "interrupted"), "{finished:#?}");
    for phase in ["p000", "p001", "p002"] {
        let phase = project.phase(phase);
        assert_eq!((&phase["state"], &phase["attempts"]), (&json!("QUEUED"), &json!(0)));
    }
    assert_eq!(outcomes(&project, "p003"), Vec::<String>::new());
    assert_eq!(super::recovery::processes_of(&project), Vec::<String>::new());
    std::fs::write(project.outside("meeting/go"), "").unwrap();
    drain(&project, 3, &[]).succeeded();
    assert_eq!(project.landed().len(), 5);
}

#[test]
fn twice_ctrl_c_ends_agents_that_ignore_sigterm_at_once() {
    let stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)";
    let project = project(stubborn, GREEN).plan(apart(3));
    let mut running = Running::start(&project, 3);
    running.wait_for("phase_started", 3);
    signal(&running.child, "-INT");
    signal(&running.child, "-INT");
    assert_eq!(running.ended().0, Some(130));
    assert_eq!(super::recovery::processes_of(&project), Vec::<String>::new());
    assert!(project.states().values().all(|state| state == "QUEUED"));
}

#[test]
fn stop_from_another_terminal_ends_all_workers() {
    let project = project("time.sleep(600)", GREEN).plan(apart(4));
    let mut running = Running::start(&project, 4);
    running.wait_for("phase_started", 4);
    project.autopack(["stop", "--run-id", "run"]).succeeded();
    assert_eq!(running.ended().0, Some(130));
    assert!(project.states().values().all(|state| state == "QUEUED"));
}

#[test]
fn four_workers_exceed_a_budget_no_further_than_one() {
    let agent = "write_deliverables()\nreport(tokens=dict(input=25000, output=5000), cost_usd=0.5)";
    for (budget, may_land) in [
        ("run: {tokens: 100000}", 3),
        ("drain: {tokens: 100000}", 3),
        ("run: {cost_usd: 1.2}", 2),
        ("drain: {cost_usd: 2.6}", 5),
        ("run: {tokens: 29000}", 1),
    ] {
        let more = format!("{GREEN}executor: {{budgets: {{{budget}}}}}\n");
        let of_jobs = |jobs| {
            let project = project(agent, &more).plan(apart(8));
            let ran = drain(&project, jobs, &[]).exited(5);
            assert!(ran.stdout.contains("budget of"), "{ran:#?}");
            assert!(project.states().values().all(|state| state != "FAILED"));
            project.landed().len()
        };
        assert_eq!((of_jobs(1), of_jobs(4)), (may_land, may_land), "{budget}");
    }
}

#[test]
fn a_rate_limited_agent_is_avoided_by_all_workers() {
    let body = "import json\nsay('came-' + phase_id)\nwait_for('came-', 3)\n\
        print(json.dumps(dict(type='rate_limit_event', rate_limit_info=dict(status='rejected', resetsAt=int(time.time()) + 3600))), flush=True)\n\
        print(json.dumps(dict(type='result', subtype='success', is_error=True, api_error_status=429, result='limit',\n\
            usage=dict(input_tokens=1, output_tokens=1), permission_denials=[])), flush=True)\nsys.exit(1)";
    let project = project(body, GREEN).env("IS_SANDBOX", "1");
    let script = project.outside("agent.py");
    let program = project.outside("claude");
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo '2.1.197 (Claude Code)' && exit\nexec python3 '{}' \"$@\"\n",
        script.display()
    );
    executable(&program, &text);
    let config =
        format!("agents:\n  default: c\n  c:\n    kind: claude\n    program: {program:?}\n{GREEN}");
    let project = project.config(&config).plan(apart(7));
    let mut running = Running::start(&project, 3);
    let stderr = BufReader::new(running.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<String> =
        stderr.take_while(|line| !line.contains("all remaining phases are rate limited")).collect();
    project.autopack(["stop", "--run-id", "run"]).succeeded();
    assert_eq!(running.ended().0, Some(130), "{lines:?}");
    let asked: usize = (0..7).map(|n| outcomes(&project, &format!("p{n:03}")).len()).sum();
    assert_eq!(asked, 3, "those that were under way, and nobody after them");
    let waiting = project.json(["status", "--run-id", "run", "--json"]);
    let waiting = waiting["runs"][0]["waiting"].as_array().unwrap().clone();
    assert_eq!(waiting.len(), 7, "{waiting:#?}");
}

#[test]
fn a_systemic_failure_lets_running_phases_finish() {
    let agent = r#"
say("came-" + phase_id)
wait_for("came-", 3)
if phase_id != "p001": wait_for_state("p001", "QUEUED")
write_deliverables()
"#;
    let ci = "ci: {command: [sh, -c, 'test -e d1/a.txt || exit 0; exit 127']}\nexecutor: {max_attempts: 1, circuit_breaker: 1}\n";
    let project = project(agent, ci).without_sandbox().plan(apart(6));
    let ran = drain(&project, 3, &[]).exited(5);
    assert!(ran.stdout.contains("not starting new phases"), "{ran:#?}");
    let states = project.states();
    assert_eq!(states["p001"], "QUEUED");
    assert_eq!(project.phase("p001")["attempts"], 0, "no attempt is counted");
    assert_eq!((&*states["p000"], &*states["p002"]), ("COMPLETE", "COMPLETE"));
    assert_eq!(outcomes(&project, "p003").len(), 0);
}

/// Counts the runs of CI, and records the files that each saw.
const COUNTED_CI: &str = "ci: {command: [sh, -c, 'ls -d d*/a.txt | tr \"\\n\" \" \" > \"$(mktemp \"$AUTOPACK_WORKSPACE/../witness/ci.XXXXXX\")\"']MORE}\n";

fn ci_runs(project: &Project) -> Vec<String> {
    let files = std::fs::read_dir(project.outside("")).unwrap().map(|file| file.unwrap().path());
    let of_ci = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("ci."));
    let mut seen: Vec<String> = of_ci.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    // One run is at the base, without any file.
    let base = seen.iter().position(String::is_empty).expect("CI ran at the base");
    seen.remove(base);
    seen
}

const TOGETHER: &str = "say('came-' + phase_id)\nwait_for('came-', 3)\nwrite_deliverables()";

#[test]
fn ci_runs_once_for_each_landing_on_exactly_what_lands() {
    let project = project(TOGETHER, &COUNTED_CI.replace("MORE", "")).plan(apart(3));
    drain(&project, 3, &[]).succeeded();
    assert_eq!(project.landed().len(), 3);
    let mut runs = ci_runs(&project);
    runs.sort_by_key(String::len);
    let files: Vec<usize> = runs.iter().map(|seen| seen.split_whitespace().count()).collect();
    assert_eq!(files, [1, 2, 3], "each was tested with those before it: {runs:?}");
}

#[test]
fn a_red_change_in_the_queue_blocks_no_other_landing() {
    let ci = "ci: {command: [sh, -c, 'test ! -e d0/a.txt || test ! -e d1/a.txt']}\nexecutor: {max_attempts: 1}\n";
    let project = project(TOGETHER, ci).plan(apart(3));
    drain(&project, 3, &[]).exited(3);
    let states = project.states();
    let failed: Vec<&String> =
        states.iter().filter(|(_, state)| *state == "FAILED").map(|(id, _)| id).collect();
    assert_eq!(failed.len(), 1, "each is green alone, and not both: {states:?}");
    assert_eq!(states["p002"], "COMPLETE");
    assert_eq!(project.landed().len(), 2);
}

#[test]
fn a_conflict_requeues_the_phase_on_the_new_tip() {
    // Both add the same test file, which is not a deliverable.
    let agent = r#"
if attempt == 1:
    say("came-" + phase_id)
    wait_for("came-", 2)
write_deliverables()
write("tests/test_a.py", f"{phase_id} {attempt} {os.path.exists('tests/test_a.py')}\n")
"#;
    let plan = json!({"phases": [
        {"phase_id": "p0", "deliverables": ["x/a.py"]},
        {"phase_id": "p1", "deliverables": ["y/a.py"]}]});
    let project = project(agent, GREEN).plan(plan);
    drain(&project, 2, &[]).succeeded();
    let mut all = [outcomes(&project, "p0"), outcomes(&project, "p1")];
    all.sort();
    assert_eq!(all, [vec!["base_moved", "landed"], vec!["landed"]]);
    assert!(project.git(["show", "autopack/run:tests/test_a.py"]).contains("2 True"));
    // From the conflict on, it excludes others by directory.
    let database = project.path(".autopack/autopack.db");
    let mut areas = texts(&database, "SELECT footprint FROM phases ORDER BY base_moves");
    areas.iter_mut().for_each(|area| area.retain(|c| !"xy".contains(c)));
    assert_eq!(areas, [r#"[":tests/a///a.p","/a.p"]"#, r#"[""]"#]);
}

#[test]
fn phases_with_files_in_the_same_directory_run_at_once_unless_their_scope_is_written() {
    let phase = |id: &str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")]});
    let agent = "say('came-' + phase_id)\nwait_for('came-', 2)\nwrite_deliverables()";
    let derived = project(agent, GREEN).plan(json!({"phases": [phase("p0"), phase("p1")]}));
    drain(&derived, 2, &[]).succeeded();
    assert_eq!(derived.landed().len(), 2);
    let written = |id: &str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")], "scope": {"paths": ["src"]}});
    let alone = "assert said('here-') == 0\nsay('here-' + phase_id)\nwrite_deliverables()\n\
                 time.sleep(0.05)\n(meeting / ('here-' + phase_id)).unlink()";
    let authored = project(alone, GREEN).plan(json!({"phases": [written("p0"), written("p1")]}));
    let ran = drain(&authored, 2, &[]).succeeded();
    assert!(ran.stdout.contains("touch the same paths"), "{ran:#?}");
}

#[test]
fn two_drains_with_three_workers_each_share_a_run() {
    let agent = format!("{}\n", super::recovery::WITNESSED);
    let phase = |n: usize| json!({"phase_id": format!("p{n:03}"), "deliverables": [format!("d{}/{n}.txt", n % 20)]});
    let plan = json!({ "phases": (0..60).map(phase).collect::<Vec<_>>() });
    let project = Project::new().agent_with(&agent, GREEN).plan(plan);
    let drains =
        [(); 2].map(|()| project.spawn(["drain", "--run-id", "run", "--jobs", "3", "--json"]));
    for mut child in drains {
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}{stderr}");
        assert!(!stderr.contains("database is locked"), "{stderr}");
        events(&text);
    }
    super::recovery::assert_each_landed_once(&project, 60);
}

#[test]
fn among_many_drains_no_attempt_is_tested_more_than_twice() {
    let ci = "ci: {command: [sh, -c, 'sleep 0.1']}\n";
    let project = Project::new().agent_with("write_deliverables()", ci).plan(apart(30));
    let drains = [(); 6].map(|()| project.spawn(["drain", "--run-id", "run"]));
    for child in drains {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(project.landed().len(), 30);
    let directories: Vec<std::path::PathBuf> =
        std::fs::read_dir(project.path(".autopack/attempts/run"))
            .unwrap()
            .map(|phase| phase.unwrap().path())
            .collect();
    let ran = |times: u32| {
        let log = format!("1/ci-{times}.log");
        directories.iter().filter(|phase| phase.join(&log).exists()).count()
    };
    // The first attempt of each drain runs the base before its agent.
    assert!(ran(3) <= 6, "{} attempts", ran(3));
    assert_eq!(ran(4), 0);
}

#[test]
fn a_reclaimed_live_drain_ends_all_workers_and_starts_over() {
    let agent = r#"
say(f"came-{phase_id}-{attempt}")
if attempt == 1: wait_for("go")
write_deliverables()
"#;
    let more = format!("{GREEN}executor: {{lease_seconds: 1}}\n");
    let project = project(agent, &more).plan(apart(3));
    let mut stopped = Running::start(&project, 3);
    stopped.wait_for("phase_started", 3);
    while std::fs::read_dir(project.outside("meeting")).map_or(0, Iterator::count) < 3 {
        std::thread::yield_now();
    }
    stop_between_writes(&project, &stopped.child);
    // Reclaims the phases of the stopped one, and waits for no other drain.
    let reclaimer = drain(&project, 3, &["--max-batches", "1", "--batch-size", "3"]);
    signal(&stopped.child, "-CONT");
    project.autopack(["phases", "list", "--run-id", "run"]).succeeded();
    let (code, _) = stopped.ended();
    reclaimer.succeeded();
    assert_eq!(code, Some(0));
    super::recovery::assert_each_landed_once(&project, 3);
    assert_eq!(super::recovery::processes_of(&project), Vec::<String>::new());
}

/// Prints phases per minute with agents that only sleep, as medians of three drains each.
#[test]
#[ignore = "a figure, not a check: cargo nextest run --run-ignored only --no-capture jobs::throughput"]
fn throughput() {
    println!("| jobs | 40 phases in | phases/min |\n|---|---|---|");
    for jobs in [1, 2, 4, 8] {
        let mut times: Vec<f64> = (0..3)
            .map(|_| {
                let project = Project::new()
                    .agent_with("time.sleep(0.3)\nwrite_deliverables()", GREEN)
                    .plan(apart(40));
                let ran = drain(&project, jobs, &["--json"]).succeeded();
                events(&ran.stdout).last().unwrap()["duration_ms"].as_f64().unwrap() / 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("| {jobs} | {:.1} s | {:.0} |", times[1], 40.0 * 60.0 / times[1]);
    }
}
