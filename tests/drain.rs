//! Effects of a drain on phases, seen from outside: states, the branch, exit codes, the prompt of a retry.

use crate::support::Project;
use serde_json::{Value, json};

const WRITES_ALL: &str = "write_deliverables()";

fn phases<const N: usize>(ids: [&str; N]) -> Value {
    let phases: Vec<Value> = ids
        .iter()
        .map(|id| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")]}))
        .collect();
    json!({ "phases": phases })
}

#[test]
fn a_backlog_lands_on_the_runs_branch_in_order() {
    let project = Project::new().agent(WRITES_ALL).plan(phases(["one", "two", "three"]));
    let ran = project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two", "three"]);
    assert!(ran.stdout.contains("\nmerge    autopack merge run\n"), "{ran:#?}");
    assert!(ran.stdout.contains("\nrun: 3 landed · drained after "), "{ran:#?}");
    assert_eq!(project.git(["show", "autopack/run:src/two.txt"]), "made by the agent\n");
}

#[test]
fn the_users_checkout_is_not_touched() {
    let project = Project::new().agent(WRITES_ALL).plan(phases(["one"]));
    project.write("README.md", "# edited, not committed\n");
    project.write("notes.txt", "untracked\n");
    let before =
        (project.git(["status", "--porcelain=v2", "--branch"]), project.git(["stash", "list"]));
    project.drain().succeeded();
    let after =
        (project.git(["status", "--porcelain=v2", "--branch"]), project.git(["stash", "list"]));
    assert_eq!(before, after);
    assert!(!project.path("src").exists());
}

#[test]
fn a_retry_gets_the_earlier_failure_in_its_prompt_and_may_pass() {
    let agent = r#"
(workspace.parent / "witness" / f"seen-{attempt}").write_text(prompt)
write("src/one.txt", "good\n" if attempt == 2 else "bad\n")
"#;
    let ci = "ci:\n  command: \"grep -q good src/one.txt || { echo the text is not good; exit 3; }\"\n  red_base: allow\n";
    let project = Project::new().agent_with(agent, ci).plan(phases(["one"]));
    project.drain().succeeded();
    let phase = project.phase("one");
    let outcomes: Vec<&str> = phase["attempt_log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["failed", "landed"]);
    assert_eq!(phase["attempt_log"][0]["failure"]["kind"], "ci_failed");
    assert_eq!(phase["attempt_log"][0]["failure"]["exit_code"], 3);
    assert_eq!(phase["attempts"], 2);
    let prompt = std::fs::read_to_string(project.outside("seen-2")).unwrap();
    assert!(prompt.contains("the text is not good"), "{prompt}");
}

#[test]
fn a_setup_that_is_no_program_ends_the_drain_before_an_agent_is_asked() {
    let setup = "workspace: {setup: [no-such-program]}\n";
    let project = Project::new().agent_with(WRITES_ALL, setup).plan(phases(["one"]));
    let ran = project.drain().exited(5);
    let why = "workspace.setup failed: cannot run no-such-program: there is no such program";
    assert!((ran.stdout.clone() + &ran.stderr).contains(why), "{ran:#?}");
    assert_eq!(project.phase("one")["attempts"], 0);
}

#[test]
fn each_line_of_a_setup_must_pass() {
    let setup = "workspace:\n  setup: |\n    false\n    true\n";
    let project = Project::new().agent_with(WRITES_ALL, setup).plan(phases(["one"]));
    let ran = project.drain().exited(5);
    assert!((ran.stdout + &ran.stderr).contains("workspace.setup failed: it exited with 1"));
}

#[test]
fn changes_by_setup_are_not_attributed_to_the_agent() {
    let setup = "workspace: {setup: \"echo more >>README.md; mkdir -p src; echo x >src/x.txt\"}\n";
    let project = Project::new().agent_with(WRITES_ALL, setup).plan(phases(["one"]));
    let ran = project.drain().exited(5);
    assert!(
        ran.stdout
            .contains("workspace.setup changed files not ignored by git: README.md, src/x.txt;"),
        "{ran:#?}"
    );
    let phase = project.phase("one");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("QUEUED"), &json!(0)));
    assert_eq!(phase["attempt_log"][0]["agent"], Value::Null);
    // Setup is for caches.
    let keeps = "workspace: {setup: \"mkdir node_modules; echo x >node_modules/x\"}\n";
    let project = Project::new().agent_with(WRITES_ALL, keeps).plan(phases(["one"]));
    project.drain().succeeded();
}

