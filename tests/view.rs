//! The live view in a real terminal: tmux, at several sizes, during a resize, and after its end.

use crate::support::Project;
use crate::support::terminal::Terminal;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

/// Prints its actions, and goes on when told to.
const WAITING: &str = "name = pathlib.Path(phase['deliverables'][0]).stem\n\
    print('editing src/' + name + '.py and what goes with it, which takes more than a line has', flush=True)\n\
    while not (workspace.parent / 'witness' / ('go-' + name)).exists(): time.sleep(0.02)\n\
    write_deliverables()\nreport(tokens=dict(input=1200, output=345))";

fn project() -> Project {
    let phase =
        |id: &str, file: &str| json!({"phase_id": id, "deliverables": [format!("src/{file}.txt")]});
    let evil = format!("evil\u{1b}[2J\u{202e}{}", "漢x".repeat(1500));
    let phases = [phase("one", "one"), phase(&evil, "evil"), phase("two", "two")];
    let green = "ci: {command: [\"true\"]}\n";
    Project::new().agent_with(WAITING, green).plan(json!({ "phases": phases }))
}

/// Lets the agent of a phase go on.
fn allow(project: &Project, name: &str) {
    std::fs::write(project.outside(format!("go-{name}")), "").unwrap();
}

fn fits(lines: &[String], columns: usize) {
    assert!(lines.iter().all(|line| line.width() <= columns), "{lines:#?}");
}

#[test]
fn a_drain_on_a_terminal_at_three_sizes_and_while_it_is_resized() {
    let project = project();
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    terminal.types("clear; autopack drain --run-id run");
    let lines = terminal.until("one  1/3");
    fits(&lines, 80);
    assert!(
        lines.iter().any(|line| line.starts_with("░") && line.contains(" 0/3 · 0:")),
        "{lines:#?}"
    );
    let lines =
        terminal.until_all(|lines| lines.iter().any(|line| line.contains("editing src/one.py")));
    println!("{}", lines.join("\n"));

    terminal.resize(40, 10);
    let narrow = |lines: &[String]| {
        lines.last().is_some_and(|line| line.starts_with("  one  1/3") && line.width() < 40)
    };
    let lines = terminal.until_all(narrow);
    println!("{}", lines.join("\n"));
    for (columns, rows) in [(100, 30), (33, 9), (80, 24), (20, 6), (120, 40), (80, 24)] {
        terminal.resize(columns, rows);
    }
    allow(&project, "one");
    terminal.until("landed   one");
    let lines = terminal
        .until_all(|lines| lines.last().is_some_and(|line| line.contains("editing src/evil")));
    fits(&lines, 80);
    println!("{}", lines.join("\n"));
    let all = terminal.all();
    assert_eq!(all.matches(" 0/3 · ").count(), 0, "an old picture was left: {all}");
    assert_eq!(all.matches("landed   one").count(), 1, "{all}");
    allow(&project, "evil");
    terminal.until("two  1/3");
    terminal.presses("C-c");
    let lines = terminal.until("run: 2 landed, 1 queued · interrupted; running phases are queued");
    fits(&lines, 80);
    terminal.until_all(|lines| lines.last().is_some_and(|line| line == "$"));
    let all = terminal.all();
    assert!(!all.contains('░') && !all.contains("1/3  0:"), "the view is gone: {all}");
    assert!(terminal.cursor_is_shown());
    terminal.types("echo code $?");
    terminal.until("code 130");
}

/// Output of `cat` and drawing by the view would run into each other.
#[test]
fn a_drain_in_a_pipe_draws_nothing_on_the_terminal_behind_it() {
    let project = project();
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    allow(&project, "one");
    terminal.types("clear; autopack drain --run-id run | cat");
    terminal.until("landed   one");
    let is_at_evil = || {
        let status = project.json(["status", "--json"]);
        let activity = status["runs"][0]["running"][0]["activity"].as_str().unwrap_or_default();
        activity.contains("editing src/evil")
    };
    while !is_at_evil() {
        std::thread::yield_now();
    }
    let lines = terminal.screen();
    assert!(!lines.iter().any(|line| line.contains('░')), "{lines:#?}");
    terminal.presses("C-c");
    terminal.until_all(|lines| lines.last().is_some_and(|line| line == "$"));
}

