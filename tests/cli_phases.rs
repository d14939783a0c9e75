//! `phases`, `runs` and `gc` through the real program, on a run with past attempts.

use crate::support::by_hand::{ByHand, START, Went, attempt_dir};
use crate::support::{Project, executable};
use autopack::phase::{Failure, FailureKind, Tokens, Usage, Verdict};
use serde_json::{Value, json};

const PLAN: &str = r#"{"run_id": "demo", "phases": [
    {"id": "setup", "name": "Set up", "deliverables": ["src/a.py"]},
    {"id": "api", "name": "The interface", "description": "Write it.\n\nAll of it.", "category": "backend",
     "complexity": "high", "deliverables": ["src/api.py (new)"], "depends_on": ["setup"], "max_attempts": 1},
    {"id": "ui", "depends_on": ["api"], "deliverables": ["src/ui.py"]},
    {"id": "docs", "task_category": "docs", "scope": {"deliverables": {"text": ["README.md"]}}}]}"#;

fn demo() -> Project {
    let project = Project::without_commits().file("plan.json", PLAN);
    project.autopack(["import", "plan.json"]).succeeded();
    project
}

/// As left by a drain: `setup` landed, `api` has used up its only counted attempt.
fn drained() -> Project {
    let project = demo();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(drain(&project));
    project
}

async fn drain(project: &Project) {
    let drain = ByHand::begin(project, "demo").await;
    let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
    let failure = Failure {
        exit_code: Some(1),
        ..Failure::new(FailureKind::CiFailed, "2 tests failed in tests/test_api.py")
    };
    for (verdict, seconds) in
        [(Verdict::Passed { commit: Some(commit) }, 60), (Verdict::Failed(failure), 90)]
    {
        let claim = drain.claim(START).await.unwrap();
        let dir = attempt_dir(&claim);
        project.write(&format!("{dir}/agent.log"), "the agent's words\n");
        project.write(&format!("{dir}/ci.log"), "1 failed");
        project.write(&format!("{dir}/prompt.md"), "do it\n");
        let tokens = Tokens { input: Some(1200), output: Some(340), ..Tokens::default() };
        let usage = Usage { tokens, cost_usd: Some(0.25), ..Usage::default() };
        let went = Went {
            slot: "0",
            agent: "my-agent",
            estimated: 500,
            usage,
            agent_ms: None,
            ci_ms: None,
            ended: START + seconds * 1000,
        };
        drain.finish(claim, verdict, went).await;
    }
    drain.end().await;
}

#[test]
fn a_list_is_one_line_a_phase() {
    insta::assert_snapshot!(drained().autopack(["phases", "list"]).stdout);
}

#[test]
fn states_are_accepted_in_both_spellings_and_shown_in_lower_case() {
    let project = drained();
    let list =
        |state: &str| project.autopack(["phases", "list", "--state", state]).succeeded().stdout;
    assert!(list("failed").contains("api    failed  "), "{}", list("failed"));
    assert_eq!(list("FAILED"), list("failed"));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let claim =
        runtime.block_on(async { ByHand::begin(&project, "demo").await.claim(START).await });
    assert!(claim.is_some(), "docs is claimed and stays so");
    for state in ["running", "Running", "EXECUTING", "executing"] {
        assert!(list(state).contains("docs   running  "), "{state}: {}", list(state));
    }
    let stored = project.json(["phases", "list", "--state", "running", "--json"]);
    assert_eq!(stored[0]["state"], "EXECUTING", "JSON keeps the stored name");
    let refused = project.autopack(["phases", "edit", "docs", "--file", "plan.json"]).exited(1);
    assert!(refused.stderr.contains("phase docs is running and cannot"), "{refused:#?}");
    let unknown = project.autopack(["phases", "list", "--state", "done"]).exited(2);
    let names = "expected queued, running, complete, failed or skipped";
    assert!(unknown.stderr.contains(names), "{unknown:#?}");
}

#[test]
fn lists_have_one_shape_whatever_the_spec_is() {
    let project = drained();
    let list = project.json(["phases", "list", "--json"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&list).unwrap());
    let only = project.json(["phases", "list", "--failed", "--json"]);
    assert_eq!(only, json!([list[1]]));
    let only = project.json(["phases", "list", "--state", "queued", "ui", "--json"]);
    assert_eq!(only, json!([list[2]]));
    project.autopack(["phases", "list", "nope"]).exited(1);
}

