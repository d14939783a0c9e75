//! Claude Code: `claude -p` with a stream of JSON lines.
//!
//! The `assistant` lines repeat a message's usage for each part, with an incomplete output count; only
//! `result` counts correctly. On a 429, `result` has `subtype: "success"` with `is_error: true`. A `result`
//! is not the end while subagents work (`claude_tasks`).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use serde_json::Value;

use super::claude_tasks::Tasks;
use super::{
    Adapter, AgentCommand, AgentNeeds, ArgumentInput, CoAuthor, CredentialFile, Fault, Finish,
    HomeVariable, JsonAccess, PromptChannel, RateLimitReset, Reader, Refusal, ReportedUsage,
    Signal, ToolResult, object, providers, status, texts, tool_use,
};
use crate::config::ProgramAgentSettings;
use crate::phase::{Tokens, UnixMs};
use crate::process::child_env::Env;

/// The adapter of Claude Code.
pub(crate) struct Claude;

impl Adapter for Claude {
    fn kind(&self) -> &'static str {
        "claude"
    }

    fn tested_versions(&self) -> &'static [&'static str] {
        &["2.1.197"]
    }

    fn install(&self) -> &'static str {
        "npm install -g @anthropic-ai/claude-code"
    }

    fn co_author(&self) -> Option<CoAuthor> {
        Some(CoAuthor { name: "Claude", address: "noreply@anthropic.com" })
    }

    fn login(&self) -> &'static str {
        "run `claude` once and log in, or set ANTHROPIC_API_KEY"
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds {
            env: vec![
                "ANTHROPIC_API_KEY",
                "ANTHROPIC_AUTH_TOKEN",
                "ANTHROPIC_CUSTOM_HEADERS",
                "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
                "CLAUDE_CODE_OAUTH_TOKEN",
            ],
            clouds: vec![
                providers::AMAZON.selected_by(&["CLAUDE_CODE_USE_BEDROCK"]),
                providers::GOOGLE.selected_by(&["CLAUDE_CODE_USE_VERTEX"]),
                providers::MICROSOFT.selected_by(&["CLAUDE_CODE_USE_FOUNDRY"]),
            ],
            directories: vec![".claude"],
            files: vec![".claude.json"],
            credentials: vec![CredentialFile {
                path: ".claude/.credentials.json",
                renewed: &["accessToken", "refreshToken", "expiresAt", "refreshTokenExpiresAt"],
            }],
            sessions: vec![".claude/projects"],
            records: vec![
                ".claude/backups",
                ".claude/debug",
                ".claude/file-history",
                ".claude/history.jsonl",
                ".claude/paste-cache",
                ".claude/session-env",
                ".claude/shell-snapshots",
                ".claude/statsig",
                ".claude/tasks",
                ".claude/telemetry",
                ".claude/todos",
            ],
            // The last two renew a login.
            hosts: vec!["api.anthropic.com", "console.anthropic.com", "platform.claude.com"],
            url_variables: vec![
                "ANTHROPIC_BASE_URL",
                "ANTHROPIC_BEDROCK_BASE_URL",
                "ANTHROPIC_FOUNDRY_BASE_URL",
                "ANTHROPIC_VERTEX_BASE_URL",
            ],
            home_variables: vec![HomeVariable {
                name: "CLAUDE_CONFIG_DIR",
                directory: ".claude",
                below: "",
            }],
            // As root, Claude Code skips permissions only in a sandbox.
            view_env: vec![("IS_SANDBOX", "1"), ("DISABLE_AUTOUPDATER", "1")],
            ..AgentNeeds::default()
        }
    }

    /// Only a user who turned the sandbox on has one.
    fn without_own_sandbox(
        &self,
        settings: &ProgramAgentSettings,
        env: &Env,
    ) -> Option<Vec<String>> {
        if has_own_settings(settings) {
            return None;
        }
        let home = Path::new(env.get(OsStr::new("HOME"))?);
        let file = self.needs().locate(".claude/settings.json", home, env);
        let text = std::fs::read_to_string(file).ok()?;
        let is_on = object(&text)?.pointer("/sandbox/enabled")?.as_bool()?;
        let off = r#"{"sandbox":{"enabled":false}}"#;
        is_on.then(|| ["--settings", off].map(str::to_owned).to_vec())
    }

    fn uses_own_sandbox(&self, settings: &ProgramAgentSettings, env: &Env) -> bool {
        has_own_settings(settings) || self.without_own_sandbox(settings, env).is_some()
    }

    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand {
        let mut args =
            ["-p", "--output-format", "stream-json", "--verbose"].map(str::to_owned).to_vec();
        if !has_own_mode(input.settings) {
            args.push("--dangerously-skip-permissions".to_owned());
        }
        args.extend_from_slice(&input.own_sandbox.args);
        if let Some(model) = &input.settings.model {
            args.extend(["--model".to_owned(), model.clone()]);
        }
        if let Some(session) = input.session {
            args.extend(["--resume".to_owned(), session.to_owned()]);
        }
        AgentCommand { args, prompt: PromptChannel::Stdin, ..AgentCommand::default() }
    }

    fn resume_arguments(&self, session: &str) -> Option<Vec<String>> {
        Some(["--resume", session].map(str::to_owned).to_vec())
    }

    fn reader(&self, worktree: &Path) -> Box<dyn Reader> {
        Box::new(Stream { worktree: worktree.to_owned(), tasks: Tasks::default(), error: None })
    }

    fn reports_cost(&self) -> bool {
        true
    }

    /// Claude Code would exit with a line of prose in every phase.
    fn refuses(&self, settings: &ProgramAgentSettings, env: &Env) -> Option<Refusal> {
        let name = "IS_SANDBOX";
        let sandbox = settings.env.contains_key(name) || env.contains_key(OsStr::new(name));
        (geteuid().is_root() && !sandbox && !has_own_mode(settings)).then_some(Refusal {
            why: "Claude Code does not skip permissions for root",
            hint: "run autopack as another user, or set IS_SANDBOX=1 if this machine is a sandbox",
        })
    }
}

