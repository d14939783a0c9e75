//! A person's command in the view of CI or of an agent, in a clean clone: to find out why CI fails there.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::AttemptError;
use super::checkout_runner::{CheckoutRunner, SetupEnd};
use super::child_environment::Purpose;
use super::program_view::{ViewReport, ViewedProgram};
use crate::config::AgentSettings;
use crate::phase::words::first_few;
use crate::process::child_env::Env;
use crate::process::view::{self, ViewSpec};
use crate::process::{Job, StopReceiver, run_attached};
use crate::workspace::view::{PrivateFiles, ViewPurpose};
use crate::workspace::{AppliedPatch, Side, Slot};

/// The limit of a job, which a shell does not have.
const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Files named in a message; the rest are counted.
const NAMED: usize = 5;

/// Files for a shell.
pub struct ShellPlace<'a> {
    /// Commit in the clone.
    pub commit: &'a str,
    /// Patch with the kept work of an attempt.
    pub patch: Option<&'a Path>,
    /// Existing directory for logs.
    pub logs: &'a Path,
}

/// A described view.
#[derive(Debug)]
pub struct DescribedView {
    /// The view.
    pub spec: Option<ViewSpec>,
    /// The program's environment.
    pub environment: Env,
}

impl CheckoutRunner<'_> {
    /// Runs a command of a person where CI runs: setup or the frozen installs run first. Returns the exit code.
    ///
    /// # Errors
    ///
    /// If the clone cannot be made, setup fails, the patch does not apply, or the command cannot be started.
    pub async fn run_shell(
        &self,
        place: &ShellPlace<'_>,
        command: Vec<OsString>,
        stop: &StopReceiver,
    ) -> Result<i32, AttemptError> {
        let mut slot = self.open_clean_clone(place.commit).await?;
        let ran = self.shell_in(&mut slot, place, command, stop).await;
        slot.remove_clean_clone().await?;
        ran
    }

    async fn shell_in(
        &self,
        slot: &mut Slot,
        place: &ShellPlace<'_>,
        command: Vec<OsString>,
        stop: &StopReceiver,
    ) -> Result<i32, AttemptError> {
        if let Some(why) = self.prepare_checkout(slot, Side::Ci, place.logs, stop).await? {
            return Err(AttemptError::Systemic(why));
        }
        if let Some(patch) = place.patch {
            apply(slot, patch).await?;
        }
        let env = self.environment(Purpose::Ci, slot, Side::Ci);
        let program = ViewedProgram::new(ViewPurpose::Ci, (slot, Side::Ci), &command, place.logs);
        Ok(self.run_at_terminal(&program, command.clone(), env).await?.0)
    }

    /// Runs setup, or the installs of the project, in a checkout of a person. Returns why it failed.
    pub(super) async fn prepare_checkout(
        &self,
        slot: &mut Slot,
        side: Side,
        logs: &Path,
        stop: &StopReceiver,
    ) -> Result<Option<String>, AttemptError> {
        let env = self.environment(Purpose::Setup, slot, side);
        if let Some(command) = &self.settings.workspace.setup {
            let log = logs.join("setup.log");
            let end = self.run_setup(command, slot, side, env, log, stop).await?;
            return Ok(match end {
                SetupEnd::Failed { why } => Some(why),
                SetupEnd::Done | SetupEnd::Stopped => None,
            });
        }
        let log = logs.join("install.log");
        let installed = self.run_installs(slot, side, &env, &log, stop).await?;
        Ok(installed.failed.map(|failed| failed.why))
    }

    /// Runs a command of a person at the terminal, in the view of `program`. Returns the exit code, and the view's report.
    /// The slot stays locked until the command has ended.
    pub(super) async fn run_at_terminal(
        &self,
        program: &ViewedProgram<'_>,
        command: Vec<OsString>,
        mut env: Env,
    ) -> Result<(i32, ViewReport), AttemptError> {
        let opened = self.open_view(program, &mut env)?;
        let job = Job {
            hold: Some(program.slot.lock_fd()?),
            ..Job::new(command, program.slot.path_of(program.side), env, NO_LIMIT)
        };
        let ended = run_attached(view::enter(opened.child.as_ref(), job)).await;
        let report = opened.close().await;
        Ok((ended?, report))
    }

    /// Describes the view of a program in a free slot, without starting one.
    ///
    /// # Errors
    ///
    /// If no slot can be locked, or its private directories cannot be written.
    pub async fn describe_view(
        &self,
        purpose: ViewPurpose,
        agent: Option<(&str, &AgentSettings)>,
        directory: &Path,
    ) -> Result<DescribedView, AttemptError> {
        let slot = self.repo.acquire_slot().await?;
        let (side, environment) = match (purpose, agent) {
            (ViewPurpose::Agent, Some((name, _))) => (Side::Agent, Purpose::Agent(name)),
            (ViewPurpose::Agent, None) => (Side::Agent, Purpose::Ci),
            (ViewPurpose::Setup, _) => (Side::Ci, Purpose::Setup),
            (ViewPurpose::Ci, _) => (Side::Ci, Purpose::Ci),
        };
        let mut env = self.environment(environment, &slot, side);
        let sessions = directory.join("sessions");
        let words = agent.map(|(_, settings)| {
            crate::agent::program_words(settings, self.repo.root(), slot.path())
        });
        let words = words.unwrap_or_default();
        let program = ViewedProgram {
            private_files: PrivateFiles::Keep,
            agent: agent.map(|(_, settings)| (settings, sessions.as_path())),
            ..ViewedProgram::new(purpose, (&slot, side), &words, directory)
        };
        let opened = self.open_view(&program, &mut env)?;
        let spec = opened.child.as_ref().map(|child| child.spec().clone());
        opened.close().await;
        Ok(DescribedView { spec, environment: env })
    }
}

async fn apply(slot: &Slot, patch: &Path) -> Result<(), AttemptError> {
    let why = match slot.apply_patch(Side::Ci, patch).await? {
        AppliedPatch::Clean => return Ok(()),
        AppliedPatch::Conflicts(paths) => format!("both changed {}", first_few(&paths, NAMED)),
        AppliedPatch::Refused(why) => why,
    };
    Err(AttemptError::Systemic(format!(
        "the kept work {} does not apply to the tip of the run: {why}",
        patch.display()
    )))
}