#[test]
fn show_tells_a_phase_and_its_attempts() {
    let project = drained();
    insta::assert_snapshot!(project.autopack(["phases", "show", "api"]).stdout);
    let shown = project.json(["phases", "show", "api", "--json"]);
    assert_eq!(
        shown["attempt_log"],
        json!([{"attempt": 1, "agent": "my-agent", "started_at": "2026-01-01T00:00:00Z",
            "ended_at": "2026-01-01T00:01:30Z", "outcome": "failed", "reverted_by": null,
            "failure": {"kind": "ci_failed", "exit_code": 1,
                "message": "2 tests failed in tests/test_api.py", "detail": {}},
            "note": null,
            "tokens": {"input": 1200, "output": 340, "cache_read": null, "estimated_output": 500},
            "cost_usd": 0.25, "model": null, "truncated": false,
            "log_dir": ".autopack/attempts/demo/api/1"}])
    );
}

#[test]
fn show_prints_the_effective_ci() {
    let plan = json!({"run_id": "r", "phases": [
        {"id": "own", "deliverables": ["a.py"], "ci": {"pytest": {"timeout_seconds": 3}},
         "scope": {"ci": {"timeout_seconds": 40, "per_test_timeout": 4}}},
        {"id": "command", "deliverables": ["b.py"], "ci": "make check", "scope": {"test_cmd": "test -e b.py"}},
        {"id": "refused", "deliverables": ["../c.py"], "ci": {"timeout_seconds": 5}, "scope": {"ci": {"per_test_timeout": 6}}},
    ]});
    let project = Project::without_commits().file("plan.json", &plan.to_string());
    project.autopack(["import", "plan.json"]).succeeded();
    let ci = |phase: &str| {
        let text = project.autopack(["phases", "show", phase]).succeeded().stdout;
        let lines = text.lines().skip_while(|line| !line.starts_with("  ci "));
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.take_while(|line| !line.starts_with("  unfixable")).map(words).collect::<Vec<_>>()
    };
    assert_eq!(ci("own"), ["ci timeout_seconds 3, per_test_timeout 4"]);
    assert_eq!(
        ci("command"),
        [
            "ci timeout_seconds 900, per_test_timeout 60",
            "command sh -c 'make check'",
            "test_cmd test -e b.py"
        ]
    );
    let written = [r#"ci {"timeout_seconds":5}"#, r#"scope.ci {"per_test_timeout":6}"#];
    assert_eq!(ci("refused")[..2], written, "nothing of it is in force");
}

#[test]
fn log_prints_what_an_attempt_left() {
    let project = drained();
    insta::assert_snapshot!(project.autopack(["phases", "log", "api"]).shown(), @r"
    exit 0
    --- stdout
    ==> [REPO]/.autopack/attempts/demo/api/1/agent.log <==
    the agent's words
    ==> [REPO]/.autopack/attempts/demo/api/1/ci.log <==
    1 failed
    ");
    let all = project.autopack(["phases", "log", "api", "--attempt", "1", "--all"]);
    assert!(all.stdout.contains("prompt.md <==\ndo it\n"));
    for (arguments, expected) in [
        (&["phases", "log", "ui"][..], "phase ui has no attempts"),
        (&["phases", "log", "api", "--attempt", "2"], "has no attempt 2; the last attempt is 1"),
    ] {
        let ran = project.autopack(arguments).exited(1);
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
}

#[test]
fn retry_and_skip_move_what_may_be_moved() {
    let project = drained();
    let shown = |arguments: &[&str]| project.autopack([&["phases"], arguments].concat()).shown();
    assert_eq!(shown(&["retry", "--failed"]), "exit 0\n--- stdout\napi: failed -> queued\n");
    assert_eq!(
        shown(&["retry", "--failed"]),
        "exit 0\n--- stdout\nrun demo has no failed phases\n"
    );
    assert_eq!(
        shown(&["skip", "ui", "docs"]),
        "exit 0\n--- stdout\nui: queued -> skipped\ndocs: queued -> skipped\n"
    );
    let refused = shown(&["retry", "docs", "setup"]);
    assert!(refused.contains("it is complete, so it is retried only with --redo"), "{refused}");
    assert!(shown(&["list", "docs"]).contains("skipped"), "all or none");
    assert_eq!(
        shown(&["retry", "setup", "--redo"]),
        "exit 0\n--- stdout\nsetup: complete -> queued\n"
    );
    let api = project.json(["phases", "show", "api", "--json"]);
    assert_eq!((&api["attempts"], api["attempt_log"].as_array().unwrap().len()), (&json!(0), 1));
    let ran = project.autopack(["phases", "retry"]).exited(2);
    insta::assert_snapshot!(ran.stderr, @r"
    error: the following required arguments were not provided:
      <PHASE|--failed>

    Usage: autopack phases retry <PHASE|--failed>

    For more information, try '--help'.

    hint: `autopack phases list` lists the phases of the run used last
    ");
    let both = project.autopack(["phases", "skip", "api", "--failed"]).exited(1);
    assert!(both.stderr.contains("no run is called \"api\""), "{both:?}");
    let both = project.autopack(["phases", "skip", "demo", "api", "--failed"]).exited(2);
    assert!(both.stderr.contains("--failed takes at most one name, the run"), "{both:?}");
    let help = project.autopack(["phases", "skip", "--help"]).succeeded().stdout;
    let usage = help.lines().find(|line| line.starts_with("Usage:")).unwrap();
    assert_eq!(usage, "Usage: autopack phases skip [OPTIONS] <PHASE|--failed>");
}

#[test]
fn edit_takes_a_spec_from_a_file_or_the_editor() {
    let project = drained();
    let show = |phase: &str| project.json(["phases", "show", phase, "--json"]);
    let spec = "phase_id: ui\ndeliverables: [src/other.py]\ndepends_on: [docs]\n";
    let ran = project.autopack_reading(["phases", "edit", "ui", "--file", "-"], spec);
    assert_eq!(ran.shown(), "exit 0\n--- stdout\nui: spec replaced\n");
    assert_eq!(
        (&show("ui")["deliverables"], &show("ui")["depends_on"]),
        (&json!(["src/other.py"]), &json!(["docs"]))
    );

    let editor = project.path("my editor.sh");
    executable(&editor, "#!/bin/sh\nsed -i s/README/GUIDE/ \"$1\"\n");
    let quoted = format!("'{}'", editor.display());
    let ran = project.autopack_with(["phases", "edit", "docs"], &[("EDITOR", &quoted)]);
    assert_eq!(ran.shown(), "exit 0\n--- stdout\ndocs: spec replaced\n");
    assert_eq!(show("docs")["deliverables"], json!(["GUIDE.md"]));
    let ran = project.autopack_with(["phases", "edit", "docs"], &[("EDITOR", "true")]);
    assert_eq!(ran.stdout, "docs: unchanged\n");
}

#[test]
fn edit_refuses_what_could_not_run_and_keeps_what_was_typed() {
    let project = drained();
    let before = project.autopack(["phases", "list", "--json"]).stdout;
    let refused = |phase: &str, spec: &str| {
        let ran =
            project.autopack_reading(["phases", "edit", phase, "--file", "-"], spec).exited(1);
        ran.stderr
    };
    let output = refused("ui", r#"{"phase_id": "ui", "deliverables": ["/etc/passwd"]}"#);
    assert!(output.contains("phase ui could not be executed: "), "{output}");
    let output = refused("ui", r#"{"phase_id": "api"}"#);
    assert!(output.contains("the spec has phase_id api; expected ui"), "{output}");
    let output = refused("ui", r#"{"phase_id": "ui", "depends_on": ["ui"]}"#);
    assert!(output.contains("ui -> ui"), "{output}");
    let output = refused("ui", "{\"phase_id\": \"ui\"");
    assert!(output.contains("standard input:1:"), "{output}");
    assert!(refused("setup", "{}").contains("phase setup is complete and cannot be edited"));

    let variables = [
        ("EDITOR", "sed -i 's/\"src.*/\"..\\/x.py\"/'"),
        ("TMPDIR", &project.root().display().to_string()),
    ];
    let ran = project.autopack_with(["phases", "edit", "ui"], &variables).exited(1);
    let shown = ran.shown();
    // Quoted for a shell: the directory has a space in its name.
    let kept = shown.rsplit("--file '[REPO]/").next().unwrap().trim().trim_end_matches('\'');
    assert!(project.read(kept).contains("../x.py"), "{ran:?}");
    assert_eq!(project.autopack(["phases", "list", "--json"]).stdout, before);
}

#[test]
fn runs_are_listed_and_removed() {
    let project = drained();
    project.autopack_reading(["import", "-", "--run-id", "other"], r#"{"id": "x"}"#);
    insta::assert_snapshot!(project.autopack(["runs", "list"]).stdout);
    let several = project.autopack(["phases", "list"]);
    insta::assert_snapshot!(several.shown(), @r"
    exit 0
    --- stdout
    PHASE  STATE   ATTEMPTS  COST  TIME  REMARK
    x      queued       0/3     -     -  x
    --- stderr
    run other, used last
    ");
    project.autopack(["runs", "remove", "demo", "nope", "--yes"]).exited(1);
    let ran = project.autopack(["runs", "remove", "demo", "--yes"]);
    assert_eq!(ran.shown(), "exit 0\n--- stdout\nremoved run demo with 4 phases\n");
    let left = project.json(["runs", "list", "--json"]);
    assert_eq!(
        (&left[0]["run_id"], left.as_array().map(Vec::len)),
        (&Value::from("other"), Some(1))
    );
    assert_eq!(left[0]["counts"]["QUEUED"], 1);
}

#[test]
fn gc_keeps_unlanded_work_until_asked_to_remove_it() {
    let project = drained();
    let there = |attempt: &str| project.path(format!(".autopack/attempts/demo/{attempt}")).exists();
    let dry = project.autopack(["gc", "--dry-run"]);
    insta::assert_snapshot!(dry.shown(), @r"
    exit 0
    --- stdout
    would remove [REPO]/.autopack/attempts/demo/setup/1
    would remove 1 attempt directory, 0 slots and 0 refs
    kept 1 attempt directory without a landing; remove with --all-attempts
    ");
    assert!(there("setup/1") && there("api/1"));
    assert_eq!(project.json(["gc", "--json"])["kept_attempts"], 1);
    assert!(!there("setup") && there("api/1"));
    let log = project.autopack(["phases", "log", "setup"]);
    assert!(log.stderr.contains("`autopack gc` removes the files"), "{log:?}");

    project.autopack(["runs", "remove", "demo", "--yes"]).succeeded();
    project.autopack(["gc"]).succeeded();
    assert!(there("api/1"), "kept though its run is gone");
    project.autopack(["gc", "--all-attempts"]).succeeded();
    assert!(!there("api"));
}

#[test]
fn gc_does_not_offer_to_remove_slots_in_use() {
    let agent = "(workspace.parent / 'witness' / 'began').touch()
while not (workspace.parent / 'witness' / 'go').exists(): time.sleep(0.05)
write_deliverables()";
    let project = Project::new().agent(agent);
    let project = project.plan(json!({"phases": [{"phase_id": "a", "deliverables": ["a.txt"]}]}));
    let drain = project.spawn(["drain", "--run-id", "run"]);
    while !project.outside("began").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let gc = project.autopack(["gc", "--all-attempts"]).succeeded().stdout;
    std::fs::write(project.outside("go"), "").unwrap();
    project.wait(drain).succeeded();
    assert!(gc.contains("kept 1 attempt directory in use by a drain"), "{gc}");
    assert!(!gc.contains("remove with --all-attempts"), "{gc}");
}

#[test]
fn a_run_of_another_repository_is_not_drained() {
    let theirs = Project::new().agent("write_deliverables()");
    let theirs = theirs.plan(json!({"phases": [{"phase_id": "a", "deliverables": ["a.txt"]}]}));
    theirs.drain().succeeded();
    let url = format!("sqlite:///{}", theirs.path(".autopack/autopack.db").display());
    let ours = Project::new().env("AUTOPACK_DATABASE_URL", url);
    for name in ["claims/run/mine", "bases/run"] {
        ours.git(["update-ref", &format!("refs/autopack/{name}"), "HEAD"]);
    }
    let refs = || ours.git(["for-each-ref", "refs/autopack"]);
    let before = refs();

    let gc = ours.autopack(["gc"]).succeeded();
    assert!(gc.stdout.contains("skipped run run: it belongs to another repository"), "{gc:#?}");
    assert_eq!(ours.json(["gc", "--json"])["elsewhere"], json!(["run"]));
    for refused in [&["gc", "--run-id", "run"][..], &["runs", "remove", "run", "--yes"]] {
        let ran = ours.autopack(refused).exited(1);
        assert!(ran.stderr.contains("run run belongs to the repository"), "{ran:#?}");
    }
    assert_eq!(refs(), before);
    assert_eq!(theirs.states()["a"], "COMPLETE", "its run is still there");
}
