//! Limits, through the real program: budgets, rate limits, systemic failures, the circuit breaker, ladders.

use std::io::{BufRead, BufReader};

use crate::support::{Project, executable};
use serde_json::{Value, json};

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn plan(count: usize) -> Value {
    let phase =
        |n: usize| json!({"phase_id": format!("p{n}"), "deliverables": [format!("src/p{n}.txt")]});
    json!({ "phases": (0..count).map(phase).collect::<Vec<_>>() })
}

/// An agent that reports 30,000 tokens per phase.
fn thirsty(budget: &str) -> Project {
    let agent = "write_deliverables()\nreport(tokens=dict(input=25000, output=5000), cost_usd=0.5)";
    let more = format!("{GREEN}executor: {{budgets: {{{budget}}}}}\n");
    Project::new().agent_with(agent, &more).plan(plan(6))
}

/// `kind: claude`, played by Python: `say` prints an event, `result` the last one.
pub fn claude(body: &str, more: &str) -> Project {
    // Elsewhere it is not started as root.
    let project = Project::new().env("IS_SANDBOX", "1");
    let program = project.outside("claude");
    let script = format!(
        "#!/usr/bin/env python3\nimport json, os, pathlib, sys, time\nprompt = sys.stdin.read()\n\
         phase = json.load(open(os.environ['AUTOPACK_PHASE_FILE']))\n\
         attempt = int(os.environ['AUTOPACK_ATTEMPT'])\n\
         def say(**event): print(json.dumps(event), flush=True)\n\
         def write():\n    path = pathlib.Path(phase['deliverables'][0])\n    path.parent.mkdir(exist_ok=True)\n    path.write_text('x')\n\
         def result(error=False, status=None, text='done'):\n    say(type='result', subtype='success', is_error=error, api_error_status=status, result=text,\n        usage=dict(input_tokens=10, output_tokens=5, cache_read_input_tokens=3, cache_creation_input_tokens=2), total_cost_usd=0.01, permission_denials=[])\n    sys.exit(1 if error else 0)\n\
         if '--version' in sys.argv:\n    print('2.1.197 (Claude Code)'); sys.exit(0)\n{body}\n"
    );
    executable(&program, &script);
    project.config(&format!(
        "agents:\n  default: c\n  c:\n    kind: claude\n    program: {program:?}\n{GREEN}{more}"
    ))
}

fn attempts(project: &Project, phase: &str) -> Vec<Value> {
    project.phase(phase)["attempt_log"].as_array().unwrap().clone()
}

#[test]
fn a_runs_budget_stops_it_and_keeps_it_stopped_until_it_is_raised() {
    let project = thirsty("run: {tokens: 100000}");
    let ran = project.drain().exited(5);
    let why = "the run's budget of 100000 tokens is too small for another attempt: 90000 used";
    assert!(ran.stdout.contains(why), "{ran:#?}");
    assert_eq!(project.landed().len(), 3, "a fourth would go over it");

    let again = project.autopack(["drain", "--run-id", "run", "--json"]).exited(5);
    let last: Value = serde_json::from_str(again.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["reason"], &last["exit_code"]), (&json!("budget"), &json!(5)));
    assert_eq!(project.landed().len(), 3, "it stays stopped");
    assert!(project.states().values().all(|state| state != "FAILED"));

    let config = std::fs::read_to_string(project.path(".autopack/config/autopack.yaml")).unwrap();
    let project = project.config(&config.replace("100000", "200000"));
    project.drain().succeeded();
    assert_eq!(project.landed().len(), 6);
}

#[test]
fn a_drains_budget_begins_anew_with_the_next_drain() {
    let project = thirsty("drain: {cost_usd: 1.2}");
    let ran = project.drain().exited(5);
    let why = "the drain's budget of $1.20 is too small for another attempt: $1.00 used";
    assert!(ran.stdout.contains(why), "{ran:#?}");
    assert_eq!(project.landed().len(), 2);
    project.drain().exited(5);
    assert_eq!(project.landed().len(), 4);
}

