//! Files outside of its scope that an agent asks for: what is granted, and what the next attempt may change.

use serde_json::{Value, json};

use crate::support::fake_agent::Fake;
use crate::support::model_server::{ModelServer, Protocol, Turn, call, finish};
use crate::support::process::signal;
use crate::support::{Project, Ran};

const GREEN: &str = "ci: {command: [\"true\"]}\n";

/// Helper for agents of these tests: a request for these paths.
const ASK: &str = r#"
def ask(*paths):
    items = [{"path": path, "reason": "needed for " + phase_id} for path in paths]
    json.dump({"scope": items}, open(os.environ["AUTOPACK_REQUEST_FILE"], "w"))
"#;

/// A phase with one file in scope, over a repository with files beside it and elsewhere.
fn project(agent: &str, more: &str) -> Project {
    project_of(json!({"phases": [one_file()]}), agent, more)
}

fn project_of(plan: Value, agent: &str, more: &str) -> Project {
    Project::new()
        .file("src/a.txt", "a\n")
        .file("src/b.txt", "b\n")
        .file("lib/c.txt", "c\n")
        .file(".github/ci.yml", "on: push\n")
        .commit("files")
        .agent_with(&format!("{ASK}\n{agent}"), &format!("{GREEN}{more}"))
        .plan(plan)
}

fn one_file() -> Value {
    json!({"phase_id": "p", "deliverables": ["src/a.txt"], "scope": {"paths": ["src/a.txt"]}})
}

fn outcomes(phase: &Value) -> Vec<&str> {
    let log = phase["attempt_log"].as_array().unwrap();
    log.iter().map(|attempt| attempt["outcome"].as_str().unwrap_or("none")).collect()
}

/// Attempt, path and decision of each request.
fn requests(phase: &Value) -> Vec<(u64, &str, &str)> {
    let all = phase["scope_requests"].as_array().unwrap();
    all.iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap();
            (one["attempt"].as_u64().unwrap(), text("path"), text("decision"))
        })
        .collect()
}

fn failure(phase: &Value, attempt: usize) -> String {
    phase["attempt_log"][attempt - 1]["failure"]["message"].as_str().unwrap_or_default().to_owned()
}

fn finished(ran: &Ran) -> Vec<Value> {
    let events = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == "phase_finished").collect()
}

#[test]
fn a_file_beside_the_scope_lands_with_the_second_attempt() {
    let agent = "write('src/a.txt')\nwrite('src/b.txt')\nif attempt == 1: ask('src/b.txt')";
    let project = project(agent, "executor: {max_attempts: 1}\n");
    let ran = project.drain().succeeded();
    let line = "p: wider scope: src/b.txt (same directory as src/a.txt)";
    assert!(ran.stdout.contains(line), "{ran:#?}");

    let phase = project.phase("p");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("COMPLETE"), &json!(1)));
    assert_eq!(outcomes(&phase), ["scope_granted", "landed"]);
    assert_eq!(requests(&phase), [(1, "src/b.txt", "granted")]);
    assert_eq!(phase["scope_requests"][0]["reason"], "needed for p");
    assert_eq!(phase["scope"]["paths"], json!(["src/a.txt", "src/b.txt"]));
    assert_eq!(project.git(["show", "autopack/run:src/b.txt"]), "made by the agent\n");

    let prompt =
        |attempt: u32| project.read(&format!(".autopack/attempts/run/p/{attempt}/prompt.md"));
    assert!(prompt(1).contains("$AUTOPACK_REQUEST_FILE"));
    let told = "- `src/b.txt`: granted, in scope now (same directory as src/a.txt)";
    assert!(prompt(2).contains(told) && prompt(2).contains("1/changes.patch"), "{}", prompt(2));
    let shown = project.autopack(["phases", "show", "--run-id", "run", "p"]).succeeded().stdout;
    assert!(
        shown.contains("attempt 1: src/b.txt granted (same directory as src/a.txt)"),
        "{shown}"
    );

    // Both attempts used the agent: both are samples, and the first is none of success.
    let samples = project.autopack(["telemetry", "export"]).succeeded().stdout;
    let samples: Vec<Value> =
        samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |n: usize| (&samples[n]["success"], &samples[n]["failure_kind"]);
    assert_eq!(of(0), (&json!(false), &json!("scope_granted")));
    assert_eq!(of(1), (&json!(true), &json!(null)));
}

