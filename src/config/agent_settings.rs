//! The agents as they are configured. What each kind does is `agent`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `agents.default` names one of the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentsSettings {
    pub default: Option<String>,
    #[serde(flatten)]
    pub named: BTreeMap<String, AgentSettings>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AgentSettings {
    Command(CommandAgentSettings),
    Replay(ReplayAgentSettings),
    Claude(ProgramAgentSettings),
    Codex(ProgramAgentSettings),
    Opencode(ProgramAgentSettings),
    Gemini(ProgramAgentSettings),
    Goose(ProgramAgentSettings),
    Aider(ProgramAgentSettings),
    MiniSweAgent(ProgramAgentSettings),
    Builtin(BuiltinAgentSettings),
}

/// Any program that edits files in its working directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandAgentSettings {
    /// argv, no shell; `{workspace}` `{worktree}` `{prompt}` `{prompt_file}` are replaced.
    pub command: Vec<String>,
    #[serde(default)]
    pub prompt: PromptBy,
    #[serde(default = "agent_timeout")]
    pub timeout_seconds: u64,
    #[serde(default = "agent_idle_timeout")]
    pub idle_timeout_seconds: u64,
    /// Added to the agent's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// One of the coding agents that people have: how it is called is known, and what it prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramAgentSettings {
    /// Instead of the name that it is known by: a path, or a name on PATH.
    pub program: Option<String>,
    /// As the agent calls it; without it, its own default.
    pub model: Option<String>,
    /// After autopack's own arguments.
    pub extra_args: Vec<String>,
    pub timeout_seconds: u64,
    pub idle_timeout_seconds: u64,
    /// Whether a retry goes on with the failed try's session, where the agent can.
    pub resume: bool,
    /// Added to the agent's environment.
    pub env: BTreeMap<String, String>,
}

/// The agent in autopack itself: a model, and tools that keep to the scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuiltinAgentSettings {
    /// As the provider calls it.
    pub model: String,
    /// Without it, the one that the model's name belongs to.
    pub protocol: Option<ModelProtocol>,
    /// Instead of the provider's own address.
    pub base_url: Option<String>,
    /// The environment variable that holds the key; without it, the provider's usual one.
    pub api_key_env: Option<String>,
    pub timeout_seconds: u64,
    /// Without a byte from the provider for that long, the request is given up.
    pub idle_timeout_seconds: u64,
    /// Answers of the model that one attempt may take.
    pub max_turns: u32,
    /// Of one answer.
    pub max_output_tokens: u32,
    /// What is sent of the conversation; older tool results are dropped first.
    pub max_context_tokens: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelProtocol {
    Anthropic,
    /// Chat completions, which most compatible servers speak.
    Openai,
    OpenaiResponses,
    Gemini,
    Ollama,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptBy {
    #[default]
    Stdin,
    File,
    Arg,
}

/// Plays recorded edits: `<folder>/<phase_id>/<try>/` is copied over the worktree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayAgentSettings {
    /// Relative to the workspace.
    pub folder: String,
}

impl AgentSettings {
    /// What a program of a known kind is told.
    fn program(&self) -> Option<&ProgramAgentSettings> {
        match self {
            Self::Command(_) | Self::Replay(_) | Self::Builtin(_) => None,
            Self::Claude(program)
            | Self::Codex(program)
            | Self::Opencode(program)
            | Self::Gemini(program)
            | Self::Goose(program)
            | Self::Aider(program)
            | Self::MiniSweAgent(program) => Some(program),
        }
    }

    /// What is added to its environment.
    pub fn env(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::Command(command) => Some(&command.env),
            other => other.program().map(|program| &program.env),
        }
    }

    /// The model that it is told to use, where it is told.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Builtin(builtin) => Some(&builtin.model),
            other => other.program()?.model.as_deref(),
        }
    }

    /// One of each kind, for the reader of the file: its keys are the keys that the kind knows.
    pub fn samples() -> [Self; 10] {
        let program = ProgramAgentSettings::default;
        [
            Self::Command(CommandAgentSettings {
                command: Vec::new(),
                prompt: PromptBy::default(),
                timeout_seconds: agent_timeout(),
                idle_timeout_seconds: agent_idle_timeout(),
                env: BTreeMap::new(),
            }),
            Self::Replay(ReplayAgentSettings { folder: String::new() }),
            Self::Claude(program()),
            Self::Codex(program()),
            Self::Opencode(program()),
            Self::Gemini(program()),
            Self::Goose(program()),
            Self::Aider(program()),
            Self::MiniSweAgent(program()),
            Self::Builtin(BuiltinAgentSettings::default()),
        ]
    }
}

impl Default for ProgramAgentSettings {
    fn default() -> Self {
        Self {
            program: None,
            model: None,
            extra_args: Vec::new(),
            timeout_seconds: agent_timeout(),
            idle_timeout_seconds: agent_idle_timeout(),
            resume: false,
            env: BTreeMap::new(),
        }
    }
}

impl Default for BuiltinAgentSettings {
    fn default() -> Self {
        Self {
            model: String::new(),
            protocol: None,
            base_url: None,
            api_key_env: None,
            timeout_seconds: agent_timeout(),
            idle_timeout_seconds: 120,
            max_turns: 60,
            max_output_tokens: 8_192,
            max_context_tokens: 100_000,
        }
    }
}

fn agent_timeout() -> u64 {
    1800
}

fn agent_idle_timeout() -> u64 {
    600
}