#[test]
fn a_phases_budget_fails_the_phase_and_the_others_go_on() {
    let agent =
        "report(tokens=dict(input=9000, output=1000))\nif phase_id != 'p0': write_deliverables()";
    let more = format!("{GREEN}executor: {{budgets: {{phase: {{tokens: 15000}}}}}}\n");
    let project = Project::new().agent_with(agent, &more).plan(plan(2));
    project.drain().exited(3);
    let phase = project.phase("p0");
    assert_eq!(phase["last_failure"]["kind"], "over_budget");
    assert_eq!(attempts(&project, "p0").len(), 1, "a second attempt would exceed it");
    assert_eq!(project.states()["p1"], "COMPLETE");
}

#[test]
fn an_attempts_budget_ends_it_while_it_runs() {
    let body = "say(type='assistant', message=dict(id='m', content=[], usage=dict(input_tokens=50000, output_tokens=5000)))\n\
                write()\ntime.sleep(30)\nresult()";
    let more = "executor: {max_attempts: 1, budgets: {attempt: {tokens: 40000}}}\n";
    let project = claude(body, more).plan(plan(1));
    project.drain().exited(3);
    let failure = &project.phase("p0")["last_failure"];
    assert_eq!(failure["kind"], "over_budget", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains("the attempt's budget is spent"));
}

#[test]
fn a_larger_budget_that_an_attempt_meets_is_named_and_what_to_do_about_it() {
    let body = "say(type='assistant', message=dict(id='m', content=[], usage=dict(input_tokens=50000, output_tokens=5000)))\n\
                write()\ntime.sleep(30)\nresult()";
    for (level, cure) in [
        (
            "drain",
            "this was the budget of one drain: the next drain goes on with a fresh one; raise executor.budgets.drain.tokens",
        ),
        ("run", "raise executor.budgets.run.tokens, then start the drain again"),
    ] {
        let more = format!("executor: {{budgets: {{{level}: {{tokens: 40000}}}}}}\n");
        let ran = claude(body, &more).plan(plan(1)).drain().exited(5);
        let why = format!(
            "error: the {level}'s budget is spent: used 55000 of the remaining 40000 tokens\n"
        );
        assert!(ran.stdout.contains(&why), "{ran:#?}");
        assert!(ran.stdout.contains(&format!("hint: {cure}")), "{ran:#?}");
    }
}

#[test]
fn a_spent_budget_of_a_drain_ends_with_the_command_that_goes_on() {
    let more = "executor: {max_attempts: 1, budgets: {drain: {tokens: 3000}}}\n";
    let agent = "write_deliverables()\nreport(tokens={'input': 2000, 'output': 10})";
    let project = Project::new().agent_with(agent, more).plan(plan(2));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("hint: this was the budget of one drain"), "{ran:#?}");
    let last = "next     autopack drain run   # with a fresh budget of the drain\n";
    assert!(ran.stdout.ends_with(last), "{ran:#?}");
    let status = project.autopack(["status"]).succeeded().stdout;
    assert!(
        status.contains("\nbudget   the drain's budget of 3000 tokens is too small"),
        "{status}"
    );
    assert!(status.ends_with("start: autopack drain --run-id run\n"), "{status}");
    // A budget that is too small for any attempt ends the next drain, too.
    let more = "executor: {max_attempts: 1, budgets: {drain: {tokens: 30}}}\n";
    let project = project.agent_with(agent, more);
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("hint: raise executor.budgets.drain.tokens, then"), "{ran:#?}");
    assert!(!ran.stdout.contains("next  "), "{ran:#?}");
}

#[test]
fn running_attempts_may_be_ended_by_an_exhausted_budget() {
    let body = "import time\ntime.sleep(30)";
    let more = format!("{GREEN}executor: {{budgets: {{drain: {{wall_seconds: 2}}}}}}\n");
    let apart = json!({"phases": [
        {"phase_id": "p0", "deliverables": ["d0/a.txt"]},
        {"phase_id": "p1", "deliverables": ["d1/a.txt"]},
    ]});
    let project = Project::new().agent_with(body, &more).plan(apart);
    let ran = project.autopack(["drain", "--run-id", "run", "--jobs", "2"]).exited(5);
    let note = "; waiting for 1 running phase, unless it reaches the drain's budget too\n";
    assert!(ran.stdout.contains(note), "{ran:#?}");
    assert!(
        ran.stdout.contains("not starting new phases: the drain's budget is spent: used up "),
        "{ran:#?}"
    );
    assert!(project.landed().is_empty());
}

