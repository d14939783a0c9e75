//! Notifications of a drain: to a command, a webhook and the terminal's bell.

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::hook_server::HookServer;

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn phase(id: &str) -> Value {
    json!({"phase_id": id, "deliverables": [format!("{id}/a.txt")], "max_attempts": 1})
}

/// Agents whose phases called `bad` do nothing.
fn project(notify: &str) -> Project {
    let agent = "if phase_id != 'bad': write_deliverables()";
    Project::new()
        .agent_with(agent, &format!("{GREEN}notify: {notify}\n"))
        .plan(json!({"phases": [phase("good"), phase("bad")]}))
}

/// The JSON bodies received, in the order of their times.
fn events(server: &HookServer) -> Vec<Value> {
    let bodies = server.received().into_iter().map(|hook| hook.body);
    let mut events: Vec<Value> = bodies
        .map(|body| serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
        .collect();
    events.sort_by_key(|event| event["time"].as_str().unwrap().to_owned());
    events
}

#[test]
fn a_webhook_receives_failed_phases_and_the_end_as_json() {
    let server = HookServer::answering(Some(200));
    let project = project(&format!("{{webhook: {{url: \"{}\"}}}}", server.url("hook")));
    let ran = project.drain().exited(3);
    assert!(!ran.stderr.contains("notify"), "{ran:#?}");
    let events = events(&server);
    let [failed, end] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(failed["event"], "phase_failed");
    assert_eq!((&failed["run_id"], &failed["phase_id"]), (&json!("run"), &json!("bad")));
    assert_eq!(failed["failure"]["kind"], "no_change");
    assert_eq!(failed["next"], "autopack phases show run/bad");
    assert_eq!(failed["title"], "autopack: run/bad failed");
    assert_eq!(failed["workspace"], project.root().display().to_string());
    assert_eq!(end["event"], "drain_finished");
    assert_eq!((&end["reason"], &end["exit_code"]), (&json!("drained"), &json!(3)));
    assert_eq!(end["counts"][0]["failed"], 1);
    assert!(end["text"].as_str().unwrap().ends_with("run: 1 complete, 1 failed"), "{end}");
    assert_eq!(server.received()[0].path, "/hook");
}

#[test]
fn slack_and_ntfy_receive_their_own_forms() {
    let server = HookServer::answering(Some(200));
    let url = server.url("topic");
    let only_end = "events: [drain_finished]";
    let slack = project(&format!("{{{only_end}, webhook: {{url: \"{url}\", format: slack}}}}"));
    slack.drain().exited(3);
    let ntfy = project(&format!("{{{only_end}, webhook: {{url: \"{url}\", format: ntfy}}}}"));
    ntfy.drain().exited(3);
    let received = server.received();
    let [slack, ntfy] = &received[..] else { panic!("{received:#?}") };
    let body: Value = serde_json::from_str(&slack.body).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("*autopack: drain finished*\ndrained after "), "{text}");
    assert_eq!(body.as_object().unwrap().len(), 1);
    assert!(slack.headers.contains("content-type: application/json"), "{slack:#?}");
    assert!(ntfy.body.starts_with("drained after "), "{ntfy:#?}");
    assert!(ntfy.headers.contains("title: autopack: drain finished"), "{ntfy:#?}");
    assert!(ntfy.headers.contains("priority: default"), "{ntfy:#?}");
}

#[test]
fn a_command_receives_each_event_on_standard_input() {
    let project =
        project("{command: \"cat >> events.ndjson\", events: [phase_failed, drain_finished]}")
            .file(".git/info/exclude", "events.ndjson\n");
    project.drain().exited(3);
    let text = project.read("events.ndjson");
    let mut names: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["\"drain_finished\"", "\"phase_failed\""]);
}

#[test]
fn secrets_are_redacted_from_notifications() {
    let server = HookServer::answering(Some(200));
    let agent = "print('the key is hush-hush-1234567890')\nsys.exit(3)";
    let notify = format!("notify: {{webhook: {{url: \"{}\"}}}}\n", server.url("hook"));
    let project = Project::new()
        .env("SOME_API_KEY", "hush-hush-1234567890")
        .agent_with(agent, &format!("{GREEN}{notify}"))
        .plan(json!({"phases": [phase("hush-hush-1234567890")]}));
    project.drain().exited(3);
    assert_eq!(server.received().len(), 2);
    for hook in server.received() {
        assert!(!hook.body.contains("hush-hush"), "{hook:#?}");
    }
}

#[test]
fn a_spent_budget_and_a_systemic_failure_are_told_apart() {
    let server = HookServer::answering(Some(200));
    let notify = format!("notify: {{webhook: {{url: \"{}\"}}}}\n", server.url("hook"));
    let agent = "write_deliverables()\nreport(tokens=dict(input=1200, output=345))";
    let more = format!("{GREEN}{notify}executor: {{budgets: {{run: {{tokens: 2000}}}}}}\n");
    let project =
        Project::new().agent_with(agent, &more).plan(json!({"phases": [phase("a"), phase("b")]}));
    project.drain().exited(5);
    let names = |from: usize| -> Vec<Value> {
        events(&server)[from..].iter().map(|event| event["event"].clone()).collect()
    };
    assert_eq!(names(0), [json!("budget"), json!("drain_finished")]);
    assert!(events(&server)[0]["text"].as_str().unwrap().contains("2000 tokens"));

    let more = format!("ci: {{command: [no-such-ci-program]}}\n{notify}");
    let project =
        Project::new().agent_with(agent, &more).plan(json!({"phases": [phase("a"), phase("b")]}));
    project.drain().exited(5);
    assert_eq!(names(2), [json!("systemic"), json!("drain_finished")]);
}

