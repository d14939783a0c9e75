//! Scope proposals: phases without any path, such as issues, get a scope before they run.

use autopack::process::view::ViewMode;
use serde_json::{Value, json};

use crate::checkout_in_view::in_mode;
use crate::recovery::wait_for_event;
use crate::support::Project;

/// Answers the question for a scope with the file of the phase, and writes the files of the scope when it works.
const ANSWERS: &str = r#"
def answer(value):
    text = value if isinstance(value, str) else json.dumps(value)
    open(os.environ["AUTOPACK_ANSWER_FILE"], "w").write(text)
is_question = os.environ.get("AUTOPACK_PURPOSE") == "scope-proposal"
if is_question:
    report(tokens={"input": 100, "output": 10}, cost_usd=0.25)
else:
    report(tokens={"input": 1000, "output": 100}, cost_usd=1.0)
"#;

/// An issue as the importers of trackers write it.
fn issue(id: &str, title: &str) -> Value {
    json!({
        "phase_id": id, "name": title, "description": "It happens every day.", "max_attempts": 1,
        "tracker": {"name": "github:o/r", "issue": id, "url": format!("https://example.org/{id}")},
    })
}

fn project(agent: &str, more: &str) -> Project {
    let config = format!("ci: {{command: [\"true\"]}}\n{more}");
    Project::new()
        .file("src/parser.py", "parse = 1\n")
        .file("src/writer.py", "write = 1\n")
        .file("tests/test_parser.py", "def test(): pass\n")
        .file("Makefile", "all:\n")
        .file("package.json", "{}\n")
        .commit("files")
        .agent_with(&format!("{ANSWERS}\n{agent}"), &config)
}

/// Works on all paths of the scope.
const WORK: &str = r#"
for path in phase["scope"]["paths"]:
    write(path, phase_id)
"#;

fn scope(phase: &Value) -> &Value {
    &phase["scope"]["paths"]
}

#[test]
fn thirty_issues_without_paths_land() {
    let agent = format!(
        r#"
if is_question:
    answer("I looked.\n```json\n" + json.dumps({{
        "deliverables": [{{"path": f"src/part_{{phase_id}}.py", "reason": "has it"}}], "confidence": 0.9}}) + "\n```")
    sys.exit()
{WORK}
# Every third issue needs a file that nobody proposed.
if int(phase_id) % 3 == 0:
    more = f"src/more_{{phase_id}}.py"
    write(more, phase_id)
    if more not in phase["scope"]["paths"]:
        json.dump({{"scope": [{{"path": more, "reason": "its caller"}}]}}, open(os.environ["AUTOPACK_REQUEST_FILE"], "w"))
"#
    );
    let issues: Vec<Value> =
        (1..=30).map(|n| issue(&n.to_string(), &format!("Part {n} is wrong"))).collect();
    let project = project(&agent, "").plan(json!({ "phases": issues }));
    let planned = project.autopack(["drain", "--dry-run"]).succeeded();
    assert!(planned.stdout.contains("30 phases get a scope proposal first"), "{planned:#?}");
    let ran = project.autopack(["drain", "--run-id", "run", "--jobs", "3"]).succeeded();
    assert_eq!(project.landed().len(), 30, "{ran:#?}");
    let seventh = project.phase("7");
    assert_eq!(scope(&seventh), &json!(["src/part_7.py"]));
    let log = seventh["attempt_log"].as_array().unwrap();
    let outcomes: Vec<&Value> = log.iter().map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(outcomes, ["scope_proposed", "landed"]);
    assert_eq!((&seventh["attempts"], &seventh["cost_usd"]), (&json!(1), &json!(1.25)));
    let proposal = &seventh["scope_proposal"];
    assert_eq!(proposal["origin"], "agent fake");
    assert_eq!(proposal["confidence"], "high");
    assert_eq!(proposal["cost_usd"], 0.25);
    assert_eq!(proposal["reasons"], json!({"src/part_7.py": "has it"}));
    let shown = project.autopack(["phases", "show", "run/7"]).succeeded().stdout;
    assert!(shown.contains("proposal      src/part_7.py (agent fake, confidence high"), "{shown}");
    let ninth = project.phase("9");
    let log = ninth["attempt_log"].as_array().unwrap();
    let outcomes: Vec<&Value> = log.iter().map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(outcomes, ["scope_proposed", "scope_granted", "landed"]);
    assert_eq!(
        (scope(&ninth), &ninth["attempts"]),
        (&json!(["src/part_9.py", "src/more_9.py"]), &json!(1))
    );
    // The proposals are in the cost of the run, and are no samples. Ten issues took a second attempt.
    let status = project.json(["status", "--run-id", "run", "--json"]);
    assert_eq!(status["runs"][0]["cost_usd"], 47.5, "{status:#}");
    let samples = project.autopack(["telemetry", "export"]).succeeded().stdout;
    assert_eq!(samples.lines().count(), 40);
}

