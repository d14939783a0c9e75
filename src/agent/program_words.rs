//! The program and arguments of an agent, as far as the settings name them.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::adapters::Runner;
use super::runner::command_template::fill;
use crate::config::AgentSettings;

/// Whether an agent is a program of its own.
pub fn has_program(settings: &AgentSettings) -> bool {
    matches!(Runner::of(settings), Ok(Runner::Program(..) | Runner::Command(_)))
}

/// Returns the program and the arguments from the settings, to find the files named there.
pub fn program_words(settings: &AgentSettings, workspace: &Path, worktree: &Path) -> Vec<OsString> {
    match Runner::of(settings) {
        Ok(Runner::Program(adapter, settings)) => {
            let program = settings.program.as_deref().unwrap_or(adapter.program());
            let arguments = settings.extra_args.iter().map(String::as_str);
            [program].into_iter().chain(arguments).map(OsString::from).collect()
        }
        Ok(Runner::Command(settings)) => {
            let values: [(&str, &OsStr); 2] =
                [("{workspace}", workspace.as_os_str()), ("{worktree}", worktree.as_os_str())];
            settings.command.iter().map(|template| fill(template, &values)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the command that continues a session of an agent with a person at the terminal; `None` if the program cannot.
pub fn resume_words(settings: &AgentSettings, session: &str) -> Option<Vec<OsString>> {
    let Ok(Runner::Program(adapter, settings)) = Runner::of(settings) else { return None };
    let program = settings.program.as_deref().unwrap_or(adapter.program());
    let arguments = adapter.resume_arguments(session)?;
    let words = std::iter::once(program.to_owned()).chain(arguments);
    Some(words.map(OsString::from).collect())
}