#[test]
fn the_markdown_report_names_granted_and_refused_files() {
    let agent = "write_deliverables()\nwrite('src/b.txt')\nask('src/b.txt', 'lib/c.txt')";
    let project = project(agent, "");
    project.drain().succeeded();
    let text = project.autopack(["report", "--format", "md"]).succeeded().stdout;
    let granted = "- **p** attempt 1: `src/b.txt` granted (same directory as src/a.txt)\n";
    assert!(text.contains(&format!("### Files asked for\n\n{granted}")), "{text}");
    assert!(text.contains("- **p** attempt 1: `lib/c.txt` refused ("), "{text}");
}

#[test]
fn events_name_the_requested_files() {
    let agent = "write_deliverables()\nwrite('src/b.txt')\nask('src/b.txt', 'lib/c.txt')";
    let project = project(agent, "");
    let ran = project.autopack(["drain", "--run-id", "run", "--json"]).succeeded();
    let finished = finished(&ran);
    assert_eq!(finished[0]["verdict"], "scope_granted");
    let (granted, refused) = (&finished[0]["scope_requests"][0], &finished[0]["scope_requests"][1]);
    assert_eq!((&granted["path"], &granted["decision"]), (&json!("src/b.txt"), &json!("granted")));
    assert_eq!((&refused["path"], &refused["decision"]), (&json!("lib/c.txt"), &json!("refused")));
    let note = project.phase("p")["attempt_log"][0]["note"].to_string();
    assert!(
        note.contains("wider scope: src/b.txt") && note.contains("refused: lib/c.txt"),
        "{note}"
    );
}

#[test]
fn a_file_elsewhere_is_refused_and_the_next_attempt_knows() {
    let agent = "write('src/a.txt')\nif 'refused, do without' in prompt: sys.exit(0)\n\
                 write('lib/c.txt')\nask('lib/c.txt')";
    let project = project(agent, "executor: {max_attempts: 2}\n");
    project.drain().succeeded();
    let phase = project.phase("p");
    assert_eq!((outcomes(&phase), &phase["attempts"]), (vec!["failed", "landed"], &json!(2)));
    let why = "scope request refused: lib/c.txt (in no directory of a file in scope)";
    assert!(failure(&phase, 1).contains(why), "{}", failure(&phase, 1));
    assert_eq!(phase["scope"]["paths"], json!(["src/a.txt"]));
}

#[test]
fn allow_grants_every_file_that_is_not_protected() {
    let agent = "write_deliverables()\nwrite('lib/c.txt')\nask('lib/c.txt')";
    let project = project(agent, "executor: {scope_requests: allow, max_attempts: 1}\n");
    project.drain().succeeded();
    assert_eq!(outcomes(&project.phase("p")), ["scope_granted", "landed"]);
}

#[test]
fn refuse_offers_no_request() {
    let agent = "assert 'AUTOPACK_REQUEST_FILE' not in os.environ and 'REQUEST' not in prompt\n\
                 write_deliverables()";
    for setting in ["scope_requests: refuse", "max_scope_requests: 0"] {
        let project = project(agent, &format!("executor: {{{setting}}}\n"))
            .env("AUTOPACK_REQUEST_FILE", "of the user");
        project.drain().succeeded();
        assert_eq!(outcomes(&project.phase("p")), ["landed"], "{setting}");
    }
}

