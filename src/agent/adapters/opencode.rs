//! OpenCode: `opencode run --format json`.
//!
//! There is no final line: the last step is the first to finish for a reason other than "tool-calls". While
//! waiting for a rate limit, OpenCode prints nothing.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Adapter, AgentCommand, AgentNeeds, ArgumentInput, CoAuthor, CredentialFile, Fault, Finish,
    HomeVariable, JsonAccess, PromptChannel, RateLimitReset, Reader, ReportedUsage, Signal,
    ToolResult, object, providers, status, tool_use,
};
use crate::phase::Tokens;

/// The adapter of OpenCode.
pub(crate) struct OpenCode;

impl Adapter for OpenCode {
    fn kind(&self) -> &'static str {
        "opencode"
    }

    fn tested_versions(&self) -> &'static [&'static str] {
        &["1.18.33"]
    }

    fn install(&self) -> &'static str {
        "npm install -g opencode-ai"
    }

    fn co_author(&self) -> Option<CoAuthor> {
        Some(CoAuthor { name: "opencode", address: "noreply@opencode.ai" })
    }

    fn login(&self) -> &'static str {
        "run `opencode auth login`, or set the key of its provider"
    }

    fn needs(&self) -> AgentNeeds {
        let mut needs = providers::any_provider();
        // The catalog of models, and the packages of providers.
        needs.hosts.extend(["models.dev", "registry.npmjs.org"]);
        AgentNeeds {
            directories: vec![
                ".config/opencode",
                ".local/share/opencode",
                ".local/state/opencode",
                ".cache/opencode",
            ],
            credentials: vec![
                CredentialFile {
                    path: ".local/share/opencode/auth.json",
                    renewed: &["access", "refresh", "expires"],
                },
                CredentialFile {
                    path: ".local/share/opencode/mcp-auth.json",
                    renewed: &["accessToken", "refreshToken", "expiresAt"],
                },
            ],
            sessions: vec![".local/share/opencode/autopack"],
            records: vec![
                ".local/share/opencode/log",
                ".local/share/opencode/repos",
                ".local/share/opencode/snapshot",
                ".local/share/opencode/storage",
                ".local/share/opencode/tool-output",
                ".local/share/opencode/worktree",
            ],
            home_variables: vec![
                HomeVariable { name: "XDG_CONFIG_HOME", directory: ".config", below: "" },
                HomeVariable { name: "XDG_DATA_HOME", directory: ".local/share", below: "" },
                HomeVariable { name: "XDG_STATE_HOME", directory: ".local/state", below: "" },
                HomeVariable { name: "XDG_CACHE_HOME", directory: ".cache", below: "" },
            ],
            // The database of sessions, relative to the directory of `auth.json`.
            view_env: vec![("OPENCODE_DB", "autopack/opencode.db")],
            ..needs
        }
    }

    fn takes_any_provider(&self) -> bool {
        true
    }

    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand {
        let mut args = ["run", "--format", "json", "--auto"].map(str::to_owned).to_vec();
        if let Some(model) = &input.settings.model {
            args.extend(["-m".to_owned(), model.clone()]);
        }
        if let Some(session) = input.session {
            args.extend(["--session".to_owned(), session.to_owned()]);
        }
        let env = [("OPENCODE_DISABLE_AUTOUPDATE", "1")];
        AgentCommand {
            args,
            prompt: PromptChannel::Stdin,
            env: env.to_vec(),
            ..AgentCommand::default()
        }
    }

    fn resume_arguments(&self, session: &str) -> Option<Vec<String>> {
        Some(["--session", session].map(str::to_owned).to_vec())
    }

    fn reader(&self, worktree: &Path) -> Box<dyn Reader> {
        Box::new(Stream { worktree: worktree.to_owned(), last_text: None })
    }

    fn is_busy_while_waiting(&self) -> bool {
        true
    }

    fn reports_cost(&self) -> bool {
        true
    }
}

struct Stream {
    worktree: PathBuf,
    last_text: Option<String>,
}

impl Reader for Stream {
    fn line(&mut self, line: &str) -> Vec<Signal> {
        let Some(event) = object(line) else { return Vec::new() };
        let mut signals: Vec<Signal> =
            event.text("/sessionID").map(Signal::Session).into_iter().collect();
        match event.str("/type") {
            "text" => {
                self.last_text = event.text("/part/text");
                signals.extend(self.last_text.clone().map(Signal::Text));
            }
            "tool_use" => signals.extend(tool(&event, &self.worktree)),
            "step_finish" => signals.extend(self.step(&event)),
            "error" => signals.push(Signal::Failed(fault(&event))),
            _ => {}
        }
        signals
    }
}

impl Stream {
    fn step(&mut self, event: &Value) -> Vec<Signal> {
        let count = |key: &str| event.count(&format!("/part/tokens/{key}"));
        let output =
            count("output").map(|output| output.saturating_add(count("reasoning").unwrap_or(0)));
        let tokens = Tokens {
            input: count("input"),
            output,
            cache_read: count("cache/read"),
            cache_write: count("cache/write"),
        };
        let spent = ReportedUsage {
            id: event.text("/part/id"),
            tokens,
            cost_usd: event.amount("/part/cost"),
        };
        let mut signals = vec![Signal::Usage(spent)];
        let stop_reason = event.text("/part/reason");
        if stop_reason.as_deref() != Some("tool-calls") {
            signals.push(Signal::Finished(Finish { summary: self.last_text.take(), stop_reason }));
        }
        signals
    }
}

/// Reads a tool use, reported once at the end.
fn tool(event: &Value, worktree: &Path) -> Vec<Signal> {
    let Some(part) = event.get("part") else { return Vec::new() };
    let id = part.str("/callID");
    let input = part.pointer("/state/input").unwrap_or(&Value::Null);
    let text = part.text("/state/output").or(part.text("/state/error")).unwrap_or_default();
    let used = Signal::Tool(tool_use(id, part.str("/tool"), input, worktree));
    vec![used, Signal::Result(ToolResult::new(id, &text))]
}

fn fault(event: &Value) -> Fault {
    let data = event.pointer("/error/data").unwrap_or(&Value::Null);
    let answer = object(data.str("/responseBody"));
    let code =
        answer.as_ref().and_then(|value| value.text("/error/code").or(value.text("/error/type")));
    let code = code.or_else(|| own_code(event.str("/error/name")));
    let after = data.str("/responseHeaders/retry-after").parse().ok();
    Fault {
        status: status(data.count("/statusCode")),
        code,
        message: data.text("/message").unwrap_or_else(|| event.str("/error/name").to_owned()),
        until: after.map(|seconds| RateLimitReset::After(std::time::Duration::from_secs(seconds))),
        last: true,
    }
}

fn own_code(name: &str) -> Option<String> {
    let code = match name {
        "ProviderAuthError" => "authentication_error",
        "ProviderModelNotFoundError" => "model_not_found",
        _ => return None,
    };
    Some(code.to_owned())
}
