//! Faults of an agent or its provider, through the real program: they are not counted as attempts of the phase, and are
//! distinguished from an attempt without changes.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::limits::claude;
use crate::support::{Project, executable};

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn plan() -> Value {
    json!({"phases": [{"phase_id": "p0", "deliverables": ["src/p0.txt"], "max_attempts": 1}]})
}

/// The end of the first attempt, as an event; then ends the drain, which may wait for an hour.
fn first_end(project: &Project) -> Value {
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let finished = events.find(|event| event["event"] == "phase_finished");
    child.kill().unwrap();
    child.wait().unwrap();
    finished.expect("an attempt that ended")
}

/// The phase waits durably, and no attempt is counted.
#[track_caller]
fn is_deferred(project: &Project, verdict: &str) {
    let finished = first_end(project);
    assert_eq!((&finished["verdict"], &finished["state"]), (&json!(verdict), &json!("QUEUED")));
    assert_eq!(project.phase("p0")["attempts"], 0);
    let status = project.json(["status", "--run-id", "run", "--json"]);
    assert_eq!(status["runs"][0]["waiting"].as_array().map(Vec::len), Some(1), "{status:#}");
}

#[track_caller]
fn is_systemic(project: &Project, why: &str) {
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains(why), "{ran:#?}");
    assert_eq!(
        (&project.phase("p0")["attempts"], &project.phase("p0")["state"]),
        (&json!(0), &json!("QUEUED"))
    );
}

#[test]
fn a_phase_of_a_command_without_its_provider_is_deferred() {
    for words in [
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='api')",
        "Error: getaddrinfo ENOTFOUND api.example.com",
        "API Error: 529 Overloaded",
        "openai.APITimeoutError: Request timed out.",
    ] {
        let agent = format!("print({words:?}); sys.exit(3)");
        is_deferred(&Project::new().agent_with(&agent, GREEN).plan(plan()), "unavailable");
    }
    let agent = "write('notes/a.txt'); print('HTTP 503 Service Unavailable'); sys.exit(1)";
    let wide = json!({"phases": [{"phase_id": "p0", "deliverables": ["notes/b.txt"],
        "scope": {"paths": ["notes"]}, "max_attempts": 1}]});
    is_deferred(&Project::new().agent_with(agent, GREEN).plan(wide), "unavailable");
    let agent = "print('429 Too Many Requests'); sys.exit(1)";
    is_deferred(&Project::new().agent_with(agent, GREEN).plan(plan()), "rate_limited");
}

#[test]
fn a_failing_command_without_changes_fails_the_attempt() {
    for more in [json!({}), json!({"allow_no_change": true})] {
        let mut plan = plan();
        plan["phases"][0].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let project = Project::new().agent_with("print('boom'); sys.exit(3)", GREEN).plan(plan);
        project.drain().exited(3);
        let failure = &project.phase("p0")["last_failure"];
        assert_eq!((&failure["kind"], &failure["exit_code"]), (&json!("agent_failed"), &json!(3)));
    }
}

#[test]
fn a_commands_result_file_decides() {
    let project = |error: &str| {
        let agent = format!("write_deliverables()\nreport(error={error}, tokens=dict(input=5))");
        Project::new().agent_with(&agent, GREEN).plan(plan())
    };
    is_deferred(
        &project("dict(kind='rate_limit', retry_after_seconds=30, message='slow')"),
        "rate_limited",
    );
    is_deferred(&project("dict(kind='unavailable')"), "unavailable");
    is_systemic(
        &project("dict(kind='authentication', message='expired')"),
        "refused the credentials: expired",
    );
    is_systemic(&project("dict(kind='billing')"), "no credit left");
    for (wrong, note) in [
        (
            "dict(kind='boom')",
            "`error.kind` must be one of rate_limit, authentication, billing, unavailable",
        ),
        ("'boom'", "`error` must be an object, not a text"),
    ] {
        let project = project(wrong);
        let ran = project.drain().exited(3);
        assert!(ran.stdout.contains(note), "{ran:#?}");
        assert_eq!(project.phase("p0")["last_failure"]["kind"], "agent_failed");
    }
}

