//! What has to be known of each agent to start it and to read it, in one place.

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
    /// Versions that autopack was tried with.
    pub tried: &'static [&'static str],
    pub install: &'static str,
    /// How one gets access.
    pub login: &'static str,
    /// Whether an end without a last word is a failure.
    pub says_when_done: bool,
    /// Whether its own processor time shows that it lives. Some use it while they wait for an answer that never comes.
    pub own_time_is_life: bool,
    pub call: fn(&Ask<'_>) -> Call,
    /// Why it would not start here, and what to do, though it is there.
    pub refuses: fn(&ProgramAgentSettings, &Env) -> Option<(&'static str, &'static str)>,
    /// Gets the slot.
    pub reader: fn(&Path) -> Box<dyn Reader>,
}

/// What arguments are made of.
pub(super) struct Ask<'a> {
    pub settings: &'a ProgramAgentSettings,
    /// To be resumed.
    pub session: Option<&'a str>,
    pub prompt_file: &'a Path,
    pub deliverables: &'a [String],
    /// A folder of its own, gone afterwards.
    pub scratch: &'a Path,
    /// Where its account of the attempt is looked for at the end, for the kinds that write one.
    pub file: &'a Path,
}

/// `args`, the user's own, the prompt if it is a flag's, `last`.
#[derive(Default)]
pub(super) struct Call {
    pub args: Vec<String>,
    pub last: Vec<String>,
    pub prompt: PromptVia,
    /// Over what is inherited, under what the user says.
    pub env: Vec<(&'static str, &'static str)>,
    /// What it leaves at the root of the slot for itself begins like this, and goes afterwards.
    pub leaves: Option<&'static str>,
    /// Directories of the slot that have to be there before it starts.
    pub folders: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PromptVia {
    #[default]
    Stdin,
    /// It reads the prompt's file by itself.
    File,
    Flag(&'static str),
}

/// What runs an agent: the runner of all programs with a stream of their own, or a runner of its own kind.
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

    /// `None` for the kinds that are no program with a stream of its own.
    pub fn program(&self) -> Option<(&'static Kind, &'a ProgramAgentSettings)> {
        match self {
            Self::Program(kind, settings) => Some((kind, settings)),
            Self::Command(_) | Self::Replay(_) | Self::Builtin(_) => None,
        }
    }
}