#[test]
fn a_watch_shows_the_same_from_another_terminal() {
    let project = project();
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    terminal.types("clear; autopack status --watch");
    terminal.until("no drain is running; start: autopack drain --run-id run");
    let mut drain = project.spawn(["drain", "--run-id", "run"]);
    let lines = terminal.until_all(|lines| {
        lines.iter().any(|line| line.contains("one  1/3") && line.contains("editing src/one.py"))
    });
    fits(&lines, 80);
    assert!(!lines.iter().any(|line| line.contains("no drain")), "{lines:#?}");
    terminal.resize(40, 5);
    let lines = terminal
        .until_all(|lines| lines.iter().any(|line| line.starts_with("  one") && line.width() < 40));
    fits(&lines, 40);
    terminal.resize(80, 24);
    allow(&project, "one");
    terminal.until("landed   one");
    project.autopack(["stop"]).succeeded();
    assert_eq!(drain.wait().unwrap().code(), Some(130));
    terminal.until("no drain is running; start: autopack drain --run-id run");
    terminal.presses("C-c");
    terminal.types("echo code $?");
    let lines = terminal.until("code 130");
    assert!(
        lines.iter().any(|line| line.starts_with("run ") && line.contains(" 1/3 · 1545 tokens")),
        "{lines:#?}"
    );
    assert!(terminal.cursor_is_shown());
}

#[test]
fn log_lines_and_the_view_do_not_tear_each_other() {
    let project = project();
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    terminal.types("clear; autopack -vv drain --run-id run");
    terminal
        .until_all(|lines| lines.last().is_some_and(|line| line.contains("editing src/one.py")));
    allow(&project, "one");
    // The log goes on and scrolls it off the screen.
    while !terminal.all().contains("landed   one") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    terminal.presses("C-c");
    terminal.until("run: 1 landed");
    let all = terminal.all();
    assert!(!all.contains('░') && all.contains("DEBUG git "), "{all}");
    let torn: Vec<&str> = all
        .lines()
        .filter(|line| line.contains("DEBUG") && !line.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert!(torn.is_empty(), "{torn:#?}");
}

#[test]
fn a_dumb_terminal_gets_plain_lines_and_no_color_means_none() {
    for (name, value, option) in
        [("TERM", "dumb", ""), ("NO_COLOR", "1", ""), ("X", "", "--color never")]
    {
        let project = project();
        let Some(terminal) = Terminal::open(&project, 80, 24, &[(name, value)]) else { return };
        allow(&project, "one");
        terminal.types(&format!("clear; autopack {option} drain --run-id run"));
        terminal.until("landed   one");
        let escapes = terminal.tmux(&["capture-pane", "-p", "-e"]);
        assert!(!escapes.contains('\u{1b}'), "{name}: {escapes:?}");
        if name == "TERM" {
            assert!(!escapes.contains('░'), "{escapes}");
        }
        terminal.presses("C-c");
        terminal.until("run: 1 landed");
    }
}

#[test]
fn a_watch_of_36_waiting_phases_fits_80_columns_and_24_rows() {
    let agent = format!("if phase_id == 'bad': sys.exit(0)\n{WAITING}");
    let mut phases = vec![
        json!({"phase_id": "bad", "deliverables": ["src/bad.txt"], "max_attempts": 1}),
        json!({"phase_id": "setup-db", "deliverables": ["db/setup.txt"]}),
    ];
    for n in 1..=36 {
        let needs = if n < 3 { "bad" } else { "setup-db" };
        let file = format!("src/{n}/a.txt");
        phases.push(
            json!({"phase_id": format!("p{n}"), "deliverables": [file], "depends_on": [needs]}),
        );
    }
    let green = "ci: {command: [\"true\"]}\n";
    let project = Project::new().agent_with(&agent, green).plan(json!({ "phases": phases }));
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    let drain = project.spawn(["drain", "--run-id", "run"]);
    terminal.types("clear; autopack status --watch");
    let lines = terminal.until_all(|lines| {
        lines
            .iter()
            .any(|line| line.contains("setup-db  1/3") && line.contains("editing src/setup"))
    });
    fits(&lines, 80);
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has(" 1/38 · 1 failed · 2 blocked"), "{lines:#?}");
    assert!(has("  fake  "), "the agent is named: {lines:#?}");
    assert!(has("  failed   bad: no_change: the agent changed nothing"), "{lines:#?}");
    assert!(has("  waiting  34 wait for setup-db (running)"), "{lines:#?}");
    assert!(has("  waiting  2 behind bad (failed)"), "{lines:#?}");
    assert!(lines.len() < 12, "{lines:#?}");
    println!("{}", lines.join("\n"));
    terminal.presses("C-c");
    project.autopack(["stop", "--now"]);
    project.wait(drain);
}

#[test]
fn a_watch_shows_the_attempt_number_of_each_ended_attempt() {
    let agent = "if attempt == 1: sys.exit(0)\nwrite_deliverables()";
    let green = "ci: {command: [\"true\"]}\n";
    let phases = json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]});
    let project = Project::new().agent_with(agent, green).plan(phases);
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    terminal.types("clear; autopack status --watch");
    terminal.until("no drain is running");
    project.drain().succeeded();
    let lines = terminal.until("landed   one");
    let line = |start: &str| lines.iter().find(|line| line.starts_with(start)).unwrap();
    assert!(line("retry    one").contains("attempt 1/3"), "{lines:#?}");
    assert!(line("landed   one").contains("attempt 2/3"), "{lines:#?}");
    terminal.presses("C-c");
}