#[test]
fn a_protected_change_is_never_excused() {
    let agent = "write_deliverables()\nwrite('.github/ci.yml')\nwrite('src/b.txt')\n\
                 ask('.github/ci.yml', 'src/b.txt', '.git/config')";
    let project = project(agent, "executor: {scope_requests: allow, max_attempts: 1}\n");
    project.drain().exited(3);
    let phase = project.phase("p");
    assert_eq!((outcomes(&phase), &phase["attempts"]), (vec!["failed"], &json!(1)));
    assert_eq!(phase["last_failure"]["kind"], "protected_path");
    let why = failure(&phase, 1);
    assert!(
        why.contains(".github/ci.yml (is protected by") && why.contains("is under .git"),
        "{why}"
    );
    assert!(why.contains("wider scope: src/b.txt"), "the next attempt has it: {why}");
}

#[test]
fn own_protected_and_read_only_files_stay_closed() {
    let plan = json!({"phases": [{"phase_id": "p", "deliverables": ["src/a.txt"],
        "scope": {"paths": ["src/a.txt"], "read_only_context": ["src/b.txt"],
            "protected_paths": ["lib/c.txt"]}}]});
    let agent = "write_deliverables()\nwrite('src/b.txt')\nask('src/b.txt', 'lib/c.txt')";
    let project = project_of(plan, agent, "executor: {scope_requests: allow, max_attempts: 1}\n");
    project.drain().exited(3);
    let phase = project.phase("p");
    assert_eq!(requests(&phase), [(1, "src/b.txt", "refused"), (1, "lib/c.txt", "refused")]);
}

#[test]
fn an_issue_of_a_tracker_gets_the_files_beside_its_scope_at_most() {
    let mut phase = one_file();
    phase["tracker"] = json!("github:owner/repo#1");
    let agent = "write_deliverables()\nif attempt == 1: ask('lib/c.txt', 'src/package.json', 'src/b.txt')\n\
                 write('src/b.txt')";
    let more = "executor: {scope_requests: allow, max_attempts: 1}\n";
    let project = project_of(json!({"phases": [phase]}), agent, more);
    project.drain().succeeded();
    let phase = project.phase("p");
    assert_eq!(
        requests(&phase),
        [
            (1, "lib/c.txt", "refused"),
            (1, "src/package.json", "refused"),
            (1, "src/b.txt", "granted")
        ]
    );
    let first = project.read(".autopack/attempts/run/p/1/prompt.md");
    assert!(first.contains("Files in the same directory as a file in scope are granted"));
}

#[test]
fn the_limit_ends_uncounted_attempts() {
    let agent =
        "write_deliverables()\nwrite(f'src/new{attempt}.txt')\nask(f'src/new{attempt}.txt')";
    let project = project(agent, "executor: {max_attempts: 1}\n");
    project.drain().exited(3);
    let phase = project.phase("p");
    assert_eq!(outcomes(&phase), ["scope_granted", "scope_granted", "failed"]);
    assert_eq!(phase["attempts"], 1);
    let why = "src/new3.txt (limit of 2 granted requests reached)";
    assert!(failure(&phase, 3).contains(why), "{}", failure(&phase, 3));
    let third = project.read(".autopack/attempts/run/p/3/prompt.md");
    assert!(!third.contains("AUTOPACK_REQUEST_FILE"), "{third}");
}