#[test]
fn a_silent_setup_timeout_is_reported_without_a_last_line() {
    let setup = "workspace: {setup: \"exec sleep 60\", setup_timeout_seconds: 1}\n";
    let project = Project::new().agent_with(WRITES_ALL, setup).plan(phases(["one"]));
    let ran = project.drain().exited(5);
    let why = "workspace.setup failed: it took longer than 1 s; its output is in ";
    assert!(ran.stdout.contains(why), "{ran:#?}");
}

#[test]
fn what_landed_where_nothing_was_committed_yet_is_looked_at_as_it_says() {
    let project = Project::without_commits()
        .agent_with(WRITES_ALL, "ci: {command: [\"true\"]}\n")
        .plan(phases(["one"]));
    let ran = project.drain().succeeded();
    let line = |label| ran.stdout.lines().find_map(|line| line.strip_prefix(label)).unwrap();
    let review = line("review   git ");
    assert!(project.git(review.split(' ')).contains("one"), "{ran:#?}");
    assert_eq!(line("merge    "), "autopack merge run");
    project.git(["merge", "autopack/run"]);
    assert!(project.path("src/one.txt").is_file());
}

#[test]
fn a_dry_run_reports_obstacles_ahead_of_the_first_phase() {
    let project = Project::new().env("PATH", "/usr/bin:/bin").plan(phases(["one"]));
    let dry = project.autopack(["drain", "--dry-run"]).succeeded();
    assert!(dry.stdout.starts_with("1 phase would run, 0 would not\n"), "{dry:#?}");
    let why = project.drain().exited(1).stderr;
    let why = why.lines().next().unwrap().strip_prefix("error: ").unwrap();
    assert!(why.starts_with("no agent is configured, none is on PATH (claude, "), "{why}");
    assert!(dry.stderr.contains(&format!("a drain would not start: {why}; install an agent")));
    let json = project.autopack(["drain", "--dry-run", "--json"]).succeeded();
    assert!(json.json().is_array() && json.stderr.contains(why), "{json:#?}");
}

#[test]
fn attempts_are_bounded_and_an_agents_work_is_kept() {
    let project = Project::new()
        .agent_with(WRITES_ALL, "ci: {command: [\"false\"], red_base: allow}\n")
        .plan(phases(["one"]));
    project.drain().exited(3);
    let phase = project.phase("one");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("FAILED"), &json!(3)));
    assert_eq!(phase["last_failure"]["kind"], "ci_failed");
    let directory = phase["attempt_log"][2]["log_dir"].as_str().unwrap();
    let patch = std::fs::read_to_string(project.path(directory).join("changes.patch")).unwrap();
    assert!(patch.contains("src/one.txt"), "{patch}");
    assert!(project.landed().is_empty());
}