#[test]
fn a_budget_under_a_cent_is_shown_with_all_digits() {
    let agent = "write_deliverables()\nreport(tokens=dict(input=10, output=5), cost_usd=0.005)";
    let more = format!("{GREEN}executor: {{budgets: {{run: {{cost_usd: 0.005}}}}}}\n");
    let ran = Project::new().agent_with(agent, &more).plan(plan(2)).drain().exited(5);
    let why = "the run's budget of $0.005 is spent: $0.005 used\n";
    assert!(ran.stdout.contains(why), "{ran:#?}");
}

#[test]
fn a_wall_time_budget_limits_any_program() {
    let more = format!(
        "{GREEN}executor: {{max_attempts: 1, budgets: {{attempt: {{wall_seconds: 1}}}}}}\n"
    );
    let body = "import time\nwrite_deliverables()\ntime.sleep(30)";
    let project = Project::new().agent_with(body, &more).plan(plan(1));
    project.drain().exited(3);
    let failure = &project.phase("p0")["last_failure"];
    assert_eq!(failure["kind"], "over_budget", "{failure}");
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .contains("the attempt's budget is spent: used up the remaining 1 s")
    );
}

#[test]
fn two_drains_do_not_both_take_the_last_of_a_budget() {
    let body = "import time\ngo = workspace.parent / 'witness' / 'go'\n\
                for _ in range(600 if phase_id == 'p1' else 0):\n    if go.exists(): break\n    time.sleep(0.05)\n\
                write_deliverables()\nreport(tokens=dict(input=25000, output=5000))";
    let more = format!("{GREEN}executor: {{budgets: {{run: {{tokens: 85000}}}}}}\n");
    let phase =
        |n: usize| json!({"phase_id": format!("p{n}"), "deliverables": [format!("d{n}/a.txt")]});
    let apart = json!({ "phases": (0..4).map(phase).collect::<Vec<_>>() });
    let project = Project::new().agent_with(body, &more).plan(apart);
    let one = ["drain", "--run-id", "run", "--batch-size", "1", "--max-batches", "1"];
    project.autopack(one).succeeded();

    let mut first = project.spawn(["drain", "--run-id", "run", "--json"]);
    let mut events = BufReader::new(first.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(events.any(|event| event.contains("phase_started")));
    let second = project.drain();
    std::fs::write(project.outside("go"), "").unwrap();
    assert_eq!(events.filter(|event| event.contains("phase_started")).count(), 0);
    assert_eq!(first.wait().unwrap().code(), Some(5));
    let second = second.exited(5);
    assert!(
        second.stdout.contains("the run's budget of 85000 tokens is too small for another attempt"),
        "{second:#?}"
    );
    assert_eq!(project.landed().len(), 2);
}

#[test]
fn waiting_counts_towards_a_drains_time_budget() {
    let body = "say(type='rate_limit_event', rate_limit_info=dict(status='rejected', resetsAt=int(time.time()) + 3600))\nresult(True, 429, 'limit')";
    let more = "executor: {budgets: {drain: {wall_seconds: 2}}}\n";
    let ran = claude(body, more).plan(plan(2)).drain().exited(5);
    assert!(ran.stdout.contains("the drain's budget of 2 s is spent"), "{ran:#?}");
}

#[test]
fn a_phase_whose_agent_does_not_exist_fails_alone() {
    let project = Project::new().agent_with("write_deliverables()", GREEN).plan(json!({"phases": [
        {"phase_id": "p0", "agent": "nobody", "deliverables": ["src/a.txt"]},
        {"phase_id": "p1", "deliverables": ["src/b.txt"]},
    ]}));
    let plan = project.json(["drain", "--dry-run", "--json"]);
    let unfixable = |n: usize| plan[n]["unfixable"].as_str().unwrap_or_default().to_owned();
    assert!(unfixable(0).contains("no agent is called \"nobody\""), "{plan}");
    project.drain().exited(3);
    let failure = &project.phase("p0")["last_failure"];
    assert!(failure["message"].as_str().unwrap().contains("nobody"), "{failure}");
    assert_eq!(project.states()["p1"], "COMPLETE");
}

#[test]
fn a_rate_limit_counts_no_attempt_and_is_waited_for() {
    let body = "if attempt == 1 and phase['phase_id'] == 'p0':\n    say(type='rate_limit_event', rate_limit_info=dict(status='rejected', resetsAt=int(time.time()) + 2))\n    result(True, 429, 'limit')\nwrite()\nresult()";
    let project = claude(body, "").plan(plan(2));
    let ran = project.drain().succeeded();
    assert!(ran.stdout.contains("rate limited"), "{ran:#?}");
    let log = attempts(&project, "p0");
    assert_eq!(
        (&log[0]["outcome"], &log[1]["outcome"]),
        (&json!("rate_limited"), &json!("landed"))
    );
    assert_eq!(project.phase("p0")["attempts"], 1, "only the landed attempt is counted");
    assert_eq!(log[1]["tokens"]["input"], 10);
}

#[test]
fn a_rate_limited_agent_is_avoided_by_all_phases_and_the_next_drain() {
    let body = "say(type='rate_limit_event', rate_limit_info=dict(status='rejected', resetsAt=int(time.time()) + 3600))\nresult(True, 429, 'limit')";
    let project = claude(body, "").plan(plan(3));
    for _ in 0..2 {
        let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let lines =
            stderr.take_while(|line| !line.contains("all remaining phases are rate limited"));
        let lines: Vec<String> = lines.collect();
        project.autopack(["stop", "--run-id", "run"]).succeeded();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{lines:?}");
    }
    let all: usize = ["p0", "p1", "p2"].iter().map(|phase| attempts(&project, phase).len()).sum();
    assert_eq!(all, 1, "it was asked once");
    let status = project.json(["status", "--run-id", "run", "--json"]);
    let waiting = status["runs"][0]["waiting"].as_array().unwrap();
    assert_eq!(waiting.len(), 3);
    assert!(waiting.iter().all(|phase| phase["why"].as_str().unwrap().contains("rate limited")));
}

#[test]
fn wrong_credentials_stop_the_drain_and_count_no_attempt() {
    let project = claude("result(True, 401, 'Invalid API key')", "").plan(plan(3));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("the next phase would fail in the same way"), "{ran:#?}");
    assert_eq!(attempts(&project, "p0").len(), 1);
    assert_eq!(project.phase("p0")["attempts"], 0);
    assert!(project.states().values().all(|state| state == "QUEUED"));
}