#[test]
fn exit_code_75_means_try_again_later() {
    let agent = "write_deliverables(); print('busy'); sys.exit(75)";
    let project = Project::new().agent_with(agent, GREEN).plan(plan());
    is_deferred(&project, "unavailable");
    let note = &project.phase("p0")["attempt_log"][0]["note"];
    assert!(
        note.as_str().is_some_and(|note| note.contains("exited with 75") && note.ends_with("busy")),
        "{note}"
    );
}

#[test]
fn a_failing_provider_counts_no_attempt() {
    for status in [500, 502, 503, 504, 529] {
        is_deferred(
            &claude(&format!("result(True, {status}, 'broken')"), "").plan(plan()),
            "unavailable",
        );
    }
    is_deferred(
        &claude("result(True, None, 'API Error: Connection error.')", "").plan(plan()),
        "unavailable",
    );
    is_deferred(
        &claude("print('connect ECONNREFUSED'); sys.exit(1)", "").plan(plan()),
        "unavailable",
    );
    let project = claude("result(True, 400, 'not understood')", "").plan(plan());
    project.drain().exited(3);
    assert_eq!(project.phase("p0")["last_failure"]["kind"], "agent_failed");
}

#[test]
fn claudes_assistant_lines_tell_its_errors() {
    let says = |error: &str, ends: &str| {
        let content = "content=[dict(type='text', text='API Error')], model='<synthetic>'";
        let body = format!(
            "say(type='assistant', error={error:?}, message=dict(id='m', {content}))\n{ends}"
        );
        claude(&body, "").plan(plan())
    };
    for ends in
        ["result(True, None, 'API Error')", "result(False, None, 'API Error')", "sys.exit(1)"]
    {
        is_deferred(&says("rate_limit", ends), "rate_limited");
        is_deferred(&says("server_error", ends), "unavailable");
        is_deferred(&says("overloaded", ends), "unavailable");
        is_systemic(&says("authentication_failed", ends), "refused the credentials");
        is_systemic(&says("billing_error", ends), "no credit left");
    }
    let project = says("invalid_request", "result(True, None, 'API Error')");
    project.drain().exited(3);
    assert_eq!(project.phase("p0")["last_failure"]["kind"], "agent_failed");
    // The agent recovered from it.
    let body = "say(type='assistant', message=dict(id='n', content=[dict(type='text', text='on')]))\nwrite()\nresult()";
    says("rate_limit", body).drain().succeeded();
}

#[test]
fn an_agents_own_files_are_kept_with_the_attempt() {
    let agent = "log = pathlib.Path(os.environ['AUTOPACK_LOG_DIR'])\nassert log.is_dir()\n\
                 (log / 'notes.md').write_text('token ' + os.environ['MY_API_KEY'])\nwrite_deliverables()";
    let project = Project::new()
        .env("MY_API_KEY", "planted-0123456789")
        .agent_with(agent, &format!("    env_pass: [MY_API_KEY]\n{GREEN}"))
        .plan(plan());
    project.drain().succeeded();
    let dir = project.phase("p0")["attempt_log"][0]["log_dir"].as_str().unwrap().to_owned();
    assert_eq!(
        project.read(&format!("{dir}/agent-files/notes.md")),
        "token [redacted: MY_API_KEY]"
    );
    assert!(project.read(&format!("{dir}/prompt.md")).contains("$AUTOPACK_LOG_DIR"));
}

#[test]
fn a_new_file_at_the_root_is_reported_with_its_expected_directory() {
    let agent = "write_deliverables()\nwrite('agent.log')";
    let project = Project::new().agent_with(agent, GREEN).plan(plan());
    project.drain().exited(3);
    let failure = &project.phase("p0")["last_failure"];
    assert_eq!(failure["kind"], "scope_breach");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("agent.log") && message.contains("$AUTOPACK_LOG_DIR"), "{message}");
    let elsewhere =
        Project::new().agent_with("write_deliverables()\nwrite('other/x.log')", GREEN).plan(plan());
    elsewhere.drain().exited(3);
    let message = elsewhere.phase("p0")["last_failure"]["message"].to_string();
    assert!(!message.contains("LOG_DIR"), "{message}");
}