#[test]
fn unusable_requests_are_named_and_change_nothing() {
    let agent = r#"
file = pathlib.Path(os.environ["AUTOPACK_REQUEST_FILE"])
write_deliverables()
write("src/b.txt")
if phase_id == "text": file.write_text("src/b.txt, please")
if phase_id == "huge": file.write_text('["' + "b" * 2_000_000 + '"]')
if phase_id == "link":
    pathlib.Path(os.environ["AUTOPACK_LOG_DIR"], "asked").write_text('["src/b.txt"]')
    file.symlink_to(pathlib.Path(os.environ["AUTOPACK_LOG_DIR"], "asked"))
if phase_id == "pipe": os.mkfifo(file)
if phase_id == "directory": file.mkdir()
"#;
    let cases = [
        ("text", "scope request ignored: it is not JSON"),
        ("huge", "scope request ignored: it is larger than"),
        ("link", "scope request ignored: it is not a regular file"),
        ("pipe", "scope request ignored: it is not a regular file"),
        ("directory", "scope request ignored: it is not a regular file"),
    ];
    let phases: Vec<Value> = cases
        .iter()
        .map(|(id, _)| {
            json!({"phase_id": id, "deliverables": ["src/a.txt"], "scope": {"paths": ["src/a.txt"]}})
        })
        .collect();
    let more = "executor: {max_attempts: 1, repeat_limit: 0}\n";
    let project = project_of(json!({ "phases": phases }), agent, more);
    project.drain().exited(3);
    for (id, why) in cases {
        let phase = project.phase(id);
        assert_eq!(outcomes(&phase), ["failed"], "{id}");
        assert!(failure(&phase, 1).contains(why), "{id}: {}", failure(&phase, 1));
        assert_eq!(requests(&phase), [], "{id}");
    }
}

#[test]
fn only_the_first_paths_of_a_long_request_count() {
    let agent = "write_deliverables()\nask(*[f'src/n{n}.txt' for n in range(8)])\n\
                 for n in range(5): write(f'src/n{n}.txt')";
    let project = project(agent, "executor: {max_attempts: 1}\n");
    let ran = project.drain().succeeded();
    assert!(ran.stdout.contains("only the first 5 paths count, 3 more are ignored"), "{ran:#?}");
    let phase = project.phase("p");
    assert_eq!(requests(&phase).iter().filter(|one| one.2 == "granted").count(), 5);
}

#[test]
fn a_request_with_a_passed_change_is_unused() {
    let project = project("write_deliverables()\nask('src/b.txt', 'src/a.txt')", "");
    project.drain().succeeded();
    let phase = project.phase("p");
    assert_eq!(outcomes(&phase), ["landed"]);
    assert_eq!(requests(&phase), [(1, "src/b.txt", "unused"), (1, "src/a.txt", "unused")]);
    assert_eq!(phase["scope"]["paths"], json!(["src/a.txt"]));
}

#[test]
fn an_agent_that_stops_in_order_to_ask_is_not_counted() {
    for (stops, kind) in [
        ("sys.exit(0)", "nothing changed"),
        ("sys.exit(3)", "the agent failed"),
        ("write('src/a.txt', 'half'); sys.exit(0)", "CI is red"),
    ] {
        let agent = format!(
            "if attempt == 1:\n    ask('src/b.txt')\n    {stops}\n\
                             write('src/a.txt', 'whole')\nwrite('src/b.txt')"
        );
        let project = Project::new()
            .file("src/a.txt", "a\n")
            .file("src/b.txt", "b\n")
            .commit("files")
            .agent_with(
                &format!("{ASK}\n{agent}"),
                "ci: {command: \"! grep -q half src/a.txt\"}\nexecutor: {max_attempts: 1}\n",
            )
            .plan(json!({"phases": [one_file()]}));
        project.drain().succeeded();
        let phase = project.phase("p");
        assert_eq!(outcomes(&phase), ["scope_granted", "landed"], "{kind}");
        assert_eq!(phase["attempts"], 1, "{kind}");
    }
}

#[test]
fn a_new_spec_forgets_earlier_grants() {
    // The request does not explain the change of lib/c.txt.
    let agent = "write_deliverables()\nwrite('lib/c.txt')\nask('src/b.txt')";
    let project = project(agent, "executor: {max_attempts: 1}\n");
    project.drain().exited(3);
    let phase = project.phase("p");
    assert_eq!(phase["scope"]["paths"], json!(["src/a.txt", "src/b.txt"]));
    assert_eq!(requests(&phase), [(1, "src/b.txt", "granted")]);

    let mut changed = one_file();
    changed["description"] = json!("another text");
    let file = project.outside("plan.json");
    std::fs::write(&file, json!({"phases": [changed]}).to_string()).unwrap();
    let file = file.to_str().unwrap();
    project.autopack(["import", file, "--run-id", "run", "--update"]).succeeded();
    let phase = project.phase("p");
    assert_eq!(phase["scope"]["paths"], json!(["src/a.txt"]));
    assert_eq!(requests(&phase), []);
    assert_eq!(outcomes(&phase), ["failed"], "the history stays");
}

