//! The registry of coding agents: programs that edit files and print a stream.
//!
//! Each adapter is one file: how the program is started, and how its stream is read. A new adapter is that file, its
//! `mod` line and its entry in [`ADAPTERS`] here, recordings in `tests/fixtures/agents/<kind>/`, and rows in docs/agents.md.
//! Agents without a stream ([`own_command`], [`replay`]) are no adapters.

mod aider;
pub mod claude;
mod claude_tasks;
mod codex;
mod gemini;
mod goose;
mod litellm_errors;
mod mini_swe_agent;
mod opencode;
pub mod own_command;
pub mod replay;

use std::path::Path;

use super::AgentError;
use super::providers;
use super::runner::event::RateLimitReset;
use super::runner::own_sandbox::OwnSandbox;
use super::runner::signal::{
    Fault, Finish, JsonAccess, Purpose, Reader, ReportedUsage, Signal, ToolResult, ToolUse, object,
    status, texts,
};
use super::runner::tool_words::{command_use, editing, tool_use};
use crate::config::{
    AgentSettings, BuiltinAgentSettings, CommandAgentSettings, ProgramAgentSettings,
    ReplayAgentSettings,
};
use crate::process::child_env::Env;
use crate::process::view::agent_needs::{AgentNeeds, CredentialFile, HomeVariable};

/// All adapters, in the order in which messages and documentation name them.
pub(crate) static ADAPTERS: &[&dyn Adapter] = &[
    &claude::Claude,
    &codex::Codex,
    &opencode::OpenCode,
    &gemini::Gemini,
    &goose::Goose,
    &aider::Aider,
    &mini_swe_agent::MiniSweAgent,
];

/// A coding agent that is a program with a stream. One value serves all attempts; the state of an attempt is in its
/// [`Reader`].
pub(crate) trait Adapter: Sync {
    /// Value of `kind` in autopack.yaml, unique; also the directory of its recordings.
    fn kind(&self) -> &'static str;

    /// Name of the program on PATH.
    fn program(&self) -> &'static str {
        self.kind()
    }

    /// Versions tested with autopack; `autopack health` warns about others.
    fn tested_versions(&self) -> &'static [&'static str];

    /// Command that installs the program, for hints.
    fn install(&self) -> &'static str;

    /// Author line of the program in its own commits; `None` if it has none.
    fn co_author(&self) -> Option<CoAuthor> {
        None
    }

    /// How to get access to the provider, for hints.
    fn login(&self) -> &'static str;

    /// State, credentials, hosts and variables of the program.
    fn needs(&self) -> AgentNeeds;

    /// Whether the program works with models of any provider, named before the first `/` of the model.
    fn takes_any_provider(&self) -> bool {
        false
    }

    /// Returns the arguments that turn off the program's own sandbox; `None` if it has none, or the user decides about
    /// it.
    fn without_own_sandbox(
        &self,
        _settings: &ProgramAgentSettings,
        _env: &Env,
    ) -> Option<Vec<String>> {
        None
    }

    /// Whether the agent runs commands in a sandbox of its own, as far as the configuration tells.
    fn uses_own_sandbox(&self, settings: &ProgramAgentSettings, env: &Env) -> bool {
        self.without_own_sandbox(settings, env).is_some()
    }

    /// Returns the command line and environment of an attempt.
    fn command(&self, input: &ArgumentInput<'_>) -> AgentCommand;

    /// Returns the arguments that continue a session with a person at the terminal; `None` if the program cannot.
    fn resume_arguments(&self, _session: &str) -> Option<Vec<String>> {
        None
    }

    /// Creates the reader of one attempt's stream; `worktree` is the slot.
    fn reader(&self, worktree: &Path) -> Box<dyn Reader>;

    /// Whether an end without a final message is a failure.
    fn says_when_done(&self) -> bool {
        true
    }

    /// Whether the program uses processor time while waiting for an answer that may never come: then processor time
    /// shows no life.
    fn is_busy_while_waiting(&self) -> bool {
        false
    }

    /// Whether the program reports its cost. If not, a budget in dollars needs the price of the model.
    fn reports_cost(&self) -> bool {
        false
    }

    /// Whether the stream contains tool calls: then an attempt without any did nothing.
    fn reports_tool_calls(&self) -> bool {
        true
    }

    /// Whether the stream repeats `Text` for each fragment of a message: a transcript joins them.
    fn streams_fragments(&self) -> bool {
        false
    }

    /// Returns why an installed program would not start here.
    fn refuses(&self, _settings: &ProgramAgentSettings, _env: &Env) -> Option<Refusal> {
        None
    }

    /// Variables for `PROGRAM --version`.
    fn version_env(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

/// Author line of a program in its own commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoAuthor {
    /// Name of the program.
    pub name: &'static str,
    /// Mail address, without `<` and `>`.
    pub address: &'static str,
}

/// Why an installed program would not start, and what to do.
pub(crate) struct Refusal {
    pub why: &'static str,
    pub hint: &'static str,
}

/// Input for the arguments.
pub(crate) struct ArgumentInput<'a> {
    pub settings: &'a ProgramAgentSettings,
    /// Session to resume.
    pub session: Option<&'a str>,
    pub prompt_file: &'a Path,
    pub deliverables: &'a [String],
    /// A private directory, removed afterwards.
    pub scratch: &'a Path,
    /// File for the agent's report at the end, for kinds with such a file.
    pub file: &'a Path,
    pub own_sandbox: &'a OwnSandbox,
}

