//! Names designed to break terminals: none of their control characters reaches one, and lines stay short.

use std::process::Command;

use crate::support::golden::tricks;
use crate::support::{Project, has};
use serde_json::{Value, json};

/// Clears the screen, sets the title, colors, turns the line, breaks it, and is wide.
const EVIL: &str = "a\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}b\r\n\tc漢\u{2028}d'\"$(x)`y`";

fn project() -> Project {
    let long = format!("long-{}", "漢x".repeat(2000));
    let agent = "sys.stdout.write('\\x1b[2Jsaid\\r\\n'); sys.stdout.flush()\n\
                 if attempt > 1 or 'long' in phase_id: write_deliverables()";
    let project = Project::new().agent_with(agent, "ci: {command: [\"true\"]}\n");
    let spec = |id: &str, n: usize| {
        json!({"phase_id": id, "name": format!("name {EVIL}"), "description": EVIL,
            "deliverables": [format!("src\\{n}.txt (new {EVIL})")], "category": EVIL})
    };
    let out = json!({"phase_id": format!("out{EVIL}"), "deliverables": [format!("../{EVIL}")]});
    let behind = json!({"phase_id": "behind", "depends_on": [format!("out{EVIL}")], "deliverables": ["src/b.txt"]});
    let phases = [spec(EVIL, 1), spec(&long, 2), out, behind];
    project.write("plan.json", &json!({ "phases": phases }).to_string());
    project
}

#[test]
fn no_verb_lets_others_text_move_the_cursor_or_break_its_lines() {
    let project = project();
    let run = format!("run {EVIL}");
    let long = format!("long-{}", "漢x".repeat(2000));
    let mut seen = String::new();
    let mut see = |args: &[&str]| {
        let ran = project.autopack(args);
        for text in [&ran.stdout, &ran.stderr] {
            assert!(tricks(text).is_empty(), "{args:?}: {text:?}");
        }
        // A message may take 500 columns, an id 100; longer ones must have been cut.
        let wide = |line: &str| unicode_width::UnicodeWidthStr::width(line) > 700;
        assert!(!ran.stdout.lines().any(wide), "{args:?}: {}", ran.stdout);
        seen += &ran.stdout;
        ran
    };
    see(&["import", "plan.json", "--run-id", &run]).succeeded();
    see(&["fix-phases", "--run-id", &run, "--dry-run"]).succeeded();
    see(&["fix-phases", "--run-id", &run]).succeeded();
    see(&["drain", "--run-id", &run, "--dry-run"]).succeeded();
    see(&["status", "--run-id", &run]).succeeded();
    see(&["drain", "--run-id", &run, "-vvv"]).exited(3);
    see(&["status"]).succeeded();
    for args in [&["list"][..], &["show", EVIL], &["show", &long], &["list", "--failed"]] {
        see(&[&["phases", "--run-id", &run][..0], &["phases"], args, &["--run-id", &run]].concat())
            .succeeded();
    }
    see(&["phases", "retry", "--run-id", &run, "--failed"]).succeeded();
    see(&["phases", "skip", "--run-id", &run, "behind"]).succeeded();
    see(&["phases", "show", "--run-id", &run, &format!("no {EVIL}")]).exited(1);
    see(&["phases", "log", "--run-id", &run, &format!("no {EVIL}")]).exited(1);
    see(&["runs", "list"]).succeeded();
    see(&["gc", "--dry-run"]).succeeded();
    see(&["status", "--run-id", &format!("no {EVIL}")]).exited(1);
    see(&["stop", "--run-id", &run]).succeeded();
    see(&["runs", "remove", &run, "--yes"]).succeeded();
    assert!(seen.contains("landed   a [2J"), "it did run: {seen}");
}

/// JSON keeps every id as its author wrote it.
#[test]
fn json_has_names_whole() {
    let project = project();
    project.autopack(["import", "plan.json", "--run-id", EVIL]).succeeded();
    let phases = project.json(["phases", "list", "--run-id", EVIL, "--json"]);
    assert_eq!(phases[0]["phase_id"], EVIL);
    assert_eq!(phases[1]["phase_id"].as_str().unwrap().chars().count(), 4005);
    assert_eq!(project.json(["status", "--json"])["runs"][0]["run_id"], Value::from(EVIL));
}

/// A log is text by others: escape sequences are removed whole, but with `--raw`.
#[test]
fn a_log_is_cleaned_unless_raw() {
    let project = project();
    project.autopack(["import", "plan.json", "--run-id", "run"]).succeeded();
    project.drain().exited(3);
    let piped = project.autopack(["phases", "log", "--run-id", "run", EVIL]);
    assert!(piped.stdout.contains("\nsaid\n") && tricks(&piped.stdout).is_empty(), "{piped:#?}");
    let raw = project.autopack(["log", "--raw", "--run-id", "run", EVIL]);
    assert!(raw.stdout.contains("\u{1b}[2Jsaid"), "{raw:#?}");
    if !has("script", &["--version"]) {
        return;
    }
    let mut command = project.command(["phases", "list"]);
    let line =
        format!("'{}' phases log --run-id run \"$EVIL\"", command.get_program().to_str().unwrap());
    let env: Vec<_> =
        command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
    command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(project.root()).env_clear();
    command
        .envs(env.into_iter().filter_map(|(k, v)| v.map(|v| (k, v))))
        .env("EVIL", EVIL)
        .env("PAGER", "")
        .env("TERM", "xterm");
    let shown = command.stdin(std::process::Stdio::null()).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).replace("\r\n", "\n");
    assert!(shown.contains("\nsaid\n"), "{shown:?}");
    assert!(tricks(&shown).is_empty(), "{shown:?}");
}
