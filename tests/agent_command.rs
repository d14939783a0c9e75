//! A command agent, executed for real.

use crate::support::agent_task;
use std::path::Path;
use std::sync::Mutex;

use autopack::agent::{self, AgentError, AgentEvent, Task};
use autopack::config::{AgentSettings, CommandAgentSettings, PromptTransport};
use autopack::process::{JobEnd, Redactor, StopReceiver};

fn agent(command: &[&str]) -> AgentSettings {
    AgentSettings::Command(CommandAgentSettings {
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        prompt: PromptTransport::Stdin,
        timeout_seconds: 60,
        idle_timeout_seconds: 0,
        env: Default::default(),
        env_pass: Vec::new(),
    })
}

fn task(directory: &Path) -> Task {
    let mut task = agent_task::task(directory);
    task.prompt = "the prompt".to_owned();
    task.redact = Redactor::new([("A_TOKEN".into(), "correct-horse-battery".into())]);
    task
}

#[tokio::test]
async fn an_agent_works_in_its_slot_and_reports_its_usage() {
    let at = tempfile::tempdir().unwrap();
    let task = task(at.path());
    // From an earlier attempt: must not be believed.
    std::fs::write(&task.result_file, r#"{"tokens":{"input":99}}"#).unwrap();
    let script = r#"cat > got; echo correct-horse-battery
        cmp "$AUTOPACK_PROMPT_FILE" got && test -f "$AUTOPACK_PHASE_FILE" && test ! -e "$AUTOPACK_RESULT_FILE" &&
        test "$PWD" -ef "$AUTOPACK_WORKTREE" && echo good
        echo '{"tokens":{"output":7},"summary":"used correct-horse-battery","cost_usd":"much"}' > "$AUTOPACK_RESULT_FILE"
        exit 9"#;
    let events = Mutex::new(Vec::new());
    let note = |event| events.lock().unwrap().push(event);
    let reply = agent::run(&agent(&["sh", "-c", script]), task, &StopReceiver::never(), &note)
        .await
        .unwrap();
    assert_eq!(reply.ended, JobEnd::Exited(9));
    assert_eq!(reply.last_lines, "[redacted: A_TOKEN]\ngood");
    assert_eq!((reply.usage.tokens.input, reply.usage.tokens.output), (None, Some(7)));
    assert_eq!((reply.usage.cost_usd, reply.notes.len()), (None, 1));
    assert_eq!(reply.summary.as_deref(), Some("used [redacted: A_TOKEN]"));
    assert_eq!(std::fs::read_to_string(at.path().join("slot/got")).unwrap(), "the prompt");
    let log = std::fs::read_to_string(at.path().join("agent.log")).unwrap();
    assert_eq!(log, "[redacted: A_TOKEN]\ngood\n");
    let line = |text: &str| AgentEvent::Line(text.to_owned());
    let expected = [AgentEvent::Started, line("[redacted: A_TOKEN]"), line("good")];
    assert_eq!(events.into_inner().unwrap(), expected);
}

#[tokio::test]
async fn a_missing_program_is_an_operational_error() {
    let at = tempfile::tempdir().unwrap();
    let settings = agent(&["no-such-agent"]);
    let error =
        agent::run(&settings, task(at.path()), &StopReceiver::never(), &|_| {}).await.unwrap_err();
    assert!(matches!(error, AgentError::Missing { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("no-such-agent") && text.contains("autopack.yaml"), "{text}");
}
