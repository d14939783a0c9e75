//! `log` in a real terminal: following, Ctrl-C, a resize, and the pager.

use crate::support::terminal::Terminal;
use crate::support::{Project, has};
use serde_json::json;

const CI: &str = "ci: {command: [\"true\"]}\n";
/// Prints a line, and goes on when told to.
const WAITING: &str = "print('\\x1b[35mbegun\\x1b[0m with ' + 'many words ' * 12, flush=True)\n\
    while not (workspace.parent / 'witness' / 'go').exists(): time.sleep(0.02)\n\
    print('done', flush=True)\nwrite_deliverables()";

fn project(agent: &str) -> Project {
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]});
    Project::new().agent_with(agent, CI).plan(plan)
}

#[test]
fn a_running_attempt_is_followed_resized_left_and_followed_to_its_end() {
    let project = project(WAITING);
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    let drain = project.spawn(["drain", "--run-id", "run"]);
    let log = project.path(".autopack/attempts/run/one/1/agent.log");
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("begun")) {
        std::thread::yield_now();
    }
    terminal.types("clear; autopack log one -f --agent");
    terminal.until("begun with");
    for (columns, rows) in [(40, 10), (120, 40), (20, 6), (80, 24)] {
        terminal.resize(columns, rows);
    }
    terminal.presses("C-c");
    terminal.until_all(|lines| lines.last().is_some_and(|line| line == "$"));
    terminal.types("clear; echo code $?");
    terminal.until("code 0");
    assert!(terminal.cursor_is_shown());

    terminal.types("clear; autopack log one -f --agent; echo code $?");
    terminal.until("begun with");
    std::fs::write(project.outside("go"), "").unwrap();
    let lines = terminal.until("code 0");
    assert!(lines.iter().any(|line| line == "done"), "{lines:#?}");
    let escapes = terminal.tmux(&["capture-pane", "-p", "-e"]);
    assert!(!escapes.contains("[35m"), "colors of the agent are removed: {escapes:?}");
    project.wait(drain).succeeded();
}

#[test]
fn a_long_log_opens_in_less_which_survives_ctrl_c() {
    if !has("less", &["--version"]) {
        return;
    }
    let project = project("for n in range(200): print('line', n)\nwrite_deliverables()");
    project.drain().succeeded();
    let Some(terminal) = Terminal::open(&project, 80, 24, &[]) else { return };
    terminal.types("clear; autopack log one --agent");
    terminal.until_all(|lines| lines.last().is_some_and(|line| line.starts_with(':')));
    terminal.presses("C-c");
    // Keys that arrive with an interrupt are lost.
    terminal.until_all(|lines| {
        let is_at_end = lines.iter().any(|line| line == "line 199");
        if !is_at_end {
            terminal.presses("G");
        }
        is_at_end
    });
    terminal.presses("q");
    terminal.until_all(|lines| lines.last().is_some_and(|line| line == "$"));
    terminal.types("clear; echo code $?");
    terminal.until("code 0");
    // A short text stays on the screen.
    terminal.types("clear; autopack diff one");
    let lines = terminal.until("+made by the agent");
    assert!(lines.iter().any(|line| line.starts_with("run/one landed as ")), "{lines:#?}");
    let escapes = terminal.tmux(&["capture-pane", "-p", "-e"]);
    assert!(escapes.contains("[32m+made"), "{escapes:?}");
}
