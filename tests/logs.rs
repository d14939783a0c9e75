//! Log lines through the real program: their levels, their spans, and the absence of secrets.

use crate::support::Project;
use serde_json::{Value, json};

const KEY: &str = "planted-3f9c0b7e51d84a6c";
const FORMAT: &str = "sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA";

/// Prints its keys everywhere: as output, in a file name, in its report and in its error.
fn leaky() -> Project {
    let agent = format!(
        "key = os.environ['PLANTED_TOKEN']\nprint('my key is ' + key, '{FORMAT}', flush=True)\nprint('error: ' + key, file=sys.stderr, flush=True)\n\
         write('src/' + key + '.txt')\nreport(summary=key, model=key)\nsys.exit(1)"
    );
    let plan = json!({"phases": [{"phase_id": "one", "description": format!("use {KEY}"),
        "deliverables": ["src/one.txt"], "max_attempts": 1}]});
    let ci = format!(
        "    env_pass: [PLANTED_TOKEN]\nci: {{command: \"echo {FORMAT}; exit 1\", red_base: allow}}\n"
    );
    Project::new().env("PLANTED_TOKEN", KEY).agent_with(&agent, &ci).plan(plan)
}

fn objects(stderr: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    stderr.lines().map(parse).collect()
}

#[test]
fn no_secret_is_logged_at_any_level_in_either_format() {
    for format in ["text", "json"] {
        for level in ["-v", "-vv", "-vvv"] {
            let project = leaky();
            let ran = project
                .autopack(["drain", "--run-id", "run", level, "--log-format", format])
                .exited(3);
            for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
                assert!(
                    !text.contains(KEY) && !text.contains(FORMAT),
                    "{format} {level} {name}: {text}"
                );
            }
            assert!(!ran.stderr.is_empty());
            if level == "-vvv" {
                assert!(ran.stderr.contains("my key is"), "what agents say is there: {ran:#?}");
            }
        }
    }
}

#[test]
fn a_secret_is_redacted_from_a_failure() {
    let project = Project::new().env("PLANTED_TOKEN", KEY);
    for format in ["text", "json"] {
        let ran = project.autopack(["import", KEY, "--log-format", format]).exited(1);
        assert!(!ran.stderr.contains(KEY) && ran.stderr.contains("cannot read"), "{ran:#?}");
    }
}

/// A key in the configuration counts as a secret, too.
#[test]
fn the_key_of_qdrant_is_not_logged() {
    let project = Project::new().env("AUTOPACK_ENABLE_MEMORY", "1");
    project.write(".autopack/config/memory.yaml", &format!(
        "memory:\n  qdrant: {{host: 127.0.0.1, port: 1, grpc_port: 1, autostart: false, api_key: {KEY}}}\n"
    ));
    let ran = project.autopack(["memory", "stats", "-vvv"]);
    assert!(!ran.stderr.contains(KEY) && !ran.stdout.contains(KEY), "{ran:#?}");
    let named = project.autopack(["import", KEY]).exited(1);
    // The configuration has not been read yet, so this is just a file name.
    assert!(named.stderr.contains("cannot read"), "{named:#?}");
}

#[test]
fn lines_name_the_run_the_phase_and_the_attempt() {
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]});
    let project = Project::new().agent("print('at it'); write_deliverables()").plan(plan);
    let ran = project
        .autopack(["drain", "--run-id", "run", "--json", "-vvv", "--log-format", "json"])
        .succeeded();
    for line in ran.stdout.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap()["event"].is_string(), "{line}");
    }
    let lines = objects(&ran.stderr);
    let of_the_attempt: Vec<&Value> = lines.iter().filter(|line| line["attempt"] == 1).collect();
    assert!(of_the_attempt.len() > 5, "{lines:#?}");
    for line in &of_the_attempt {
        assert_eq!((&line["run"], &line["phase"]), (&json!("run"), &json!("one")), "{line}");
    }
    let says = |text: &str, level: &str| {
        of_the_attempt.iter().any(|line| {
            line["level"] == level
                && (line["message"].as_str().unwrap().contains(text) || line["agent_says"] == text)
        })
    };
    assert!(says("phase started", "INFO") && says("phase finished", "INFO"), "{lines:#?}");
    assert!(
        says("git ", "DEBUG") && says("slot taken", "DEBUG") && says("at it", "TRACE"),
        "{lines:#?}"
    );
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"].is_string()));
}

#[test]
fn an_id_as_long_as_a_book_is_cut_in_each_line_and_whole_for_machines() {
    let id = "x".repeat(3_000);
    let plan = json!({"phases": [{"phase_id": id, "deliverables": ["src/one.txt"]}]});
    let project = Project::new().agent("write_deliverables()").plan(plan);
    let ran = project.autopack(["drain", "--run-id", "run", "-v"]).succeeded();
    assert!(!ran.stderr.contains("drain="), "{ran:?}");
    assert!(!ran.stderr.contains(&id) && ran.stderr.contains("phase=xxx"), "{ran:?}");
    project.autopack(["phases", "retry", "--redo", "--run-id", "run", &id]).succeeded();
    let args = ["drain", "--run-id", "run", "-v", "--log-format", "json"];
    assert!(project.autopack(args).stderr.contains(&id));
}

#[test]
fn each_level_says_what_it_is_documented_to_say() {
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]});
    let levels = |level: &[&str]| {
        let project =
            Project::new().agent("print('at it'); write_deliverables()").plan(plan.clone());
        let args = [&["drain", "--run-id", "run"], level].concat();
        let stderr = project.autopack(args).succeeded().stderr;
        let has = |text: &str| stderr.contains(text);
        (stderr.is_empty(), has("phase started"), has("DEBUG git "), has("agent_says=at it"))
    };
    assert_eq!(levels(&["-q"]), (true, false, false, false));
    assert_eq!(levels(&[]), (true, false, false, false), "no output without a problem");
    assert_eq!(levels(&["-v"]), (false, true, false, false));
    assert_eq!(levels(&["-vv"]), (false, true, true, false));
    assert_eq!(levels(&["-vvv"]), (false, true, true, true));
}

#[test]
fn the_stop_reason_is_one_line_of_json() {
    let config = "ci: {command: [no-such-ci-program]}\n";
    let plan = json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]});
    let project = Project::new().agent_with("write_deliverables()", config).plan(plan);
    let ran = project.autopack(["drain", "--run-id", "run", "--log-format", "json"]).exited(5);
    let errors: Vec<Value> =
        objects(&ran.stderr).into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{ran:#?}");
    assert_eq!((&errors[0]["kind"], &errors[0]["exit_code"]), (&json!("systemic"), &json!(5)));
    assert!(errors[0]["message"].as_str().unwrap().contains("no-such-ci-program"), "{errors:#?}");
    assert!(errors[0]["hint"].is_string());
}