/// A limit set by `extra_args` is intended by the user.
/// Whether the configuration names a file of settings, which may turn on Claude's sandbox.
fn has_own_settings(settings: &ProgramAgentSettings) -> bool {
    let is_settings = |arg: &String| arg == "--settings" || arg.starts_with("--settings=");
    settings.extra_args.iter().any(is_settings)
}

fn has_own_mode(settings: &ProgramAgentSettings) -> bool {
    settings.extra_args.iter().any(|arg| arg.starts_with("--permission-mode"))
}

struct Stream {
    worktree: PathBuf,
    tasks: Tasks,
    /// Error code and text of the last message, if the message was an error.
    error: Option<(String, String)>,
}

impl Reader for Stream {
    fn line(&mut self, line: &str) -> Vec<Signal> {
        let Some(event) = object(line) else { return Vec::new() };
        match (event.str("/type"), event.str("/subtype")) {
            ("system", "init") => {
                let session = event.text("/session_id").map(Signal::Session);
                session.into_iter().chain(event.text("/model").map(Signal::Model)).collect()
            }
            ("system", "api_retry") => vec![Signal::Held(retry(&event))],
            ("system", _) => self.tasks.event(&event),
            ("assistant", _) => self.assistant(&event),
            ("user", _) => {
                let results = event.list("/message/content").iter().filter_map(result_of_tool);
                let mut signals: Vec<Signal> = results.collect();
                signals.extend(self.tasks.results(&event));
                signals
            }
            ("rate_limit_event", _) => rate_limit(&event).into_iter().collect(),
            ("result", _) => self.result(&event),
            _ => Vec::new(),
        }
    }
}

impl Stream {
    fn assistant(&mut self, event: &Value) -> Vec<Signal> {
        let words = || event.list("/message/content").iter().find_map(|part| part.text("/text"));
        // An answer over the limit is cut off, and the session continues.
        if let Some(code) = event.text("/error").filter(|code| code != "max_output_tokens") {
            let message = words().unwrap_or_else(|| code.clone());
            self.error = Some((code.clone(), message.clone()));
            return vec![Signal::Failed(Fault { code: Some(code), message, ..Fault::default() })];
        }
        self.error = None;
        self.tasks.uses(event);
        assistant(event, &self.worktree)
    }

    fn result(&mut self, event: &Value) -> Vec<Signal> {
        result(event, self.error.take())
    }
}

