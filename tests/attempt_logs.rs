//! `log`: transcripts of each known agent's stream, selections, and a running attempt.

use std::io::{BufRead, BufReader};

use crate::support::Project;
use crate::support::fake_agent::{expected, recordings};
use crate::support::golden::tricks;
use serde_json::{Value, json};

macro_rules! golden {
    ($name:literal, $text:expr) => {
        insta::with_settings!({snapshot_path => "snapshots/golden", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

const AGENT: &str = "print('the agent speaks')\nwrite_deliverables()";
const CI: &str = "ci: {command: \"echo all green\"}\n";

fn plan() -> Value {
    json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]})
}

/// A landed phase, whose agent printed a line.
fn landed() -> Project {
    let project = Project::new().agent_with(AGENT, CI).plan(plan());
    project.drain().succeeded();
    project
}

/// The recordings of a kind, each as the log of an attempt of an agent of that kind.
fn transcripts(project: &Project, kind: &str) -> String {
    project.write(
        ".autopack/config/autopack.yaml",
        &format!("agents:\n  default: fake\n  fake: {{kind: {kind}}}\n"),
    );
    let mut text = String::new();
    for (case, _) in expected(kind) {
        let file = |ending: &str| recordings(kind).join(format!("{case}.{ending}"));
        let read = |ending| std::fs::read_to_string(file(ending)).unwrap_or_default();
        let log = read("jsonl") + &read("txt") + &read("stderr");
        project.write(".autopack/attempts/run/one/1/agent.log", &log);
        let shown = project.autopack(["log", "one", "--agent"]).succeeded().stdout;
        assert!(tricks(&shown).is_empty(), "{kind} {case}: {shown:?}");
        text += &format!("## {case}\n{shown}\n");
    }
    text
}

#[test]
fn each_known_stream_is_shown_as_a_transcript() {
    let project = landed();
    for kind in autopack::agent::program_kinds() {
        let text = transcripts(&project, kind);
        assert!(!text.contains("{\"type\""), "{kind}: {text}");
        insta::with_settings!({snapshot_path => "snapshots/transcripts", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(kind, text);
        });
    }
}

/// A longer session than the recordings: several messages, results of many lines, paths in the checkout, a subagent's
/// error, and hostile text.
#[test]
fn a_session_of_many_steps_is_readable() {
    let project = landed();
    project.write(
        ".autopack/config/autopack.yaml",
        "agents:\n  default: fake\n  fake: {kind: claude}\n",
    );
    let says = |part: Value| json!({"type": "assistant", "message": {"content": [part]}});
    let tool = |id: &str, name: &str, input: Value| {
        says(json!({"type": "tool_use", "id": id, "name": name, "input": input}))
    };
    let result = |id: &str, content: Value| {
        json!({"type": "user", "message": {"content":
            [{"type": "tool_result", "tool_use_id": id, "content": content}]}})
    };
    let many: Vec<String> = (1..=40).map(|n| format!("test_{n} PASSED")).collect();
    let path = project.path("src/one.txt").display().to_string();
    let lines = [
        says(json!({"type": "text", "text": "I look at the tests first.\n\n- one\n  - two"})),
        tool("1", "Read", json!({"file_path": path})),
        result(
            "1",
            json!([{"type": "text", "text": "1\tdef f():"}, {"type": "text", "text": "2\t    pass"}]),
        ),
        says(
            json!({"type": "text", "text": "\u{1b}[31mNow\u{1b}[0m the \u{1b}]0;evil\u{7}suite.\u{202e}"}),
        ),
        tool("2", "Bash", json!({"command": "pytest -q"})),
        result("2", json!(many.join("\n"))),
        says(json!({"type": "text", "text": "All pass."})),
    ];
    let log: String = lines.iter().map(|line| format!("{line}\n")).collect();
    project.write(".autopack/attempts/run/one/1/agent.log", &log);
    golden!("log_session", project.autopack(["log", "one", "--agent"]).succeeded().stdout);
    let raw = project.autopack(["log", "one", "--agent", "--raw"]).succeeded();
    assert_eq!(raw.stdout, log);
    let objects = project.autopack(["log", "run/one", "--agent", "--json"]).succeeded().stdout;
    let objects: Vec<Value> =
        objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        objects[1],
        json!({"file": "agent.log", "kind": "tool", "text": "reading src/one.txt"})
    );
    assert_eq!(objects[5]["text"], many.join("\n"), "results are whole");
}

