//! Codex: `codex exec --json`.
//!
//! Usage counts the whole thread, so a resumed thread starts with the usage of earlier attempts: the earlier
//! usage is kept with the session's name and subtracted. An `item` of type "error" is a warning. Status codes
//! appear only in the fixed beginning of error texts.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Adapter, AgentCommand, AgentNeeds, ArgumentInput, CoAuthor, CredentialFile, Fault, Finish,
    HomeVariable, JsonAccess, PromptChannel, Purpose, Reader, ReportedUsage, Signal, ToolResult,
    ToolUse, command_use, editing, object, texts, tool_use,
};
use crate::config::ProgramAgentSettings;
use crate::phase::Tokens;
use crate::process::child_env::Env;

/// Separates a thread's id from the usage so far.
const USED: char = '+';

/// The adapter of Codex.
pub(crate) struct Codex;

impl Adapter for Codex {
    fn kind(&self) -> &'static str {
        "codex"
    }

    fn tested_versions(&self) -> &'static [&'static str] {
        &["0.169.0"]
    }

    fn install(&self) -> &'static str {
        "npm install -g @openai/codex"
    }

    fn co_author(&self) -> Option<CoAuthor> {
        Some(CoAuthor { name: "Codex", address: "noreply@openai.com" })
    }

    fn login(&self) -> &'static str {
        "run `codex login`, or set the key of its model provider"
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds {
            env: vec!["OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN"],
            directories: vec![".codex"],
            credentials: vec![
                CredentialFile {
                    path: ".codex/auth.json",
                    renewed: &["id_token", "access_token", "refresh_token", "last_refresh"],
                },
                // Logins of MCP servers.
                CredentialFile {
                    path: ".codex/.credentials.json",
                    renewed: &["access_token", "refresh_token", "expires_at"],
                },
            ],
            sessions: vec![".codex/sessions"],
            records: vec![
                ".codex/archived_sessions",
                ".codex/history.jsonl",
                ".codex/log",
                ".codex/shell_snapshots",
                ".codex/tmp",
            ],
            hosts: vec!["api.openai.com", "auth.openai.com", "chatgpt.com"],
            url_variables: vec!["OPENAI_BASE_URL"],
            home_variables: vec![HomeVariable {
                name: "CODEX_HOME",
                directory: ".codex",
                below: "",
            }],
            // Its sandbox masks its directory of sockets in `/tmp` at every path that the mounts tell, even in places
            // hidden by the view, where it cannot.
            separate_tmp: true,
            ..AgentNeeds::default()
        }
    }

    fn without_own_sandbox(
        &self,
        settings: &ProgramAgentSettings,
        _env: &Env,
    ) -> Option<Vec<String>> {
        let args = ["-s", "danger-full-access"].map(str::to_owned).to_vec();
        (!has_own_sandbox_mode(settings)).then_some(args)
    }

    fn uses_own_sandbox(&self, settings: &ProgramAgentSettings, _env: &Env) -> bool {
        let is_off = |arg: &String| {
            arg.contains("danger-full-access")
                || arg == "--dangerously-bypass-approvals-and-sandbox"
        };
        !settings.extra_args.iter().any(is_off)
    }

    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand {
        let mut args = ["exec", "--json", "--skip-git-repo-check"].map(str::to_owned).to_vec();
        if !input.own_sandbox.is_kept {
            args.extend_from_slice(&input.own_sandbox.args);
        } else if !has_own_sandbox_mode(input.settings) {
            args.extend(["-s", "workspace-write"].map(str::to_owned));
        }
        if let Some(model) = &input.settings.model {
            args.extend(["-m".to_owned(), model.clone()]);
        }
        let last = match input.session {
            Some(session) => ["resume", thread_of(session).0, "-"].map(str::to_owned).to_vec(),
            None => vec!["-".to_owned()],
        };
        AgentCommand { args, last, prompt: PromptChannel::Stdin, ..AgentCommand::default() }
    }

    fn resume_arguments(&self, session: &str) -> Option<Vec<String>> {
        Some(["resume", thread_of(session).0].map(str::to_owned).to_vec())
    }

    fn reader(&self, worktree: &Path) -> Box<dyn Reader> {
        Box::new(Stream {
            worktree: worktree.to_owned(),
            thread: String::new(),
            before: None,
            last_text: None,
        })
    }
}

