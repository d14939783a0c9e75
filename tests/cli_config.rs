//! `config show` and messages about mistakes in the configuration, through the real program.

use crate::support::Project;

/// A repository without a commit, and without any variable set.
fn nothing_set() -> Project {
    let set = [
        "AUTOPACK_ENABLE_MEMORY",
        "AUTOPACK_CI_FINAL",
        "AUTOPACK_SANDBOX_MODE",
        "AUTOPACK_SANDBOX_WRITE",
    ];
    set.into_iter().fold(Project::without_commits(), Project::unset)
}

/// The error for a configuration.
fn error(file: &str, text: &str) -> String {
    let ran = Project::without_commits().file(file, text).autopack(["config", "show"]).exited(1);
    assert_eq!(ran.stdout, "", "{ran:?}");
    ran.stderr
}

fn autopack_error(text: &str) -> String {
    error("config/autopack.yaml", text)
}

#[test]
fn without_files_everything_is_as_shipped() {
    let ran = nothing_set().autopack(["config", "show"]);
    insta::assert_snapshot!(ran.shown());
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let text = "memory:\n  enabled: true\n  use_qdrant: true\n  qdrant:\n    host: localhost\n\
                \x20   port: 6333\n    # nothing here\n    require: false\n    autostrt: true\n";
    insta::assert_snapshot!(error("config/memory.yaml", text),
        @r#"error: cannot read config/memory.yaml: unknown key "autostrt" at line 9; did you mean "autostart"?"#);
    insta::assert_snapshot!(autopack_error("executer: {}"),
        @r#"error: cannot read config/autopack.yaml: unknown key "executer" at line 1; did you mean "executor"?"#);
    insta::assert_snapshot!(autopack_error("telemetry:\n  zzzzzz: 1\n"),
        @r#"error: cannot read config/autopack.yaml: unknown key "zzzzzz" at line 2; known: enabled"#);
}

#[test]
fn agents_are_checked_to_the_line_too() {
    let agent =
        |rest: &str| format!("agents:\n  default: mine\n  mine:\n    kind: command\n{rest}");
    insta::assert_snapshot!(autopack_error(&agent("    command: [x]\n    comand: [y]\n")),
        @r#"error: cannot read config/autopack.yaml: unknown key "comand" at line 6; did you mean "command"?"#);
    insta::assert_snapshot!(autopack_error(&agent("    command: python3 agent.py\n")),
        @r#"error: cannot read config/autopack.yaml: agents.mine.command at line 5 is the text "python3 agent.py", expected a list"#);
    insta::assert_snapshot!(autopack_error(&agent("")),
        @"error: cannot read config/autopack.yaml: agents.mine.command at line 3 names no program");
    insta::assert_snapshot!(autopack_error("agents:\n  mine:\n    kind: comand\n"),
        @r#"error: cannot read config/autopack.yaml: agents.mine.kind at line 3 is "comand"; expected one of command, replay, claude, codex, opencode, gemini, goose, aider, mini-swe-agent, builtin"#);
    insta::assert_snapshot!(autopack_error("agents:\n  mine:\n    command: [x]\n"),
        @r#"error: cannot read config/autopack.yaml: agents.mine at line 2 needs a "kind": one of command, replay, claude, codex, opencode, gemini, goose, aider, mini-swe-agent, builtin"#);
    insta::assert_snapshot!(autopack_error("agents: {default: mine}"),
        @r#"error: cannot read config/autopack.yaml: agents.default at line 1 names "mine", which is not a configured agent; no agent is configured"#);
}

#[test]
fn bad_values_are_named_with_key_and_line() {
    insta::assert_snapshot!(autopack_error("executor:\n  max_attempts: 0\n"),
        @"error: cannot read config/autopack.yaml: executor.max_attempts at line 2 is 0; must be at least 1");
    insta::assert_snapshot!(autopack_error("ci:\n  max_timeout_seconds: -5\n"),
        @r#"error: cannot read config/autopack.yaml: ci.max_timeout_seconds at line 2 is -5, expected a whole number, not negative"#);
    insta::assert_snapshot!(error("config/memory.yaml", "memory: {qdrant: {port: 70000}}"),
        @r#"error: cannot read config/memory.yaml: memory.qdrant.port at line 1 is 70000, expected a whole number up to 65535"#);
    insta::assert_snapshot!(autopack_error("executor:\n  unscoped: null\n"),
        @r#"error: cannot read config/autopack.yaml: executor.unscoped at line 2 has no value, expected one of "propose", "refuse", "allow""#);
    insta::assert_snapshot!(autopack_error("executor:\n  jobs: 18446744073709551616\n"),
        @"error: cannot read config/autopack.yaml: executor.jobs: the number 18446744073709551616 is too large at line 2 column 9");
    insta::assert_snapshot!(error("config/memory.yaml", "memory: {enabled: false, qdrant: {autostart_timeout_seconds: 0}}"),
        @"error: cannot read config/memory.yaml: memory.qdrant.autostart_timeout_seconds at line 1 is 0; must be at least 1");
    insta::assert_snapshot!(autopack_error("executor: {budgets: {attempt: {wall_seconds: 0}}}"),
        @"error: cannot read config/autopack.yaml: executor.budgets.attempt.wall_seconds at line 1 is 0; must be at least 1");
    insta::assert_snapshot!(autopack_error("artifacts: {database_kb: 65537}"),
        @"error: cannot read config/autopack.yaml: artifacts.database_kb at line 1 is 65537; must be at most 65536; artifacts.dir takes whole files");
    insta::assert_snapshot!(autopack_error("workspace: {link: [./.git/hooks]}"),
        @r#"error: cannot read config/autopack.yaml: workspace.link at line 1 has "./.git/hooks"; .git is never linked"#);
    insta::assert_snapshot!(autopack_error("workspace: {link: [.]}"),
        @r#"error: cannot read config/autopack.yaml: workspace.link at line 1 has ".", which is the whole repository"#);
    insta::assert_snapshot!(autopack_error("- a\n- b\n"),
        @"error: cannot read config/autopack.yaml: expected keys and values");
    insta::assert_snapshot!(autopack_error("ci:\n  baseline: [true\n"),
        @"error: cannot read config/autopack.yaml: did not find expected ',' or ']' at line 3 column 1, while parsing a flow sequence at line 2 column 13");
}

/// In place of a variable's name, in a command line.
#[test]
fn a_key_in_a_file_is_not_shown() {
    let key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz";
    let named = format!("agents: {{a: {{kind: builtin, model: m, api_key_env: {key}}}}}");
    insta::assert_snapshot!(autopack_error(&named),
        @"error: cannot read config/autopack.yaml: agents.a.api_key_env at line 1 is not the name of a variable; set the name of the variable with the key");
    let given = format!("agents: {{a: {{kind: command, command: [x, --key, {key}]}}}}");
    let project = Project::without_commits().file("config/autopack.yaml", &given);
    for args in [&["config", "show"][..], &["config", "show", "--json"]] {
        let ran = project.autopack(args).succeeded();
        assert!(ran.stdout.contains("[redacted: an Anthropic key]"), "{ran:#?}");
        assert!(!ran.stdout.contains(key), "{ran:#?}");
    }
}

#[test]
fn each_file_comes_from_the_first_directory_with_it() {
    let attempts = |number: u8| format!("executor: {{max_attempts: {number}}}");
    let project = Project::without_commits()
        .file("config/autopack.yaml", &attempts(4))
        .file("config/memory.yaml", "memory: {qdrant: {port: 1}}");
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let ran =
            project.autopack_with([arguments, &["config", "show"]].concat(), variables).succeeded();
        let wanted = ["executor.max_attempts", "memory.qdrant.port"];
        let lines =
            ran.stdout.lines().filter(|line| wanted.iter().any(|key| line.starts_with(key)));
        lines.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")).collect()
    };
    let both: Vec<String> = shown(&[], &[]);
    assert_eq!(both, ["config/autopack.yaml:1 4", "config/memory.yaml:1 1"]);

    project.write(".autopack/config/autopack.yaml", &attempts(5));
    let both: Vec<String> = shown(&[], &[]);
    assert_eq!(both, [".autopack/config/autopack.yaml:1 5", "config/memory.yaml:1 1"]);

    project.write("mine/autopack.yaml", &attempts(6));
    project.write("yours/autopack.yaml", &attempts(7));
    let both: Vec<String> = shown(&[], &[("AUTOPACK_CONFIG_DIR", "mine")]);
    assert_eq!(both, ["mine/autopack.yaml:1 6", "config/memory.yaml:1 1"]);
    let both: Vec<String> = shown(&["--config-dir", "yours"], &[("AUTOPACK_CONFIG_DIR", "mine")]);
    assert_eq!(both, ["yours/autopack.yaml:1 7", "config/memory.yaml:1 1"]);

    let ran = project.autopack(["--config-dir", "nowhere", "config", "show"]).exited(1);
    assert_eq!(ran.stderr, "error: configuration directory nowhere does not exist\n");
}

#[test]
fn a_file_named_config_belongs_to_the_project() {
    let ran = Project::without_commits().file("config", "mine").autopack(["config", "show"]);
    assert_eq!(ran.succeeded().stderr, "");
}

#[test]
fn a_missing_explicit_workspace_is_an_error() {
    let ran = Project::without_commits().autopack(["--workspace", "nowhere", "config", "show"]);
    assert_eq!(ran.shown(), "exit 1\n--- stderr\nerror: directory [REPO]/nowhere does not exist\n");
}

#[test]
fn variables_win_over_files_and_are_named_when_wrong() {
    let project =
        nothing_set().file("config/memory.yaml", "memory: {qdrant: {host: other, port: 1}}");
    let variables = [
        ("AUTOPACK_QDRANT_PORT", "7000"),
        ("AUTOPACK_USE_QDRANT", "OFF"),
        ("AUTOPACK_QDRANT_API_KEY", "very-secret"),
        ("TELEMETRY_DB_ENABLED", "0"),
        ("AUTOPACK_DATABASE_URL", "postgres://user:password@host/db"),
    ];
    let ran = project.autopack_with(["config", "show"], &variables);
    let changed = ran.stdout.lines().filter(|line| !line.contains("shipped"));
    insta::assert_snapshot!(changed.collect::<Vec<_>>().join("\n"));

    let stderr = |name, value| {
        let ran = project.autopack_with(["config", "show"], &[(name, value)]).exited(1);
        ran.stderr
    };
    insta::assert_snapshot!(stderr("AUTOPACK_QDRANT_AUTOSTART", "maybe"),
        @r#"error: AUTOPACK_QDRANT_AUTOSTART is "maybe"; expected 1/0, true/false, yes/no or on/off"#);
    insta::assert_snapshot!(stderr("AUTOPACK_QDRANT_PORT", "-1"),
        @r#"error: AUTOPACK_QDRANT_PORT is "-1"; expected a whole number, not negative"#);
    insta::assert_snapshot!(stderr("AUTOPACK_QDRANT_PORT", "0"),
        @"error: AUTOPACK_QDRANT_PORT is 0; must be at least 1");
    insta::assert_snapshot!(stderr("AUTOPACK_QDRANT_GRPC_PORT", "99999"),
        @r#"error: AUTOPACK_QDRANT_GRPC_PORT is 99999, expected a whole number up to 65535"#);
}

#[test]
fn the_sandbox_is_checked_to_the_line() {
    let sandbox = |text: &str| autopack_error(&format!("sandbox:\n{text}\n"));
    insta::assert_snapshot!(sandbox("  mode: strict"),
        @r#"error: cannot read config/autopack.yaml: sandbox.mode at line 2 is strict, expected one of "auto", "namespaces", "landlock", "off""#);
    insta::assert_snapshot!(sandbox("  network: none"),
        @r#"error: cannot read config/autopack.yaml: sandbox.network at line 2 is the text "none", expected "allow", "deny", "agent" or a list of hosts"#);
    insta::assert_snapshot!(sandbox("  network: {a: b}"),
        @r#"error: cannot read config/autopack.yaml: sandbox.network at line 2 has keys under it, expected "allow", "deny", "agent" or a list of hosts"#);
    insta::assert_snapshot!(sandbox("  network: [https://example.com]"),
        @r#"error: cannot read config/autopack.yaml: sandbox.network at line 2 has "https://example.com", which has a scheme; write the host alone"#);
    insta::assert_snapshot!(sandbox("  ci_network: agent"),
        @r#"error: cannot read config/autopack.yaml: sandbox.ci_network at line 2 has "agent", but CI and setup have no agent; expected "allow", "deny" or a list of hosts"#);
    insta::assert_snapshot!(sandbox("  ports: [5432, 70000]"),
        @"error: cannot read config/autopack.yaml: sandbox.ports at line 2 is 70000, expected a whole number up to 65535");
    insta::assert_snapshot!(sandbox("  write:\n    - /"),
        @r#"error: cannot read config/autopack.yaml: sandbox.write at line 2 has "/", which is the whole file system"#);
    insta::assert_snapshot!(autopack_error("ci:\n  env_pass: [A=B]\n"),
        @r#"error: cannot read config/autopack.yaml: ci.env_pass at line 2 has "A=B", which is not the name of a variable"#);
}

#[test]
fn variables_of_the_sandbox_add_paths_and_are_named_when_wrong() {
    let text = "sandbox:\n  mode: landlock\n  write: [~/.gradle]\n";
    let project = nothing_set().file("config/autopack.yaml", text);
    let shown = |variables: &[(&str, &str)]| {
        let ran = project.autopack_with(["config", "show"], variables).succeeded();
        let sandbox =
            |line: &&str| line.starts_with("sandbox.mode ") || line.starts_with("sandbox.write ");
        let lines = ran.stdout.lines().filter(sandbox);
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&[]),
        [
            r#"sandbox.mode config/autopack.yaml:2 "landlock""#,
            r#"sandbox.write config/autopack.yaml:3 ["~/.gradle"]"#
        ]
    );
    assert_eq!(shown(&[("AUTOPACK_SANDBOX_WRITE", "")])[1], shown(&[])[1]);
    let variables = [("AUTOPACK_SANDBOX_MODE", "off"), ("AUTOPACK_SANDBOX_WRITE", "/srv/a:~/b")];
    assert_eq!(
        shown(&variables),
        [
            r#"sandbox.mode AUTOPACK_SANDBOX_MODE "off""#,
            r#"sandbox.write config/autopack.yaml:3, AUTOPACK_SANDBOX_WRITE ["~/.gradle","/srv/a","~/b"]"#
        ]
    );
    let stderr =
        |name, value| project.autopack_with(["config", "show"], &[(name, value)]).exited(1).stderr;
    insta::assert_snapshot!(stderr("AUTOPACK_SANDBOX_MODE", "on"),
        @r#"error: AUTOPACK_SANDBOX_MODE is on, expected one of "auto", "namespaces", "landlock", "off""#);
    insta::assert_snapshot!(stderr("AUTOPACK_SANDBOX_WRITE", "/srv/a:/"),
        @r#"error: AUTOPACK_SANDBOX_WRITE has "/", which is the whole file system"#);
    // The entry of the file stays the file's.
    let project = nothing_set().file("config/autopack.yaml", "sandbox: {write: ['~']}\n");
    let ran = project.autopack_with(["config", "show"], &[("AUTOPACK_SANDBOX_WRITE", "/srv/a")]);
    insta::assert_snapshot!(ran.exited(1).stderr,
        @r#"error: cannot read config/autopack.yaml: sandbox.write at line 1 has "~", which is the whole home directory; name what is needed in it"#);
}

#[test]
fn a_drain_refuses_to_open_the_checkout_before_an_agent_starts() {
    let project = Project::new()
        .agent("write_deliverables()")
        .plan(serde_json::json!([{"id": "a", "deliverables": ["a.txt"]}]));
    for (path, part) in [
        ("{workspace}", "contains the checkout"),
        (".git/hooks", "git's directory of the checkout"),
        ("~/..", "contains the checkout"),
    ] {
        let variables = [("AUTOPACK_SANDBOX_WRITE", path)];
        let ran = project.autopack_with(["drain", "--run-id", "run"], &variables).exited(1);
        assert!(ran.stderr.contains(part), "{ran:#?}");
        assert!(ran.stderr.contains("set by AUTOPACK_SANDBOX_WRITE"), "{ran:#?}");
    }
    assert_eq!(project.states()["a"], "QUEUED");
    let variables = [("AUTOPACK_SANDBOX_WRITE", ".git")];
    let health = project.autopack_with(["health"], &variables).exited(1).stdout;
    assert!(health.contains("FAIL  configuration  sandbox.write has \".git\""), "{health}");
}

#[test]
fn the_json_list_names_key_value_and_origin() {
    let ran = Project::without_commits().autopack(["config", "show", "--json"]);
    let settings = ran.json();
    let first =
        serde_json::json!({"key": "executor.max_attempts", "value": 3, "origin": "shipped"});
    assert_eq!(settings[0], first);
    assert_eq!(ran.stderr, "");
}
