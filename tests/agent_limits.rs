//! Limits that end an agent early, and the resulting outcome.

use crate::support::fake_agent;
use std::time::Duration;

use autopack::agent::{AgentEvent, AttemptBudget, Outcome, RateLimitReset};
use autopack::phase::UnixMs;
use autopack::process::{JobEnd, StopLevel, StopReceiver};
use futures_util::future::join_all;

use fake_agent::Fake;

/// Far longer than anything here takes, and with an end of its own.
const HANG: &str = "exec sleep 60";

fn claude_tool(id: &str, command: &str, tokens: u64) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"m{id}","model":"claude-opus-4-1","content":[{{"type":"tool_use","id":"{id}","name":"Bash","input":{{"command":"{command}"}}}}],"usage":{{"input_tokens":{tokens},"output_tokens":1}}}}}}"#
    )
}

fn claude_result(id: &str, text: &str) -> String {
    format!(
        r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"{id}","content":"{text}"}}]}}}}"#
    )
}

fn saying(lines: &[String], then: &str) -> Fake {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Fake::saying("claude", &lines, then)
}

#[tokio::test]
async fn an_agent_that_finished_but_stays_is_ended_and_its_result_kept() {
    let lingers = |kind: &&str| fake_agent::expected(kind)["success"]["lingers"] == true;
    let kinds: Vec<_> = autopack::agent::program_kinds().into_iter().filter(lingers).collect();
    let runs = kinds.iter().map(|kind| Fake::recorded(kind, "success", HANG).ended_early().run());
    for (kind, seen) in kinds.iter().zip(join_all(runs).await) {
        let came = (seen.reply.ended, &seen.reply.outcome);
        assert_eq!(came, (JobEnd::Exited(0), &Outcome::Finished), "{kind}");
        let output = fake_agent::expected(kind)["success"]["used"][1].as_u64();
        assert_eq!(seen.tokens()[1], output, "{kind}");
        assert!(seen.reply.notes.iter().any(|note| note.contains("did not exit")), "{kind}");
    }
}

#[tokio::test]
async fn a_successful_final_message_overrides_the_exit_code() {
    let seen = Fake::recorded("claude", "success", "exit 3").run().await;
    assert_eq!((seen.reply.ended, &seen.reply.outcome), (JobEnd::Exited(3), &Outcome::Finished));
    assert!(seen.reply.notes.iter().any(|note| note.contains("exited with 3")));
}

#[tokio::test]
async fn an_agent_without_a_final_message_failed_regardless_of_its_exit_code() {
    for kind in autopack::agent::program_kinds() {
        let failed = |code: i32, why: &str| Outcome::Failed {
            message: format!(
                "{} exited with {code}: {why}",
                if kind == "mini-swe-agent" { "mini" } else { kind }
            ),
        };
        let nothing = Fake::doing(kind, "exit 0").run().await;
        assert_eq!(nothing.reply.outcome, failed(0, "without a final message"));
        assert_eq!(nothing.tokens(), [None; 4]);
        let crash = Fake::doing(kind, "echo 'it broke' >&2; exit 7").run().await;
        assert_eq!(crash.reply.outcome, failed(7, "it broke"));
        let killed = Fake::doing(kind, "kill -9 $$").run().await;
        assert_eq!(killed.reply.ended, JobEnd::Signalled(9));
        assert!(matches!(killed.reply.outcome, Outcome::Failed { .. }));
    }
}

#[tokio::test]
async fn a_token_budget_ends_the_attempt() {
    let lines = [claude_tool("1", "ls", 60_000), claude_tool("2", "ls", 60_000)];
    let mut fake = saying(&lines, HANG);
    fake.task.budget = AttemptBudget { tokens: Some(100_000), ..AttemptBudget::default() };
    let seen = fake.run().await;
    let what = "used 120002 of the remaining 100000 tokens".to_owned();
    assert_eq!(seen.reply.outcome, Outcome::OverBudget { what });
    assert_eq!((seen.reply.ended, seen.tokens()[0]), (JobEnd::Stopped, Some(120_000)));
}

#[tokio::test]
async fn a_cost_budget_ends_the_attempt_by_the_built_in_prices() {
    let mut fake = saying(&[claude_tool("1", "ls", 100_000)], HANG);
    fake.task.budget = AttemptBudget { cost_usd: Some(1.0), ..AttemptBudget::default() };
    let seen = fake.run().await;
    assert!(
        matches!(seen.reply.outcome, Outcome::OverBudget { what } if what.starts_with("used $1.50"))
    );
    assert!(seen.reply.notes.iter().any(|note| note.contains("computed from list prices")));
}