#[test]
fn an_answer_without_a_usable_path_is_asked_for_again_and_then_refused() {
    let agent = r#"
if is_question:
    with open(workspace.parent / "witness" / f"asked-{phase_id}", "a") as log: log.write("x")
    answer({"glob": {"scope": ["src/*.py"]}, "tree": {"scope": ["."]}, "protected": {"scope": [".github/ci.yml"]},
        "prose": "I would change the parser.", "nothing": "", "outside": {"scope": ["../x.py", "/etc/passwd"]}}[phase_id])
    sys.exit()
write("src/parser.py")
"#;
    let ids = ["glob", "tree", "protected", "prose", "nothing", "outside"];
    let phases: Vec<Value> =
        ids.iter().map(|id| json!({"phase_id": id, "description": "Be faster"})).collect();
    let project = project(agent, "").plan(json!({ "phases": phases }));
    let ran = project.drain().exited(3);
    assert!(!ran.stdout.contains("telemetry"), "proposals leave no samples: {ran:#?}");
    for (id, why) in [
        ("glob", "is a pattern"),
        ("tree", "is the whole repository"),
        ("protected", "is protected by"),
        ("prose", "has no JSON object"),
        ("nothing", "the answer is empty"),
        ("outside", "leaves the repository"),
    ] {
        let phase = project.phase(id);
        let message = phase["last_failure"]["message"].as_str().unwrap();
        assert!(message.contains(why) && message.contains("scope.paths"), "{id}: {message}");
        assert_eq!(
            (&phase["last_failure"]["kind"], &phase["state"]),
            (&json!("unfixable"), &json!("FAILED"))
        );
        assert_eq!(phase["attempts"], 0, "{id}");
        let asked = std::fs::read_to_string(project.outside(format!("asked-{id}"))).unwrap();
        assert_eq!(asked, "xx", "{id}");
    }
    assert_eq!(project.git(["branch", "--list", "autopack/run"]), "");
}

#[test]
fn the_reasons_of_a_refusal_reach_the_agent() {
    let agent = format!(
        r#"
if is_question:
    good = "is a pattern: name files" in prompt
    answer({{"scope": ["src/parser.py" if good else "src/**"]}})
    sys.exit()
{WORK}
"#
    );
    let project = project(&agent, "")
        .plan(json!({"phases": [{"phase_id": "one", "description": "Be faster"}]}));
    project.drain().succeeded();
    let phase = project.phase("one");
    assert_eq!(scope(&phase), &json!(["src/parser.py"]));
    assert_eq!(phase["scope_proposal"]["cost_usd"], 0.5, "both questions cost");
}

#[test]
fn an_agent_that_changes_files_instead_of_answering_is_refused() {
    let agent = r#"
if is_question:
    write("src/parser.py", "changed\n")
    answer({"scope": ["src/parser.py"]})
"#;
    let phases =
        json!({"phases": [{"phase_id": "one", "description": "Be faster", "max_attempts": 1}]});
    let project = project(agent, "").without_sandbox().plan(phases);
    project.drain().exited(3);
    let failure = &project.phase("one")["last_failure"];
    assert_eq!(failure["kind"], "scope_breach");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("changed files instead: src/parser.py"), "{message}");
    assert_eq!(project.read("src/parser.py"), "parse = 1\n");
}

