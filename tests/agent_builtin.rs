//! The built-in agent against stand-ins of the providers' servers: the real protocols, over real connections.

use crate::support::model_server;
use std::fs;
use std::future::Future;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::Project;
use autopack::agent::{
    self, AgentEvent, AgentReply, AttemptBudget, Checks, Outcome, RateLimitReset, Task,
};
use autopack::config::{AgentSettings, BuiltinAgentSettings, ModelProtocol};
use autopack::phase::autofix::{Limits, Unscoped, autofix};
use autopack::phase::{PhaseId, RawSpec, RunId, Tokens};
use autopack::process::{JobEnd, Redactor, StopLevel, StopReceiver};
use model_server::{ModelServer, Protocol, Turn, call, finish};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROTOCOLS: [Protocol; 4] =
    [Protocol::Anthropic, Protocol::OpenAi, Protocol::Responses, Protocol::Gemini];
/// In no known key format: only its variable marks it as a secret.
const KEY: &str = "planted-key-0123456789";

/// A worktree with one file, in a directory of its own.
struct AgentFixture {
    directory: TempDir,
    settings: BuiltinAgentSettings,
    budget: AttemptBudget,
    checks: Option<Arc<dyn Checks>>,
    stop: StopReceiver,
}

/// Result of an attempt.
struct AgentRun {
    reply: AgentReply,
    events: Vec<AgentEvent>,
    log: String,
}

impl AgentFixture {
    fn new(server: &ModelServer, protocol: Protocol) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("slot/src")).unwrap();
        fs::write(directory.path().join("slot/src/a.rs"), "fn a() {}\n").unwrap();
        let settings = BuiltinAgentSettings {
            model: "a-model".to_owned(),
            protocol: Some(configured(protocol)),
            base_url: Some(server.url()),
            api_key_env: Some("MODEL_ACCESS".to_owned()),
            ..BuiltinAgentSettings::default()
        };
        let (budget, checks, stop) = (AttemptBudget::default(), None, StopReceiver::never());
        Self { directory, settings, budget, checks, stop }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at("slot").join(path)).unwrap()
    }

    fn task(&self) -> Task {
        let spec = json!({"phase_id": "phase", "description": "d", "deliverables": ["src/"],
            "protected_paths": ["src/locked.rs"]});
        let limits =
            Limits { workspace: None, max_timeout_seconds: 600, unscoped: Unscoped::Refuse };
        let env = [("MODEL_ACCESS".into(), KEY.into())];
        Task {
            run_id: RunId::new("run"),
            phase_id: PhaseId::new("phase"),
            attempt: 1,
            counted_attempt: 1,
            owner: "owner".to_owned(),
            prompt: "the prompt".to_owned(),
            workspace: self.directory.path().to_owned(),
            worktree: self.at("slot"),
            prompt_file: self.at("prompt.md"),
            phase_file: self.at("phase.json"),
            result_file: self.at("result.json"),
            log_dir: self.at("agent-files"),
            log: self.at("agent.log"),
            env: env.into(),
            redact: Redactor::formats_only(),
            hold: None,
            spec: autofix(&RawSpec(spec), None, &limits).result.unwrap(),
            protected: vec!["src/guarded/".to_owned()],
            budget: self.budget,
            session: None,
            checks: self.checks.clone(),
            view: None,
            own_sandbox: autopack::agent::OwnSandbox::default(),
            question: None,
            request_file: None,
            request_desk: None,
        }
    }

    async fn run(&self) -> AgentRun {
        let events = Mutex::new(Vec::new());
        let keep = |event| events.lock().unwrap().push(event);
        let settings = AgentSettings::Builtin(self.settings.clone());
        let reply = agent::run(&settings, self.task(), &self.stop, &keep).await.unwrap();
        let log = fs::read_to_string(self.at("agent.log")).unwrap();
        AgentRun { reply, events: events.into_inner().unwrap(), log }
    }
}

