//! Preparation of a checkout: runs `workspace.setup`, or the frozen installs for changed lock files. Remembers the last
//! setup of each checkout.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::AttemptError;
use super::inherited_environments::InheritedEnvironments;
use super::program_view::{ProgramView, ViewOpener, ViewedProgram};
use super::views::Views;
use crate::ci::{Pythons, mentions_withheld};
use crate::config::{CommandLine, Settings};
use crate::merge_queue::ci_permits::CiPermits;
use crate::phase::shell;
use crate::process::child_env::Env;
use crate::process::view;
use crate::process::which::{self, ProgramLookup};
use crate::process::{self, Job, JobEnd, Redactor, SpawnError, StopReceiver, UsersCheckout};
use crate::workspace::dependencies::{FrozenInstall, InstallCommand};
use crate::workspace::view::ViewPurpose;
use crate::workspace::{Repo, Side, Slot};

/// Output lines of a failed command in a message (`SHOWN_LINES`) and in the failure (`LAST_LINES`).
const SHOWN_LINES: usize = 4;
const LAST_LINES: usize = 40;
/// Output lines examined: npm prints a long usage text after the error.
const MOST_LINES: usize = 200;

/// Context for setup and installs in a checkout.
#[derive(Clone, Copy)]
pub(crate) struct CheckoutRunner<'a> {
    /// Repository of the drain.
    pub repo: &'a Repo,
    /// Configuration.
    pub settings: &'a Settings,
    /// Environments of agents, CI and setup.
    pub environments: &'a InheritedEnvironments,
    /// User's checkout.
    pub users_checkout: &'a UsersCheckout,
    /// Removes secrets from output.
    pub redactor: &'a Redactor,
    /// Python interpreters by path.
    pub pythons: &'a Pythons,
    /// Mode of the sandbox.
    pub views: &'a Views,
    /// Permits for runs of CI.
    pub ci_permits: &'a CiPermits,
}

/// Last setup of each checkout in this drain. State on disk is not trusted, because agents can write there.
#[derive(Default)]
pub(crate) struct Setups(Mutex<HashMap<PathBuf, CompletedSetup>>);

/// Last setup of a checkout.
#[derive(Clone)]
pub(crate) struct CompletedSetup {
    /// Command, manifests and lock files of the setup.
    pub key: String,
    /// Results surviving a reset; `None` if a reset removes some of them.
    pub kept: Option<Vec<PathBuf>>,
}

/// Outcome of a setup step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetupOutcome {
    /// Skipped: no setup configured, nothing changed since the last run, or the drain was stopped.
    DidNotRun,
    Ran,
    /// Setup failed on other inputs than for the agent: attributed to the change.
    Failed {
        why: String,
    },
}

impl Setups {
    /// Returns the last setup of a checkout.
    pub fn get(&self, dir: &Path) -> Option<CompletedSetup> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(dir).cloned()
    }

    /// Replaces the last setup of a checkout.
    pub fn put(&self, dir: &Path, done: Option<CompletedSetup>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Some(done) => drop(all.insert(dir.to_owned(), done)),
            None => drop(all.remove(dir)),
        }
    }
}

impl CompletedSetup {
    /// Whether all results of the setup still exist.
    pub fn is_whole(&self, dir: &Path) -> bool {
        let there = |path: &PathBuf| dir.join(path).symlink_metadata().is_ok();
        self.kept.as_ref().is_some_and(|kept| kept.iter().all(there))
    }
}

/// End of `workspace.setup` in a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetupEnd {
    Done,
    /// The operator stopped autopack.
    Stopped,
    /// Failed, with the last line of the output and the log in the reason.
    Failed {
        why: String,
    },
}

/// End of a command.
enum CommandEnd {
    Done,
    /// The operator stopped autopack.
    Stopped,
    Failed(CommandFailure),
}

/// Reason of a failed command, and the end of the output.
struct CommandFailure {
    why: String,
    output: String,
    last_lines: String,
}