#[test]
fn in_a_sandbox_the_agent_cannot_write_while_it_is_asked() {
    for mode in [ViewMode::Namespaces, ViewMode::Landlock] {
        let agent = format!(
            r#"
if is_question:
    try:
        write("src/parser.py", "changed\n")
        answer({{"scope": ["."]}})
    except OSError:
        answer({{"scope": ["src/parser.py"]}})
    sys.exit()
{WORK}
"#
        );
        let phases = json!({"phases": [{"phase_id": "one", "description": "Be faster"}]});
        let Some(project) = in_mode(project(&agent, ""), mode) else { continue };
        let project = project.plan(phases);
        let ran = project.drain().succeeded();
        assert_eq!(project.git(["show", "autopack/run:src/parser.py"]), "one", "{ran:#?}");
    }
}

#[test]
fn a_proposal_counts_in_the_budget_of_the_run() {
    let agent = "if is_question:\n    report(tokens={'input': 1000000, 'output': 0})\n    answer({'scope': ['src/parser.py']})\n    sys.exit()\nwrite('src/parser.py', phase_id)";
    let budgets = "executor: {budgets: {run: {tokens: 500000}}}\n";
    let phases =
        json!({"phases": [{"phase_id": "one", "name": "a"}, {"phase_id": "two", "name": "b"}]});
    let project = project(agent, budgets).plan(phases);
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("budget"), "{ran:#?}");
    assert_eq!(project.states()["two"], "QUEUED");
    // Only work creates the branch of the run.
    assert_eq!(project.git(["branch", "--list", "autopack/run"]), "");
}

/// A phase without a path, whose agent never answers the first question, and answers the next.
fn project_with_a_hanging_question() -> Project {
    let agent = format!(
        r#"
marker = workspace.parent / "witness" / "first"
if is_question:
    if not marker.exists():
        marker.write_text("x")
        signal.pause()
    answer({{"scope": ["src/parser.py"]}})
    sys.exit()
{WORK}
"#
    );
    let phases = json!({"phases": [{"phase_id": "one", "description": "Be faster"}]});
    project(&agent, "").plan(phases)
}

#[test]
fn a_drain_killed_during_a_proposal_is_resumed_without_loss() {
    let project = project_with_a_hanging_question();
    let mut drain = project.spawn(["drain", "--run-id", "run", "--json"]);
    let _output = wait_for_event(&mut drain, "phase_started");
    while !project.outside("first").exists() {
        std::thread::yield_now();
    }
    drain.kill().unwrap();
    drain.wait().unwrap();
    project.drain().succeeded();
    let phase = project.phase("one");
    let log = phase["attempt_log"].as_array().unwrap();
    let outcomes: Vec<&Value> = log.iter().map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(outcomes, ["crashed", "scope_proposed", "landed"]);
    let samples = project.autopack(["telemetry", "export"]).succeeded().stdout;
    assert_eq!(samples.lines().count(), 1, "{samples}");
}

#[test]
fn an_explicit_refusal_holds() {
    let agent = "write('src/parser.py')\n(workspace.parent / 'witness' / 'asked').write_text('x')";
    let phases = json!({"phases": [{"phase_id": "one", "description": "Be faster"}]});
    let project = project(agent, "executor: {unscoped: refuse}\n").plan(phases);
    let fixed = project.json(["fix-phases", "--json"]);
    assert_eq!((&fixed["unfixable"], &fixed["needs_scope"]), (&json!(1), &json!(0)));
    project.autopack(["fix-phases", "--propose"]).succeeded();
    project.drain().exited(3);
    let failure = &project.phase("one")["last_failure"];
    assert!(failure["message"].as_str().unwrap().contains("names no path"), "{failure}");
    assert!(!project.outside("asked").exists());
}