impl AgentRun {
    #[track_caller]
    fn finished(self) -> Self {
        let good = self.reply.outcome == Outcome::Finished && self.reply.ended == JobEnd::Exited(0);
        assert!(good, "{:#?}\n{}", self.reply, self.log);
        self
    }

    fn tools(&self) -> Vec<&str> {
        let mut tools = Vec::new();
        for event in &self.events {
            if let AgentEvent::Tool(what) = event {
                tools.push(what.as_str());
            }
        }
        tools
    }

    /// The tools' answers, from the log.
    fn answers(&self) -> Vec<String> {
        let entries = self.log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let tools = entries.filter(|entry| entry["role"] == "tool");
        tools.map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
    }
}

fn configured(protocol: Protocol) -> ModelProtocol {
    match protocol {
        Protocol::Anthropic => ModelProtocol::Anthropic,
        Protocol::OpenAi => ModelProtocol::Openai,
        Protocol::Responses => ModelProtocol::OpenaiResponses,
        Protocol::Gemini => ModelProtocol::Gemini,
        Protocol::Ollama => ModelProtocol::Ollama,
    }
}

/// The path of each protocol, below an address without a path.
fn path(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Anthropic => "/v1/messages",
        Protocol::OpenAi => "/v1/chat/completions",
        Protocol::Responses => "/v1/responses",
        Protocol::Gemini => "/v1beta/models/a-model:streamGenerateContent?alt=sse",
        Protocol::Ollama => "/api/chat",
    }
}

fn write(path: &str, content: &str) -> Turn {
    call("write", json!({"path": path, "content": content}))
}

fn status(code: u16, body: Value) -> Turn {
    Turn::Status(code, Vec::new(), body.to_string())
}

#[tokio::test]
async fn every_protocol_reads_edits_and_finishes() {
    for protocol in PROTOCOLS {
        let both = Turn::Calls(vec![
            (
                "edit".into(),
                json!({"path": "src/a.rs", "old": "fn a() {}", "new": "fn a() { b() }"}),
            ),
            ("write".into(), json!({"path": "src/b.rs", "content": "fn b() {}\n"})),
        ]);
        let read = call("read", json!({"path": "src/a.rs"}));
        let server = ModelServer::new(protocol, [read, both, finish("wrote b")]);
        let fixture = AgentFixture::new(&server, protocol);
        let run = fixture.run().await.finished();
        assert_eq!(fixture.read("src/a.rs"), "fn a() { b() }\n", "{protocol:?}");
        assert_eq!(fixture.read("src/b.rs"), "fn b() {}\n");
        assert_eq!(run.reply.summary.as_deref(), Some("wrote b"));
        let cache_write = (protocol == Protocol::Anthropic).then_some(6);
        let tokens =
            Tokens { input: Some(30), output: Some(21), cache_read: Some(15), cache_write };
        assert_eq!(run.reply.usage.tokens, tokens, "{protocol:?}");
        assert_eq!(run.reply.usage.model.as_deref(), Some("a-model"));
        assert_eq!(
            run.tools(),
            ["reading src/a.rs", "editing src/a.rs", "editing src/b.rs", "finishing"]
        );
        assert!(run.events.contains(&AgentEvent::Line("Let me see.".to_owned())));
        assert_eq!(run.events.first(), Some(&AgentEvent::Started));
        assert_eq!(run.events.last(), Some(&AgentEvent::Finished));
        let last = server.last_body();
        assert!(last.contains("1 | fn a() {}") && last.contains("created src/b.rs"), "{last}");
        assert!(server.asked()[0].headers.contains(KEY), "{protocol:?}: the key goes with it");
        assert_eq!(server.asked()[0].path, path(protocol));
    }
}