/// Otherwise it would take `src` for its root.
#[test]
fn aider_finds_the_directories_of_deliverables() {
    let project = Project::new();
    let program = project.outside("aider");
    let script = "#!/bin/sh\naccount=\nfor arg in \"$@\"; do case \"$before\" in --analytics-log) account=$arg;; esac; before=$arg; done\n\
                  test -d deep/new || exit 9\ntest -d empty/dir || exit 8\necho made > \"$before\"\n\
                  echo '{\"event\":\"message_send_starting\"}' > \"$account\"\n\
                  echo '{\"event\":\"message_send\",\"properties\":{\"prompt_tokens\":5}}' >> \"$account\"\n\
                  echo '{\"event\":\"exit\"}' >> \"$account\"\n";
    executable(&program, script);
    let ci = "ci: {command: [sh, -c, 'test ! -d empty']}\n";
    let plan = json!({"phases": [{"phase_id": "p0", "max_attempts": 1,
        "deliverables": ["empty/dir/a.txt", "deep/new/helper.txt"]}]});
    let project = project
        .config(&format!("agents:\n  default: a\n  a: {{kind: aider, program: {program:?}}}\n{ci}"))
        .plan(plan);
    project.drain().exited(3);
    let failure = &project.phase("p0")["last_failure"];
    assert_eq!(failure["kind"], "missing_deliverable", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains("empty/dir/a.txt"), "{failure}");
}

#[test]
fn changes_to_ignored_files_and_remotes_are_reported() {
    let agent = "write_deliverables()\n(workspace / '.env').write_text('KEY=other')\n(workspace / 'dev.log').write_text('x')\n\
                 subprocess.run(['git', 'push', '-q', str(workspace.parent / 'witness' / 'remote.git'), 'HEAD:refs/heads/pushed'], check=True)";
    let project = Project::new().without_sandbox();
    let project = project.file(".gitignore", "*.log\n.env\n").commit("ignore");
    let remote = project.outside("remote.git");
    project.git(["init", "-q", "--bare", remote.to_str().unwrap()]);
    project.git(["remote", "add", "origin", remote.to_str().unwrap()]);
    project.write(".env", "KEY=mine");
    let ran = project.agent_with(agent, GREEN).plan(plan()).drain().succeeded();
    let note = "your own checkout changed while the agent worked (by you, or by the agent): .env, origin: refs/heads/pushed";
    assert!(ran.stdout.contains(note), "{ran:#?}");
}

/// LiteLLM keeps neither the status nor the code of an unpaid request.
#[test]
fn an_unpaid_account_of_mini_swe_agent_ends_the_drain_and_counts_no_attempt() {
    let project = Project::new();
    let (program, account) = (project.outside("mini"), project.outside("account.json"));
    let output = "litellm.APIError: APIError: OpenrouterException - {\"error\":{\"message\":\"Insufficient credits\",\"code\":402}}";
    let trajectory = json!({
        "info": {"exit_status": "APIError", "submission": ""},
        "messages": [{"role": "exit", "content": output}],
    });
    std::fs::write(&account, trajectory.to_string()).unwrap();
    let script = format!(
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = -o ] && cp {account:?} \"$2\"; shift; done\nexit 1\n"
    );
    executable(&program, &script);
    let config = format!(
        "agents:\n  default: m\n  m: {{kind: mini-swe-agent, program: {program:?}}}\nci: {{command: [\"true\"]}}\n"
    );
    let plan = json!({"phases": [{"phase_id": "p0", "deliverables": ["src/p0.txt"]}]});
    let project = project.config(&config).plan(plan);
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("no credit"), "{ran:#?}");
    let phase = project.phase("p0");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("QUEUED"), &json!(0)));
}