#[tokio::test]
async fn a_time_budget_ends_the_attempt() {
    let mut fake = saying(&[claude_tool("1", "ls", 1)], HANG);
    fake.task.budget =
        AttemptBudget { wall_time: Some(Duration::from_secs(1)), ..AttemptBudget::default() };
    let seen = fake.run().await;
    assert_eq!(
        seen.reply.outcome,
        Outcome::OverBudget { what: "used up the remaining 1 s".to_owned() }
    );
    assert_eq!(seen.reply.ended, JobEnd::TimedOut);
}

#[tokio::test]
async fn its_own_timeout_is_no_budget() {
    let seen = saying(&[claude_tool("1", "ls", 1)], HANG).with("timeout_seconds: 1").run().await;
    assert_eq!((seen.reply.ended, &seen.reply.outcome), (JobEnd::TimedOut, &Outcome::Finished));
}

#[tokio::test]
async fn a_repeated_tool_call_ends_the_attempt() {
    let rounds = |results: &[&str]| -> Vec<String> {
        let each = results.iter().enumerate();
        each.flat_map(|(at, text)| {
            let id = at.to_string();
            [claude_tool(&id, "cargo test", 1), claude_result(&id, text)]
        })
        .collect()
    };
    let seen = saying(&rounds(&["red"; 5]), HANG).run().await;
    let what = "running cargo test, 5 times in a row with the same result".to_owned();
    assert_eq!(seen.reply.outcome, Outcome::Looped { what });
    let done = r#"{"type":"result","subtype":"success","is_error":false,"result":"ok"}"#.to_owned();
    let progress = [rounds(&["1 red", "2 red", "3 red", "4 red", "5 red"]), vec![done]].concat();
    assert_eq!(saying(&progress, "exit 0").run().await.reply.outcome, Outcome::Finished);
}

#[tokio::test]
async fn a_subscription_limit_names_its_end() {
    let lines = [
        r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1800000000,"rateLimitType":"five_hour"}}"#,
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"result":"You have hit your limit"}"#,
    ];
    let seen = Fake::saying("claude", &lines, "exit 1").run().await;
    let until = Some(RateLimitReset::At(UnixMs(1_800_000_000_000)));
    let message = "You have hit your limit".to_owned();
    assert_eq!(seen.reply.outcome, Outcome::RateLimited { until, message });
    assert!(seen.events.contains(&AgentEvent::Limit("the five_hour limit is reached".to_owned())));
    let allowed = lines[0].replace("rejected", "allowed_warning");
    let done = r#"{"type":"result","subtype":"success","is_error":false,"result":"rate limit 429 reached"}"#;
    let seen = Fake::saying("claude", &[&allowed, done], "exit 0").run().await;
    assert_eq!(seen.reply.outcome, Outcome::Finished);
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let line = r#"{"type":"error","sessionID":"s","error":{"name":"APIError","data":{"message":"slow down","statusCode":429,"responseHeaders":{"retry-after":"90"}}}}"#;
    let seen = Fake::saying("opencode", &[line], "exit 1").run().await;
    let until = Some(RateLimitReset::After(Duration::from_secs(90)));
    assert_eq!(seen.reply.outcome, Outcome::RateLimited { until, message: "slow down".to_owned() });
}

/// The agent would go on for minutes; its first retries are in the recording.
#[tokio::test]
async fn retries_of_what_will_not_change_are_cut_short() {
    let seen = Fake::recorded("claude", "no_access", HANG).run().await;
    assert!(
        matches!(&seen.reply.outcome, Outcome::Systemic { message } if message.contains("ANTHROPIC_API_KEY"))
    );
}

#[tokio::test]
async fn a_timeout_during_a_rate_limit_is_a_rate_limit() {
    let seen = Fake::recorded("codex", "limit", HANG).with("timeout_seconds: 2").run().await;
    assert!(
        matches!(seen.reply.outcome, Outcome::RateLimited { until: None, .. }),
        "{:?}",
        seen.reply.outcome
    );
}