#[test]
fn the_same_error_in_three_phases_stops_the_drain() {
    let project = claude(
        "result(True, 400, 'not understood ' + str(time.time()))",
        "executor: {max_attempts: 1}\n",
    )
    .plan(plan(5));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("3 phases in a row (p0, p1, p2) met the same error"), "{ran:#?}");
    let states = project.states();
    assert_eq!((states["p1"].as_str(), states["p2"].as_str()), ("FAILED", "QUEUED"));
    assert_eq!(project.phase("p2")["attempts"], 0, "the third is not counted");
}

#[test]
fn a_program_failing_without_changes_in_three_phases_stops_the_drain() {
    let agent = "if phase_id == 'p0': write_deliverables(); sys.exit(7)\nprint('claude: not found'); sys.exit(127)";
    let more = "ci: {command: [\"true\"]}\nexecutor: {max_attempts: 1}\n";
    let project = Project::new().agent_with(agent, more).plan(plan(6));
    let ran = project.drain().exited(5);
    assert_eq!(project.landed(), ["p0"], "what it changed decides");
    let why = "3 phases in a row (p1, p2, p3) met the same error: the agent changed nothing; the agent exited with 127: claude: not found";
    assert!(ran.stdout.contains(why), "{ran:#?}");
    assert_eq!(project.phase("p2")["last_failure"]["kind"], "agent_failed");
    assert_eq!(project.phase("p3")["attempts"], 0, "the third is not counted");
}