#[test]
fn issues_open_no_files_that_run_commands_until_a_person_accepts_them() {
    let agent = format!(
        r#"
if is_question:
    answer({{"files": ["src/parser.py", "Makefile", "package.json", ".github/ci.yml", "tests/"]}})
    sys.exit()
{WORK}
"#
    );
    let project =
        project(&agent, "").plan(json!({"phases": [issue("7", "Parser: src/writer.py is slow")]}));
    let proposed = project.json(["fix-phases", "--propose", "--json"]);
    let proposal = &proposed["proposals"][0];
    assert_eq!(proposal["deliverables"], json!(["src/parser.py"]));
    let withheld: Vec<&str> = proposal["withheld"]
        .as_array()
        .unwrap()
        .iter()
        .map(|held| held["path"].as_str().unwrap())
        .collect();
    assert_eq!(withheld, ["Makefile", "package.json"]);
    assert_eq!(proposal["refused"].as_array().unwrap().len(), 2, "{proposal:#}");
    assert_eq!(proposal["accepted_by"], "rules");
    // A path in the issue's text is no scope.
    assert_eq!(scope(&project.phase("7")), &json!(["src/parser.py"]));
    let again = project.json(["fix-phases", "--propose", "--accept", "--json"]);
    assert_eq!(again["proposals"][0]["accepted_by"], "operator", "{again:#}");
    let accepted = project.phase("7");
    assert_eq!(scope(&accepted), &json!(["src/parser.py", "Makefile", "package.json"]));
    assert_eq!(accepted["state"], "QUEUED");
    project.drain().succeeded();
    assert_eq!(project.git(["show", "autopack/run:package.json"]), "7");
}

#[test]
fn a_proposal_of_withheld_files_alone_is_accepted_by_name() {
    let agent = format!(
        r#"
if is_question:
    with open(workspace.parent / "witness" / "asked", "a") as log: log.write("x")
    answer({{"files": ["Makefile", "package.json"]}})
    sys.exit()
{WORK}
"#
    );
    let plan =
        json!({"phases": [issue("7", "Build"), issue("8", "Bundle"), issue("9", "Release")]});
    let project = project(&agent, "").plan(plan);
    project.drain().exited(3);
    let failed = project.phase("7");
    assert_eq!((&failed["state"], &failed["attempts"]), (&json!("FAILED"), &json!(0)));
    let message = failed["last_failure"]["message"].as_str().unwrap();
    assert!(message.contains("Makefile, package.json"), "{message}");
    assert!(message.contains("autopack fix-phases --propose --accept run/7"), "{message}");
    assert_eq!(failed["scope_proposal"]["withheld"][0]["path"], "Makefile");
    let shown = project.autopack(["phases", "show", "run/7"]).succeeded().stdout;
    assert!(shown.contains("proposal      no file that opens by itself (agent fake"), "{shown}");
    // The same text gets the same proposal, without another question.
    project.autopack(["phases", "retry", "run/8"]).succeeded();
    project.drain().exited(3);
    assert_eq!(std::fs::read_to_string(project.outside("asked")).unwrap(), "xxx");

    let refused = project.autopack(["fix-phases", "--propose", "run/7"]).exited(2);
    assert!(refused.stderr.contains("--propose --accept run/7"), "{refused:#?}");
    let ran = project.autopack(["fix-phases", "--propose", "--accept", "run/7"]).succeeded();
    assert!(ran.stdout.contains("run/7: Makefile, package.json (agent fake"), "{ran:#?}");
    assert!(ran.stdout.contains("accepted by you"), "{ran:#?}");
    assert_eq!(project.states()["7"], "QUEUED");
    assert_eq!(project.states()["8"], "FAILED", "only the named one");
    project.drain().exited(3);
    assert_eq!(project.git(["show", "autopack/run:package.json"]), "7");
    // Without a name, all of them.
    let all = project.json(["fix-phases", "--propose", "--accept", "--json"]);
    assert_eq!(all["proposals"].as_array().unwrap().len(), 2, "{all:#}");
    project.drain().succeeded();
    assert_eq!(project.landed().len(), 3);
}

#[test]
fn files_left_out_of_a_proposal_made_now_are_accepted_at_once() {
    let agent =
        format!("if is_question:\n    answer({{'files': ['Makefile']}})\n    sys.exit()\n{WORK}");
    let plan = json!({"phases": [issue("7", "Build"), issue("8", "Bundle")]});
    let project = project(&agent, "").plan(plan);
    let ran = project.autopack(["fix-phases", "--propose", "--accept", "--run-id", "run", "8"]);
    let ran = ran.succeeded();
    assert!(ran.stdout.contains("run/8: Makefile (agent fake"), "{ran:#?}");
    assert!(!ran.stdout.contains("no scope") && !ran.stdout.contains("examined"), "{ran:#?}");
    assert_eq!(project.states()["7"], "QUEUED");
    assert_eq!(project.phase("7")["attempt_log"], json!([]), "nobody asked about this one");
    assert_eq!(scope(&project.phase("8")), &json!(["Makefile"]));
}

