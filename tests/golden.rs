//! Output for people as golden texts: of each verb, and of each way for a drain to end. Verbs with a file of their own
//! (`cli_*`) have theirs there.

use std::process::Command;

use crate::support::Project;
use crate::support::golden::{filtered, golden, too_wide};
use serde_json::{Value, json};

macro_rules! golden {
    ($name:literal, $text:expr) => {
        insta::with_settings!({snapshot_path => "snapshots/golden", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

const GREEN: &str = "ci: {command: [\"true\"]}\n";
/// Phases called `bad` write nothing.
const GOOD: &str =
    "if phase_id != 'bad': write_deliverables()\nreport(tokens=dict(input=1200, output=345))";

fn phase(id: &str) -> Value {
    json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")]})
}

fn plan(phases: &[Value]) -> Value {
    json!({ "phases": phases })
}

fn with(mut phase: Value, key: &str, value: Value) -> Value {
    phase[key] = value;
    phase
}

fn good_and_bad() -> Project {
    let phases = [
        phase("good"),
        with(phase("bad"), "max_attempts", json!(1)),
        with(phase("behind"), "depends_on", json!(["bad"])),
        phase("next"),
    ];
    Project::new().agent_with(GOOD, GREEN).plan(plan(&phases))
}

fn see(project: &Project, args: &[&str]) -> String {
    golden(&project.autopack(args))
}

/// Several commands, one after the other.
fn see_all(project: &Project, commands: &[&[&str]]) -> String {
    let one = |args: &&[&str]| format!("$ autopack {}\n{}\n", args.join(" "), see(project, args));
    commands.iter().map(one).collect()
}

#[test]
fn a_drain_with_a_success_a_retry_a_failure_and_what_waits_for_it() {
    let agent = "if phase_id != 'bad': write_deliverables('good' if attempt > 1 or phase_id != 'flaky' else 'red')\n\
                 report(tokens=dict(input=1200, output=345), cost_usd=0.02)";
    let ci = "ci: {command: \"if grep -rqx red src; then echo 'the text is red'; exit 3; fi\"}\n";
    let phases = [
        phase("good"),
        phase("flaky"),
        with(phase("bad"), "max_attempts", json!(1)),
        with(phase("behind"), "depends_on", json!(["bad"])),
        json!({"phase_id": "out", "deliverables": ["../elsewhere.txt"]}),
        json!({"phase_id": "noop", "deliverables": ["README.md"], "allow_no_change": true}),
    ];
    let agent = format!("if phase_id != 'noop':\n    {}", agent.replace('\n', "\n    "));
    let project = Project::new().agent_with(&agent, ci).plan(plan(&phases));
    golden!("status_before", see(&project, &["status"]));
    golden!("drain_dry_run", see(&project, &["drain", "--dry-run"]));
    golden!("drain", see(&project, &["drain", "--batch-size", "3"]));
    golden!("status_blocked", see(&project, &["status"]));
    golden!(
        "phases_after_a_drain",
        see_all(
            &project,
            &[
                &["phases", "list"],
                &["phases", "list", "--failed"],
                &["phases", "show", "flaky"],
                &["phases", "show", "out"],
                &["phases", "log", "flaky", "--attempt", "1"],
                &["phases", "retry", "bad"],
                &["phases", "skip", "behind"],
                &["phases", "retry", "good"],
                &["runs", "list"],
                &["gc", "--dry-run"],
            ]
        )
    );
}

#[test]
fn a_drain_that_stops_at_the_first_failure() {
    let project = good_and_bad();
    golden!("drain_first_failure", see(&project, &["drain", "--stop-on-first-failure"]));
}

#[test]
fn a_drain_that_stops_since_all_would_fail() {
    let ci = "ci: {command: [no-such-ci-program]}\n";
    let project = Project::new().agent_with(GOOD, ci).plan(plan(&[phase("one"), phase("two")]));
    golden!("drain_systemic", see(&project, &["drain"]));
}

#[test]
fn a_drain_whose_budget_is_spent() {
    let more = format!("{GREEN}executor: {{budgets: {{run: {{tokens: 3000}}}}}}\n");
    let phases = [phase("one"), phase("two"), phase("three")];
    let project = Project::new().agent_with(GOOD, &more).plan(plan(&phases));
    golden!("drain_budget", see(&project, &["drain"]));
}

#[test]
fn a_drain_that_ends_after_its_batches_and_one_with_a_sample() {
    let project = good_and_bad();
    golden!(
        "drain_max_batches",
        see(&project, &["drain", "--batch-size", "1", "--max-batches", "1"])
    );
    golden!("drain_sample", see(&project, &["drain", "--sample", "1"]));
}

#[test]
fn nothing_to_drain() {
    let project = Project::new().agent_with(GOOD, GREEN).plan(plan(&[phase("one")]));
    project.drain().succeeded();
    golden!(
        "drain_nothing",
        see_all(&project, &[&["drain"], &["drain", "--run-id", "run"], &["status"]])
    );
}

#[test]
fn two_runs_and_their_names() {
    let project = good_and_bad();
    let file = project.outside("plan.json").to_str().unwrap().to_owned();
    project.autopack(["import", &file, "--run-id", "other"]).succeeded();
    golden!("several_runs", see(&project, &["drain"]));
    golden!("drain_two_runs", see(&project, &["drain", "--all"]));
    golden!("status_two_runs", see(&project, &["status"]));
}

#[test]
fn a_drain_seen_and_ended_from_another_terminal() {
    let agent = "print('thinking hard about it', flush=True)\ntime.sleep(600)";
    let within = |id: &str| {
        let mut phase = phase(id);
        phase["scope"] = json!({"paths": ["src"]});
        phase
    };
    let plan = plan(&[within("one"), within("two")]);
    let project = Project::new().agent_with(agent, GREEN).plan(plan);
    let child = project.spawn(["drain", "--run-id", "run"]);
    let running = until(&project, |running| running["activity"] == "thinking hard about it");
    assert!(running["activity_ms"].as_u64() <= running["elapsed_ms"].as_u64(), "{running}");
    assert_eq!((&running["try"], &running["max_attempts"]), (&json!(1), &json!(3)));
    golden!("status_running", see(&project, &["status"]));
    golden!("stop", see(&project, &["stop"]));
    let ended = project.wait(child);
    golden!("drain_interrupted", golden(&ended));
    golden!("stop_nothing", see(&project, &["stop"]));
}

/// Output of `status --json` about the running phase, as soon as it satisfies the condition.
fn until(project: &Project, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let status = project.json(["status", "--json"]);
        match status["runs"][0]["running"].get(0) {
            Some(running) if wanted(running) => return running.clone(),
            _ => std::thread::yield_now(),
        }
    }
}

#[test]
fn a_rate_limit_in_the_status() {
    let body = "say(type='rate_limit_event', rate_limit_info=dict(status='rejected', resetsAt=int(time.time()) + 36000))\n\
                result(True, 429, 'limit')";
    let project = crate::limits::claude(body, "").plan(plan(&[phase("one")]));
    let child = project.spawn(["drain", "--run-id", "run"]);
    loop {
        let status = project.json(["status", "--json"]);
        let waiting = status["runs"][0]["waiting"].as_array().unwrap().len();
        if waiting > 0 && status["runs"][0]["running"] == json!([]) {
            break;
        }
        std::thread::yield_now();
    }
    golden!("status_rate_limited", see(&project, &["status"]));
    project.autopack(["stop"]).succeeded();
    child.wait_with_output().unwrap();
}

#[test]
fn a_watch_in_a_pipe_prints_a_block_for_each_change_and_ends_with_130() {
    use std::io::{BufRead, BufReader, Read};
    let project = good_and_bad();
    let mut watch = project.spawn(["status", "--watch"]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    let mut shown = String::new();
    let mut block = |shown: &mut String, last: &str| {
        lines.read_line(shown).unwrap();
        while !shown.lines().last().unwrap_or_default().starts_with(last) {
            assert_ne!(lines.read_line(shown).unwrap(), 0, "{shown}");
        }
    };
    block(&mut shown, "no drain is running");
    project.autopack(["phases", "skip", "bad"]).succeeded();
    block(&mut shown, "no drain is running");
    let killed = Command::new("kill").args(["-INT", &watch.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), watch.wait().unwrap().code()), ("", Some(130)));
    golden!("status_watch_pipe", filtered(&project, &shown));
}

/// From here nothing changes any more that the drain could write and fail at.
#[test]
fn a_watch_ends_when_its_reader_has_gone() {
    use std::io::{BufRead, BufReader};
    let project = good_and_bad();
    let mut watch = project.spawn(["status", "--watch"]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn an_import_and_its_repairs() {
    let project = Project::new();
    project.write("plan.yaml", "run_id: demo\ndefault: {agent: x}\nphases:\n- {id: a, deliverables: ['src\\a.py (new)']}\n- {id: b, depends_on: [a], deliverables: [../b.py]}\n");
    golden!(
        "import_and_fix",
        see_all(
            &project,
            &[
                &["import", "plan.yaml"],
                &["import", "plan.yaml", "--update"],
                &["fix-phases"],
                &["fix-phases"],
                &["runs", "remove", "demo", "--yes"],
                &["runs", "list"],
                &["status"],
            ]
        )
    );
}

#[test]
fn gc_reports_removed_and_kept_items() {
    let project = good_and_bad();
    project.drain().exited(3);
    golden!("gc", see_all(&project, &[&["gc", "--dry-run"], &["gc"], &["gc", "--all-attempts"]]));
}

#[test]
fn the_memory_verbs() {
    let project = Project::new()
        .env("AUTOPACK_ENABLE_MEMORY", "1")
        .env("AUTOPACK_USE_QDRANT", "0")
        .agent_with(GOOD, GREEN)
        .plan(plan(&[with(phase("one"), "description", json!("write the parser of dates"))]));
    project.drain().succeeded();
    golden!(
        "memory",
        see_all(
            &project,
            &[
                &["memory", "stats"],
                &["memory", "search", "parser", "of", "dates"],
                &["memory", "search", "parser", "--run-id", "nope"],
                &["memory", "search", "parser", "--collection", "nope"],
                &["memory", "sync"],
                &["memory", "index"],
                &["memory", "prune"],
            ]
        )
    );
    let off = project.env("AUTOPACK_ENABLE_MEMORY", "0");
    golden!("memory_off", see(&off, &["memory", "stats"]));
}

/// Each kind of failure, as people and as machines read it.
#[test]
fn every_kind_of_error() {
    let mut text = String::new();
    let mut kinds = Vec::new();
    for (name, project, args) in failures() {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        text += &format!("# {name}\n{}\n", see(&project, &args));
        let ran = project.autopack([&["--log-format", "json"], &args[..]].concat());
        let last = ran.stderr.lines().last().unwrap_or_default();
        let object: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {ran:#?}"));
        assert_eq!(object["level"], "ERROR", "{object}");
        assert_eq!(object["exit_code"], json!(ran.code), "{name}: {object}");
        assert!(!object["message"].as_str().unwrap().is_empty(), "{name}: {object}");
        assert!(object.get("hint").is_some(), "{name}: {object}");
        kinds.push(format!("{name}: {}", object["kind"].as_str().unwrap()));
    }
    golden!("errors", text);
    golden!("errors_as_json", kinds.join("\n"));
}

fn failures() -> Vec<(&'static str, Project, Vec<String>)> {
    let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let drained = || Project::new().agent_with(GOOD, GREEN).plan(plan(&[phase("one")]));
    let bad_config = |text: &str| Project::new().config(text);
    let database = |project: &Project, sql: &str| {
        let path = project.outside("other.db");
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()";
        let made =
            Command::new("python3").args(["-c", script]).arg(&path).arg(sql).status().unwrap();
        assert!(made.success());
        let url = format!("sqlite:///{}", path.canonicalize().unwrap().display());
        vec!["--database-url".to_owned(), url, "status".to_owned()]
    };
    let theirs = Project::new();
    let foreign = database(&theirs, "CREATE TABLE customers (id)");
    let python = Project::new();
    let pythons = database(
        &python,
        "CREATE TABLE runs (id); CREATE TABLE tiers (id); CREATE TABLE phases (id, phase_id)",
    );
    let broken = Project::new();
    broken.write("bad.yaml", "phases:\n- id: a\n  name: b: c\n");
    let held = drained();
    held.git(["branch", "autopack/run"]);
    vec![
        ("no repository", Project::bare_folder(), args("status")),
        ("no database", Project::new(), args("status")),
        ("an unknown run", drained(), args("status --run-id nope")),
        ("an unknown phase", drained(), args("phases show nope")),
        ("an unknown key", bad_config("executr: {}\n"), args("config show")),
        (
            "a value of the wrong kind",
            bad_config("executor: {max_attempts: many}\n"),
            args("config show"),
        ),
        ("a bad database URL", Project::new(), args("--database-url mysql://u:secret@h/db status")),
        ("an application's database", theirs, foreign),
        ("the Python Autopack's database", python, pythons),
        ("a plan that is no YAML", broken, args("import bad.yaml")),
        ("a plan that is not there", Project::new(), args("import no.yaml")),
        ("no agent", Project::new().env("PATH", "/usr/bin:/bin").plan(plan(&[phase("one")])), args("drain")),
        (
            "an agent that is not there",
            drained()
                .config("agents:\n  default: a\n  a: {kind: command, command: [no-such-agent]}\n"),
            args("drain"),
        ),
        (
            "several agents and no default one",
            drained().config(
                "agents:\n  a: {kind: command, command: [sh]}\n  b: {kind: command, command: [sh]}\n",
            ),
            args("drain"),
        ),
        ("an agent that nobody knows", drained(), args("drain --agent nobody")),
        ("a branch that is not ours", held, args("drain")),
        ("no log", drained(), args("phases log one")),
        ("a phase that may not be retried", drained(), args("phases retry one")),
        ("an unknown option", Project::new(), args("status --no-such-option")),
    ]
}

/// The limit of 80 columns, for every golden text of the real program.
#[test]
fn golden_texts_fit_80_columns() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut wide = Vec::new();
    let mut seen = 0;
    for directory in [directory.clone(), directory.join("golden")] {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let of_the_program =
                path.parent().unwrap().ends_with("golden") || name.contains("__cli_");
            // Settings and JSON have values of any length; the lines of health are joined there.
            let others = ["cli_config", "cli_health", "lists_have_one_shape"];
            let others = others.iter().any(|part| name.contains(part));
            if !path.is_file() || !of_the_program || others {
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let shown = text.splitn(3, "---\n").nth(2).unwrap();
            wide.extend(too_wide(shown).iter().map(|line| format!("{name}: {line}")));
        }
    }
    let health = Project::new().autopack(["health"]).stdout;
    wide.extend(too_wide(&health).iter().map(ToString::to_string));
    assert!(seen > 20, "only {seen} golden texts were found");
    assert!(wide.is_empty(), "{wide:#?}");
}

/// Tests this test.
#[test]
fn a_line_over_the_maximum_width_is_detected() {
    let long = "word ".repeat(20);
    assert_eq!(too_wide(&format!("short\n{long}\n")), [long.as_str()]);
    assert!(too_wide(&format!("run \"{long}\" is gone\nerror: {long}\n")).is_empty());
    assert_eq!(too_wide(&"漢".repeat(41)).len(), 1);
}

/// Three landings: `two` depends on `one`, and `three` changes the file of `other`.
fn landed() -> Project {
    let phases = [
        phase("one"),
        with(phase("two"), "depends_on", json!(["one"])),
        phase("other"),
        with(phase("three"), "deliverables", json!(["src/other.txt"])),
    ];
    let agent = "write_deliverables(f'made by {phase_id}\\n')";
    let project = Project::new().agent_with(agent, GREEN).plan(plan(&phases));
    project.drain().succeeded();
    project
}

#[test]
fn a_run_is_merged_and_phases_are_undone() {
    let project = landed();
    let text = see_all(
        &project,
        &[
            &["merge", "run"],
            &["merge", "run"],
            &["undo", "run/one", "--with-dependents"],
            &["undo", "three", "--skip"],
            &["phases", "list"],
            &["phases", "show", "two"],
            &["merge", "run", "--squash"],
        ],
    );
    assert_eq!(too_wide(&text), [""; 0]);
    golden!("merge_and_undo", text);
}

#[test]
fn refused_merges_and_undos() {
    let project = landed();
    let mut text = see_all(
        &project,
        &[
            &["merge", "run", "--into", "mian"],
            &["merge", "run", "--into", "autopack/run"],
            &["merge", "run", "--to-green"],
            &["merge", "run", "--to-green", "--anyway"],
            &["undo", "one"],
            &["undo", "other"],
            &["undo", "zero"],
            &["undo"],
            &["update", "run", "--base", "mian"],
            &["update", "nir"],
        ],
    );
    let mut see_merge = |state: &str| {
        text += &format!("# {state}\n{}", see_all(&project, &[&["merge", "run"]]));
    };
    project.write("README.md", "edited\n");
    see_merge("an edited file");
    project.git(["checkout", "-q", "README.md"]);
    project.write("src/one.txt", "mine\n");
    see_merge("a file in the way");
    project.git(["add", "-A"]);
    project.git(["commit", "-q", "-m", "mine"]);
    see_merge("a conflict");
    project.git(["bisect", "start"]);
    see_merge("a bisect");
    project.git(["bisect", "reset"]);
    project.git(["switch", "-q", "--detach"]);
    see_merge("a detached HEAD");
    golden!("merge_and_undo_refused", text);
}