#[test]
fn ci_that_cannot_start_in_three_phases_stops_the_drain_although_the_base_starts() {
    let ci = "ci: {command: [sh, -c, 'ls src/p*.txt >/dev/null 2>&1 || exit 0; echo tool not found; exit 127']}\n";
    let more = format!("{ci}executor: {{max_attempts: 1}}\n");
    let project = Project::new().agent_with("write_deliverables()", &more).plan(plan(5));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("3 phases in a row (p0, p1, p2) met the same error"), "{ran:#?}");
    assert_eq!(project.phase("p1")["last_failure"]["kind"], "ci_cannot_start");
    assert_eq!(project.phase("p2")["attempts"], 0);
}

#[test]
fn phase_specific_failures_never_trip_the_circuit_breaker() {
    let project = Project::new()
        .agent_with("write('elsewhere.txt')", &format!("{GREEN}executor: {{max_attempts: 1}}\n"))
        .plan(plan(5));
    project.drain().exited(3);
    assert!(project.states().values().all(|state| state == "FAILED"));
}

#[test]
fn the_ladder_assigns_an_agent_to_each_attempt() {
    let agent = "if attempt == 3: write_deliverables()";
    let project = Project::new().agent(agent);
    let script = project.outside("agent.py");
    let one =
        |name: &str| format!("  {name}:\n    kind: command\n    command: [python3, {script:?}]\n");
    let config = format!(
        "agents:\n{}{}{GREEN}executor: {{ladder: [small, small, large]}}\n",
        one("small"),
        one("large")
    );
    let project = project.config(&config).plan(plan(1));
    project.drain().succeeded();
    let agents: Vec<Value> =
        attempts(&project, "p0").iter().map(|attempt| attempt["agent"].clone()).collect();
    assert_eq!(agents, ["small", "small", "large"]);
    let project = project.plan(json!({"phases": [{"phase_id": "q", "deliverables": ["q.txt"]}]}));
    project.autopack(["drain", "--run-id", "run", "--agent", "large"]).succeeded();
    assert_eq!(attempts(&project, "q")[0]["agent"], "large");
}

#[test]
fn a_ladder_names_agents_that_exist() {
    let project = Project::new()
        .agent_with("write_deliverables()", "executor: {ladder: [fakes]}\n")
        .plan(plan(1));
    let ran = project.drain().exited(1);
    assert!(ran.stderr.contains("fakes") && ran.stderr.contains("executor.ladder"), "{ran:#?}");
}

#[test]
fn a_session_is_resumed_if_configured() {
    let body = "say(type='system', subtype='init', session_id='s-1')\n\
                open(os.environ['AUTOPACK_WORKSPACE'] + '/../witness/argv-%d' % attempt, 'w').write(' '.join(sys.argv))\n\
                if attempt == 2: write()\nresult()";
    let project = claude(body, "");
    let config = std::fs::read_to_string(project.path(".autopack/config/autopack.yaml")).unwrap();
    let config = config.replace("    kind: claude\n", "    kind: claude\n    resume: true\n");
    let project = project.config(&config).plan(plan(1));
    project.drain().succeeded();
    let argv = |n: u32| std::fs::read_to_string(project.outside(format!("argv-{n}"))).unwrap();
    assert!(!argv(1).contains("--resume"), "{}", argv(1));
    assert!(argv(2).contains("--resume s-1"), "{}", argv(2));
}