/// Whether the user's arguments set the sandbox.
fn has_own_sandbox_mode(settings: &ProgramAgentSettings) -> bool {
    let names = ["-s", "--sandbox", "--dangerously-bypass-approvals-and-sandbox"];
    settings.extra_args.iter().any(|arg| {
        let (name, _) = arg.split_once('=').unwrap_or((arg, ""));
        names.contains(&name)
    })
}

fn thread_of(session: &str) -> (&str, [u64; 4]) {
    let (thread, used) = session.split_once(USED).unwrap_or((session, ""));
    let mut numbers = used.split(',').map(|number| number.parse().unwrap_or(0));
    (thread, std::array::from_fn(|_| numbers.next().unwrap_or(0)))
}

struct Stream {
    worktree: PathBuf,
    thread: String,
    /// Usage of the thread before this attempt.
    before: Option<[u64; 4]>,
    last_text: Option<String>,
}

impl Reader for Stream {
    fn resume(&mut self, session: &str) {
        self.before = Some(thread_of(session).1);
    }

    fn line(&mut self, line: &str) -> Vec<Signal> {
        let Some(event) = object(line) else { return Vec::new() };
        match event.str("/type") {
            "thread.started" => {
                self.thread = event.str("/thread_id").to_owned();
                vec![Signal::Session(self.session([0; 4]))]
            }
            "item.started" => self.item(&event, false),
            "item.completed" => self.item(&event, true),
            "turn.completed" => self.completed(&event),
            "turn.failed" => {
                let fault = fault(event.str("/error/message"));
                vec![Signal::Failed(Fault { last: true, ..fault })]
            }
            "error" => vec![error(event.str("/message"))],
            _ => Vec::new(),
        }
    }
}

impl Stream {
    fn session(&self, used: [u64; 4]) -> String {
        format!("{}{USED}{}", self.thread, used.map(|n| n.to_string()).join(","))
    }

    fn item(&mut self, event: &Value, done: bool) -> Vec<Signal> {
        let item = event.get("item").unwrap_or(&Value::Null);
        let id = item.str("/id").to_owned();
        match (item.str("/type"), done) {
            ("agent_message", true) => {
                self.last_text = item.text("/text");
                self.last_text.clone().map(Signal::Text).into_iter().collect()
            }
            ("error", true) => item.text("/message").map(Signal::Note).into_iter().collect(),
            ("agent_message" | "reasoning" | "todo_list" | "error", _) => Vec::new(),
            (_, false) => vec![Signal::Tool(tool(item, &self.worktree))],
            ("collab_tool_call", true) => {
                let text = format!("{:?}", [item.get("agents_states"), item.get("status")]);
                let mut signals =
                    vec![Signal::Result(ToolResult::with_key(&id, text, String::new()))];
                signals.extend(subagents(item));
                signals
            }
            (kind, true) => {
                // A file change is reported only when done.
                let use_of_it =
                    (kind == "file_change").then(|| Signal::Tool(tool(item, &self.worktree)));
                let text = [
                    item.get("aggregated_output"),
                    item.get("exit_code"),
                    item.get("status"),
                    item.get("result"),
                ];
                let result = ToolResult::with_key(&id, format!("{text:?}"), output(item));
                use_of_it.into_iter().chain([Signal::Result(result)]).collect()
            }
        }
    }

