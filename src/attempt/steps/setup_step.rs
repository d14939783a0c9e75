//! Runs `workspace.setup` in each checkout of a slot. Skips it if the command, the manifests and the lock files are
//! unchanged since the last setup and its results still exist.

use crate::attempt::checkout_runner::{CompletedSetup, SetupEnd, SetupOutcome};
use crate::attempt::child_environment::Purpose;
use crate::attempt::{Attempt, AttemptError};
use crate::config::CommandLine;
use crate::phase::dependency_inputs::is_input;
use crate::process::StopLevel;
use crate::workspace::Side;

impl Attempt<'_> {
    /// Runs setup in a checkout. Neither an agent nor CI can work without setup.
    ///
    /// # Errors
    ///
    /// [`AttemptError::Systemic`] if setup fails on inputs common to every phase.
    pub(crate) async fn set_up(&self, side: Side) -> Result<SetupOutcome, AttemptError> {
        let settings = &self.context.settings.workspace;
        let Some(command) = &settings.setup else { return Ok(SetupOutcome::DidNotRun) };
        let inputs = self.slot.inputs_key(side, &is_input, &settings.setup_inputs).await?;
        let key = format!("{}\n{inputs}", serde_json::json!(command));
        let dir = self.slot.path_of(side);
        let setups = &self.context.setups;
        if setups.get(dir).is_some_and(|done| done.key == key && done.is_whole(dir)) {
            tracing::debug!(dir = %dir.display(), "nothing changed since setup ran here");
            return Ok(SetupOutcome::DidNotRun);
        }
        // Forgotten first, so that an interrupted or failed setup is repeated.
        setups.put(dir, None);
        match self.run_setup(side, command).await? {
            SetupEnd::Stopped => Ok(SetupOutcome::DidNotRun),
            // A stop arrived as the command ended, so the command may have been cut short: setup is not recorded, and
            // runs again next time. The next program ends at the stop.
            SetupEnd::Done if self.stop.level() > StopLevel::Run => Ok(SetupOutcome::DidNotRun),
            SetupEnd::Done => {
                let remains = self.slot.find_setup_remains(side).await?;
                // If a reset would remove part of the result, this setup cannot be reused.
                let kept = (!remains.has_more).then_some(remains.kept);
                setups.put(dir, Some(CompletedSetup { key, kept }));
                Ok(SetupOutcome::Ran)
            }
            SetupEnd::Failed { why } => {
                let agent_setup = setups.get(self.slot.path_of(Side::Agent));
                // The agent's checkout was set up with other inputs, so the change altered them: the phase is at fault.
                // Otherwise setup would fail for every phase.
                if side == Side::Ci && agent_setup.is_some_and(|setup| setup.key != key) {
                    Ok(SetupOutcome::Failed { why })
                } else {
                    Err(AttemptError::Systemic(why))
                }
            }
        }
    }

    async fn run_setup(&self, side: Side, command: &CommandLine) -> Result<SetupEnd, AttemptError> {
        let log = match side {
            Side::Agent => self.directory.setup_log(),
            Side::Ci => self.directory.ci_setup_log(),
        };
        let env = self.environment(Purpose::Setup, side);
        self.context.runner().run_setup(command, &self.slot, side, env, log, &self.stop).await
    }
}