#[test]
fn changes_outside_the_scope_are_refused() {
    let cases = [
        ("a file elsewhere", "write('other/x.txt')"),
        ("a changed file", "write('README.md', 'mine now')"),
        ("a deleted file", "os.remove('README.md')"),
        ("a renamed file", "os.rename('README.md', 'src/README.md')"),
        ("a mode", "os.chmod('README.md', 0o755)"),
        ("a symlink out of the repository", "os.symlink('/etc/passwd', 'src/passwd')"),
        ("a nested repository", "subprocess.run(['git', 'init', '-q', 'other']); write('other/x')"),
        (
            "its own commit",
            "write('other/x.txt'); subprocess.run(['git', 'add', '-A'], check=True); \
             subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'x'], check=True)",
        ),
        ("a protected path", "write('.gitignore', 'x')"),
        ("a workflow", "write('.github/workflows/x.yml', 'x')"),
    ];
    for (name, escape) in cases {
        let agent = format!("os.makedirs('src', exist_ok=True)\n{escape}\n{WRITES_ALL}");
        let plan = json!({"phases": [
            {"phase_id": "one", "deliverables": ["src/one.txt"], "max_attempts": 1}]});
        let project = Project::new().agent(&agent).plan(plan);
        project.drain().exited(3);
        let phase = project.phase("one");
        let kind = phase["last_failure"]["kind"].as_str().unwrap_or_default().to_owned();
        assert!(["scope_breach", "protected_path"].contains(&kind.as_str()), "{name}: {phase:#}");
        assert!(project.landed().is_empty(), "{name}");
    }
}

#[test]
fn an_agents_report_and_exit_code_do_not_decide() {
    let liar = "report(summary='all done'); sys.exit(0)";
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/one.txt"], "max_attempts": 1}]});
    let project = Project::new().agent(liar).plan(plan.clone());
    project.drain().exited(3);
    assert_eq!(project.phase("one")["last_failure"]["kind"], "no_change");

    let modest = format!("{WRITES_ALL}\nsys.exit(7)");
    let project = Project::new().agent(&modest).plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

#[test]
fn a_missing_or_empty_deliverable_fails() {
    let plan = json!({"phases": [{"phase_id": "one", "max_attempts": 1,
        "deliverables": ["src/one.txt", "src/two.txt", "src/pkg/__init__.py"]}]});
    let agent = "write('src/one.txt'); write('src/two.txt', ''); write('src/pkg/__init__.py', '')";
    let project = Project::new().agent(agent).plan(plan);
    project.drain().exited(3);
    let failure = &project.phase("one")["last_failure"];
    assert_eq!(failure["kind"], "missing_deliverable");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("src/two.txt") && !message.contains("__init__"), "{message}");
}

#[test]
fn a_phase_without_required_changes_completes_without_a_commit() {
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["README.md"], "allow_no_change": true}]});
    let project = Project::new().agent("").plan(plan);
    project.drain().succeeded();
    let phase = project.phase("one");
    assert_eq!((&phase["state"], &phase["commit"]), (&json!("COMPLETE"), &Value::Null));
}

#[test]
fn deliverables_made_by_another_phase_are_accepted() {
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/both.txt"]},
        {"phase_id": "two", "deliverables": ["src/both.txt"], "depends_on": ["one"]}]});
    let project = Project::new().agent("if phase_id == 'one': write_deliverables()").plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

#[test]
fn stop_on_first_failure_leaves_the_rest_untouched() {
    let plan = json!({"phases": [
        {"phase_id": "good", "deliverables": ["src/good.txt"]},
        {"phase_id": "bad", "deliverables": ["src/bad.txt"], "max_attempts": 1},
        {"phase_id": "next", "deliverables": ["src/next.txt"]}]});
    let project = Project::new().agent("if phase_id != 'bad': write_deliverables()").plan(plan);
    project.autopack(["drain", "--run-id", "run", "--stop-on-first-failure"]).exited(4);
    let states = project.states();
    assert_eq!(states["good"], "COMPLETE");
    assert_eq!(states["bad"], "FAILED");
    assert_eq!(states["next"], "QUEUED");
    assert_eq!(project.phase("next")["attempt_log"], json!([]));
}