#[test]
fn streams_are_selected() {
    let project = landed();
    let log = |args: &[&str]| project.autopack([&["log", "one"], args].concat()).succeeded().stdout;
    assert_eq!(log(&["--agent"]), "the agent speaks\n");
    let ci = log(&["--ci"]);
    assert!(ci.contains("ci.log <==\nall green\n") && ci.contains("ci-2.log"), "{ci}");
    assert_eq!(log(&["--ci", "-n", "0"]), "");
    assert!(log(&["--prompt"]).contains("src/one.txt"));
    let all = log(&[]);
    // CI on the base, the agent, CI on the change.
    let places =
        ["/ci.log <==\nall green", "/agent.log <==\nthe agent", "/ci-2.log <==\nall green"]
            .map(|text| all.find(text).unwrap_or_else(|| panic!("{text}: {all}")));
    assert!(places.is_sorted(), "{all}");
    assert_eq!(log(&["-n", "1"]), "all green\n");
    assert!(log(&["--all"]).contains("/prompt.md <==\n"));
    assert_eq!(log(&[]), project.autopack(["phases", "log", "one"]).succeeded().stdout);
    // Nothing follows an attempt that has ended.
    assert_eq!(log(&["-f", "--agent"]), "the agent speaks\n");
    let ran = project.autopack(["log", "one", "--setup"]).exited(1);
    assert_eq!(
        ran.stderr,
        "error: attempt 1 of phase one has no setup log\n\
         hint: `autopack log run/one` shows all its logs\n"
    );
}

/// The attempt waits for the test, which has read its first line: nothing here depends on time.
#[test]
fn a_running_attempt_is_followed_to_its_end() {
    let body = "print('begun', flush=True)\nwhile not pathlib.Path(os.environ['GO']).exists(): time.sleep(0.02)\n\
                print('done')\nwrite_deliverables()";
    let project = Project::new();
    let go = project.outside("go");
    let project = project
        .env("GO", go.to_str().unwrap())
        .agent_with(body, &format!("    env_pass: [GO]\n{CI}"))
        .plan(plan());
    let drain = project.spawn(["drain", "--run-id", "run"]);
    // The attempt exists once its log does.
    let log = project.path(".autopack/attempts/run/one/1/agent.log");
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("begun")) {
        std::thread::yield_now();
    }
    let mut follower = project.spawn(["log", "one", "--follow"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    let base: Vec<String> = lines.by_ref().take_while(|line| line != "begun").collect();
    assert!(base[0].ends_with("/ci.log <==") && base[2].ends_with("/agent.log <=="), "{base:?}");
    // Not followed: what is there.
    let now = project.autopack(["log", "one", "--agent"]).succeeded();
    assert_eq!(now.stdout, "begun\n");
    std::fs::write(&go, "").unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(follower.wait().unwrap().success());
    project.wait(drain).succeeded();
    assert_eq!(rest[0], "done");
    assert!(rest[1].ends_with("/ci-2.log <=="), "{rest:?}");
    assert_eq!(rest[2..], ["all green"]);
}

/// The agent ends only if the test is over.
#[test]
fn a_follower_ends_with_its_reader_or_ctrl_c_and_leaves_the_attempt_alone() {
    let body = "print('begun', flush=True)\nwhile not pathlib.Path(os.environ['GO']).exists(): time.sleep(0.02)\n\
                write_deliverables()";
    let project = Project::new();
    let go = project.outside("go");
    let project = project
        .env("GO", go.to_str().unwrap())
        .agent_with(body, &format!("    env_pass: [GO]\n{CI}"))
        .plan(plan());
    let drain = project.spawn(["drain", "--run-id", "run"]);
    let log = project.path(".autopack/attempts/run/one/1/agent.log");
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("begun")) {
        std::thread::yield_now();
    }
    for how in ["reader", "interrupt"] {
        let mut follower = project.spawn(["log", "one", "--follow", "-n", "1"]);
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "begun");
        match how {
            "reader" => drop(lines),
            _ => crate::support::process::signal(&follower, "-INT"),
        }
        let code = follower.wait().unwrap().code();
        assert_eq!(code, Some(if how == "reader" { 0 } else { 130 }), "{how}");
    }
    std::fs::write(&go, "").unwrap();
    project.wait(drain).succeeded();
    assert_eq!(project.landed(), ["one"]);
}

/// `script` gives the program a terminal.
#[test]
fn a_terminal_gets_a_pager_unless_refused() {
    if !crate::support::skip::has("script", &["--version"]) {
        return;
    }
    let project = landed();
    let shown = |args: &str, pager: &str| {
        let autopack = project.command(["log"]).get_program().to_str().unwrap().to_owned();
        let project_command = project.command(["log"]);
        let env = project_command.get_envs().filter_map(|(k, v)| Some((k, v?)));
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &format!("'{autopack}' log one --agent {args}"), "/dev/null"]);
        command.current_dir(project.root()).env_clear().envs(env);
        command.env("TERM", "xterm").env("PAGER", pager).stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
    };
    assert_eq!(shown("", "sed 's/^/paged: /'"), "paged: the agent speaks\n");
    assert_eq!(shown("--no-pager", "sed 's/^/paged: /'"), "the agent speaks\n");
    assert_eq!(shown("", ""), "the agent speaks\n");
    assert!(shown("", "no-such-pager").contains("use --no-pager"));
}