#[tokio::test]
async fn ollama_needs_no_key() {
    let turns = [Turn::CutText("so".to_owned()), write("src/b.rs", "b"), finish("done")];
    let server = ModelServer::new(Protocol::Ollama, turns);
    let mut fixture = AgentFixture::new(&server, Protocol::Ollama);
    fixture.settings.api_key_env = None;
    let run = fixture.run().await.finished();
    assert_eq!(fixture.read("src/b.rs"), "b");
    let tokens =
        Tokens { input: Some(30), output: Some(21), cache_read: Some(15), cache_write: None };
    assert_eq!((run.reply.usage.tokens, run.reply.usage.truncated), (tokens, true));
    assert_eq!(server.asked()[0].path, path(Protocol::Ollama));
    assert!(!server.last_body().contains(KEY) && !server.asked()[0].headers.contains(KEY));
}

#[tokio::test]
async fn a_rate_limit_says_when_it_ends() {
    for protocol in PROTOCOLS {
        let headers = vec![("retry-after", "12".to_owned())];
        let body = json!({"error": {"message": "slow down", "type": "rate_limit_error"}});
        let server = ModelServer::new(protocol, [Turn::Status(429, headers, body.to_string())]);
        let run = AgentFixture::new(&server, protocol).run().await;
        let Outcome::RateLimited { until, message } = &run.reply.outcome else {
            panic!("{:?}", run.reply)
        };
        assert_eq!(*until, Some(RateLimitReset::After(Duration::from_secs(12))), "{protocol:?}");
        assert!(message.contains("slow down (429)"), "{message}");
        assert!(run.events.iter().any(|event| matches!(event, AgentEvent::Limit(_))));
    }
}

#[tokio::test]
async fn temporary_errors_are_retried() {
    for protocol in PROTOCOLS {
        let turns =
            [status(500, json!({})), Turn::BreakOff, write("src/b.rs", "b"), finish("done")];
        let server = ModelServer::new(protocol, turns);
        let fixture = AgentFixture::new(&server, protocol);
        let run = fixture.run().await.finished();
        assert_eq!(fixture.read("src/b.rs"), "b", "{protocol:?}");
        let errors = run.events.iter().filter(|event| matches!(event, AgentEvent::Error(_)));
        assert_eq!(errors.count(), 2, "{:?}", run.events);
    }
}

#[tokio::test]
async fn a_truncated_answer_is_continued_and_its_calls_are_dropped() {
    for protocol in PROTOCOLS {
        let half = r#"{"path": "src/b.rs", "content": "half of"#;
        let turns = [
            Turn::CutCall(half.to_owned()),
            Turn::CutText("I was going to".to_owned()),
            write("src/c.rs", "c"),
            finish("done"),
        ];
        let server = ModelServer::new(protocol, turns);
        let fixture = AgentFixture::new(&server, protocol);
        let run = fixture.run().await.finished();
        assert!(!fixture.at("slot/src/b.rs").exists() && fixture.at("slot/src/c.rs").exists());
        assert!(run.reply.usage.truncated, "{protocol:?}");
        let reason = run.reply.usage.stop_reason.as_deref().unwrap();
        let known = ["max_tokens", "length", "incomplete", "MAX_TOKENS"];
        assert!(known.contains(&reason), "{reason}");
        assert!(server.asked()[1].body.to_string().contains("cut off at 8192 tokens"));
        assert!(server.asked()[2].body.to_string().contains("Go on from there"));
    }
}

#[tokio::test]
async fn a_malformed_call_is_answered_with_what_is_wrong() {
    for protocol in PROTOCOLS {
        let unknown = call("delete_everything", json!({}));
        let turns = [Turn::Malformed("{\"path\": oops".to_owned()), unknown, finish("done")];
        let server = ModelServer::new(protocol, turns);
        AgentFixture::new(&server, protocol).run().await.finished();
        let second = server.asked()[1].body.to_string();
        assert!(second.contains("malformed"), "{protocol:?}: {second}");
        assert!(server.last_body().contains("there is no tool"), "{protocol:?}");
        let always = vec![Turn::Malformed("{\"path\": oops".to_owned()); 5];
        let server = ModelServer::new(protocol, always);
        let reply = AgentFixture::new(&server, protocol).run().await.reply;
        let Outcome::Failed { message } = &reply.outcome else { panic!("{reply:?}") };
        assert!(message.contains("5 malformed tool calls in a row"), "{message}");
    }
}