#[test]
fn dependents_of_a_failed_phase_stay_queued_and_are_counted_as_blocked() {
    let plan = json!({"phases": [
        {"phase_id": "bad", "deliverables": ["src/bad.txt"], "max_attempts": 1},
        {"phase_id": "behind", "deliverables": ["src/behind.txt"], "depends_on": ["bad"]},
        {"phase_id": "far", "deliverables": ["src/far.txt"], "depends_on": ["behind"]},
        {"phase_id": "free", "deliverables": ["src/free.txt"]}]});
    let project = Project::new().agent("if phase_id != 'bad': write_deliverables()").plan(plan);
    project.drain().exited(3);
    let states = project.states();
    assert_eq!(
        (&*states["behind"], &*states["far"], &*states["free"]),
        ("QUEUED", "QUEUED", "COMPLETE")
    );
    assert_eq!(project.json(["status", "--json"])["runs"][0]["blocked"], 2);
    project.drain().exited(3);
}

#[test]
fn an_unfixable_spec_fails_with_its_reason_when_claimed() {
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/one.txt"]},
        {"phase_id": "out", "deliverables": ["../outside.txt"]}]});
    let project = Project::new().agent(WRITES_ALL).plan(plan);
    project.drain().exited(3);
    let phase = project.phase("out");
    assert_eq!(phase["last_failure"]["kind"], "unfixable");
    assert!(phase["last_failure"]["message"].as_str().unwrap().contains("../outside.txt"));
    assert_eq!((&phase["attempts"], &phase["attempt_log"]), (&json!(0), &json!([])));
}

#[test]
fn next_steps_without_queued_phases_depend_on_the_failures() {
    let project = Project::new().agent(WRITES_ALL).plan(phases(["one"]));
    project.drain().succeeded();
    let done = project.autopack(["drain"]).succeeded();
    assert_eq!(done.stdout, "nothing to drain: no phase is queued\n");
    let project = Project::new().agent("").plan(
        json!({"phases": [{"phase_id": "one", "deliverables": ["a.txt"], "max_attempts": 1}]}),
    );
    project.drain().exited(3);
    let failed = project.autopack(["drain"]).exited(3);
    assert!(failed.stdout.contains("`autopack phases retry --failed run`"), "{failed:#?}");
}

#[test]
fn max_batches_ends_a_drain_early() {
    let project = Project::new().agent(WRITES_ALL).plan(phases(["one", "two", "three"]));
    let args = ["drain", "--run-id", "run", "--batch-size", "1", "--max-batches", "2"];
    project.autopack(args).succeeded();
    assert_eq!(project.landed(), ["one", "two"]);
}

#[test]
fn a_missing_agent_program_ends_the_drain_before_anything_is_spent() {
    let config =
        "agents:\n  default: gone\n  gone: {kind: command, command: [no-such-agent-program]}\n";
    let project = Project::new().config(config).plan(phases(["one", "two"]));
    let ran = project.drain().exited(5);
    assert!(
        ran.stdout.contains("no-such-agent-program")
            || ran.stderr.contains("no-such-agent-program"),
        "{ran:#?}"
    );
    assert_eq!(project.phase("one")["attempts"], 0);
    assert_eq!(project.states()["one"], "QUEUED");
}

#[test]
fn ci_that_cannot_start_at_all_is_nobodys_failure() {
    let project = Project::new()
        .agent_with(WRITES_ALL, "ci: {command: [no-such-ci-program]}\n")
        .plan(phases(["one"]));
    project.drain().exited(5);
    assert_eq!(project.states()["one"], "QUEUED");
    assert_eq!(project.phase("one")["attempts"], 0);
}

#[test]
fn a_phase_may_be_retried_skipped_and_redone_by_hand() {
    let plan = json!({"phases": [
        {"phase_id": "bad", "deliverables": ["src/bad.txt"], "max_attempts": 1},
        {"phase_id": "behind", "deliverables": ["src/behind.txt"], "depends_on": ["bad"]}]});
    let agent = "if phase_id != 'bad' or (workspace.parent / 'witness' / 'mended').exists(): write_deliverables()";
    let project = Project::new().agent(agent).plan(plan);
    project.drain().exited(3);
    std::fs::write(project.outside("mended"), "").unwrap();
    project.autopack(["phases", "retry", "--run-id", "run", "--failed"]).succeeded();
    project.drain().succeeded();
    assert_eq!(project.landed(), ["bad", "behind"]);
    assert_eq!(project.phase("bad")["attempt_log"].as_array().unwrap().len(), 2);
}

