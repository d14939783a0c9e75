//! Runs what makes a checkout of a slot ready: `workspace.setup`, or the frozen installs that changed lock files ask for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Site, Trouble};
use crate::ci::Pythons;
use crate::config::{CommandLine, Settings};
use crate::phase::shell;
use crate::process::child_env::Env;
use crate::process::which::{self, Found};
use crate::process::{self, How, Job, Redactor, SpawnError, Stop, UsersCheckout};
use crate::workspace::dependencies::{FrozenInstall, InstallCommand};
use crate::workspace::{Repo, Side, Slot};

/// Of a failed command's output: in a message, and with the failure.
const SHOWN_LINES: usize = 4;
const LAST_LINES: usize = 40;
/// npm explains all its options after what went wrong.
const MOST_LINES: usize = 200;

/// What every run in a checkout needs to know.
#[derive(Clone, Copy)]
pub(crate) struct CheckoutRunner<'a> {
    pub repo: &'a Repo,
    pub settings: &'a Settings,
    pub agent_env: &'a Env,
    pub ci_env: &'a Env,
    pub users_checkout: &'a UsersCheckout,
    pub redactor: &'a Redactor,
    pub pythons: &'a Pythons,
}

/// How a command ended.
enum CommandEnd {
    Done,
    /// autopack was stopped.
    Stopped,
    Failed(CommandFailure),
}

/// Why a command failed, and the end of what it said.
struct CommandFailure {
    why: String,
    said: String,
    last_lines: String,
}

/// What came of the frozen installs of a checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InstallReport {
    /// Which `workspace.setup` is missing, where a manifest changed and nothing can be run for it.
    pub missing: Option<String>,
    pub failed: Option<InstallFailure>,
}

/// A frozen install that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstallFailure {
    pub why: String,
    pub last_lines: String,
}

impl Site {
    pub(super) fn runner(&self) -> CheckoutRunner<'_> {
        CheckoutRunner {
            repo: &self.repo,
            settings: &self.settings,
            agent_env: &self.agent_env,
            ci_env: &self.ci_env,
            users_checkout: &self.users_checkout,
            redactor: &self.redactor,
            pythons: &self.pythons,
        }
    }
}