fn assistant(event: &Value, worktree: &Path) -> Vec<Signal> {
    // Claude Code's own error text, not the model's.
    if event.str("/message/model") == "<synthetic>" {
        return Vec::new();
    }
    let mut signals: Vec<Signal> =
        event.text("/message/model").map(Signal::Model).into_iter().collect();
    for part in event.list("/message/content") {
        match part.str("/type") {
            "text" => signals.extend(part.text("/text").map(Signal::Text)),
            "tool_use" => {
                let input = part.get("input").unwrap_or(&Value::Null);
                signals.push(Signal::Tool(tool_use(
                    part.str("/id"),
                    part.str("/name"),
                    input,
                    worktree,
                )));
            }
            _ => {}
        }
    }
    if let Some(usage) = event.pointer("/message/usage") {
        let id = event.text("/message/id");
        signals.push(Signal::Usage(ReportedUsage { id, tokens: tokens(usage), cost_usd: None }));
    }
    signals
}

fn tokens(usage: &Value) -> Tokens {
    Tokens {
        input: usage.count("/input_tokens"),
        output: usage.count("/output_tokens"),
        cache_read: usage.count("/cache_read_input_tokens"),
        cache_write: usage.count("/cache_creation_input_tokens"),
    }
}

fn result_of_tool(part: &Value) -> Option<Signal> {
    let key = part.get("content").map(Value::to_string).unwrap_or_default();
    let output = part.text("/content").unwrap_or_else(|| texts(part.list("/content")));
    let result = ToolResult::with_key(&part.text("/tool_use_id")?, key, output);
    (part.str("/type") == "tool_result").then_some(Signal::Result(result))
}

fn retry(event: &Value) -> Fault {
    let code = event.text("/error");
    let message = format!(
        "retry {} of {}",
        event.count("/attempt").unwrap_or(0),
        event.count("/max_retries").unwrap_or(0)
    );
    Fault { status: status(event.count("/error_status")), message, code, ..Fault::default() }
}

/// Reads the limits of a subscription. "allowed" and "allowed_warning" are ignored.
fn rate_limit(event: &Value) -> Option<Signal> {
    let info = event.get("rate_limit_info")?;
    let at = info.count("/resetsAt").and_then(|epoch| i64::try_from(epoch).ok()?.checked_mul(1000));
    let kind = info.text("/rateLimitType").unwrap_or_else(|| "usage".to_owned());
    (info.str("/status") == "rejected").then(|| {
        Signal::Held(Fault {
            status: Some(429),
            message: format!("the {kind} limit is reached"),
            until: at.map(|at| RateLimitReset::At(UnixMs(at))),
            ..Fault::default()
        })
    })
}

/// Reads the last line. `error` is the error in place of the last message.
fn result(event: &Value, error: Option<(String, String)>) -> Vec<Signal> {
    let mut signals: Vec<Signal> =
        event.text("/session_id").map(Signal::Session).into_iter().collect();
    if let Some(usage) = event.get("usage") {
        let cost_usd = event.amount("/total_cost_usd");
        signals.push(Signal::Total(ReportedUsage { id: None, tokens: tokens(usage), cost_usd }));
    }
    let denied = event.list("/permission_denials");
    if let Some(first) = denied.first() {
        let what = format!(
            "{} tool uses were denied, the first: {}",
            denied.len(),
            first.str("/tool_name")
        );
        signals.push(Signal::Note(what));
    }
    let words = event.text("/result").unwrap_or_else(|| event.str("/subtype").to_owned());
    let is_error = event.pointer("/is_error").and_then(Value::as_bool).unwrap_or(false);
    let status = status(event.count("/api_error_status"));
    let failed = is_error || status.is_some() || event.str("/subtype").starts_with("error");
    if failed || error.is_some() {
        let (code, message) = error.unzip();
        signals.push(Signal::Failed(Fault {
            status,
            code,
            message: Some(words).filter(|_| failed).or(message).unwrap_or_default(),
            last: true,
            ..Fault::default()
        }));
    } else {
        let stop_reason = event.text("/stop_reason");
        signals.push(Signal::Finished(Finish { summary: Some(words), stop_reason }));
    }
    signals
}
