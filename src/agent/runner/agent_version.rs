//! Finds the version of an agent's program, and checks whether autopack was tested with it.
//!
//! Only known kinds are queried: any other program would take `--version` for a task.

use std::path::Path;
use std::time::Duration;

use super::program;
use crate::agent::adapters::Runner;
use crate::config::AgentSettings;
use crate::process::child_env::Env;
use crate::process::{Tool, output};

/// Some programs load half of Python first.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Version of an agent's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The program's name.
    pub program: &'static str,
    /// The reported version, if any.
    pub found: Option<String>,
    /// Versions tested with autopack.
    pub tested_versions: &'static [&'static str],
}

impl Version {
    /// Checks whether autopack was tested with this version.
    pub fn is_tested(&self) -> bool {
        self.found.as_deref().is_some_and(|found| self.tested_versions.contains(&found))
    }
}

/// Returns the version; `None` for a missing program or an agent of unknown kind.
pub async fn version(settings: &AgentSettings, workspace: &Path, env: &Env) -> Option<Version> {
    let Ok(Runner::Program(adapter, settings)) = Runner::of(settings) else { return None };
    let path = program::find(adapter, settings, workspace, env).ok()?;
    // Files written at the start are removed with the directory.
    let scratch = tempfile::tempdir().ok()?;
    let mut tool = Tool::new(path, scratch.path(), TIMEOUT).args(["--version"]);
    tool.clear_env = true;
    tool.env = env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let own = settings.env.iter().map(|(name, value)| (name.into(), Some(value.into())));
    tool.env.extend(own);
    for (name, value) in adapter.version_env() {
        tool = tool.env(name, value);
    }
    tool.output_cap = 64 * 1024;
    let printed = output(tool)
        .await
        .ok()
        .map(|printed| format!("{}\n{}", printed.text(), printed.error_text()));
    let found = printed.as_deref().and_then(number);
    Some(Version { program: adapter.program(), found, tested_versions: adapter.tested_versions() })
}

/// Finds the first version number: "codex-cli 0.169.0".
fn number(text: &str) -> Option<String> {
    let numbers = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'));
    numbers
        .map(|word| word.trim_start_matches('v').trim_matches('.'))
        .find(|word| is_number(word))
        .map(str::to_owned)
}

fn is_number(word: &str) -> bool {
    let mut parts = word.split('.');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next().is_some_and(digits) && parts.next().is_some_and(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_in_what_programs_say() {
        let version = |text: &str| number(text).unwrap_or_default();
        assert_eq!(version("codex-cli 0.169.0"), "0.169.0");
        assert_eq!(version("2.1.197 (Claude Code)\n"), "2.1.197");
        assert_eq!(version("This is mini-swe-agent version 2.4.6.\nCheck v2"), "2.4.6");
        assert_eq!(version("goose v1.52.0-beta"), "1.52.0-beta");
        assert_eq!(version("no number 7"), "");
    }
}