#[test]
fn a_sample_that_fails_stops_the_drain_and_one_that_passes_lets_it_go_on() {
    let category = |n: usize| ["api", "docs", "build"][n % 3];
    let phase = |n: usize| json!({"phase_id": format!("p{n}"), "category": category(n), "deliverables": [format!("src/p{n}.txt")]});
    let phases = json!({ "phases": (0..9).map(phase).collect::<Vec<_>>() });
    let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
    let sampled = |body: &str| {
        let project = Project::new().agent_with(body, &more).plan(phases.clone());
        let ran = project.autopack(["drain", "--run-id", "run", "--sample", "3"]);
        let tried = project.states().values().filter(|state| *state != "QUEUED").count();
        (ran, tried)
    };
    let (ran, tried) = sampled("pass");
    assert_eq!((ran.code, tried), (Some(5), 3), "{ran:#?}");
    assert!(ran.stdout.contains("none of the 3 sampled phases passed (p0, p2, p1)"), "{ran:#?}");
    let (ran, tried) = sampled("if phase_id != 'p0': write_deliverables()");
    assert_eq!((ran.code, tried), (Some(3), 9), "{ran:#?}");
    assert!(ran.stdout.contains("2 of the 3 sampled phases passed"), "{ran:#?}");
}

#[test]
fn a_sample_over_runs_that_name_their_phases_alike_is_no_larger() {
    let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
    let project = Project::new().agent_with("pass", &more).plan(plan(2));
    let file = project.outside("plan.json");
    project.autopack(["import", file.to_str().unwrap(), "--run-id", "other"]).succeeded();
    let ran = project.autopack(["drain", "--all", "--sample", "1"]).exited(5);
    let failed = ran.stdout.lines().filter(|line| line.ends_with("attempt 1/1")).count();
    assert_eq!(failed, 1, "{ran:#?}");
}

#[test]
fn a_dry_run_reports_everything_and_changes_nothing() {
    let project = Project::new().agent_with("write_deliverables()", GREEN).plan(json!({"phases": [
        {"phase_id": "later", "depends_on": ["first"], "deliverables": ["src/b.py"]},
        {"phase_id": "first", "deliverables": ["src/a.py (with tests)"]},
        {"phase_id": "never", "deliverables": ["../x.py"]},
        {"phase_id": "behind", "depends_on": ["never"], "deliverables": ["src/c.py"]},
    ]}));
    let database = std::fs::read(project.path(".autopack/autopack.db")).unwrap();
    let plan = project.json(["drain", "--run-id", "run", "--dry-run", "--json"]);
    let row = |n: usize| (plan[n]["phase_id"].clone(), plan[n]["order"].clone());
    assert_eq!(row(0), (json!("first"), json!(1)));
    assert_eq!(row(1), (json!("later"), json!(2)));
    assert_eq!(row(2), (json!("never"), Value::Null));
    assert_eq!(plan[3]["waits_for"], json!(["never"]));
    assert_eq!(plan[0]["agent"], "fake");
    assert!(plan[0]["estimated_output_tokens"].as_u64().unwrap() > 0);
    assert!(!plan[0]["fixes"].as_array().unwrap().is_empty());

    for unused in ["--batch-size", "--sample", "--max-batches"] {
        let ran = project.autopack(["drain", "--dry-run", unused, "2"]).exited(2);
        assert!(ran.stderr.contains("cannot be used with"), "{unused}: {ran:#?}");
    }
    let text = project.autopack(["drain", "--dry-run", "--jobs", "2"]).succeeded().stdout;
    assert!(text.starts_with("2 phases would run, 2 would not\n"), "{text}");
    assert!(text.contains("\norder       first, later\n"), "{text}");
    assert!(text.contains("\nworkers     2, about "), "{text}");
    let each = project.autopack(["drain", "--dry-run", "-v"]).succeeded().stdout;
    assert!(each.contains("    1  first  fake · about"), "{each}");
    assert_eq!(std::fs::read(project.path(".autopack/autopack.db")).unwrap(), database);
    assert!(!project.path(".autopack/slots").exists());
    assert!(project.git(["branch", "--list", "autopack/*"]).is_empty());
}