#[test]
fn a_drain_killed_before_the_end_of_the_attempt_grants_once() {
    let agent = "write_deliverables()\nask('src/b.txt')\nif attempt > 2: write('src/b.txt', 'new')";
    let project = Project::new().file("src/a.txt", "a\n").file("src/b.txt", "b\n").commit("files");
    let started = project.outside("ci-started");
    // Green before any change; the first run on a change never ends, later ones need both files.
    let ci = format!(
        "grep -q agent src/a.txt || exit 0; test -e '{0}' || {{ touch '{0}'; exec sleep 600; }}; grep -q new src/b.txt",
        started.display()
    );
    let more = format!("ci: {{command: {}}}\nexecutor: {{max_attempts: 1}}\n", json!(ci));
    let project =
        project.agent_with(&format!("{ASK}\n{agent}"), &more).plan(json!({"phases": [one_file()]}));
    let mut drain = project.spawn(["drain", "--run-id", "run"]);
    while !started.exists() {
        assert!(drain.try_wait().unwrap().is_none(), "the drain ended early");
        std::thread::yield_now();
    }
    signal(&drain, "-KILL");
    drain.wait().unwrap();
    assert_eq!(requests(&project.phase("p")), [], "nothing is granted before the end");

    project.drain().succeeded();
    let phase = project.phase("p");
    assert_eq!(outcomes(&phase), ["crashed", "scope_granted", "landed"]);
    assert_eq!(requests(&phase), [(2, "src/b.txt", "granted"), (3, "src/b.txt", "unused")]);
    assert_eq!(phase["attempts"], 1);
}

#[test]
fn phases_that_overlap_after_a_grant_do_not_run_together() {
    let agent = r#"
meeting = workspace.parent / "witness"
def wait_for(what):
    for _ in range(3000):
        if what(): return True
        time.sleep(0.01)
    sys.exit(f"{phase_id} waited in vain")
def granted():
    listed = subprocess.run([os.environ["THE_BINARY"], "phases", "show", "--run-id", "run", "p", "--json"],
        cwd=workspace, capture_output=True, text=True).stdout
    return json.loads(listed)["scope_requests"] != []
if phase_id == "p" and attempt == 1:
    wait_for((meeting / "q.started").exists)
    write("src/b.txt")
    ask("src/b.txt")
if phase_id == "p" and attempt == 2:
    if not (meeting / "q.ended").exists():
        (meeting / "together").touch()
    write("src/b.txt", "by p")
if phase_id == "q":
    (meeting / "q.started").touch()
    wait_for(granted)
    # Time for the second attempt of the other phase to start, if it could.
    for _ in range(50):
        if (meeting / "together").exists(): break
        time.sleep(0.01)
    (meeting / "q.ended").touch()
write_deliverables()
"#;
    let other =
        json!({"phase_id": "q", "deliverables": ["src/b.txt"], "scope": {"paths": ["src/b.txt"]}});
    let project = Project::new()
        .without_sandbox()
        .env("THE_BINARY", env!("CARGO_BIN_EXE_autopack"))
        .file("src/a.txt", "a\n")
        .file("src/b.txt", "b\n")
        .commit("files")
        .agent_with(&format!("{ASK}\n{agent}"), &format!("{GREEN}executor: {{max_attempts: 1}}\n"))
        .plan(json!({"phases": [one_file(), other]}));
    project.autopack(["drain", "--run-id", "run", "--jobs", "2"]).succeeded();
    assert!(!project.outside("together").exists(), "both wrote src/b.txt at the same time");
    assert_eq!(outcomes(&project.phase("p")), ["scope_granted", "landed"]);
    assert_eq!(outcomes(&project.phase("q")), ["landed"]);
}