#[tokio::test]
async fn denied_permissions_are_noted() {
    let done = r#"{"type":"result","subtype":"success","is_error":false,"result":"I may not","permission_denials":[{"tool_name":"Write"}]}"#;
    let seen = Fake::saying("claude", &[done], "exit 0").run().await;
    assert_eq!(seen.reply.outcome, Outcome::Finished);
    assert_eq!(seen.reply.notes, ["1 tool uses were denied, the first: Write"]);
}

#[tokio::test]
async fn aider_edits_that_do_not_apply_fail_despite_exit_code_0() {
    let script = "echo 'The LLM did not conform to the edit format.'\n\
        echo '{\"event\":\"message_send_starting\"}' > \"$account\"\n\
        echo '{\"event\":\"message_send\",\"properties\":{\"prompt_tokens\":5,\"completion_tokens\":6,\"cost\":0.5}}' >> \"$account\"\n\
        echo '{\"event\":\"exit\"}' >> \"$account\"";
    let seen = Fake::doing("aider", script).run().await;
    assert!(
        matches!(&seen.reply.outcome, Outcome::Failed { message } if message.contains("could not be applied"))
    );
    assert_eq!((seen.tokens()[1], seen.reply.usage.cost_usd), (Some(6), Some(0.5)));
}

/// Claude goes on after a SIGTERM, and exits with 0 as if nothing had happened.
#[tokio::test]
async fn a_stop_of_the_drain_is_reported_as_a_stop() {
    let (handle, stop) = StopReceiver::pair();
    let lines = [claude_tool("1", "ls", 1)];
    let script = format!("trap 'exit 0' TERM\necho '{}'\nsleep 60 & wait", lines[0]);
    let fake = Fake::doing("claude", &script);
    let stop_it = |event: &AgentEvent| {
        if matches!(event, AgentEvent::Tool(_)) {
            handle.raise(StopLevel::Graceful);
        }
    };
    let seen = fake.run_watched(&stop, stop_it).await;
    assert_eq!((seen.reply.ended, seen.reply.outcome), (JobEnd::Stopped, Outcome::Finished));
}

#[tokio::test]
async fn a_line_of_any_length_is_read_completely() {
    let text = "x".repeat(3_000_000);
    let lines = [
        claude_tool("1", "cat big", 1),
        claude_result("1", &text),
        r#"{"type":"result","subtype":"success","is_error":false,"result":"ok","usage":{"input_tokens":3}}"#.to_owned(),
    ];
    let at = tempfile::tempdir().unwrap();
    std::fs::write(at.path().join("out"), lines.join("\n")).unwrap();
    let fake = Fake::doing("claude", &format!("cat '{}'", at.path().join("out").display()));
    let seen = fake.run().await;
    assert_eq!((seen.reply.outcome, seen.reply.usage.tokens.input), (Outcome::Finished, Some(3)));
}

/// In its output, in its messages, in the file that it leaves.
#[tokio::test]
async fn a_key_is_stored_nowhere() {
    let key = format!("sk-ant-api03-{}", "x1Y_".repeat(10));
    let done = format!(
        r#"{{"type":"result","subtype":"success","is_error":true,"result":"bad key {key}","session_id":"s"}}"#
    );
    let mut fake = Fake::saying("claude", &[&done, &key], "exit 1");
    fake.task.env.insert("ANTHROPIC_API_KEY".into(), key.clone().into());
    let seen = fake.run().await;
    assert!(!format!("{:?} {:?} {}", seen.reply, seen.events, seen.log).contains(&key));
    assert!(!seen.args.join(" ").contains(&key));
    assert!(format!("{:?}", seen.reply.outcome).contains("[redacted: an Anthropic key]"));
}

#[tokio::test]
async fn a_program_that_cannot_start_is_an_operational_error() {
    let mut fake = Fake::recorded("claude", "success", "exit 0");
    fake.task.env.remove(std::ffi::OsStr::new("IS_SANDBOX"));
    let checked = autopack::agent::check(&fake.settings(), &fake.task.workspace, &fake.task.env);
    assert_eq!(checked.is_err(), nix::unistd::geteuid().is_root(), "{checked:?}");
    let missing: autopack::config::AgentSettings =
        serde_yaml::from_str("{kind: codex, program: no-such-codex}").unwrap();
    let error = autopack::agent::check(&missing, &fake.task.workspace, &fake.task.env)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no-such-codex is missing")
            && error.contains("npm install -g @openai/codex"),
        "{error}"
    );
}
