//! Gemini CLI: `-o stream-json`.
//!
//! The exit code of an error is the status cut to a byte (400 becomes 144). The error is JSON in the text of
//! the last line, or a field on a line of standard error, where retries are reported as well.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Adapter, AgentCommand, AgentNeeds, ArgumentInput, CoAuthor, CredentialFile, Fault, Finish,
    HomeVariable, JsonAccess, PromptChannel, Reader, ReportedUsage, Signal, ToolResult, object,
    providers, status, tool_use,
};
use crate::phase::Tokens;

/// The adapter of Gemini CLI.
pub(crate) struct Gemini;

impl Adapter for Gemini {
    fn kind(&self) -> &'static str {
        "gemini"
    }

    fn tested_versions(&self) -> &'static [&'static str] {
        &["0.61.0"]
    }

    fn install(&self) -> &'static str {
        "npm install -g @google/gemini-cli"
    }

    fn co_author(&self) -> Option<CoAuthor> {
        Some(CoAuthor {
            name: "gemini-cli",
            address: "218195315+gemini-cli@users.noreply.github.com",
        })
    }

    fn login(&self) -> &'static str {
        "run `gemini` once and log in, or set GEMINI_API_KEY"
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds {
            env: vec!["GEMINI_API_KEY", "GOOGLE_API_KEY"],
            clouds: vec![
                providers::GOOGLE
                    .selected_by(&["GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_APPLICATION_CREDENTIALS"]),
            ],
            directories: vec![".gemini"],
            credentials: vec![CredentialFile {
                path: ".gemini/oauth_creds.json",
                renewed: &["access_token", "expiry_date", "id_token", "refresh_token"],
            }],
            secrets: vec![
                ".gemini/.env",
                ".gemini/gemini-credentials.json",
                ".gemini/mcp-oauth-tokens.json",
                ".gemini/mcp-oauth-tokens-v2.json",
            ],
            sessions: vec![".gemini/tmp"],
            records: vec![".gemini/history"],
            hosts: vec![
                "cloudcode-pa.googleapis.com",
                "generativelanguage.googleapis.com",
                "oauth2.googleapis.com",
            ],
            url_variables: vec![
                "CODE_ASSIST_ENDPOINT",
                "GOOGLE_GEMINI_BASE_URL",
                "GOOGLE_VERTEX_BASE_URL",
            ],
            home_variables: vec![HomeVariable {
                name: "GEMINI_CLI_HOME",
                directory: ".gemini",
                below: ".gemini",
            }],
            ..AgentNeeds::default()
        }
    }

    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand {
        let mut args = ["--yolo", "--skip-trust", "-o", "stream-json"].map(str::to_owned).to_vec();
        if let Some(model) = &input.settings.model {
            args.extend(["-m".to_owned(), model.clone()]);
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
        Box::new(Stream {
            worktree: worktree.to_owned(),
            last_text: String::new(),
            status: None,
            why: None,
        })
    }

    fn streams_fragments(&self) -> bool {
        true
    }
}

struct Stream {
    worktree: PathBuf,
    last_text: String,
    /// The last status on standard error.
    status: Option<u16>,
    /// The reason given on standard error, in the line before the status.
    why: Option<String>,
}

impl Reader for Stream {
    fn line(&mut self, line: &str) -> Vec<Signal> {
        let Some(event) = object(line) else { return Vec::new() };
        match event.str("/type") {
            "init" => {
                let session = event.text("/session_id").map(Signal::Session);
                session.into_iter().chain(event.text("/model").map(Signal::Model)).collect()
            }
            "message" if event.str("/role") == "assistant" => {
                self.last_text.push_str(event.str("/content"));
                event.text("/content").map(Signal::Text).into_iter().collect()
            }
            "tool_use" => {
                self.last_text.clear();
                let input = event.get("parameters").unwrap_or(&Value::Null);
                vec![Signal::Tool(tool_use(
                    event.str("/tool_id"),
                    event.str("/tool_name"),
                    input,
                    &self.worktree,
                ))]
            }
            "tool_result" => {
                let key =
                    format!("{:?}", [event.get("status"), event.get("output"), event.get("error")]);
                let error = event.text("/error/message").or(event.text("/error"));
                let output = error.unwrap_or_else(|| event.str("/output").to_owned());
                vec![Signal::Result(ToolResult::with_key(event.str("/tool_id"), key, output))]
            }
            "error" => event.text("/message").map(Signal::Note).into_iter().collect(),
            "result" => self.result(&event),
            _ => Vec::new(),
        }
    }

