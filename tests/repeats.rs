//! The same failure in phase after phase ends the drain, through the real program; attempts that are not counted are
//! bounded.

use serde_json::{Value, json};

use crate::limits::claude;
use crate::support::Project;

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn plan(count: usize) -> Value {
    let phase =
        |n: usize| json!({"phase_id": format!("p{n}"), "deliverables": [format!("src/p{n}.txt")]});
    json!({ "phases": (0..count).map(phase).collect::<Vec<_>>() })
}

/// Attempts of all phases.
fn attempts(project: &Project, count: usize) -> usize {
    let of = |n| project.phase(&format!("p{n}"))["attempt_log"].as_array().map_or(0, Vec::len);
    (0..count).map(of).sum()
}

#[test]
fn an_agent_that_does_nothing_stops_the_drain_at_its_third_phase() {
    let project = Project::new().agent_with("print('no key found')", GREEN).plan(plan(6));
    let ran = project.drain().exited(5);
    let why = "3 phases in a row (p0, p1, p2) ended without a change by the agent; the agent's last lines: no key found";
    assert!(ran.stdout.contains(why), "{ran:#?}");
    assert_eq!(attempts(&project, 6), 3 + 3 + 1, "not 18");
    assert_eq!(project.phase("p2")["attempts"], 0, "the third is not counted");
    assert_eq!(project.states()["p2"], "QUEUED");
}

#[test]
fn the_cause_of_a_stop_and_its_remedy_stay_in_status_until_a_phase_lands() {
    let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
    let project = Project::new().agent_with("print('no key found')", &more).plan(plan(4));
    let ran = project.drain().exited(5);
    let hint = "hint: fix the cause, then run `autopack phases retry --failed run` and start the drain again\n";
    assert!(ran.stdout.contains(hint), "{ran:#?}");
    let cause = "error    3 phases in a row (p0, p1, p2) ended without a change by the agent; the agent's last lines: no key found; \
                 run the agent by hand, and check its command, login and model in .autopack/config/autopack.yaml\n";
    let advice = "         fix the cause; then autopack phases retry --failed run\n";
    let status = |project: &Project| project.autopack(["status"]).succeeded().stdout;
    let text = status(&project);
    assert!(text.contains(cause) && text.contains(advice), "{text}");
    assert!(!text.contains("allow_no_change") && !ran.stdout.contains("allow_no_change"), "{text}");
    let run = project.json(["status", "--json"])["runs"][0].clone();
    assert!(run["stop_cause"].as_str().unwrap().starts_with("3 phases in a row"), "{run}");
    assert_eq!(run["failures"][0]["has_common_cause"], true, "{run}");
    // The other phases fail for the same reason, too few for the breaker.
    let drained = project.drain().exited(3);
    assert!(drained.stdout.contains(&format!("{cause}failed   ")), "{drained:#?}");
    assert_eq!(project.states().values().filter(|state| *state == "FAILED").count(), 4);
    let text = status(&project);
    assert!(text.contains(cause) && text.contains(advice), "{text}");
    let project = project.agent_with("if phase_id == 'p0': write_deliverables()", &more);
    project.autopack(["phases", "retry", "run/p0"]).succeeded();
    project.drain().exited(3);
    let text = status(&project);
    assert!(!text.contains("error ") && text.contains("allow_no_change"), "{text}");
}

#[test]
fn a_hint_names_retry_only_where_the_cause_has_made_phases_fail() {
    let ci = "ci: {command: no-such-ci-program}\n";
    let project = Project::new().agent_with("write_deliverables()", ci).plan(plan(2));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("hint: fix the cause, then start the drain again\n"), "{ran:#?}");
    let text = project.autopack(["status"]).succeeded().stdout;
    assert!(text.contains("error    ci cannot start: `no-such-ci-program`"), "{text}");
    let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
    let project = Project::new().agent_with("write('else.txt')", &more).plan(plan(3));
    let sampled = project.autopack(["drain", "--run-id", "run", "--sample", "2"]).exited(5);
    assert!(sampled.stdout.contains("`autopack phases retry --failed run`"), "{sampled:#?}");
    assert!(sampled.stdout.contains("widen scope.paths"), "{sampled:#?}");
}

#[test]
fn an_agent_without_work_does_not_stop_the_drain() {
    let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
    let mut project = Project::new();
    for n in 0..5 {
        project = project.file(&format!("src/p{n}.txt"), "there");
    }
    let mut project = project.commit("all").plan(plan(5));
    let text = "print(['all', 'of', 'it', 'is', 'there'][int(phase_id[1:])])";
    for (agent, retried) in [(text, false), ("report(tokens={'output': 7})", true)] {
        project = project.agent_with(agent, &more);
        if retried {
            project.autopack(["phases", "retry", "--run-id", "run", "--failed"]).succeeded();
        }
        project.drain().exited(3);
        assert!(project.states().values().all(|state| state == "FAILED"));
    }
}

#[test]
fn a_command_with_the_same_result_in_each_phase_stops_the_drain_although_deliverables_exist() {
    for agent in ["pass", "print('logged out at', time.strftime('%H:%M:%S'))"] {
        let mut project = Project::new();
        for n in 0..5 {
            project = project.file(&format!("src/p{n}.txt"), "there");
        }
        let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
        let project = project.commit("all").agent_with(agent, &more).plan(plan(5));
        let ran = project.drain().exited(5);
        let why = "3 phases in a row (p0, p1, p2) ended without a change by the agent";
        assert!(ran.stdout.contains(why), "{ran:#?}");
        assert!(ran.stdout.contains("model in .autopack/config/autopack.yaml"), "{ran:#?}");
    }
}

