//! Prices of models and budgets in dollars, through the real program.

use serde_json::json;

use crate::support::{Project, executable};

/// `kind: codex`, played by a script that works and reports a million tokens each way.
fn codex(model: &str, more: &str) -> Project {
    let project = Project::new();
    let program = project.outside("codex");
    let script = "#!/usr/bin/env python3\nimport json, sys, pathlib, os\n\
        if '--version' in sys.argv: print('codex-cli 0.142.4'); sys.exit(0)\nsys.stdin.read()\n\
        phase = json.load(open(os.environ['AUTOPACK_PHASE_FILE']))\n\
        path = pathlib.Path(phase['deliverables'][0]); path.parent.mkdir(exist_ok=True); path.write_text('x')\n\
        def say(**event): print(json.dumps(event), flush=True)\n\
        say(type='thread.started', thread_id='t')\nsay(type='turn.started')\n\
        say(type='turn.completed', usage=dict(input_tokens=1000000, cached_input_tokens=0, output_tokens=1000000))\n";
    executable(&program, script);
    project
        .config(&format!(
            "agents:\n  default: c\n  c:\n    kind: codex\n    program: {program:?}\n    model: {model}\nci: {{command: [\"true\"]}}\n{more}"
        ))
        .plan(json!({"phases": [{"phase_id": "p0", "deliverables": ["src/p0.txt"]}]}))
}

fn cost(project: &Project) -> serde_json::Value {
    project.phase("p0")["attempt_log"][0]["cost_usd"].clone()
}

#[test]
fn a_current_model_has_a_price() {
    let project = codex("gpt-5.4", "executor: {budgets: {drain: {cost_usd: 100}}}\n");
    project.drain().succeeded();
    assert_eq!(cost(&project), json!(17.5));
}

#[test]
fn a_cost_budget_needs_a_price_or_a_token_budget() {
    let project = codex("house-model", "executor: {budgets: {run: {cost_usd: 5}}}\n");
    let ran = project.drain().exited(1);
    for part in ["house-model", "agent c", "prices.file", "executor.budgets.run.tokens"] {
        assert!(ran.stderr.contains(part), "{part}: {ran:#?}");
    }
    assert_eq!(project.phase("p0")["attempt_log"], json!([]), "nothing was begun");
}

#[test]
fn an_unknown_price_beside_a_token_budget_is_reported_and_never_shown_as_zero() {
    let more = "executor: {budgets: {run: {cost_usd: 5, tokens: 9000000}}}\n";
    let project = codex("house-model", more);
    let ran = project.drain().succeeded();
    assert!(ran.stderr.contains("the price of \"house-model\""), "{ran:#?}");
    assert!(ran.stdout.contains("the price of"), "again once it is known: {ran:#?}");
    assert_eq!(cost(&project), json!(null));
    let status = project.json(["status", "--run-id", "run", "--json"]);
    assert_eq!(status["runs"][0]["cost_usd"], json!(null));
}

#[test]
fn own_prices_win() {
    let more = "executor: {budgets: {run: {cost_usd: 9}}}\nprices: {file: config/prices.yaml}\n";
    let project = codex("house-model", more);
    project.write(
        "config/prices.yaml",
        "house-model: {input: 1, output: 2.5}\ngpt-5: {input: 0, output: 0}\n",
    );
    project.drain().succeeded();
    assert_eq!(cost(&project), json!(3.5));
}

#[test]
fn own_prices_that_cannot_be_read_are_refused_before_the_drain() {
    let project = codex("gpt-5.4", "prices: {file: p.yaml}\n");
    let ran = project.drain().exited(1);
    assert!(ran.stderr.contains("cannot read prices.file p.yaml"), "{ran:#?}");
    for (text, part) in [
        ("a: {input: 1, output: 2, inptu: 3}\n", "inptu"),
        ("a: {input: x, output: 2}\n", "line 1"),
        ("b: {input: 1, output: 2}\na:\n  input: -1\n  output: 2\n", "a.input"),
        ("b: {input: 1, output: 2}\na:\n  input: -1\n  output: 2\n", "line 3"),
        ("a:\n  input: 1\n  output: 2\n  cache_read: -0.5\n", "line 4"),
        ("a:\n  input: .nan\n  output: 2\n", "line 2"),
    ] {
        project.write("p.yaml", text);
        let ran = project.drain().exited(1);
        assert!(ran.stderr.contains("p.yaml") && ran.stderr.contains(part), "{part}: {ran:#?}");
    }
    assert_eq!(project.phase("p0")["attempt_log"], json!([]));
}

/// `kind: command` that reports tokens and a model, without a cost.
fn reporting(model: &str, more: &str) -> Project {
    let agent = format!(
        "write_deliverables()\nreport(tokens={{'input': 1000, 'output': 500}}, model='{model}')"
    );
    let phases: Vec<_> = (0..3)
        .map(|n| json!({"phase_id": format!("p{n}"), "deliverables": [format!("src/p{n}.txt")]}))
        .collect();
    Project::new()
        .agent_with(&agent, &format!("ci: {{command: [\"true\"]}}\n{more}"))
        .plan(json!({ "phases": phases }))
}

#[test]
fn a_dollar_budget_holds_for_a_command_agent_that_reports_tokens_and_a_model() {
    let more = "executor: {budgets: {run: {cost_usd: 0.000001}}}\n";
    let project = reporting("claude-sonnet-4-5", more);
    let ran = project.drain().exited(5);
    assert!(!ran.stdout.contains("is unknown"), "{ran:#?}");
    assert_eq!(project.landed(), ["p0"]);
    assert_eq!(cost(&project), json!(0.0105));
}

#[test]
fn own_prices_count_for_a_command_agent() {
    let more = "executor: {budgets: {run: {cost_usd: 1}}}\nprices: {file: config/prices.yaml}\n";
    let project = reporting("house-model", more);
    project.write("config/prices.yaml", "house-model: {input: 500, output: 1000}\n");
    project.drain().exited(5);
    assert_eq!(project.landed(), ["p0"]);
    assert_eq!(cost(&project), json!(1.0));
}

#[test]
fn a_token_budget_is_advised_only_where_none_is_set() {
    let alone = "executor: {budgets: {run: {cost_usd: 5}}}\n";
    let ran = reporting("house-model", alone).drain().succeeded();
    assert!(ran.stdout.contains("; set prices.file or a token budget"), "{ran:#?}");
    let both = "executor: {budgets: {run: {cost_usd: 5, tokens: 9000000}}}\n";
    let ran = reporting("house-model", both).drain().succeeded();
    assert!(ran.stdout.contains("the price of house-model is unknown"), "{ran:#?}");
    assert!(ran.stdout.contains("; only the token budget applies"), "{ran:#?}");
    assert!(!ran.stdout.contains("or a token budget"), "{ran:#?}");
}
