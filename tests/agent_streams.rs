//! Each agent's streams, as recorded from the real programs: outcome, usage, and the lines shown.

use crate::support::fake_agent;
use autopack::agent::{AgentEvent, Outcome};
use autopack::process::JobEnd;
use serde_json::Value;

use fake_agent::Fake;

const RUNNING: &str = "running mkdir -p src && printf '%s\\n' hello > src/hello.txt";

/// Plays a recording and checks its outcome. The exit codes in `expected.json` are the recorded ones: most of them say
/// nothing. A recording that `hangs` was made of a program that would try again for long.
async fn check(kind: &str, case: &str, expected: &Value) {
    let hangs = expected["hangs"] == true;
    let code = expected["exit"].as_i64().unwrap_or_default() as i32;
    let then = if hangs { "exec sleep 60".to_owned() } else { format!("exit {code}") };
    let seen = Fake::recorded(kind, case, &then).run().await;
    assert!(
        hangs || seen.reply.ended == JobEnd::Exited(code),
        "{kind} {case}: {:?}",
        seen.reply.ended
    );
    let (outcome, message) = match &seen.reply.outcome {
        Outcome::Finished => ("finished", ""),
        Outcome::RateLimited { .. } => ("limited", ""),
        Outcome::Unavailable { .. } => ("unavailable", ""),
        Outcome::Systemic { message } => ("systemic", message.as_str()),
        Outcome::Failed { message } => ("failed", message.as_str()),
        other => panic!("{kind} {case}: {other:?}"),
    };
    let contains = expected["contains"].as_str().unwrap_or_default();
    assert_eq!(outcome, expected["outcome"].as_str().unwrap(), "{kind} {case}: {message}");
    assert!(message.contains(contains), "{kind} {case}: {message}");
    assert_eq!(contains.is_empty(), message.is_empty(), "{kind} {case}: `contains` is missing");
}

/// Failures are distinguished by codes. Programs that exit with 0 on an error are not believed, a limit before a crash is still
/// a limit, and an empty account ends a program that would try again.
#[tokio::test]
async fn each_recording_comes_to_its_expected_outcome() {
    for kind in autopack::agent::program_kinds() {
        // One after the other: a script that is still being written cannot be started.
        for (case, expected) in fake_agent::expected(kind) {
            check(kind, &case, &expected).await;
        }
    }
}

#[tokio::test]
async fn claude_succeeds() {
    let seen = Fake::recorded("claude", "success", "exit 0").with("model: opus").run().await;
    assert_eq!((seen.reply.ended, &seen.reply.outcome), (JobEnd::Exited(0), &Outcome::Finished));
    assert_eq!(seen.tokens(), [Some(240), Some(80), Some(1600), Some(600)]);
    assert_eq!(seen.reply.usage.cost_usd, Some(0.011625));
    assert_eq!(seen.reply.usage.model.as_deref(), Some("claude-opus-4-8"));
    assert_eq!(seen.reply.summary.as_deref(), Some("Done."));
    assert_eq!(seen.reply.session.as_deref(), Some("cd4a0be9-1137-4c89-9a43-d89a2593fcea"));
    assert_eq!((seen.tools(), seen.stdin.as_str()), (vec![RUNNING.to_owned()], "the prompt"));
    assert!(seen.has_line("Done.") && seen.log.contains("\"subtype\":\"init\""));
    assert_eq!(seen.events.first(), Some(&AgentEvent::Started));
    assert!(seen.events.contains(&AgentEvent::Finished));
    let expected =
        "-p --output-format stream-json --verbose --dangerously-skip-permissions --model opus";
    assert_eq!(seen.args.join(" "), expected);
}

#[tokio::test]
async fn codex_succeeds_and_its_cached_tokens_are_no_input() {
    let seen = Fake::recorded("codex", "success", "exit 0").with("model: gpt-5").run().await;
    assert_eq!(seen.reply.outcome, Outcome::Finished);
    assert_eq!(seen.tokens(), [Some(400), Some(100), Some(1600), Some(0)]);
    // It quotes the command once more, for its shell.
    assert_eq!(seen.tools(), [RUNNING.replace('\\', "\\\\")]);
    assert_eq!(seen.stdin, "the prompt");
    let notes = seen.reply.notes.join("\n");
    assert!(notes.contains("Model metadata"), "{notes}");
    assert_eq!(
        seen.args.join(" "),
        "exec --json --skip-git-repo-check -s workspace-write -m gpt-5 -"
    );
}