#[test]
fn an_agent_without_tool_calls_and_changes_trips_the_breaker_although_deliverables_exist() {
    let mut project = claude("result()", "executor: {max_attempts: 1}\n");
    for n in 0..5 {
        project = project.file(&format!("src/p{n}.txt"), "there");
    }
    let project = project.commit("all").plan(plan(5));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("3 phases in a row (p0, p1, p2)"), "{ran:#?}");
}

#[test]
fn ci_that_is_red_without_the_changes_too_stops_the_drain() {
    // Green at first, so that the base run before the first agent does not find it.
    let ci = "ci: {command: 'echo \"$PWD at $$\" >/dev/null; test -e \"$AUTOPACK_WORKSPACE/../witness/broken\" || exit 0; echo boom; exit 1'}\n";
    let more = format!("{ci}executor: {{max_attempts: 2}}\n");
    let agent = "write_deliverables()\n(workspace.parent / 'witness' / 'broken').write_text('')";
    let agent = format!(
        "import pathlib\nworkspace = pathlib.Path(os.environ['AUTOPACK_WORKSPACE'])\n{agent}"
    );
    let project = Project::new().agent_with(&agent, &more).plan(plan(6));
    let ran = project.drain().exited(5);
    assert!(
        ran.stdout.contains("3 phases in a row (p0, p1, p2) failed CI in the same way"),
        "{ran:#?}"
    );
    assert!(ran.stdout.contains("boom"), "{ran:#?}");
    assert_eq!(project.phase("p2")["attempts"], 0);
    assert_eq!(attempts(&project, 6), 2 + 2 + 1);
}

#[test]
fn ci_that_is_red_with_the_changes_alone_is_each_phases_own_fault() {
    let ci = "ci: {command: 'ls src/p*.txt >/dev/null 2>&1 || exit 0; echo boom; exit 1'}\n";
    let more = format!("{ci}executor: {{max_attempts: 1}}\n");
    let project = Project::new().agent_with("write_deliverables()", &more).plan(plan(5));
    project.drain().exited(3);
    assert!(project.states().values().all(|state| state == "FAILED"));
}

#[test]
fn the_same_breach_in_phase_after_phase_stops_the_drain_at_its_own_limit() {
    let agent = "write_deliverables()\nwrite('agent.log')";
    let more = format!("{GREEN}executor: {{max_attempts: 1, repeat_limit: 4}}\n");
    let project = Project::new().agent_with(agent, &more).plan(plan(6));
    let ran = project.drain().exited(5);
    let why = "4 phases in a row (p0, p1, p2, p3) changed the same files that they may not change: agent.log";
    assert!(ran.stdout.contains(why), "{ran:#?}");
    assert_eq!(project.phase("p3")["attempts"], 0);
}

#[test]
fn the_same_error_counts_though_other_failures_came_between() {
    let agent = "if phase_id in ('p1', 'p3'): write('elsewhere.txt'); sys.exit(0)\nprint('no login'); sys.exit(9)";
    let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
    let project = Project::new().agent_with(agent, &more).plan(plan(8));
    let ran = project.drain().exited(5);
    assert!(ran.stdout.contains("3 phases in a row (p0, p2, p4) met the same error"), "{ran:#?}");
    assert_eq!(attempts(&project, 8), 5);
}

#[test]
fn breaches_of_other_paths_are_not_alike() {
    let agent = "write_deliverables()\nwrite(f'log/{phase_id}.txt')";
    let more = format!("{GREEN}executor: {{max_attempts: 1, repeat_limit: 3}}\n");
    let project = Project::new().agent_with(agent, &more).plan(plan(5));
    project.drain().exited(3);
}

#[test]
fn a_landing_in_between_starts_over() {
    let agent = "if phase_id == 'p2': write_deliverables()";
    let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
    let project = Project::new().agent_with(agent, &more).plan(plan(5));
    project.drain().exited(3);
    assert_eq!(project.landed(), ["p2"]);
}

#[test]
fn the_first_failure_wins_over_what_phases_share() {
    let more = format!("{GREEN}executor: {{max_attempts: 1}}\n");
    let project = Project::new().agent_with("pass", &more).plan(plan(5));
    project.autopack(["drain", "--run-id", "run", "--stop-on-first-failure"]).exited(4);
    project
        .autopack(["drain", "--run-id", "run", "--stop-on-first-failure", "--jobs", "3"])
        .exited(4);
}

#[test]
fn wrong_credentials_are_retried_a_bounded_number_of_times() {
    let more = "executor: {max_attempts: 1, max_uncounted: 2}\n";
    let project = claude("result(True, 401, 'Invalid API key')", more).plan(plan(1));
    for counted in [0, 0, 1] {
        project.drain();
        assert_eq!(project.phase("p0")["attempts"], counted);
    }
    assert_eq!(project.states()["p0"], "FAILED");
    assert_eq!(project.phase("p0")["last_failure"]["kind"], "gave_up");
    project.drain().exited(3);
    assert_eq!(attempts(&project, 1), 3);
}