#[test]
fn phases_that_get_no_scope_are_refused_by_name_before_anything_happens() {
    let agent = "(workspace.parent / 'witness' / 'asked').write_text('x')\nwrite_deliverables()";
    let phases = json!({"phases": [
        {"phase_id": "own", "description": "a", "scope": {"paths": ["src/parser.py"]}},
        {"phase_id": "done", "deliverables": ["a.py"]},
        {"phase_id": "held", "description": "c"},
        {"phase_id": "open", "description": "d"}]});
    let project = project(agent, "").plan(phases);
    project.autopack(["stop", "run/held"]).succeeded();
    project.autopack(["phases", "skip", "run/done"]).succeeded();
    for (name, why, next) in [
        ("run/own", "run/own has a scope already", "phases edit run/own"),
        ("run/done", "run/done is skipped", "phases show run/done"),
        ("run/held", "run/held is held", "resume run/held"),
        ("run/elsewhere", "no phase called", "phases list"),
    ] {
        let ran = project.autopack(["fix-phases", "--propose", "run/open", name]);
        assert_ne!(ran.code, Some(0), "{ran:#?}");
        assert!(ran.stderr.contains(why) && ran.stderr.contains(next), "{name}: {ran:#?}");
    }
    let plain = project.autopack(["fix-phases", "run/open"]).exited(2);
    assert!(plain.stderr.contains("--propose"), "{plain:#?}");
    assert!(!project.outside("asked").exists());
}

#[test]
fn proposals_made_ahead_begin_with_the_work_of_dead_ones() {
    let project = project_with_a_hanging_question();
    let mut proposing = project.spawn(["fix-phases", "--propose"]);
    while !project.outside("first").exists() {
        std::thread::yield_now();
    }
    proposing.kill().unwrap();
    proposing.wait().unwrap();
    assert_eq!(project.states()["one"], "EXECUTING");
    let ran = project.autopack(["fix-phases", "--propose", "run/one"]).succeeded();
    assert!(ran.stdout.contains("run/one: src/parser.py (agent fake"), "{ran:#?}");
    assert!(ran.stderr.contains("a drain died during one of run"), "{ran:#?}");
    let phase = project.phase("one");
    assert_eq!(phase["state"], "QUEUED");
    let log = phase["attempt_log"].as_array().unwrap();
    let outcomes: Vec<&Value> = log.iter().map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(outcomes, ["crashed", "scope_proposed"]);
}

#[test]
fn proposals_made_ahead_are_shown_kept_and_cost_once() {
    let agent = format!(
        r#"
if is_question:
    with open(workspace.parent / "witness" / "asked", "a") as log: log.write("x")
    answer({{"scope": ["src/parser.py"], "tests": ["tests/test_parser.py"], "confidence": "high"}})
    sys.exit()
{WORK}
"#
    );
    let phases = json!({"phases": [
        {"phase_id": "one", "description": "Be faster"},
        {"phase_id": "two", "description": "Be smaller", "depends_on": ["one"]},
        {"phase_id": "three", "scope": {"paths": ["src/writer.py"]}}]});
    let project = project(&agent, "").plan(phases);
    let plain = project.autopack(["fix-phases"]).succeeded();
    assert!(plain.stdout.contains("2 phases without a path get a proposed scope"), "{plain:#?}");
    assert!(!project.outside("asked").exists(), "plain fix-phases asks nobody");
    let ran = project.autopack(["fix-phases", "--propose"]).succeeded();
    assert!(
        ran.stdout.contains(
            "run/one: src/parser.py, tests/test_parser.py (agent fake, confidence high, $0.25)"
        ),
        "{ran:#?}"
    );
    assert!(ran.stdout.contains("run/two: "), "also while it waits: {ran:#?}");
    let planned = project.autopack(["drain", "--dry-run", "-v"]).succeeded();
    assert!(planned.stdout.contains("scope: proposed by agent fake"), "{planned:#?}");
    assert!(planned.stdout.contains("2 phases have a proposed scope"), "{planned:#?}");
    project.autopack(["fix-phases", "--propose"]).succeeded();
    project.drain().succeeded();
    assert_eq!(project.landed().len(), 3);
    assert_eq!(std::fs::read_to_string(project.outside("asked")).unwrap(), "xx");
}

