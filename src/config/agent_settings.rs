//! Settings of agents, as read from `agents` in the configuration. The module `agent` implements each kind.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_yaml::{Mapping, Value};

/// All configured agents. `agents.default` names the default agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentsSettings {
    /// Name of the default agent.
    pub default: Option<String>,
    /// Agents by name.
    #[serde(flatten)]
    pub named: BTreeMap<String, AgentSettings>,
}

/// Settings of an agent, by kind. In a configuration file, `kind` is a key next to the kind's own keys.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentSettings {
    /// Any program that edits files.
    Command(CommandAgentSettings),
    /// Recorded edits, for tests and demonstrations.
    Replay(ReplayAgentSettings),
    /// A well-known coding agent, such as Claude Code, with an adapter. `load` refuses unknown kinds.
    Program {
        /// Name of the adapter.
        kind: String,
        /// Keys shared by all agents with an adapter.
        settings: ProgramAgentSettings,
    },
    /// The agent built into autopack.
    Builtin(BuiltinAgentSettings),
}

const COMMAND: &str = "command";
const REPLAY: &str = "replay";
const BUILTIN: &str = "builtin";

impl AgentSettings {
    /// Returns the value of `kind`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Command(_) => COMMAND,
            Self::Replay(_) => REPLAY,
            Self::Builtin(_) => BUILTIN,
            Self::Program { kind, .. } => kind,
        }
    }
}

impl Serialize for AgentSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a, T> {
            kind: &'a str,
            #[serde(flatten)]
            settings: &'a T,
        }
        match self {
            Self::Command(settings) => Entry { kind: COMMAND, settings }.serialize(serializer),
            Self::Replay(settings) => Entry { kind: REPLAY, settings }.serialize(serializer),
            Self::Program { kind, settings } => Entry { kind, settings }.serialize(serializer),
            Self::Builtin(settings) => Entry { kind: BUILTIN, settings }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AgentSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entry = Mapping::deserialize(deserializer)?;
        let kind = entry.remove("kind").ok_or_else(|| D::Error::missing_field("kind"))?;
        let kind = String::deserialize(kind).map_err(D::Error::custom)?;
        let rest = Value::Mapping(entry);
        match kind.as_str() {
            COMMAND => CommandAgentSettings::deserialize(rest).map(Self::Command),
            REPLAY => ReplayAgentSettings::deserialize(rest).map(Self::Replay),
            BUILTIN => BuiltinAgentSettings::deserialize(rest).map(Self::Builtin),
            _ => ProgramAgentSettings::deserialize(rest)
                .map(|settings| Self::Program { kind, settings }),
        }
        .map_err(D::Error::custom)
    }
}

/// Settings of a program that edits files in its working directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandAgentSettings {
    /// Program and arguments, run without a shell. The placeholders `{workspace}`, `{worktree}`, `{prompt}` and
    /// `{prompt_file}` are replaced.
    pub command: Vec<String>,
    /// Way to pass the prompt to the program.
    #[serde(default)]
    pub prompt: PromptTransport,
    /// Maximum duration of an attempt, in seconds.
    #[serde(default = "agent_timeout")]
    pub timeout_seconds: u64,
    /// Maximum time without output, in seconds.
    #[serde(default = "agent_idle_timeout")]
    pub idle_timeout_seconds: u64,
    /// Variables added to the agent's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Further secret variables that the agent inherits: names, or the start of names followed by `*`.
    #[serde(default)]
    pub env_pass: Vec<String>,
}

/// Settings of a well-known coding agent with known arguments and output format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramAgentSettings {
    /// Path or name on PATH, instead of the default program.
    pub program: Option<String>,
    /// Model name as used by the agent; by default, the agent's own choice.
    pub model: Option<String>,
    /// Arguments appended after autopack's own.
    pub extra_args: Vec<String>,
    /// Maximum duration of an attempt, in seconds.
    pub timeout_seconds: u64,
    /// Maximum time without output, in seconds.
    pub idle_timeout_seconds: u64,
    /// Whether a retry resumes the session of the failed attempt, if the agent supports this.
    pub resume: bool,
    /// Variables added to the agent's environment.
    pub env: BTreeMap<String, String>,
    /// Further secret variables that the agent inherits: names, or the start of names followed by `*`.
    pub env_pass: Vec<String>,
}

