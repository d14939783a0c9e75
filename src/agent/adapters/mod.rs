//! Definition of each kind of agent: how to start the program and read the stream.

pub mod aider;
pub mod claude;
pub mod claude_tasks;
pub mod codex;
pub mod gemini;
pub mod goose;
pub mod litellm_errors;
pub mod mini;
pub mod opencode;
pub mod own_command;
pub mod replay;

use std::path::Path;

use super::runner::signal::Reader;
use crate::config::{
    AgentSettings, BuiltinAgentSettings, CommandAgentSettings, ProgramAgentSettings,
    ReplayAgentSettings,
};
use crate::process::child_env::Env;

pub(super) struct Kind {
    /// The program's own name.
    pub program: &'static str,
    /// Versions tested with autopack.
    pub tried: &'static [&'static str],
    pub install: &'static str,
    /// How to get access.
    pub login: &'static str,
    /// Whether an end without a final message is a failure.
    pub says_when_done: bool,
    /// Whether the program's own processor time shows life. Some programs use processor time while waiting
    /// for an answer that never comes.
    pub own_time_is_life: bool,
    pub call: fn(&Ask<'_>) -> Call,
    /// Why an installed program would not start here, with a hint.
    pub refuses: fn(&ProgramAgentSettings, &Env) -> Option<(&'static str, &'static str)>,
    /// Creates a reader; takes the slot.
    pub reader: fn(&Path) -> Box<dyn Reader>,
}

/// Input for the arguments.
pub(super) struct Ask<'a> {
    pub settings: &'a ProgramAgentSettings,
    /// Session to resume.
    pub session: Option<&'a str>,
    pub prompt_file: &'a Path,
    pub deliverables: &'a [String],
    /// A private directory, removed afterwards.
    pub scratch: &'a Path,
    /// File for the agent's report at the end, for kinds with such a file.
    pub file: &'a Path,
}

/// Command line: `args`, the user's arguments, the prompt if passed by a flag, `last`.
#[derive(Default)]
pub(super) struct Call {
    pub args: Vec<String>,
    pub last: Vec<String>,
    pub prompt: PromptVia,
    /// Overrides inherited variables; overridden by the user's settings.
    pub env: Vec<(&'static str, &'static str)>,
    /// Prefix of the program's own files at the root of the slot, removed afterwards.
    pub leaves: Option<&'static str>,
    /// Directories of the slot that must exist before the start.
    pub folders: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PromptVia {
    #[default]
    Stdin,
    /// The program reads the prompt's file itself.
    File,
    Flag(&'static str),
}

/// Runner of an agent: the common runner of programs with a stream, or a special runner.
pub(super) enum Runner<'a> {
    Program(&'static Kind, &'a ProgramAgentSettings),
    Command(&'a CommandAgentSettings),
    Replay(&'a ReplayAgentSettings),
    Builtin(&'a BuiltinAgentSettings),
}

impl<'a> Runner<'a> {
    pub fn of(settings: &'a AgentSettings) -> Self {
        match settings {
            AgentSettings::Claude(settings) => Self::Program(&claude::KIND, settings),
            AgentSettings::Codex(settings) => Self::Program(&codex::KIND, settings),
            AgentSettings::Opencode(settings) => Self::Program(&opencode::KIND, settings),
            AgentSettings::Gemini(settings) => Self::Program(&gemini::KIND, settings),
            AgentSettings::Goose(settings) => Self::Program(&goose::KIND, settings),
            AgentSettings::Aider(settings) => Self::Program(&aider::KIND, settings),
            AgentSettings::MiniSweAgent(settings) => Self::Program(&mini::KIND, settings),
            AgentSettings::Command(settings) => Self::Command(settings),
            AgentSettings::Replay(settings) => Self::Replay(settings),
            AgentSettings::Builtin(settings) => Self::Builtin(settings),
        }
    }

    /// Returns `None` for kinds without a program with a stream.
    pub fn program(&self) -> Option<(&'static Kind, &'a ProgramAgentSettings)> {
        match self {
            Self::Program(kind, settings) => Some((kind, settings)),
            Self::Command(_) | Self::Replay(_) | Self::Builtin(_) => None,
        }
    }
}