/// The agent inherits a key that is no provider's.
const PASSES_KEY: &str = "    env_pass: [MY_API_KEY]\n";

#[test]
fn no_writing_of_a_secret_lands() {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let pem = "'-----BEGIN RSA PRIVATE KEY-----\\n' + 'MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn' * 20 + '\\n-----END RSA PRIVATE KEY-----\\n'";
    let known = "os.environ['MY_API_KEY']";
    let base64 = |what: &str| format!("base64.b64encode(({what}).encode()).decode()");
    for does in [
        format!("write('a.txt', 'x\\n++ {token}\\n')"),
        format!("write('a.txt', '++ b/x {token}\\r\\n@@ -1 +1 @@\\n-- a/x')"),
        format!("write('a.txt', {})", base64(pem)),
        format!("write('a.txt', base64.encodebytes(({pem}).encode()).decode())"),
        format!("write('a.txt', base64.urlsafe_b64encode(('x' + {known}).encode()).decode())"),
        format!("write('a.txt', 'token: ' + {})", base64(&format!("'{token}'"))),
        format!("write('a.txt', ({known}).encode().hex())"),
        format!("import urllib.parse; write('a.txt', urllib.parse.quote({known}, safe=''))"),
        "write('a.txt', 'AWS_SECRET_ACCESS_KEY=' + 'q8Vd2/Xk3ZpLr7Yt+Wn5' + 'Bm1Cs9Hf4Jg6Ae0Uo8Ti')".into(),
    ] {
        let plan = json!([{"id": "p", "deliverables": ["a.txt"], "max_attempts": 1}]);
        let project = Project::new()
            .env("MY_API_KEY", "correct horse/battery:staple")
            .agent_with(&format!("import base64\n{does}"), PASSES_KEY)
            .plan(plan);
        project.drain().exited(3);
        assert_eq!(project.phase("p")["last_failure"]["kind"], "secret_in_diff", "{does}");
        assert!(project.landed().is_empty());
        let kept = project.read(".autopack/attempts/run/p/1/changes.patch");
        assert!(
            !kept.contains(&token)
                && !kept.contains("LS0tLS1CRUdJTi")
                && kept.contains("[redacted"),
            "{does}: {kept}"
        );
    }
}