/// The thread's counters continue; usage of the first attempt must not count for the second.
#[tokio::test]
async fn codex_resumed_reports_what_is_new() {
    let first = Fake::recorded("codex", "success", "exit 0").with("resume: true").run().await;
    let session = first.reply.session.unwrap();
    let usage = r#""usage":{"input_tokens":5000,"cached_input_tokens":4000,"output_tokens":150}"#;
    let thread = session.split('+').next().unwrap().to_owned();
    let lines = [
        format!(r#"{{"type":"thread.started","thread_id":"{thread}"}}"#),
        format!(r#"{{"type":"turn.completed",{usage}}}"#),
    ];
    let mut second = Fake::saying("codex", &[&lines[0], &lines[1]], "exit 0").with("resume: true");
    second.task.session = Some(session.clone());
    let second = second.run().await;
    assert_eq!(second.tokens(), [Some(600), Some(50), Some(2400), None]);
    assert!(second.args.join(" ").ends_with(&format!("resume {thread} -")), "{:?}", second.args);
    assert_eq!(second.reply.session.unwrap(), format!("{thread}+5000,4000,0,150"));

    let mut fresh = Fake::saying("codex", &[&lines[0], &lines[1]], "exit 0");
    fresh.task.session = Some(session);
    let fresh = fresh.run().await;
    assert!(!fresh.args.contains(&"resume".to_owned()));
    assert_eq!(fresh.tokens()[0], Some(1000));
}

#[tokio::test]
async fn opencode_succeeds_with_the_sum_of_its_steps() {
    let seen = Fake::recorded("opencode", "success", "exit 0").run().await;
    assert_eq!(seen.reply.outcome, Outcome::Finished);
    assert_eq!(seen.tokens(), [Some(400), Some(100), Some(1600), Some(0)]);
    // It reports 0 for a model without a known price.
    assert_eq!(seen.reply.usage.cost_usd, None);
    assert_eq!(seen.reply.session.as_deref(), Some("ses_dfa779ab3ffelfDr6fBeJZp3nm"));
    assert_eq!((seen.tools(), seen.has_line("Done.")), (vec![RUNNING.to_owned()], true));
}

#[tokio::test]
async fn gemini_succeeds() {
    let seen = Fake::recorded("gemini", "success", "exit 0").run().await;
    assert_eq!(seen.reply.outcome, Outcome::Finished);
    assert_eq!(seen.tokens(), [Some(400), Some(100), Some(1600), None]);
    assert_eq!((seen.tools(), seen.stdin.as_str()), (vec![RUNNING.to_owned()], "the prompt"));
    assert_eq!(seen.reply.summary.as_deref(), Some("Done."));
}

#[tokio::test]
async fn goose_succeeds() {
    let seen =
        Fake::recorded("goose", "success", "exit 0").with("model: openai/gpt-4o").run().await;
    assert_eq!(seen.reply.outcome, Outcome::Finished);
    assert_eq!(seen.tokens(), [Some(400), Some(100), Some(1600), Some(0)]);
    assert_eq!(seen.reply.usage.cost_usd, Some(0.004));
    assert_eq!(seen.tools(), [RUNNING]);
    assert!(seen.args.join(" ").contains("--provider openai --model gpt-4o"));
}

#[tokio::test]
async fn aider_succeeds_and_is_given_the_deliverables() {
    let leave = "mkdir .aider.tags.cache.v4; echo mine > .aider.conf.yml; exit 0";
    let fake = Fake::recorded("aider", "success", leave);
    let slot = fake.task.worktree.clone();
    let settings = fake.settings();
    assert!(
        matches!(settings, autopack::config::AgentSettings::Program { kind, .. } if kind == "aider")
    );
    let seen = fake.run().await;
    assert_eq!(seen.reply.outcome, Outcome::Finished);
    assert_eq!(seen.tokens(), [Some(1000), Some(50), None, None]);
    assert_eq!(seen.reply.usage.cost_usd, None);
    assert_eq!(seen.args.last().map(String::as_str), Some("src/hello.txt"));
    assert!(!slot.join(".aider.tags.cache.v4").exists());
}

#[tokio::test]
async fn mini_swe_agent_succeeds() {
    let seen = Fake::recorded("mini-swe-agent", "success", "exit 0").run().await;
    assert_eq!(seen.reply.outcome, Outcome::Finished);
    assert_eq!(seen.tokens(), [Some(400), Some(100), Some(1600), None]);
    assert!(seen.args.join(" ").ends_with("-t the prompt"), "{:?}", seen.args);
    assert_eq!(seen.reply.usage.model.as_deref(), Some("stand-in"));
}