/// Settings of the built-in agent: a model and tools limited to the scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuiltinAgentSettings {
    /// Model name as used by the provider.
    pub model: String,
    /// API protocol; by default, derived from the model name.
    pub protocol: Option<ModelProtocol>,
    /// Base URL, instead of the provider's own.
    pub base_url: Option<String>,
    /// Name of the environment variable with the API key; by default, the provider's usual variable.
    pub api_key_env: Option<String>,
    /// Maximum duration of an attempt, in seconds.
    pub timeout_seconds: u64,
    /// Maximum time without a byte from the provider before a request is aborted, in seconds.
    pub idle_timeout_seconds: u64,
    /// Maximum number of model responses per attempt.
    pub max_turns: u32,
    /// Maximum number of output tokens per response.
    pub max_output_tokens: u32,
    /// Maximum number of tokens sent per request; older tool results are dropped first.
    pub max_context_tokens: u32,
}

/// API protocol of a model provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelProtocol {
    /// Anthropic Messages.
    Anthropic,
    /// Chat completions, supported by most compatible servers.
    Openai,
    /// OpenAI Responses.
    OpenaiResponses,
    /// Gemini `generateContent`.
    Gemini,
    /// Ollama chat.
    Ollama,
}

/// Way to pass the prompt to a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptTransport {
    /// On standard input.
    #[default]
    Stdin,
    /// As the path of a file.
    File,
    /// As an argument.
    Arg,
}

/// Settings of the replay agent: copies `<folder>/<phase_id>/<n>/` over the worktree, with `n` as the
/// number of the counted attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayAgentSettings {
    /// Directory with the recordings, relative to the workspace.
    pub folder: String,
}

impl AgentSettings {
    /// Returns the settings of an agent with an adapter; `None` for other kinds.
    fn program(&self) -> Option<&ProgramAgentSettings> {
        match self {
            Self::Command(_) | Self::Replay(_) | Self::Builtin(_) => None,
            Self::Program { settings, .. } => Some(settings),
        }
    }

    /// Returns the variables added to the agent's environment.
    pub fn env(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::Command(command) => Some(&command.env),
            other => other.program().map(|program| &program.env),
        }
    }

    /// Returns the secret variables passed to the agent by `env_pass`: names, or the start of names followed by `*`.
    pub fn env_pass(&self) -> &[String] {
        match self {
            Self::Command(command) => &command.env_pass,
            other => other.program().map_or(&[], |program| &program.env_pass),
        }
    }

    /// Returns the configured model, if any.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Builtin(builtin) => Some(&builtin.model),
            other => other.program()?.model.as_deref(),
        }
    }

    /// Returns example settings of each kind; their keys are the schema for checking configuration files.
    /// `program_kinds` are the kinds with an adapter.
    pub fn samples(program_kinds: &[&str]) -> Vec<Self> {
        let program = |kind: &&str| Self::Program {
            kind: (*kind).to_owned(),
            settings: ProgramAgentSettings::default(),
        };
        let mut samples = vec![
            Self::Command(CommandAgentSettings {
                command: Vec::new(),
                prompt: PromptTransport::default(),
                timeout_seconds: agent_timeout(),
                idle_timeout_seconds: agent_idle_timeout(),
                env: BTreeMap::new(),
                env_pass: Vec::new(),
            }),
            Self::Replay(ReplayAgentSettings { folder: String::new() }),
        ];
        samples.extend(program_kinds.iter().map(program));
        samples.push(Self::Builtin(BuiltinAgentSettings::default()));
        samples
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
            env_pass: Vec::new(),
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