    fn completed(&mut self, event: &Value) -> Vec<Signal> {
        let count = |key: &str| event.count(&format!("/usage/{key}"));
        let keys =
            ["input_tokens", "cached_input_tokens", "cache_write_input_tokens", "output_tokens"];
        let all = keys.map(count);
        let before = self.before.unwrap_or_default();
        let since: [Option<u64>; 4] =
            std::array::from_fn(|at| all[at].map(|now| now.saturating_sub(before[at])));
        let [input, cache_read, cache_write, output] = since;
        let tokens = Tokens { input, output, cache_read, cache_write };
        let mut signals = vec![Signal::Session(self.session(all.map(Option::unwrap_or_default)))];
        if event.get("usage").is_some() {
            signals.push(Signal::Total(
                ReportedUsage { tokens, ..ReportedUsage::default() }.without_cache(),
            ));
        }
        signals
            .push(Signal::Finished(Finish { summary: self.last_text.take(), stop_reason: None }));
        signals
    }
}

/// Returns signals for the agents of a collaboration tool call. `wait` may time out and `spawn_agent` returns
/// at once: only the state of each agent tells whether the agent is working.
fn subagents(item: &Value) -> Vec<Signal> {
    let states = item.get("agents_states").and_then(Value::as_object);
    let state = |(id, state): (&String, &Value)| match state.str("/status") {
        "pending_init" | "running" => Signal::SubagentStarted(id.clone()),
        _ => Signal::SubagentEnded(id.clone()),
    };
    let mut signals: Vec<Signal> = states.into_iter().flatten().map(state).collect();
    let is_known = |id: &&str| states.is_none_or(|states| !states.contains_key(*id));
    let receivers = item.list("/receiver_thread_ids").iter().filter_map(Value::as_str);
    signals.extend(receivers.filter(is_known).filter_map(|id| match item.str("/tool") {
        "spawn_agent" | "resume_agent" | "send_input" if item.str("/status") != "failed" => {
            Some(Signal::SubagentStarted(id.to_owned()))
        }
        "close_agent" => Some(Signal::SubagentEnded(id.to_owned())),
        _ => None,
    }));
    signals
}

/// Returns the output of a command or a tool, with an exit code other than 0.
fn output(item: &Value) -> String {
    let text = item
        .text("/aggregated_output")
        .or_else(|| item.text("/error/message"))
        .unwrap_or_else(|| texts(item.list("/result/content")));
    match item.get("exit_code").and_then(Value::as_i64).filter(|code| *code != 0) {
        Some(code) => format!("{}\nexit code {code}", text.trim_end()),
        None => text,
    }
}

fn tool(item: &Value, worktree: &Path) -> ToolUse {
    let id = item.str("/id").to_owned();
    match item.str("/type") {
        "command_execution" => command_use(&id, item.str("/command")),
        "file_change" => {
            let paths: Vec<&str> =
                item.list("/changes").iter().map(|change| change.str("/path")).collect();
            ToolUse {
                id,
                key: paths.join("\n"),
                words: editing(&paths, worktree),
                purpose: Purpose::Work,
            }
        }
        other => {
            let name = item.text("/tool").unwrap_or_else(|| other.to_owned());
            let input = item.get("arguments").or(item.get("query")).unwrap_or(&Value::Null);
            let mut used = tool_use(&id, &name, input, worktree);
            if other == "collab_tool_call" {
                // The agents' states tell how long each works.
                used.purpose = if name == "wait" { Purpose::Wait } else { Purpose::Work };
                used.key = format!("{name} {item}");
            }
            used
        }
    }
}

/// Reads "Reconnecting... 1/5 (unexpected status 429 ...)": Codex retries by itself.
fn error(message: &str) -> Signal {
    match message.strip_prefix("Reconnecting... ").and_then(|rest| rest.split_once('(')) {
        Some((_, why)) => Signal::Held(fault(why.trim_end_matches(')'))),
        None => Signal::Failed(fault(message)),
    }
}

fn fault(message: &str) -> Fault {
    const STATUS: [&str; 2] = ["unexpected status ", "exceeded retry limit, last status: "];
    let status = STATUS.iter().find_map(|start| {
        let number = message.strip_prefix(start)?.split_whitespace().next()?;
        number.parse().ok()
    });
    // Some errors are the provider's unchanged answer.
    let answer = object(message);
    let code =
        answer.as_ref().and_then(|value| value.text("/error/code").or(value.text("/error/type")));
    Fault { status, code, message: message.to_owned(), ..Fault::default() }
}