#[test]
fn a_proposal_is_reused_for_the_same_text_and_overridden_by_a_person() {
    let agent = format!(
        r#"
if is_question:
    with open(workspace.parent / "witness" / "asked", "a") as log: log.write("x")
    answer({{"scope": ["src/parser.py"]}})
    sys.exit()
{WORK}
"#
    );
    let plan = r#"{"phases": [{"phase_id": "one", "description": "Be faster"}, {"phase_id": "two", "description": "Other"}]}"#;
    let project = project(&agent, "").file("plan.json", plan);
    project.autopack(["import", "plan.json", "--run-id", "run"]).succeeded();
    project.autopack(["fix-phases", "--propose"]).succeeded();
    // The same text again: the spec is as written, and the kept proposal still holds.
    project.write("plan.json", &plan.replace("Other", "Changed"));
    project.autopack(["import", "plan.json", "--run-id", "run", "--update"]).succeeded();
    project.autopack(["phases", "set", "run/two", "scope.paths=[\"src/writer.py\"]"]).succeeded();
    project.drain().succeeded();
    assert_eq!(scope(&project.phase("one")), &json!(["src/parser.py"]));
    assert_eq!(scope(&project.phase("two")), &json!(["src/writer.py"]));
    assert_eq!(project.phase("two")["scope_proposal"], Value::Null, "the operator's paths end it");
    let shown = project.autopack(["phases", "show", "run/two"]).succeeded().stdout;
    assert!(!shown.contains("proposal"), "{shown}");
    assert_eq!(project.git(["show", "autopack/run:src/writer.py"]), "two");
    assert_eq!(std::fs::read_to_string(project.outside("asked")).unwrap(), "xx");
}