impl CheckoutRunner<'_> {
    /// Runs a setup command in one of the checkouts of a slot. `None`: it ran to its end, or was stopped. Otherwise why it failed.
    pub async fn run_setup(
        &self,
        command: &CommandLine,
        slot: &Slot,
        side: Side,
        env: Env,
        log: PathBuf,
        stop: &Stop,
    ) -> Result<Option<String>, Trouble> {
        let argv: Vec<String> = match command {
            CommandLine::Argv(argv) => argv.clone(),
            CommandLine::Shell(line) => shell::argv(line),
        };
        Ok(match self.run(argv, slot.path_of(side), slot, env, &log, stop).await? {
            CommandEnd::Done | CommandEnd::Stopped => None,
            CommandEnd::Failed(CommandFailure { why, said, .. }) => {
                Some(match said.lines().last() {
                    Some(line) => {
                        format!(
                            "workspace.setup failed: {why}: {line}; its output is in {}",
                            log.display()
                        )
                    }
                    None => {
                        format!("workspace.setup failed: {why}; its output is in {}", log.display())
                    }
                })
            }
        })
    }

    /// Runs the frozen installs that are due in one of the checkouts. What they leave beside dependency directories goes
    /// again, so that the checkout is the same for whoever comes next.
    pub async fn run_installs(
        &self,
        slot: &mut Slot,
        side: Side,
        env: &Env,
        log: &Path,
        stop: &Stop,
    ) -> Result<InstallReport, Trouble> {
        let mut report = InstallReport::default();
        let mut commands = Vec::new();
        for install in self.due_installs(slot, side, env)? {
            match install {
                FrozenInstall::Run(command) => commands.push(command),
                FrozenInstall::Missing { why } => report.missing = report.missing.or(Some(why)),
            }
        }
        if commands.is_empty() {
            return Ok(report);
        }
        slot.begin_installs(side, &commands)?;
        for command in &commands {
            tracing::debug!(command = command.line(), "a frozen install starts");
            let dir = slot.path_of(side).join(&command.dir);
            let env = with_variables(env.clone(), command);
            match self.run(command.argv.clone(), &dir, slot, env, log, stop).await? {
                CommandEnd::Done => {}
                // Whatever is run next notices the stop as well.
                CommandEnd::Stopped => return Ok(report),
                CommandEnd::Failed(failure) => {
                    report.failed = Some(told(command, failure, log));
                    slot.reset_again(side, &self.settings.workspace).await?;
                    return Ok(report);
                }
            }
        }
        slot.note_installed(side, &commands)?;
        slot.reset_again(side, &self.settings.workspace).await?;
        Ok(report)
    }

    /// Whether [`Self::run_installs`] would run one.
    pub fn is_install_due(&self, slot: &Slot, side: Side, env: &Env) -> Result<bool, Trouble> {
        let due = self.due_installs(slot, side, env)?;
        Ok(due.iter().any(|install| matches!(install, FrozenInstall::Run(_))))
    }

    fn due_installs(
        &self,
        slot: &Slot,
        side: Side,
        env: &Env,
    ) -> Result<Vec<FrozenInstall>, Trouble> {
        let path = env.get(std::ffi::OsStr::new("PATH")).map(std::ffi::OsString::as_os_str);
        let has_program = |name: &str| {
            matches!(which::find(name.as_ref(), slot.path_of(side), path), Found::Program(_))
        };
        Ok(slot.due_installs(side, &has_program)?)
    }

    async fn run(
        &self,
        argv: Vec<String>,
        dir: &Path,
        slot: &Slot,
        env: Env,
        log: &Path,
        stop: &Stop,
    ) -> Result<CommandEnd, Trouble> {
        let timeout = Duration::from_secs(self.settings.workspace.setup_timeout_seconds);
        let job = Job {
            log: Some(log.to_owned()),
            redact: self.redactor.clone(),
            hold: Some(slot.lock_fd()?),
            ..Job::new(argv, dir, env, timeout)
        };
        let failed = |why: String, said: String, last_lines: String| {
            Ok(CommandEnd::Failed(CommandFailure { why, said, last_lines }))
        };
        let ended = match process::run(job, stop).await {
            Err(error @ (SpawnError::NotFound { .. } | SpawnError::CannotStart { .. })) => {
                return failed(error.to_string(), String::new(), String::new());
            }
            ended => ended?,
        };
        let why = match ended.how {
            How::Exited(0) => return Ok(CommandEnd::Done),
            How::Stopped => return Ok(CommandEnd::Stopped),
            How::Exited(code) => format!("it exited with {code}"),
            How::Signalled(signal) => format!("signal {signal} ended it"),
            How::TimedOut | How::Stalled => format!("it took longer than {} s", timeout.as_secs()),
        };
        let output = ended.last_lines(MOST_LINES);
        let lines = said(&output);
        let last = |count: usize| lines[lines.len().saturating_sub(count)..].join("\n");
        failed(why, last(SHOWN_LINES), last(LAST_LINES))
    }
}

fn with_variables(mut env: Env, command: &InstallCommand) -> Env {
    for (name, value) in &command.env {
        match value {
            Some(value) => drop(env.insert(name.into(), value.into())),
            None => drop(env.remove(std::ffi::OsStr::new(name))),
        }
    }
    env
}

/// The lines of a failed command that say something, up to where it explains how it is called.
fn said(output: &str) -> Vec<&str> {
    let content = |line: &&str| !matches!(line.trim(), "" | "npm error" | "npm ERR!");
    let is_usage = |line: &str| line.trim().trim_start_matches("npm error ") == "Usage:";
    output.lines().map(str::trim_end).filter(content).take_while(|line| !is_usage(line)).collect()
}

fn told(command: &InstallCommand, failure: CommandFailure, log: &Path) -> InstallFailure {
    let said = match failure.said.as_str() {
        "" => String::new(),
        said => format!(": {}", said.replace('\n', " | ")),
    };
    InstallFailure {
        why: format!(
            "{} changed and `{}` failed: {}{said}; where this is not how the project installs its dependencies, set \
             workspace.setup in autopack.yaml to the command that does; its output is in {}",
            command.because,
            command.line(),
            failure.why,
            log.display()
        ),
        last_lines: failure.last_lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_npm_says_of_its_options_is_left_out() {
        let output = "added 0\nnpm error code EUSAGE\nnpm error\nnpm error Missing: two@1.0.0\nnpm error Usage:\nnpm error npm ci\n";
        assert_eq!(
            said(output),
            ["added 0", "npm error code EUSAGE", "npm error Missing: two@1.0.0"]
        );
        assert_eq!(said("a\n\nb \n"), ["a", "b"]);
    }
}