#[test]
fn secrets_are_neither_landed_nor_kept() {
    let secret = "sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA";
    let key = "key = os.environ['MY_API_KEY']";
    for (does, failure) in [
        ("print(key); write('src/one.txt', 'key = ' + key)", json!("secret_in_diff")),
        ("write('src/one.txt', 'x'); write('other/' + key + '.txt', 'x')", json!("scope_breach")),
        ("write('src/one.txt/' + key + '.txt', 'x')", json!("secret_in_diff")),
        (
            "report(cost_usd=key, model=key, stop_reason=key, summary=key); write('src/one.txt', 'x')",
            Value::Null,
        ),
    ] {
        let scope = json!({"paths": ["src/"]});
        let plan = json!({"phases": [
            {"phase_id": "one", "deliverables": ["src/"], "scope": scope, "max_attempts": 1}]});
        let agent = format!("{key}; {does}");
        let project =
            Project::new().env("MY_API_KEY", secret).agent_with(&agent, PASSES_KEY).plan(plan);
        let ran = project.drain();
        assert_eq!(project.phase("one")["last_failure"]["kind"], failure, "{does}: {ran:?}");
        let exported = project.autopack(["telemetry", "export"]).succeeded().stdout;
        for text in [ran.stdout, ran.stderr, exported] {
            assert!(!text.contains(secret), "{does}: {text}");
        }
        let found = std::process::Command::new("grep")
            .args(["-rlF", secret])
            .arg(project.path(".autopack"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{does}");
    }
}

/// As set by development containers.
#[test]
fn the_names_of_gits_settings_are_no_secrets() {
    let plan = phases(["one"]);
    let agent = "write('src/one.txt', 'git config --global --add safe.directory /x\\n')";
    let project = Project::new()
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .agent(agent)
        .plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

#[test]
fn a_secret_in_what_git_takes_for_binary_does_not_land() {
    let secret = "sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA";
    let key = "key = os.environ['MY_API_KEY']";
    for does in [
        "write('src/one.lock', 'key = ' + key)",
        "open('src/one.bin', 'wb').write(bytes(1) + key.encode())",
        "open('src/one.txt', 'wb').write(key.encode('utf-16'))",
        "open('src/old.bin', 'wb').write(bytes(9) + key.encode())",
    ] {
        let plan = json!({"phases": [
            {"phase_id": "one", "deliverables": ["src/"], "max_attempts": 1}]});
        let agent = format!("{key}; os.makedirs('src', exist_ok=True); {does}");
        let project = Project::new()
            .file(".gitattributes", "*.lock -diff\n")
            .file("src/old.bin", "\0old\n")
            .commit("binaries")
            .env("MY_API_KEY", secret)
            .agent_with(&agent, PASSES_KEY)
            .plan(plan);
        let ran = project.drain();
        assert_eq!(
            project.phase("one")["last_failure"]["kind"],
            "secret_in_diff",
            "{does}: {ran:?}"
        );
        let kept = project.path(".autopack/attempts/run/one/1/changes.patch");
        let patch = std::fs::read_to_string(kept).unwrap();
        assert!(patch.contains("Binary files differ\n"), "{does}: {patch}");
        assert!(!patch.contains("GIT binary patch"), "{does}: {patch}");
    }
}

#[test]
fn a_binary_file_without_secrets_lands() {
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.bin"]}]});
    let agent = "os.makedirs('src'); open('src/one.bin', 'wb').write(bytes(range(256)))";
    let project = Project::new().agent(agent).plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one"]);
}

#[test]
fn an_unfiltered_file_does_not_land() {
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["secrets/db.txt"], "max_attempts": 1},
        {"phase_id": "two", "deliverables": ["src/two.txt"]}]});
    let project = Project::new()
        .file(".gitattributes", "secrets/* filter=crypt\nsrc/* filter=unknown\n")
        .commit("filters")
        .agent("write_deliverables()")
        .plan(plan);
    project.git(["config", "filter.crypt.clean", "tr a-z n-za-m"]);
    project.drain().exited(3);
    let failure = &project.phase("one")["last_failure"];
    assert_eq!(failure["kind"], "scope_breach");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("secrets/db.txt, which git's filter crypt rewrites"), "{message}");
    assert_eq!(project.landed(), ["two"]);
}

#[test]
fn a_database_that_is_removed_meanwhile_ends_the_drain() {
    let agent = "write_deliverables()\nif phase_id == 'p1': [file.unlink() for file in (workspace / '.autopack').glob('autopack.db*')]";
    let phase =
        |n: u32| json!({"phase_id": format!("p{n}"), "deliverables": [format!("p{n}.txt")]});
    let plan = json!({"phases": (0..4).map(phase).collect::<Vec<_>>()});
    let project = Project::new().without_sandbox().agent(agent).plan(plan);
    let ran = project.drain().exited(1);
    assert!(ran.stderr.contains("was removed or replaced while in use"), "{ran:#?}");
    assert_eq!(project.landed(), ["p0"]);
}