#[tokio::test]
async fn silence_is_a_stall_and_a_second_chance() {
    let mut turns = vec![Turn::Hang, finish("done"), Turn::Hang, Turn::Hang];
    let server = ModelServer::new(Protocol::OpenAi, turns.drain(..));
    let mut fixture = AgentFixture::new(&server, Protocol::OpenAi);
    fixture.settings.idle_timeout_seconds = 1;
    fixture.run().await.finished();
    assert_eq!(fixture.run().await.reply.ended, JobEnd::Stalled);
}

#[tokio::test]
async fn a_stop_ends_it_in_the_middle_of_a_request() {
    for level in [StopLevel::Graceful, StopLevel::Now] {
        let server = ModelServer::new(Protocol::Anthropic, [Turn::Hang]);
        let mut fixture = AgentFixture::new(&server, Protocol::Anthropic);
        let (handle, stop) = StopReceiver::pair();
        fixture.stop = stop;
        let raise = async {
            while server.asked().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            handle.raise(level);
        };
        let (run, ()) = tokio::join!(fixture.run(), raise);
        assert_eq!((run.reply.ended, run.reply.outcome), (JobEnd::Stopped, Outcome::Finished));
    }
}

#[tokio::test]
async fn its_time_and_its_budget_hold() {
    let server = ModelServer::new(Protocol::Gemini, [Turn::Hang, Turn::Hang]);
    let mut fixture = AgentFixture::new(&server, Protocol::Gemini);
    fixture.settings.timeout_seconds = 1;
    assert_eq!(fixture.run().await.reply.ended, JobEnd::TimedOut);
    fixture.budget.wall_time = Some(Duration::from_millis(50));
    let outcome = fixture.run().await.reply.outcome;
    assert!(
        matches!(&outcome, Outcome::OverBudget { what } if what.contains("used up the remaining"))
    );

    let reads = (0..9).map(|line| call("read", json!({"path": "src/a.rs", "lines": line + 1})));
    let server = ModelServer::new(Protocol::Anthropic, reads);
    let mut fixture = AgentFixture::new(&server, Protocol::Anthropic);
    // Each answer counts 10 input, 7 output and 2 cache-write tokens; cache reads do not count.
    fixture.budget.tokens = Some(50);
    let outcome = fixture.run().await.reply.outcome;
    let what = "the attempt used 57 of its 50 tokens".to_owned();
    assert_eq!((outcome, server.asked().len()), (Outcome::OverBudget { what }, 3));
}

#[tokio::test]
async fn its_budget_in_dollars_holds_for_a_model_with_a_price() {
    let reads = (0..9).map(|line| call("read", json!({"path": "src/a.rs", "lines": line + 1})));
    let server = ModelServer::new(Protocol::Anthropic, reads);
    let mut fixture = AgentFixture::new(&server, Protocol::Anthropic);
    fixture.settings.model = "claude-opus-4-1".to_owned();
    fixture.budget.cost_usd = Some(0.0015);
    let reply = fixture.run().await.reply;
    assert!(matches!(&reply.outcome, Outcome::OverBudget { what } if what.contains('$')));
    assert_eq!(server.asked().len(), 3, "{:?}", reply.outcome);
    assert!(reply.usage.cost_usd.is_some_and(|cost| cost > 0.0015), "{:?}", reply.usage);
}