/// Result of the frozen installs of a checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InstallReport {
    /// Description of the missing `workspace.setup` if a manifest changed and no install command is known.
    pub missing: Option<String>,
    /// First failed install.
    pub failed: Option<InstallFailure>,
}

/// Failed frozen install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstallFailure {
    /// Reason, with the command and the log.
    pub why: String,
    /// End of the output.
    pub last_lines: String,
}

impl CheckoutRunner<'_> {
    /// Prepares the view of a program, and changes its environment accordingly.
    pub fn open_view(
        &self,
        program: &ViewedProgram<'_>,
        env: &mut Env,
    ) -> Result<ProgramView, AttemptError> {
        let Self { repo, settings, views, .. } = *self;
        ViewOpener { repo, settings, views }.open(program, env)
    }

    /// Runs a setup command in a checkout of a slot.
    pub async fn run_setup(
        &self,
        command: &CommandLine,
        slot: &Slot,
        side: Side,
        env: Env,
        log: PathBuf,
        stop: &StopReceiver,
    ) -> Result<SetupEnd, AttemptError> {
        let argv: Vec<String> = match command {
            CommandLine::Argv(argv) => argv.clone(),
            CommandLine::Shell(line) => shell::argv(line),
        };
        slot.lend_remote(side)?;
        let dir = slot.path_of(side);
        let end = self.run(argv, dir, (slot, side), env, &log, stop).await;
        slot.withdraw_remote(side)?;
        Ok(match end? {
            CommandEnd::Done => SetupEnd::Done,
            CommandEnd::Stopped => SetupEnd::Stopped,
            CommandEnd::Failed(CommandFailure { why, output, .. }) => {
                let why = match output.lines().last() {
                    Some(line) => {
                        format!(
                            "workspace.setup failed: {why}: {line}; its output is in {}",
                            log.display()
                        )
                    }
                    None => {
                        format!("workspace.setup failed: {why}; its output is in {}", log.display())
                    }
                };
                SetupEnd::Failed { why: self.name_withheld(why, &output) }
            }
        })
    }

    /// Runs the frozen installs due in a checkout. Files outside of dependency directories are removed again, so that
    /// every later attempt finds the same checkout.
    pub async fn run_installs(
        &self,
        slot: &mut Slot,
        side: Side,
        env: &Env,
        log: &Path,
        stop: &StopReceiver,
    ) -> Result<InstallReport, AttemptError> {
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
            let place = (&*slot, side);
            match self.run(command.argv.clone(), &dir, place, env, log, stop).await? {
                CommandEnd::Done => {}
                // The next program notices the stop, too.
                CommandEnd::Stopped => return Ok(report),
                CommandEnd::Failed(failure) => {
                    let output = failure.output.clone();
                    let InstallFailure { why, last_lines } =
                        describe_failure(command, failure, log);
                    let why = self.name_withheld(why, &output);
                    report.failed = Some(InstallFailure { why, last_lines });
                    slot.reset_again(side, &self.settings.workspace).await?;
                    return Ok(report);
                }
            }
        }
        slot.record_installed(side, &commands)?;
        slot.reset_again(side, &self.settings.workspace).await?;
        Ok(report)
    }

    /// Adds the key that passes on a variable withheld from setup, if the output names the variable.
    fn name_withheld(&self, why: String, output: &str) -> String {
        match mentions_withheld(output, &self.environments.setup.withheld) {
            Some(name) => format!(
                "{why}; {name} is withheld from setup, because its name looks like a secret's: set workspace.env_pass: [{name}]"
            ),
            None => why,
        }
    }

    /// Returns whether [`Self::run_installs`] would run an install.
    pub fn is_install_due(&self, slot: &Slot, side: Side, env: &Env) -> Result<bool, AttemptError> {
        let due = self.due_installs(slot, side, env)?;
        Ok(due.iter().any(|install| matches!(install, FrozenInstall::Run(_))))
    }

    fn due_installs(
        &self,
        slot: &Slot,
        side: Side,
        env: &Env,
    ) -> Result<Vec<FrozenInstall>, AttemptError> {
        let path = env.get(std::ffi::OsStr::new("PATH")).map(std::ffi::OsString::as_os_str);
        let has_program = |name: &str| {
            matches!(
                which::find(name.as_ref(), slot.path_of(side), path),
                ProgramLookup::Program(_)
            )
        };
        Ok(slot.due_installs(side, &has_program)?)
    }

    async fn run(
        &self,
        argv: Vec<String>,
        dir: &Path,
        (slot, side): (&Slot, Side),
        mut env: Env,
        log: &Path,
        stop: &StopReceiver,
    ) -> Result<CommandEnd, AttemptError> {
        let timeout = Duration::from_secs(self.settings.workspace.setup_timeout_seconds);
        let argv: Vec<OsString> = argv.into_iter().map(OsString::from).collect();
        let logs = log.parent().unwrap_or(dir);
        let program = ViewedProgram::new(ViewPurpose::Setup, (slot, side), &argv, logs);
        let opened = self.open_view(&program, &mut env)?;
        let job = Job {
            log: Some(log.to_owned()),
            redact: self.redactor.clone(),
            hold: Some(slot.lock_fd()?),
            ..Job::new(argv, dir, env, timeout)
        };
        let job = view::enter(opened.child.as_ref(), job);
        let failed = |why: String, output: String, last_lines: String| {
            Ok(CommandEnd::Failed(CommandFailure { why, output, last_lines }))
        };
        let ended = process::run(job, stop).await;
        let refused = opened.close().await.refused_hosts;
        let ended = match ended {
            Err(error @ (SpawnError::NotFound { .. } | SpawnError::CannotStart { .. })) => {
                return failed(error.to_string(), String::new(), String::new());
            }
            ended => ended?,
        };
        let why = match ended.end {
            JobEnd::Exited(0) => return Ok(CommandEnd::Done),
            JobEnd::Stopped => return Ok(CommandEnd::Stopped),
            JobEnd::Exited(code) => format!("it exited with {code}"),
            JobEnd::Signalled(signal) => format!("signal {signal} ended it"),
            JobEnd::TimedOut | JobEnd::Stalled => {
                format!("it took longer than {} s", timeout.as_secs())
            }
        };
        let why = match refused {
            Some(refused) => format!("{why}; {refused}"),
            None => why,
        };
        let output = ended.last_lines(MOST_LINES);
        let lines = meaningful_lines(&output);
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

/// Returns the meaningful output lines of a failed command, up to a usage text.
fn meaningful_lines(output: &str) -> Vec<&str> {
    let content = |line: &&str| !matches!(line.trim(), "" | "npm error" | "npm ERR!");
    let is_usage = |line: &str| line.trim().trim_start_matches("npm error ") == "Usage:";
    output.lines().map(str::trim_end).filter(content).take_while(|line| !is_usage(line)).collect()
}

fn describe_failure(
    command: &InstallCommand,
    failure: CommandFailure,
    log: &Path,
) -> InstallFailure {
    let output = match failure.output.as_str() {
        "" => String::new(),
        output => format!(": {}", output.replace('\n', " | ")),
    };
    InstallFailure {
        why: format!(
            "{} changed and `{}` failed: {}{output}; if the project installs its dependencies in another way, set \
             workspace.setup in autopack.yaml to that command; the output is in {}",
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
    fn npm_usage_text_is_left_out() {
        let output = "added 0\nnpm error code EUSAGE\nnpm error\nnpm error Missing: two@1.0.0\nnpm error Usage:\nnpm error npm ci\n";
        assert_eq!(
            meaningful_lines(output),
            ["added 0", "npm error code EUSAGE", "npm error Missing: two@1.0.0"]
        );
        assert_eq!(meaningful_lines("a\n\nb \n"), ["a", "b"]);
    }
}