/// Command line: `args`, the user's arguments, the prompt if passed by a flag, `last`.
#[derive(Default)]
pub(crate) struct AgentCommand {
    pub args: Vec<String>,
    pub last: Vec<String>,
    pub prompt: PromptChannel,
    /// Overrides inherited variables; overridden by the user's settings.
    pub env: Vec<(&'static str, &'static str)>,
    /// Prefix of the program's own files at the root of the slot, removed afterwards.
    pub leaves: Option<&'static str>,
    /// Directories of the slot that must exist before the start.
    pub directories: Vec<String>,
}

/// How a program gets its prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PromptChannel {
    #[default]
    Stdin,
    /// The program reads the prompt's file itself.
    File,
    Flag(&'static str),
}

/// Returns the adapter of a kind.
pub(crate) fn find(kind: &str) -> Option<&'static dyn Adapter> {
    ADAPTERS.iter().copied().find(|adapter| adapter.kind() == kind)
}

/// Returns the kinds of all adapters, in order.
pub fn program_kinds() -> Vec<&'static str> {
    ADAPTERS.iter().map(|adapter| adapter.kind()).collect()
}

/// Returns the author line of the program of a kind, for kinds with such a line.
pub fn co_author(kind: &str) -> Option<CoAuthor> {
    find(kind)?.co_author()
}

/// Runner of an agent: the common runner of programs with a stream, or a special runner.
pub(super) enum Runner<'a> {
    Program(&'static dyn Adapter, &'a ProgramAgentSettings),
    Command(&'a CommandAgentSettings),
    Replay(&'a ReplayAgentSettings),
    Builtin(&'a BuiltinAgentSettings),
}

impl<'a> Runner<'a> {
    /// # Errors
    ///
    /// If no adapter has the configured kind.
    pub fn of(settings: &'a AgentSettings) -> Result<Self, AgentError> {
        Ok(match settings {
            AgentSettings::Program { kind, settings } => {
                let adapter = find(kind).ok_or_else(|| AgentError::CannotStart {
                    program: kind.clone(),
                    why: "no agent has this kind".to_owned(),
                    hint: format!("use one of {}", program_kinds().join(", ")),
                })?;
                Self::Program(adapter, settings)
            }
            AgentSettings::Command(settings) => Self::Command(settings),
            AgentSettings::Replay(settings) => Self::Replay(settings),
            AgentSettings::Builtin(settings) => Self::Builtin(settings),
        })
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;