#[tokio::test]
async fn turns_and_loops_are_bounded() {
    let reads = (0..9).map(|line| call("read", json!({"path": "src/a.rs", "lines": line + 1})));
    let server = ModelServer::new(Protocol::OpenAi, reads);
    let mut fixture = AgentFixture::new(&server, Protocol::OpenAi);
    fixture.settings.max_turns = 3;
    let outcome = fixture.run().await.reply.outcome;
    assert!(matches!(&outcome, Outcome::Failed { message } if message.contains("all 3 turns")));

    let same = vec![call("read", json!({"path": "src/a.rs"})); 9];
    let server = ModelServer::new(Protocol::OpenAi, same);
    let outcome = AgentFixture::new(&server, Protocol::OpenAi).run().await.reply.outcome;
    let Outcome::Looped { what } = &outcome else { panic!("{outcome:?}") };
    assert!(what.contains("read({\"path\":\"src/a.rs\"})") && what.contains("5 times"), "{what}");
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn errors_shared_by_the_next_phase_are_systemic_and_name_a_fix() {
    let no =
        |code: &str| json!({"error": {"message": format!("no, {KEY}"), "code": code, "type": "t"}});
    for (turn, hints) in [
        (
            status(401, no("invalid_api_key")),
            ["refused the key in MODEL_ACCESS", "set a valid key"],
        ),
        (status(403, no("forbidden")), ["refused the key in MODEL_ACCESS", "set a valid key"]),
        (status(404, no("model_not_found")), ["no model \"a-model\"", "correct `model`"]),
        (status(402, no("billing")), ["no credit", "top it up"]),
        (status(429, no("insufficient_quota")), ["no credit", "top it up"]),
    ] {
        let server = ModelServer::new(Protocol::OpenAi, [turn]);
        let run = AgentFixture::new(&server, Protocol::OpenAi).run().await;
        let Outcome::Systemic { message } = &run.reply.outcome else { panic!("{:?}", run.reply) };
        assert!(hints.iter().all(|hint| message.contains(hint)), "{message}");
        assert!(!message.contains(KEY) && !run.log.contains(KEY), "{message}");
        assert_eq!(server.asked().len(), 1);
    }
    let server = ModelServer::new(Protocol::OpenAi, []);
    let mut fixture = AgentFixture::new(&server, Protocol::OpenAi);
    fixture.settings.base_url = Some("http://127.0.0.1:1/v1".to_owned());
    let outcome = fixture.run().await.reply.outcome;
    let Outcome::Systemic { message } = &outcome else { panic!("{outcome:?}") };
    assert!(
        message.starts_with("cannot reach http://127.0.0.1:1/v1/: Connection refused"),
        "{message}"
    );
}

#[tokio::test]
async fn the_built_in_agent_changes_no_path_outside_its_bounds() {
    let edits = [
        ("write", json!({"path": "../escaped", "content": "x"})),
        ("write", json!({"path": "/tmp/autopack-escaped", "content": "x"})),
        ("write", json!({"path": "src/dir-link/x", "content": "x"})),
        ("write", json!({"path": "src/file-link", "content": "x"})),
        ("edit", json!({"path": "src/file-link", "old": "outside", "new": "x"})),
        ("write", json!({"path": ".git/hooks/pre-commit", "content": "x"})),
        ("write", json!({"path": "src/locked.rs", "content": "x"})),
        ("write", json!({"path": "src/guarded/x", "content": "x"})),
        ("write", json!({"path": "elsewhere/x", "content": "x"})),
        (
            "patch",
            json!({"patch": "*** Begin Patch\n*** Add File: src/new.rs\n+x\n*** Add File: other/x\n+x\n*** End Patch"}),
        ),
        ("patch", json!({"patch": "--- a/src/a.rs\n+++ b/../a.rs\n@@ -1 +1 @@\n-fn a() {}\n+x\n"})),
        ("read", json!({"path": "../outside/f"})),
        ("read", json!({"path": "src/file-link"})),
        ("read", json!({"path": ".git/config"})),
        ("search", json!({"pattern": "outside", "path": "src/dir-link"})),
        ("list", json!({"path": "src/dir-link"})),
    ];
    let count = edits.len();
    let turns = edits.map(|(name, arguments)| call(name, arguments));
    let server = ModelServer::new(Protocol::OpenAi, turns.into_iter().chain([finish("done")]));
    let fixture = AgentFixture::new(&server, Protocol::OpenAi);
    fs::create_dir(fixture.at("outside")).unwrap();
    fs::write(fixture.at("outside/f"), "outside").unwrap();
    fs::create_dir_all(fixture.at("slot/.git/hooks")).unwrap();
    fs::write(fixture.at("slot/.git/config"), "[core]").unwrap();
    fs::write(fixture.at("slot/src/locked.rs"), "locked").unwrap();
    symlink(fixture.at("outside"), fixture.at("slot/src/dir-link")).unwrap();
    symlink(fixture.at("outside/f"), fixture.at("slot/src/file-link")).unwrap();
    let before = everything(fixture.directory.path());
    let run = fixture.run().await.finished();
    let answers = run.answers();
    assert_eq!(answers.len(), count);
    assert_eq!(answers.iter().find(|answer| !answer.starts_with("error: ")), None);
    let mut after = everything(fixture.directory.path());
    after.retain(|(path, _)| !path.ends_with("agent.log"));
    assert_eq!(before, after);
    assert!(!Path::new("/tmp/autopack-escaped").exists());
}

/// Every file and link below a directory, with its content.
fn everything(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let (path, kind) = entry.map(|e| (e.path(), e.file_type().unwrap())).unwrap();
        match kind.is_dir() {
            true => found.extend(everything(&path)),
            false if kind.is_symlink() => found.push((path, Vec::new())),
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

struct Red;

impl Checks for Red {
    fn run(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async { "1 test failed: test_a".to_owned() })
    }
}

#[tokio::test]
async fn ci_runs_if_available_and_is_reported_as_unavailable_otherwise() {
    for (checks, expected) in
        [(Some(Arc::new(Red) as Arc<dyn Checks>), "1 test failed: test_a"), (None, "cannot be run")]
    {
        let server =
            ModelServer::new(Protocol::Responses, [call("run_ci", json!({})), finish("done")]);
        let mut fixture = AgentFixture::new(&server, Protocol::Responses);
        fixture.checks = checks;
        let run = fixture.run().await.finished();
        assert_eq!(run.tools(), ["running CI", "finishing"]);
        assert!(run.answers()[0].contains(expected), "{:?}", run.answers());
    }
}

#[tokio::test]
async fn the_context_stays_bounded_and_the_prompt_in_it() {
    let reads = (0..8).map(|number| call("read", json!({"path": format!("src/big{number}")})));
    let server = ModelServer::new(Protocol::Anthropic, reads.chain([finish("done")]));
    let mut fixture = AgentFixture::new(&server, Protocol::Anthropic);
    (fixture.settings.max_context_tokens, fixture.settings.max_output_tokens) = (6_000, 1_000);
    for number in 0..8 {
        let text = format!("line of {number}\n").repeat(3_000);
        fs::write(fixture.at(&format!("slot/src/big{number}")), text).unwrap();
    }
    fixture.run().await.finished();
    let last = server.last_body();
    assert!(last.contains("dropped to stay within the context"), "{last}");
    assert!(last.contains("the prompt") && last.contains("src/big7, lines 1 to"), "{last}");
    let longest = server.asked().iter().map(|asked| asked.body.to_string().len()).max().unwrap();
    assert!(longest < 6_000 * 6, "{longest}");
}

#[tokio::test]
async fn secrets_in_files_are_not_sent_nor_overwritten() {
    let edit = json!({"path": "src/a.rs", "old": "[redacted: MODEL_KEY]", "new": "x"});
    let turns = [
        call("read", json!({"path": "src/a.rs"})),
        call("edit", edit),
        write("src/b.rs", KEY),
        finish(KEY),
    ];
    let server = ModelServer::new(Protocol::OpenAi, turns);
    let fixture = AgentFixture::new(&server, Protocol::OpenAi);
    let text = format!("let key = \"{KEY}\";\n");
    fs::write(fixture.at("slot/src/a.rs"), &text).unwrap();
    let run = fixture.run().await.finished();
    let answers = run.answers();
    assert!(answers[0].contains("secrets are shown as"), "{}", answers[0]);
    assert!(answers[1].contains("stands for a secret"), "{}", answers[1]);
    assert!(answers[2].contains("contains a secret"), "{}", answers[2]);
    assert_eq!(fixture.read("src/a.rs"), text);
    assert!(!fixture.at("slot/src/b.rs").exists());
    let seen = format!("{:?}{:?}{}", run.reply, run.events, run.log);
    assert!(!seen.contains(KEY), "{seen}");
    // The model's own text goes back to it; the text it read does not leave the machine.
    assert!(!server.asked()[1].body.to_string().contains(KEY));
}

fn project(protocol: Protocol, server: &ModelServer, key: &str) -> Project {
    let name = match protocol {
        Protocol::Anthropic => "anthropic",
        Protocol::OpenAi => "openai",
        Protocol::Responses => "openai-responses",
        Protocol::Gemini => "gemini",
        Protocol::Ollama => "ollama",
    };
    let config = format!(
        "agents:\n  default: own\n  own:\n    kind: builtin\n    model: a-model\n    protocol: {name}\n    \
         base_url: {}\n    api_key_env: TEST_API_KEY\nci:\n  command: grep -q good src/one.txt\n  red_base: allow\n",
        server.url()
    );
    let plan = json!({"phases": [{"phase_id": "one", "description": "d", "deliverables": ["src/one.txt"]}]});
    Project::new().env("TEST_API_KEY", key).config(&config).plan(plan)
}

#[test]
fn a_phase_lands_over_every_protocol() {
    for protocol in PROTOCOLS {
        let turns = [
            call("list", json!({})),
            status(500, json!({})),
            write("src/one.txt", "bad\n"),
            call("edit", json!({"path": "src/one.txt", "old": "bad", "new": "good"})),
            finish("wrote it"),
        ];
        let server = ModelServer::new(protocol, turns);
        let project = project(protocol, &server, "sk-not-a-real-one");
        project.drain().succeeded();
        assert_eq!(project.landed(), ["one"], "{protocol:?}");
        assert_eq!(project.git(["show", "autopack/run:src/one.txt"]), "good\n");
        let tokens = &project.phase("one")["attempt_log"][0]["tokens"];
        assert_eq!((&tokens["input"], &tokens["output"]), (&json!(40), &json!(28)), "{protocol:?}");
    }
}

#[test]
fn a_planted_key_is_kept_nowhere() {
    let key = format!("sk-{}", "aB3x".repeat(8));
    let body = json!({"error": {"message": format!("your key {key} is tired")}});
    let stream_error = Turn::Status(503, Vec::new(), body.to_string());
    let turns = [
        stream_error,
        write("src/one.txt", &format!("good {key}\n")),
        Turn::Say(format!("I like {key}")),
        write("src/one.txt", "good\n"),
        finish(&format!("used {key}")),
    ];
    let server = ModelServer::new(Protocol::Anthropic, turns);
    let project = project(Protocol::Anthropic, &server, &key);
    let ran = project.autopack(["-vv", "drain", "--run-id", "run"]).succeeded();
    assert!(!ran.stdout.contains(&key) && !ran.stderr.contains(&key), "{ran:#?}");
    let keeps = |(_, bytes): &&(PathBuf, Vec<u8>)| {
        bytes.windows(key.len()).any(|window| window == key.as_bytes())
    };
    let files = everything(&project.path(".autopack"));
    assert!(files.len() > 5);
    assert_eq!(files.iter().find(keeps).map(|(path, _)| path), None);
}

#[test]
fn a_missing_key_is_reported_before_any_claim() {
    let server = ModelServer::new(Protocol::OpenAi, []);
    let project = project(Protocol::OpenAi, &server, "");
    project.write(
        ".autopack/config/autopack.yaml",
        "agents:\n  default: own\n  own: {kind: builtin, model: gpt-4o-mini, api_key_env: TEST_API_KEY}\n",
    );
    let ran = project.drain().exited(5);
    assert!(ran.stderr.contains("TEST_API_KEY is not set"), "{ran:#?}");
    assert_eq!(project.phase("one")["attempt_log"], json!([]));
}
