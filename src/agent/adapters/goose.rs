//! Goose: `goose run --output-format stream-json`.
//!
//! Goose exits with 0 on most provider errors, with an own text in place of the model's, in a message without
//! an inference. While waiting for a rate limit, Goose prints nothing.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Adapter, AgentCommand, AgentNeeds, ArgumentInput, CredentialFile, Fault, Finish, HomeVariable,
    JsonAccess, PromptChannel, Reader, ReportedUsage, Signal, ToolResult, object, providers, texts,
    tool_use,
};
use crate::phase::Tokens;

/// The adapter of Goose.
pub(crate) struct Goose;

impl Adapter for Goose {
    fn kind(&self) -> &'static str {
        "goose"
    }

    fn tested_versions(&self) -> &'static [&'static str] {
        &["1.52.0"]
    }

    fn install(&self) -> &'static str {
        "npm install -g @aaif/goose-binary-linux-x64, and name its `program`"
    }

    fn login(&self) -> &'static str {
        "run `goose configure`, or set the key of its provider"
    }

    fn needs(&self) -> AgentNeeds {
        const RENEWED: &[&str] =
            &["access_token", "expires_at", "expires_in", "id_token", "refresh_token"];
        let logins = [
            ".config/goose/chatgpt_codex/tokens.json",
            ".config/goose/gemini_oauth/tokens.json",
            ".config/goose/huggingface/oauth/tokens.json",
            ".config/goose/kimicode/token.json",
            ".config/goose/xai_oauth/tokens.json",
        ];
        let own = |directory, below| HomeVariable { name: "GOOSE_PATH_ROOT", directory, below };
        AgentNeeds {
            directories: vec![".config/goose", ".local/share/goose", ".local/state/goose"],
            credentials: logins.map(|path| CredentialFile { path, renewed: RENEWED }).to_vec(),
            secrets: vec![".config/goose/secrets.yaml", ".config/goose/githubcopilot/info.json"],
            records: vec![".local/share/goose/sessions", ".local/state/goose/logs"],
            home_variables: vec![
                own(".config/goose", "config"),
                own(".local/share/goose", "data"),
                own(".local/state/goose", "state"),
                HomeVariable { name: "XDG_CONFIG_HOME", directory: ".config", below: "" },
                HomeVariable { name: "XDG_DATA_HOME", directory: ".local/share", below: "" },
                HomeVariable { name: "XDG_STATE_HOME", directory: ".local/state", below: "" },
            ],
            ..providers::any_provider()
        }
    }

    fn takes_any_provider(&self) -> bool {
        true
    }

    /// A model may have the form `provider/model`.
    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand {
        let mut args = ["run", "--no-session", "--no-profile", "--with-builtin", "developer"]
            .map(str::to_owned)
            .to_vec();
        match input.settings.model.as_deref().map(|model| (model, model.split_once('/'))) {
            Some((_, Some((provider, model)))) => {
                args.extend(["--provider", provider, "--model", model].map(str::to_owned));
            }
            Some((model, None)) => args.extend(["--model", model].map(str::to_owned)),
            None => {}
        }
        args.extend(["--output-format", "stream-json"].map(str::to_owned));
        let env = vec![("GOOSE_MODE", "auto"), ("GOOSE_DISABLE_KEYRING", "1")];
        AgentCommand {
            args,
            last: ["-i", "-"].map(str::to_owned).to_vec(),
            prompt: PromptChannel::Stdin,
            env,
            ..AgentCommand::default()
        }
    }

    fn reader(&self, worktree: &Path) -> Box<dyn Reader> {
        Box::new(Stream { worktree: worktree.to_owned(), last_text: None, failed: None })
    }

    fn reports_cost(&self) -> bool {
        true
    }

    fn streams_fragments(&self) -> bool {
        true
    }
}

const OWN_ERROR: &str = "Ran into this error: ";

struct Stream {
    worktree: PathBuf,
    last_text: Option<String>,
    failed: Option<Fault>,
}

impl Reader for Stream {
    fn line(&mut self, line: &str) -> Vec<Signal> {
        let Some(event) = object(line) else { return Vec::new() };
        match event.str("/type") {
            "message" => self.message(&event),
            "error" => {
                let known = self.failed.take();
                let fault = known.unwrap_or_else(|| fault(event.str("/error"), ""));
                vec![Signal::Failed(Fault { last: true, ..fault })]
            }
            "complete" => self.complete(&event),
            _ => Vec::new(),
        }
    }
}

