//! Each agent's streams, as recorded from the real programs: outcome, usage, and the lines shown.

use crate::support::fake_agent;
use autopack::agent::{AgentEvent, Outcome};
use autopack::process::How;

use fake_agent::Fake;

const RUNNING: &str = "running mkdir -p src && printf '%s\\n' hello > src/hello.txt";

#[derive(Debug, PartialEq)]
enum Came {
    Finished,
    Limited,
    Unavailable,
    /// With this in its text.
    Systemic(&'static str),
    Failed(&'static str),
}

async fn came(kind: &str, case: &str, code: i32) -> Came {
    let seen = Fake::recorded(kind, case, &format!("exit {code}")).run().await;
    assert_eq!(seen.reply.ended, How::Exited(code), "{kind} {case}");
    let part = |message: &str, parts: &[&'static str]| {
        parts
            .iter()
            .find(|part| message.contains(**part))
            .copied()
            .unwrap_or_else(|| panic!("{message}"))
    };
    match &seen.reply.outcome {
        Outcome::Finished => Came::Finished,
        Outcome::RateLimited { .. } => Came::Limited,
        Outcome::Unavailable { .. } => Came::Unavailable,
        Outcome::Systemic { message } => {
            Came::Systemic(part(message, &["credentials", "does not know the model", "no credit"]))
        }
        Outcome::Failed { message } => {
            let known = ["not understood", "does not exist", "exited with"];
            Came::Failed(part(message, &known))
        }
        other => panic!("{kind} {case}: {other:?}"),
    }
}

const NO_ACCESS: Came = Came::Systemic("credentials");
const NO_MODEL: Came = Came::Systemic("does not know the model");
const NO_CREDIT: Came = Came::Systemic("no credit");
const REFUSED: Came = Came::Failed("not understood");

/// With the recorded exit codes, most of which mean nothing.
#[tokio::test]
async fn what_the_provider_refuses_is_told_apart_by_codes() {
    assert_eq!(came("claude", "limit", 1).await, Came::Limited);
    assert_eq!(came("claude", "no_model", 1).await, NO_MODEL);
    assert_eq!(came("claude", "no_credit", 1).await, NO_CREDIT);
    assert_eq!(came("claude", "refused", 1).await, REFUSED);
    assert_eq!(came("codex", "no_access", 1).await, NO_ACCESS);
    assert_eq!(came("codex", "no_credit", 1).await, NO_CREDIT);
    assert_eq!(came("codex", "refused", 1).await, REFUSED);
    // It names neither status nor code.
    assert_eq!(came("codex", "no_model", 1).await, Came::Failed("does not exist"));
    assert_eq!(came("codex", "broken", 1).await, Came::Unavailable);
    assert_eq!(came("opencode", "no_access", 1).await, NO_ACCESS);
    assert_eq!(came("opencode", "no_model", 1).await, NO_MODEL);
    assert_eq!(came("opencode", "no_credit", 1).await, NO_CREDIT);
    assert_eq!(came("opencode", "refused", 1).await, REFUSED);
    assert_eq!(came("gemini", "no_access", 145).await, NO_ACCESS);
    assert_eq!(came("gemini", "no_model", 1).await, NO_MODEL);
    assert_eq!(came("gemini", "no_credit", 146).await, NO_CREDIT);
    assert_eq!(came("gemini", "refused", 144).await, REFUSED);
}

#[tokio::test]
async fn those_that_exit_with_0_on_an_error_are_not_believed() {
    assert_eq!(came("goose", "no_access", 1).await, NO_ACCESS);
    assert_eq!(came("goose", "no_model", 0).await, NO_MODEL);
    assert_eq!(came("goose", "no_credit", 0).await, NO_CREDIT);
    assert_eq!(came("goose", "refused", 0).await, REFUSED);
    assert_eq!(came("goose", "broken", 0).await, Came::Unavailable);
    assert_eq!(came("aider", "no_access", 0).await, NO_ACCESS);
    assert_eq!(came("aider", "no_model", 0).await, NO_MODEL);
    assert_eq!(came("aider", "broken", 0).await, Came::Unavailable);
    assert_eq!(came("claude", "broken", 1).await, Came::Unavailable);
    assert_eq!(came("aider", "refused", 0).await, REFUSED);
    assert_eq!(came("mini-swe-agent", "no_access", 1).await, NO_ACCESS);
    assert_eq!(came("mini-swe-agent", "no_model", 1).await, NO_MODEL);
}

/// LiteLLM keeps neither its status nor its code; it would retry for a minute.
#[tokio::test]
async fn an_empty_account_behind_litellm_ends_it() {
    let seen = Fake::recorded("aider", "no_credit", "exec sleep 60").run().await;
    let message = format!("{:?}", seen.reply.outcome);
    assert!(message.starts_with("Systemic") && message.contains("no credit"), "{message}");
}

#[tokio::test]
async fn a_limit_before_a_crash_is_still_a_limit() {
    // Each was recorded while it waited.
    assert_eq!(came("codex", "limit", 1).await, Came::Limited);
    assert_eq!(came("gemini", "limit", 1).await, Came::Limited);
    assert_eq!(came("aider", "limit", 1).await, Came::Limited);
}

#[tokio::test]
async fn claude_succeeds() {
    let seen = Fake::recorded("claude", "success", "exit 0").with("model: opus").run().await;
    assert_eq!((seen.reply.ended, &seen.reply.outcome), (How::Exited(0), &Outcome::Finished));
    assert_eq!(seen.tokens(), [Some(240), Some(80), Some(1600), Some(600)]);
    assert_eq!(seen.reply.usage.cost_usd, Some(0.011625));
    assert_eq!(seen.reply.usage.model.as_deref(), Some("claude-opus-4-8"));
    assert_eq!(seen.reply.summary.as_deref(), Some("Done."));
    assert_eq!(seen.reply.session.as_deref(), Some("cd4a0be9-1137-4c89-9a43-d89a2593fcea"));
    assert_eq!((seen.tools(), seen.stdin.as_str()), (vec![RUNNING.to_owned()], "the prompt"));
    assert!(seen.said("Done.") && seen.log.contains("\"subtype\":\"init\""));
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
    assert_eq!((seen.tools(), seen.said("Done.")), (vec![RUNNING.to_owned()], true));
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
    assert!(matches!(settings, autopack::config::AgentSettings::Aider(_)));
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
