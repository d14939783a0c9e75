//! The end of an agent, through the real program: when it has finished, repeats itself, or is idle.

use serde_json::json;

use crate::limits::claude;
use crate::support::{Project, executable};

const ONE: &str = "executor: {max_attempts: 1}\n";
/// A subagent, announced in each of Claude Code's ways.
const SUBAGENT: &str = r#"
def tool(name, id, **input): say(type='assistant', message=dict(id=id, content=[dict(type='tool_use', id=id, name=name, input=input)]))
def answer(id, text, **more): say(type='user', message=dict(content=[dict(type='tool_result', tool_use_id=id, content=text)]), **more)
def last_word(): say(type='result', subtype='success', is_error=False, result='waiting', usage=dict(input_tokens=1))
path = pathlib.Path(phase['deliverables'][0]); path.parent.mkdir(exist_ok=True)
def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end: pass
"#;

fn plan() -> serde_json::Value {
    json!({"phases": [{"phase_id": "p0", "deliverables": ["src/p0.txt"]}]})
}

fn landed_text(project: &Project) -> String {
    let branch = project.git(["branch", "--list", "--format=%(refname:short)", "autopack/*"]);
    project.git(["show", &format!("{}:src/p0.txt", branch.trim())])
}

fn whole_file_lands(announce: &str, over: &str) {
    let body = format!(
        "{SUBAGENT}{announce}\npath.write_text('half')\nlast_word()\nbusy(7)\npath.write_text('whole')\n{over}\n\
         say(type='assistant', message=dict(id='end', content=[dict(type='text', text='done')]))\nresult()"
    );
    let project = claude(&body, ONE).plan(plan());
    project.drain().succeeded();
    assert_eq!(landed_text(&project).trim(), "whole", "{announce}");
}

#[test]
fn a_background_subagent_delays_the_end() {
    whole_file_lands(
        "tool('Task', 't1', prompt='x', run_in_background=True)\n\
         say(type='system', subtype='task_started', task_id='a1', tool_use_id='t1', task_type='local_agent')\n\
         answer('t1', 'launched')",
        "say(type='system', subtype='task_notification', task_id='a1', status='completed')",
    );
}

#[test]
fn a_subagent_without_an_answer_delays_the_end() {
    whole_file_lands("tool('Agent', 't1', prompt='x')", "answer('t1', 'done')");
}

#[test]
fn a_subagent_known_only_from_an_event_delays_the_end() {
    whole_file_lands(
        "say(type='system', subtype='task_started', task_id='a1', description='x')",
        "say(type='system', subtype='task_updated', task_id='a1', patch=dict(status='completed'))",
    );
}

/// Tests do not wait 30 s after the last output.
const QUIET: (&str, &str) = ("AUTOPACK_TEST_AGENT_QUIET_SECONDS", "3");

/// The last message stands for a while; then the agent is ended, although a shell of its own is still running.
#[test]
fn a_shell_in_the_background_holds_nothing() {
    let body = format!(
        "{SUBAGENT}import subprocess\ntool('Bash', 't1', command='npm run dev', run_in_background=True)\n\
         say(type='system', subtype='task_started', task_id='b1', tool_use_id='t1', task_type='local_bash')\n\
         answer('t1', 'Command running in background with ID: b1')\nwrite()\nlast_word()\n\
         subprocess.run(['sh', '-c', 'while :; do sleep 1; done'])"
    );
    let project = claude(&body, ONE).env(QUIET.0, QUIET.1).plan(plan());
    let ran = project.drain().succeeded();
    assert_eq!(project.landed(), ["p0"]);
    assert!(
        ran.stdout.contains("the agent finished but did not exit, so autopack ended it"),
        "{ran:#?}"
    );
}

#[test]
fn an_agent_working_while_ended_never_lands() {
    let body = format!(
        "{SUBAGENT}import signal\nwrite()\ndef on(*_):\n    tool('Write', 't9', file_path='src/p0.txt')\n    path.write_text('half'); last_word(); sys.exit(0)\n\
         signal.signal(signal.SIGTERM, on)\nlast_word()\nwhile True: time.sleep(60)"
    );
    let project = claude(&body, ONE).env(QUIET.0, QUIET.1).plan(plan());
    project.drain().exited(3);
    let failure = &project.phase("p0")["last_failure"];
    assert_eq!(failure["kind"], "agent_failed", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains("kept working after its final message"));
    assert!(project.landed().is_empty());
}

#[test]
fn an_agent_idle_with_a_running_subagent_never_lands() {
    let body =
        format!("{SUBAGENT}write()\ntool('Task', 't1', prompt='x')\nlast_word()\ntime.sleep(60)");
    let project = claude(&body, ONE).plan(plan());
    let config = std::fs::read_to_string(project.path(".autopack/config/autopack.yaml")).unwrap();
    let project = project
        .config(&config.replace("kind: claude", "kind: claude\n    idle_timeout_seconds: 2"));
    project.drain().exited(3);
    assert_eq!(project.phase("p0")["last_failure"]["kind"], "agent_stalled");
}

#[test]
fn repeated_waiting_is_no_loop() {
    let polls = "for n in range(12):\n    tool('BashOutput', f'o{n}', bash_id='b1'); answer(f'o{n}', 'running')\n\
                 for n in range(12):\n    tool('Bash', f's{n}', command='sleep 1 && tail -3 build.log'); answer(f's{n}', 'compiling')\n\
                 for n in range(12):\n    tool('Bash', f'g{n}', command='gh run view 7'); answer(f'g{n}', 'in_progress')";
    let body = format!("{SUBAGENT}{polls}\nwrite()\nresult()");
    let project = claude(&body, ONE).plan(plan());
    project.drain().succeeded();
    assert_eq!(project.landed(), ["p0"]);
}

#[test]
fn a_true_loop_is_still_ended() {
    let loops = "for n in range(12):\n    tool('Bash', f't{n}', command='cargo test 2>&1 | tail -5'); answer(f't{n}', 'red')";
    let body = format!("{SUBAGENT}write()\n{loops}\ntime.sleep(60)");
    let project = claude(&body, ONE).plan(plan());
    project.drain().exited(3);
    assert_eq!(project.phase("p0")["last_failure"]["kind"], "agent_looped");
}

/// OpenCode, which uses processor time while it waits; `body` is its shell.
fn opencode(body: &str) -> Project {
    let project = Project::new();
    let program = project.outside("opencode");
    executable(
        &program,
        &format!("#!/bin/sh\ncat > /dev/null\nmkdir -p src; echo made > src/p0.txt\n{body}\n"),
    );
    let config = format!(
        "agents:\n  default: o\n  o: {{kind: opencode, program: {program:?}, idle_timeout_seconds: 2}}\n\
         ci: {{command: [\"true\"]}}\n{ONE}"
    );
    project.config(&config).plan(plan())
}

#[test]
fn opencode_that_only_turns_over_is_idle() {
    let project = opencode("while :; do :; done");
    project.drain().exited(3);
    assert_eq!(project.phase("p0")["last_failure"]["kind"], "agent_stalled");
}

#[test]
fn opencode_whose_command_works_is_not_idle() {
    let done = r#"{"type":"step_finish","sessionID":"s","part":{"id":"1","reason":"stop","tokens":{"input":1,"output":1}}}"#;
    let work =
        "python3 -c 'import time\nend = time.monotonic() + 5\nwhile time.monotonic() < end: pass'";
    let project = opencode(&format!("{work}\necho '{done}'"));
    project.drain().succeeded();
    assert_eq!(project.landed(), ["p0"]);
}