#[test]
fn a_wait_is_told() {
    let server = HookServer::answering(Some(200));
    let project =
        project(&format!("{{webhook: {{url: \"{}\"}}, events: [waiting]}}", server.url("w")));
    project.autopack(["pause", "run"]).succeeded();
    let mut child = project.spawn(["drain", "--run-id", "run"]);
    let rest = crate::control::wait_for_line(&mut child, "run run is paused");
    project.autopack(["resume", "run"]).succeeded();
    assert_eq!(crate::control::ended(child, rest).1, Some(3));
    let events = events(&server);
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["event"], "waiting");
    assert!(events[0]["text"].as_str().unwrap().contains("autopack resume run"));
}

#[test]
fn failed_deliveries_are_reported_once_and_stop_nothing() {
    let server = HookServer::answering(Some(500));
    let url = server.url("hook");
    let notify = format!(
        "{{webhook: {{url: \"{url}\"}}, command: \"echo no display >&2; exit 7\", bell: true}}"
    );
    let project = project(&notify);
    let ran = project.drain().exited(3);
    assert_eq!(project.landed(), ["good"]);
    for text in [
        "cannot notify by webhook: 127.0.0.1 answered 500",
        "cannot notify by command: sh ended with exit code 7: no display",
        "cannot notify by bell: standard error is no terminal",
    ] {
        assert_eq!(ran.stderr.matches(text).count(), 1, "{text}: {ran:#?}");
    }
    assert_eq!(server.received().len(), 2, "each event is tried");
}

#[test]
fn a_server_that_never_answers_does_not_keep_a_drain_from_ending() {
    let server = HookServer::answering(None);
    let project = project(&format!("{{webhook: {{url: \"{}\"}}}}", server.url("hook")));
    let ran = project.drain().exited(3);
    assert!(ran.stderr.contains("some notifications were not delivered in time"), "{ran:#?}");
    assert_eq!(project.landed(), ["good"]);
}

#[test]
fn a_test_sends_a_sample_of_each_event_and_reports_failures() {
    let server = HookServer::answering(Some(204));
    let project =
        project(&format!("{{webhook: {{url: \"{}\"}}, command: [\"false\"]}}", server.url("t")));
    let ran = project.autopack(["notify", "test"]).exited(1);
    assert!(ran.stdout.contains("drain_finished  webhook  delivered\n"), "{ran:#?}");
    assert!(ran.stdout.contains("budget          command  failed: false ended with exit code 1\n"));
    assert!(ran.stderr.contains("5 of 10 deliveries failed"), "{ran:#?}");
    assert_eq!(server.received().len(), 5);
    assert!(events(&server).iter().all(|event| event["test"] == true));
    let list = project.autopack(["notify", "test", "--json"]).exited(1).json();
    assert_eq!(list.as_array().unwrap().len(), 10);
    assert_eq!(
        list[1],
        json!({"event": "drain_finished", "channel": "webhook", "delivered": true, "error": null})
    );
}

#[test]
fn a_url_in_a_variable_is_secret_and_has_to_be_set() {
    let server = HookServer::answering(Some(200));
    let agent = "assert 'CHAT_HOOK' not in os.environ\nwrite_deliverables()";
    let project = Project::new()
        .env("CHAT_HOOK", server.url("hook"))
        .agent_with(agent, &format!("{GREEN}notify: {{webhook: {{url_env: CHAT_HOOK}}}}\n"))
        .plan(json!({"phases": [phase("a")]}));
    project.drain().succeeded();
    assert_eq!(server.received().len(), 1);

    let unset = project.unset("CHAT_HOOK");
    let ran = unset.drain().exited(1);
    assert!(ran.stderr.contains("notify.webhook.url_env names CHAT_HOOK, which is not set"));
    assert!(ran.stderr.contains("hint: set CHAT_HOOK"), "{ran:#?}");
    assert_eq!(unset.autopack(["status"]).succeeded().stderr, "", "no drain was registered");
}

#[test]
fn wrong_settings_are_refused_with_their_key() {
    for (notify, text) in [
        ("{events: [finished]}", "notify.events"),
        ("{webhook: {url: ftp://x}}", "is not a URL that starts with http:// or https://"),
        ("{webhook: {url: http://x, url_env: X}}", "excludes notify.webhook.url"),
        ("{webhook: {format: teams}}", r#"expected one of "json", "slack", "ntfy""#),
        ("{webhok: {url: http://x}}", "did you mean \"webhook\"?"),
        ("{command: []}", "names no program"),
    ] {
        let project = Project::new().config(&format!("notify: {notify}\n"));
        let ran = project.autopack(["notify", "test"]).exited(1);
        assert!(ran.stderr.contains(text), "{notify}: {ran:#?}");
    }
    let ran = Project::new().autopack(["notify", "test"]).exited(1);
    assert!(ran.stderr.contains("no notification is configured"), "{ran:#?}");
    assert!(ran.stderr.contains("set notify.command, notify.webhook.url or notify.bell in"));
}

#[test]
fn the_url_is_not_shown() {
    let url = "https://hooks.example.com/services/T000/B000/abcdefghijklmnop";
    let project = Project::new().config(&format!("notify: {{webhook: {{url: \"{url}\"}}}}\n"));
    let ran = project.autopack(["config", "show"]).succeeded();
    assert!(!ran.stdout.contains("abcdefghijklmnop"), "{ran:#?}");
}