#[test]
fn a_secret_set_in_the_configuration_is_redacted() {
    let secret = "hunter2hunter2";
    let agent = r#"echo "$MY_PASSWORD"; [ $AUTOPACK_PHASE_ID = keeps ] || echo "$MY_PASSWORD" >tells.txt; echo made >keeps.txt"#;
    let agents = json!({"default": "fake", "fake": {
        "kind": "command", "command": ["sh", "-c", agent], "env": {"MY_PASSWORD": secret}}});
    // JSON is YAML.
    let config = json!({"agents": agents, "ci": {"command": ["true"]}});
    let plan = json!({"phases": [
        {"phase_id": "tells", "deliverables": ["*.txt"], "max_attempts": 1},
        {"phase_id": "keeps", "deliverables": ["keeps.txt"]}]});
    let project = Project::new().config(&config.to_string()).plan(plan);
    project.drain().exited(3);
    assert_eq!(project.phase("tells")["last_failure"]["kind"], "secret_in_diff");
    assert_eq!(project.landed(), ["keeps"]);
    let attempts = project.path(".autopack/attempts");
    let grep = |text: &str| {
        let found = std::process::Command::new("grep").args(["-rlF", text]).arg(&attempts).output();
        String::from_utf8_lossy(&found.unwrap().stdout).into_owned()
    };
    assert!(grep("[redacted: MY_PASSWORD]").contains("agent.log"));
    assert_eq!(grep(secret), "");
}

#[test]
fn events_are_one_json_object_a_line() {
    let project = Project::new().agent(WRITES_ALL).plan(phases(["one", "two"]));
    let ran = project.autopack(["drain", "--run-id", "run", "--json"]).succeeded();
    let events: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "drain_started",
            "batch_started",
            "phase_started",
            "phase_finished",
            "phase_started",
            "phase_finished",
            "batch_finished",
            "drain_finished"
        ]
    );
    let finished = &events[3];
    assert_eq!(finished["phase_id"], "one");
    assert_eq!((&finished["state"], &finished["verdict"]), (&json!("COMPLETE"), &json!("landed")));
    let end = events.last().unwrap();
    assert_eq!((&end["reason"], &end["exit_code"]), (&json!("drained"), &json!(0)));
}

#[test]
fn the_only_run_with_queued_phases_needs_no_name() {
    let project = Project::new().agent(WRITES_ALL).plan(phases(["one"]));
    project.autopack(["drain"]).succeeded();
    assert_eq!(project.landed(), ["one"]);
    let unknown = project.autopack(["drain", "--run-id", "nope"]).exited(1);
    assert!(
        unknown.stderr.contains("autopack.db") && unknown.stderr.contains("run"),
        "{unknown:#?}"
    );
}

#[test]
fn a_hard_link_to_the_users_file_is_not_written_through_by_a_later_phase() {
    let agent = r#"
os.makedirs("src", exist_ok=True)
if phase_id == "one": os.link(workspace / "README.md", "src/one.txt")
else:
    open("src/one.txt", "a").write("more\n")
    write_deliverables()
"#;
    let plan = json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/one.txt"]},
        {"phase_id": "two", "deliverables": ["src/two.txt"]}]});
    let project = Project::new().agent(agent).plan(plan);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two"]);
    assert_eq!(std::fs::read_to_string(project.path("README.md")).unwrap(), "# project\n");
}

/// If the output of a drain cannot be written completely, this is reported; the work is still done.
#[test]
fn a_drain_with_unwritable_output_continues_and_reports_this_at_the_end() {
    for args in [&["drain"][..], &["drain", "--json"]] {
        let project = Project::new().agent("write_deliverables()").plan(json!({"phases": [
            {"phase_id": "one", "deliverables": ["src/one.txt"]},
            {"phase_id": "two", "deliverables": ["src/two.txt"]}]}));
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = project.command(args.iter()).stdout(full).output().unwrap();
        let text = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{text}");
        assert_eq!(
            text.matches("error: cannot write to stdout: No space left").count(),
            1,
            "{text}"
        );
        assert!(project.states().values().all(|state| state == "COMPLETE"), "{text}");
    }
}

#[test]
fn a_drain_with_a_closed_pipe_prints_no_error() {
    let project = Project::new().agent("write_deliverables()").plan(json!({"phases": [
        {"phase_id": "one", "deliverables": ["src/one.txt"]}]}));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = project.command(["drain"]).stdout(writer).output().unwrap();
    assert_eq!((ran.status.code(), ran.stderr.as_slice()), (Some(0), &b""[..]));
}