#[test]
fn phases_with_overlapping_proposals_never_run_together() {
    let agent = format!(
        r#"
if is_question:
    answer({{"scope": ["src/parser.py"]}})
    sys.exit()
import fcntl
lock = open(workspace.parent / "witness" / "lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    (workspace.parent / "witness" / "TOGETHER").write_text(phase_id)
{WORK}
"#
    );
    let phases: Vec<Value> =
        (0..6).map(|n| json!({"phase_id": format!("p{n}"), "description": "Be faster"})).collect();
    let project = project(&agent, "").plan(json!({ "phases": phases }));
    project.autopack(["drain", "--run-id", "run", "--jobs", "3"]).succeeded();
    assert_eq!(project.landed().len(), 6);
    assert!(!project.outside("TOGETHER").exists());
}

#[test]
fn without_an_agent_that_answers_the_index_of_the_repository_proposes() {
    let project = Project::new()
        .file("src/greeting.py", "def greet(): return 'hello'\n")
        .file("src/weather.py", "def rain(): return 1\n")
        .file("recordings/one/1/src/greeting.py", "def greet(): return 'hi'\n")
        .commit("files")
        .config(
            "agents:\n  default: rec\n  rec: {kind: replay, folder: recordings}\nci: {command: [\"true\"]}\n",
        )
        .plan(json!({"phases": [{"phase_id": "one", "name": "The greeting is too formal"}]}));
    project.drain().succeeded();
    let phase = project.phase("one");
    assert_eq!(phase["scope_proposal"]["origin"], "memory");
    assert_eq!(scope(&phase)[0], "src/greeting.py", "{phase:#}");
    assert_eq!(phase["scope_proposal"]["cost_usd"], Value::Null);
}

#[test]
fn the_memory_finds_files_by_their_content() {
    let project = Project::new()
        .file("src/one.py", "def rainfall_histogram():\n    'plots the rain of a week'\n")
        .file("src/two.py", "def login_of_users():\n    'checks the password of a session'\n")
        .file("recordings/p/1/src/two.py", "changed\n")
        .commit("files")
        .config(
            "agents:\n  default: rec\n  rec: {kind: replay, folder: recordings}\nci: {command: [\"true\"]}\n",
        )
        .plan(json!({"phases": [{"phase_id": "p", "name": "Users with an expired password can log in"}]}));
    project.write(".autopack/config/memory.yaml", "memory: {use_qdrant: false}\n");
    let project = project.env("AUTOPACK_ENABLE_MEMORY", "1");
    let proposed = project.json(["fix-phases", "--propose", "--json"]);
    assert_eq!(proposed["proposals"][0]["scope"][0], "src/two.py", "{proposed:#}");
    project.drain().succeeded();
}

#[test]
fn the_question_has_the_task_and_the_output_of_a_program_is_an_answer() {
    let agent = format!(
        r#"
if is_question:
    assert "an issue by other people" in prompt and "src/writer.py" in prompt and "It happens every day." in prompt
    assert pathlib.Path("src/parser.py").read_text() == "parse = 1\n"
    print("The parser. " + json.dumps({{"scope": ["src/parser.py"]}}))
    sys.exit()
{WORK}
"#
    );
    let project = project(&agent, "").plan(json!({"phases": [issue("7", "Parser is slow")]}));
    project.drain().succeeded();
    assert_eq!(scope(&project.phase("7")), &json!(["src/parser.py"]));
}

#[test]
fn the_prompt_of_a_phase_without_paths_is_the_question_for_its_scope() {
    let agent = format!(
        "if is_question:\n    answer({{'scope': ['src/parser.py']}})\n    sys.exit()\n{WORK}"
    );
    let phases = json!({"phases": [{"phase_id": "one", "description": "Make the parser faster"},
        {"phase_id": "two", "description": "Make it smaller"}]});
    let project = project(&agent, "").plan(phases);
    let asked = project.autopack(["phases", "show", "run/one", "--prompt"]).succeeded().stdout;
    assert!(asked.starts_with("# Which files does this task change?"), "{asked}");
    assert_eq!(project.git(["branch", "--list", "autopack/run"]), "");
    assert_eq!(project.phase("one")["attempt_log"], json!([]));
    project.autopack(["fix-phases", "--propose", "run/one"]).succeeded();
    let sent = project.read(".autopack/attempts/run/one/1/prompt.md");
    assert_eq!(sent.trim_end(), asked.trim_end(), "as it was shown");
    let next = project.autopack(["phases", "show", "run/one", "--prompt"]).succeeded().stdout;
    assert!(next.contains("Make the parser faster") && !next.starts_with("# Which"), "{next}");

    let config = "agents:\n  default: rec\n  rec: {kind: replay, folder: recordings}\n";
    let project = project.config(config);
    let ran = project.autopack(["phases", "show", "run/two", "--prompt"]).exited(1);
    assert!(ran.stderr.contains("the memory's index of the repository proposes"), "{ran:#?}");
    assert!(ran.stderr.contains("autopack fix-phases --propose run/two"), "{ran:#?}");
}

#[test]
fn gc_removes_the_directories_of_kept_proposals() {
    let agent = format!(
        "if is_question:\n    answer({{'scope': ['src/parser.py']}} if phase_id == 'one' else 'no')\n    sys.exit()\n{WORK}"
    );
    let phases = json!({"phases": [{"phase_id": "one", "description": "Be faster"},
        {"phase_id": "two", "description": "Be smaller"}]});
    let project = project(&agent, "").plan(phases);
    project.autopack(["fix-phases", "--propose"]).succeeded();
    let there = |attempt: &str| project.path(format!(".autopack/attempts/run/{attempt}")).exists();
    assert!(there("one/1") && there("two/1"));
    project.autopack(["gc"]).succeeded();
    assert!(!there("one/1"), "the proposal is in the database");
    assert!(there("two/1"), "the log of a failure");
    project.autopack(["gc", "--all-attempts"]).succeeded();
    assert!(!there("two/1"));
}

#[test]
fn accept_needs_propose_and_a_dry_run_proposes_nothing() {
    let project = project("", "").plan(json!({"phases": [{"phase_id": "one", "name": "a"}]}));
    for args in [["fix-phases", "--accept", "--json"], ["fix-phases", "--propose", "--dry-run"]] {
        let ran = project.autopack(args).exited(2);
        assert!(ran.stderr.contains("--propose"), "{ran:#?}");
    }
    assert_eq!(project.phase("one")["attempt_log"], json!([]));
}
