//! mini-swe-agent. The output is for people; the trajectory, written at the end, has the facts: how the run
//! ended (possibly the name of an exception) and the usage of each answer.

use std::path::Path;

use serde_json::Value;

use super::{
    Adapter, AgentCommand, AgentNeeds, ArgumentInput, Fault, Finish, HomeVariable, JsonAccess,
    PromptChannel, Reader, ReportedUsage, Signal, litellm_errors, providers,
};
use crate::phase::Tokens;

/// The adapter of mini-swe-agent.
pub(crate) struct MiniSweAgent;

impl Adapter for MiniSweAgent {
    fn kind(&self) -> &'static str {
        "mini-swe-agent"
    }

    fn program(&self) -> &'static str {
        "mini"
    }

    fn tested_versions(&self) -> &'static [&'static str] {
        &["2.4.6"]
    }

    fn install(&self) -> &'static str {
        "python3 -m pip install mini-swe-agent mcp"
    }

    fn login(&self) -> &'static str {
        "run `mini-extra config setup`, or set the key of its provider"
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds {
            directories: vec![".config/mini-swe-agent"],
            secrets: vec![".config/mini-swe-agent/.env"],
            records: vec![".config/mini-swe-agent/last_mini_run.traj.json"],
            home_variables: vec![
                HomeVariable {
                    name: "MSWEA_GLOBAL_CONFIG_DIR",
                    directory: ".config/mini-swe-agent",
                    below: "",
                },
                HomeVariable { name: "XDG_CONFIG_HOME", directory: ".config", below: "" },
            ],
            ..providers::any_provider()
        }
    }

    fn takes_any_provider(&self) -> bool {
        true
    }

    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand {
        let mut args: Vec<String> = Vec::new();
        if let Some(model) = &input.settings.model {
            args.extend(["-m".to_owned(), model.clone()]);
        }
        args.extend(["-y", "--exit-immediately", "-o"].map(str::to_owned));
        args.push(input.file.display().to_string());
        let env = vec![
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            // Otherwise: a question at the first start, and an end for models without a price.
            ("MSWEA_CONFIGURED", "true"),
            ("MSWEA_COST_TRACKING", "ignore_errors"),
        ];
        AgentCommand { args, prompt: PromptChannel::Flag("-t"), env, ..AgentCommand::default() }
    }

    fn reader(&self, _worktree: &Path) -> Box<dyn Reader> {
        Box::new(Stream)
    }

    fn reports_cost(&self) -> bool {
        true
    }

    fn version_env(&self) -> &'static [(&'static str, &'static str)] {
        // Otherwise: questions at the first start.
        &[("MSWEA_CONFIGURED", "true")]
    }
}

struct Stream;

impl Reader for Stream {
    fn line(&mut self, line: &str) -> Vec<Signal> {
        match litellm_errors::class(line) {
            Some(class) => vec![Signal::Held(litellm_errors::fault(class, line))],
            None => vec![Signal::Text(line.to_owned())],
        }
    }

    fn file(&mut self, text: &str) -> Vec<Signal> {
        let Ok(trajectory) = serde_json::from_str::<Value>(text) else { return Vec::new() };
        let messages = trajectory.list("/messages");
        let mut signals: Vec<Signal> = messages.iter().enumerate().filter_map(spent).collect();
        let model = messages.iter().find_map(|message| message.text("/extra/response/model"));
        signals.extend(model.map(Signal::Model));
        let status = trajectory.str("/info/exit_status").to_owned();
        let why = messages.last().map(|message| message.str("/content")).unwrap_or_default();
        signals.extend(match status.as_str() {
            "" => None,
            "Submitted" => Some(Signal::Finished(Finish {
                summary: trajectory.text("/info/submission").filter(|text| !text.trim().is_empty()),
                stop_reason: Some(status),
            })),
            "LimitsExceeded" => Some(Signal::Failed(Fault {
                message: "it reached its own limit of steps or cost".to_owned(),
                last: true,
                ..Fault::default()
            })),
            name => {
                let message = if why.is_empty() { name } else { why };
                Some(Signal::Failed(Fault { last: true, ..litellm_errors::fault(name, message) }))
            }
        });
        signals
    }
}

fn spent((at, message): (usize, &Value)) -> Option<Signal> {
    let usage = message.pointer("/extra/response/usage")?;
    let tokens = Tokens {
        input: usage.count("/prompt_tokens"),
        output: usage.count("/completion_tokens"),
        cache_read: usage.count("/prompt_tokens_details/cached_tokens"),
        cache_write: None,
    };
    let cost_usd = message.amount("/extra/cost");
    Some(Signal::Usage(
        ReportedUsage { id: Some(at.to_string()), tokens, cost_usd }.without_cache(),
    ))
}
