//! Toy: `toy run --json`, one JSON object per line.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Adapter, AgentCommand, AgentNeeds, ArgumentInput, Fault, Finish, JsonAccess, PromptChannel,
    Reader, ReportedUsage, Signal, ToolResult, object, status, tool_use,
};
use crate::phase::Tokens;

/// The adapter: how the program is found, called and described.
pub(crate) struct Toy;

impl Adapter for Toy {
    fn kind(&self) -> &'static str {
        "toy"
    }

    fn tested_versions(&self) -> &'static [&'static str] {
        &["1.0.0"]
    }

    fn install(&self) -> &'static str {
        "npm install -g toy-agent"
    }

    fn login(&self) -> &'static str {
        "run `toy login`, or set TOY_API_KEY"
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds {
            env: vec!["TOY_API_KEY"],
            directories: vec![".toy"],
            hosts: vec!["api.toy.example"],
            ..AgentNeeds::default()
        }
    }

    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand {
        let mut args = vec!["run".to_owned(), "--json".to_owned()];
        if let Some(model) = &input.settings.model {
            args.extend(["--model".to_owned(), model.clone()]);
        }
        if let Some(session) = input.session {
            args.extend(["--resume".to_owned(), session.to_owned()]);
        }
        AgentCommand { args, prompt: PromptChannel::Stdin, ..AgentCommand::default() }
    }

    fn reader(&self, worktree: &Path) -> Box<dyn Reader> {
        Box::new(Stream { worktree: worktree.to_owned() })
    }
}

/// Reads one attempt's stream.
struct Stream {
    worktree: PathBuf,
}

impl Reader for Stream {
    fn line(&mut self, line: &str) -> Vec<Signal> {
        let Some(event) = object(line) else { return Vec::new() };
        match event.str("/type") {
            "start" => {
                let session = event.text("/session").map(Signal::Session);
                session.into_iter().chain(event.text("/model").map(Signal::Model)).collect()
            }
            "say" => event.text("/text").map(Signal::Text).into_iter().collect(),
            "tool" => {
                let input = event.get("input").unwrap_or(&Value::Null);
                let (id, name) = (event.str("/id"), event.str("/name"));
                vec![Signal::Tool(tool_use(id, name, input, &self.worktree))]
            }
            "result" => {
                vec![Signal::Result(ToolResult::new(event.str("/id"), event.str("/text")))]
            }
            "error" => vec![Signal::Failed(Fault {
                status: status(event.count("/status")),
                code: event.text("/code"),
                message: event.str("/message").to_owned(),
                last: true,
                ..Fault::default()
            })],
            "end" => {
                let tokens = Tokens {
                    input: event.count("/input_tokens"),
                    output: event.count("/output_tokens"),
                    ..Tokens::default()
                };
                let finish = Finish { summary: event.text("/summary"), ..Finish::default() };
                vec![
                    Signal::Total(ReportedUsage { tokens, ..ReportedUsage::default() }),
                    Signal::Finished(finish),
                ]
            }
            _ => Vec::new(),
        }
    }
}