impl Stream {
    fn message(&mut self, event: &Value) -> Vec<Signal> {
        let from_model = event.pointer("/message/metadata/inference").is_some();
        let mut signals: Vec<Signal> = event
            .text("/message/metadata/inference/requestedModel")
            .map(Signal::Model)
            .into_iter()
            .collect();
        for part in event.list("/message/content") {
            signals.extend(match part.str("/type") {
                "text" => self.text(part.str("/text"), from_model),
                "error" => {
                    self.failed = Some(fault(part.str("/message"), part.str("/kind")));
                    None
                }
                "systemNotification" => self.notification(part),
                "toolRequest" => {
                    self.failed = None;
                    Some(tool(part, &self.worktree))
                }
                "toolResponse" => {
                    let key = part.get("toolResult").map(Value::to_string).unwrap_or_default();
                    let result = ToolResult::with_key(part.str("/id"), key, output(part));
                    Some(Signal::Result(result))
                }
                _ => None,
            });
        }
        signals
    }

    fn notification(&mut self, part: &Value) -> Option<Signal> {
        let message = part.text("/msg")?;
        if part.str("/notificationType") != "creditsExhausted" {
            return Some(Signal::Note(message));
        }
        let code = Some("insufficient_quota".to_owned());
        self.failed = Some(Fault { code, message, ..Fault::default() });
        None
    }

    fn text(&mut self, text: &str, from_model: bool) -> Option<Signal> {
        if !from_model && text.starts_with(OWN_ERROR) {
            self.failed = Some(fault(text, ""));
            return None;
        }
        self.failed = None;
        self.last_text = Some(text.to_owned());
        Some(Signal::Text(text.to_owned()))
    }

    fn complete(&mut self, event: &Value) -> Vec<Signal> {
        let tokens = Tokens {
            input: event.count("/input_tokens"),
            output: event.count("/output_tokens"),
            cache_read: event.count("/cache_read_input_tokens"),
            cache_write: event.count("/cache_write_input_tokens"),
        };
        let spent = ReportedUsage { id: None, tokens, cost_usd: event.amount("/cost_usd") };
        let nothing = tokens.input == Some(0) && tokens.output == Some(0);
        let last = match self.failed.take() {
            Some(fault) => Signal::Failed(Fault { last: true, ..fault }),
            None if nothing => Signal::Failed(Fault {
                message: "Goose ended without reaching a model".to_owned(),
                last: true,
                ..Fault::default()
            }),
            None => Signal::Finished(Finish { summary: self.last_text.take(), stop_reason: None }),
        };
        vec![Signal::Total(spent.without_cache()), last]
    }
}

/// Returns the texts of a tool's result, or its error.
fn output(part: &Value) -> String {
    match part.str("/toolResult/error") {
        "" => texts(part.list("/toolResult/value/content")),
        error => error.to_owned(),
    }
}

fn tool(part: &Value, worktree: &Path) -> Signal {
    let input = part.pointer("/toolCall/value/arguments").unwrap_or(&Value::Null);
    Signal::Tool(tool_use(part.str("/id"), part.str("/toolCall/value/name"), input, worktree))
}

/// The status is in the fixed part of the text: "Request failed: Bad request (400): ...".
fn fault(text: &str, kind: &str) -> Fault {
    let message = text.strip_prefix(OWN_ERROR).unwrap_or(text);
    let message = message.split("\n\nPlease retry").next().unwrap_or(message);
    let status = message.strip_prefix("Request failed: ").and_then(|rest| {
        let number = rest.split_once('(')?.1.split_once(')')?.0;
        number.parse().ok()
    });
    let code = match kind {
        "authentication" => Some("authentication_error"),
        "rate_limit" | "rate_limit_exceeded" => Some("rate_limit"),
        "credits_exhausted" => Some("insufficient_quota"),
        _ if message.starts_with("Authentication error: ") => Some("authentication_error"),
        _ if message.starts_with("Rate limit exceeded: ") => Some("rate_limit"),
        _ => None,
    };
    Fault { status, code: code.map(str::to_owned), message: message.to_owned(), ..Fault::default() }
}