#[test]
fn a_prompt_can_be_read_without_starting_an_agent() {
    let agent = "(workspace.parent / 'witness' / f'prompt-{attempt}').write_text(prompt)\nif attempt == 2: write_deliverables()";
    let project = Project::new()
        .agent_with(agent, GREEN)
        .plan(json!({"phases": [{"phase_id": "p", "description": "Write it.", "deliverables": ["src/a.py (new)"]}]}));
    let show = || {
        let shown = ["phases", "show", "--run-id", "run", "p", "--prompt"];
        project.autopack(shown).succeeded().stdout
    };
    let first = show();
    assert_eq!(first, show(), "the same input gives the same bytes");
    assert!(first.contains("attempt 1 of 3") && first.contains("- `src/a.py`"), "{first}");
    project.drain().succeeded();
    let printed = std::fs::read_to_string(project.outside("prompt-1")).unwrap();
    assert_eq!(first, printed, "what is shown is what the agent gets");
}

/// Agents `first` and `second`, with the ladder of both; `WHO` tells which one runs.
fn two_agents(body: &str) -> Project {
    let project = claude(body, "");
    let program = project.outside("claude");
    let agent = |name: &str| {
        format!("  {name}:\n    kind: claude\n    program: {program:?}\n    env: {{WHO: {name}}}\n")
    };
    let (first, second) = (agent("first"), agent("second"));
    project.config(&format!(
        "agents:\n  default: first\n{first}{second}{GREEN}executor: {{ladder: [first, second], on_limit: next_agent}}\n"
    ))
}

fn agents(project: &Project, phase: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let log = attempts(project, phase);
    log.iter().map(|attempt| (text(&attempt["agent"]), text(&attempt["outcome"]))).collect()
}

fn went(agent: &str, outcome: &str) -> (String, String) {
    (agent.to_owned(), outcome.to_owned())
}

const LIMITED_FOR: &str = "def limited(seconds):\n    say(type='rate_limit_event', rate_limit_info=dict(status='rejected', resetsAt=int(time.time()) + seconds))\n    result(True, 429, 'limit')\n";

#[test]
fn phases_of_a_rate_limited_agent_go_to_the_ladders_next_agent() {
    let body =
        format!("{LIMITED_FOR}if os.environ['WHO'] == 'first': limited(3600)\nwrite()\nresult()");
    let project = two_agents(&body).plan(plan(3));
    let ran = project.drain().succeeded();
    let note = "other agents of the ladder take its phases";
    assert_eq!(ran.stdout.matches(note).count(), 1, "{ran:#?}");
    assert_eq!(agents(&project, "p0"), [went("first", "rate_limited"), went("second", "landed")]);
    for phase in ["p1", "p2"] {
        assert_eq!(agents(&project, phase), [went("second", "landed")]);
    }
    assert_eq!(project.phase("p0")["attempts"], 1);
}

#[test]
fn if_all_agents_are_rate_limited_the_first_reset_is_waited_for() {
    let body = format!(
        "{LIMITED_FOR}if os.environ['WHO'] == 'first': limited(3600)\nif attempt == 2: limited(2)\nwrite()\nresult()"
    );
    let project = two_agents(&body).plan(plan(1));
    let ran = project.drain().succeeded();
    assert!(ran.stdout.contains("all remaining phases are rate limited"), "{ran:#?}");
    assert_eq!(
        agents(&project, "p0"),
        [went("first", "rate_limited"), went("second", "rate_limited"), went("second", "landed")]
    );
}

#[test]
fn a_phase_with_an_agent_of_its_own_is_not_handed_on() {
    let body = format!(
        "{LIMITED_FOR}if os.environ['WHO'] == 'first' and attempt == 1: limited(2)\nwrite()\nresult()"
    );
    let phase = json!({"phase_id": "p0", "deliverables": ["src/p0.txt"], "agent": "first"});
    let project = two_agents(&body).plan(json!({"phases": [phase]}));
    project.drain().succeeded();
    assert_eq!(agents(&project, "p0"), [went("first", "rate_limited"), went("first", "landed")]);
}

#[test]
fn handing_on_needs_two_agents_on_the_ladder() {
    let more = "executor: {ladder: [c, c], on_limit: next_agent}\n";
    let project = claude("write()\nresult()", more);
    let ran = project.autopack(["config", "show"]).exited(1);
    assert!(ran.stderr.contains("executor.ladder names fewer than two agents"), "{ran:#?}");
}