#[test]
fn the_built_in_agent_asks_with_a_tool() {
    let write = |path: &str| call("write", json!({"path": path, "content": "by the model\n"}));
    let ask = |path: &str| call("request_scope", json!({"path": path, "reason": "shared code"}));
    let turns = [
        write("src/b.txt"),
        ask("lib/c.txt"),
        ask("src/a.txt"),
        ask("src/b.txt"),
        finish("asked for a file"),
        write("src/a.txt"),
        write("src/b.txt"),
        finish("done"),
    ];
    let server = ModelServer::new(Protocol::Anthropic, turns);
    let config = format!(
        "agents:\n  default: direct\n  direct: {{kind: builtin, model: claude-x, protocol: anthropic, base_url: '{}', api_key_env: MODEL_ACCESS}}\n\
         {GREEN}executor: {{max_attempts: 1}}\n",
        server.url()
    );
    let project = Project::new()
        .env("MODEL_ACCESS", "planted-key-0123456789")
        .file("src/a.txt", "a\n")
        .file("src/b.txt", "b\n")
        .file("lib/c.txt", "c\n")
        .commit("files")
        .config(&config)
        .plan(json!({"phases": [one_file()]}));
    project.drain().succeeded();
    let phase = project.phase("p");
    assert_eq!(outcomes(&phase), ["scope_granted", "landed"]);
    assert_eq!(requests(&phase), [(1, "lib/c.txt", "refused"), (1, "src/b.txt", "granted")]);
    let log = project.read(".autopack/attempts/run/p/1/agent.log");
    assert!(log.contains("granted (same directory as src/a.txt)"), "{log}");
    assert!(log.contains("refused: lib/c.txt (in no directory of a file in scope)"), "{log}");
    assert!(log.contains("src/a.txt is in scope already"), "{log}");
    let prompt = project.read(".autopack/attempts/run/p/1/prompt.md");
    assert!(prompt.contains("call `request_scope`"), "{prompt}");
    let tools = server.asked()[0].body["tools"].to_string();
    assert!(tools.contains("request_scope"), "{tools}");
}

#[test]
fn the_built_in_agent_has_no_tool_where_requests_are_refused() {
    let turns = [call("write", json!({"path": "src/a.txt", "content": "x\n"})), finish("done")];
    let server = ModelServer::new(Protocol::Anthropic, turns.into_iter().collect::<Vec<Turn>>());
    let config = format!(
        "agents:\n  default: direct\n  direct: {{kind: builtin, model: claude-x, protocol: anthropic, base_url: '{}', api_key_env: MODEL_ACCESS}}\n\
         {GREEN}executor: {{scope_requests: refuse}}\n",
        server.url()
    );
    let project = Project::new()
        .env("MODEL_ACCESS", "planted-key-0123456789")
        .file("src/a.txt", "a\n")
        .commit("files")
        .config(&config)
        .plan(json!({"phases": [one_file()]}));
    project.drain().succeeded();
    let tools = server.asked()[0].body["tools"].to_string();
    assert!(!tools.contains("request_scope"), "{tools}");
}

#[tokio::test]
async fn every_agent_program_has_the_file() {
    let directory = tempfile::tempdir().unwrap();
    for kind in autopack::agent::program_kinds() {
        let seen = directory.path().join(kind);
        let script = format!("printf %s \"$AUTOPACK_REQUEST_FILE\" > '{}'", seen.display());
        let mut fake = Fake::doing(kind, &script);
        let file = fake.task.prompt_file.with_file_name("request.json");
        fake.task.request_file = Some(file.clone());
        fake.run().await;
        assert_eq!(std::fs::read_to_string(seen).unwrap(), file.to_str().unwrap(), "{kind}");
    }
}