    fn error_line(&mut self, line: &str) -> Vec<Signal> {
        if let Some((_, why)) = line.split_once("Error: ") {
            self.why = Some(innermost(why).map_or_else(|| why.to_owned(), |(_, message)| message));
        }
        let field = ["status: ", "code: "].iter().find_map(|name| line.trim().strip_prefix(name));
        let named = status(field.and_then(|number| number.trim_end_matches(',').parse().ok()));
        let Some(named) = named.filter(|status| *status >= 400) else { return Vec::new() };
        self.status = Some(named);
        vec![Signal::Held(Fault {
            status: self.status,
            message: self.why.clone().unwrap_or_else(|| "retrying".to_owned()),
            ..Fault::default()
        })]
    }
}

impl Stream {
    fn result(&mut self, event: &Value) -> Vec<Signal> {
        let count = |key: &str| event.count(&format!("/stats/{key}"));
        let tokens = Tokens {
            input: count("input_tokens"),
            output: count("output_tokens"),
            cache_read: count("cached"),
            cache_write: None,
        };
        let mut signals = Vec::new();
        if event.get("stats").is_some() {
            signals.push(Signal::Total(
                ReportedUsage { tokens, ..ReportedUsage::default() }.without_cache(),
            ));
        }
        signals.push(match event.str("/status") {
            "error" => Signal::Failed(self.fault(event.str("/error/message"))),
            _ => Signal::Finished(Finish {
                summary: Some(std::mem::take(&mut self.last_text)),
                stop_reason: None,
            }),
        });
        signals
    }

    /// Reads `[API Error: {"error":{"code":401,..}}]`.
    fn fault(&self, message: &str) -> Fault {
        let inner = message.strip_prefix("[API Error: ").and_then(|rest| rest.strip_suffix(']'));
        let answer = inner.and_then(innermost);
        let (error, words) = answer.unzip();
        let error = error.unwrap_or_default();
        let prose = inner.unwrap_or(message).trim();
        let noted =
            Some(prose.to_owned()).filter(|text| !["", "[object Object]"].contains(&text.as_str()));
        Fault {
            status: status(error.count("/code")).or(self.status),
            code: error.text("/status").filter(|_| self.status.is_none()),
            message: words.or(noted).or_else(|| self.why.clone()).unwrap_or_default(),
            until: None,
            last: true,
        }
    }
}

/// Returns the error in a provider's answer, with the message. The message may be another provider's answer
/// as text.
fn innermost(text: &str) -> Option<(Value, String)> {
    const DEEPEST: usize = 4;
    let mut found: Option<(Value, String)> = None;
    for _ in 0..DEEPEST {
        let at = found.as_ref().map_or(text, |(_, message)| message.as_str());
        let Some(answer) = object(at) else { break };
        let error = answer.get("error").cloned().unwrap_or(answer);
        let Some(message) = error.text("/message") else { break };
        found = Some((error, message));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stderr: &[&str], message: &str) -> Fault {
        let mut reader = Gemini.reader(std::path::Path::new("/slot"));
        stderr.iter().for_each(|line| drop(reader.error_line(line)));
        let line =
            serde_json::json!({"type": "result", "status": "error", "error": {"message": message}});
        match reader.line(&line.to_string()).pop() {
            Some(Signal::Failed(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_providers_own_message_is_kept() {
        let inner =
            r#"{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}"#;
        let outer =
            serde_json::json!({"error": {"message": inner, "code": 400, "status": "Bad Request"}});
        let fault = failed(&[], &format!("[API Error: {outer}]"));
        assert_eq!((fault.status, fault.message.as_str()), (Some(400), "API key not valid"));
        assert_eq!(failed(&[], "[API Error: too long]").message, "too long");

        let stderr =
            [&format!("Error when talking to Gemini API _ApiError: {inner}"), "  status: 400"];
        let fault = failed(&stderr, "[API Error: [object Object]]");
        assert_eq!((fault.status, fault.message.as_str()), (Some(400), "API key not valid"));
        let mut reader = Gemini.reader(std::path::Path::new("/slot"));
        reader.error_line(stderr[0]);
        let Some(Signal::Held(fault)) = reader.error_line(stderr[1]).pop() else { panic!() };
        assert_eq!(fault.message, "API key not valid");
    }
}
