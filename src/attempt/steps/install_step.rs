//! Frozen installs for both checkouts of an attempt, unless `workspace.setup` installs the dependencies.

use crate::attempt::checkout_runner::InstallReport;
use crate::attempt::child_environment::Purpose;
use crate::attempt::{Attempt, AttemptError};
use crate::ci;
use crate::phase::{Failure, FailureDetail, FailureKind};
use crate::workspace::Side;

impl Attempt<'_> {
    /// Installs the dependencies of the run's tip for the agent. After a failure the agent works with the
    /// dependencies of the user's checkout: only CI decides.
    pub(crate) async fn install_for_agent(&mut self) -> Result<(), AttemptError> {
        let report = self.install(Side::Agent).await?;
        if let Some(failure) = report.failed {
            self.note(&format!(
                "the agent works with your checkout's dependencies: {}",
                failure.why
            ));
        }
        Ok(())
    }

    /// Installs the dependencies of CI's commit. A failure is attributed to the change.
    pub(crate) async fn install_for_ci(&mut self) -> Result<Option<Failure>, AttemptError> {
        self.missing_setup = None;
        let env = self.environment(Purpose::Setup, Side::Ci);
        let is_due = self.context.runner().is_install_due(&self.slot, Side::Ci, &env)?;
        if is_due && !self.has_ci().await {
            return Ok(None);
        }
        let report = self.install(Side::Ci).await?;
        self.missing_setup = report.missing;
        Ok(report.failed.map(|failed| {
            let detail = FailureDetail { log_tail: failed.last_lines, ..FailureDetail::default() };
            Failure { detail, ..Failure::new(FailureKind::CiFailed, failed.why) }
        }))
    }

    async fn has_ci(&self) -> bool {
        ci::check_plan(self.claim.phase.ci()).is_some()
            || self.ci_plan(Side::Ci).await.is_configured()
    }

    async fn install(&mut self, side: Side) -> Result<InstallReport, AttemptError> {
        let runner = self.context.runner();
        let env = self.environment(Purpose::Setup, side);
        let log = self.directory.install_log(side);
        runner.run_installs(&mut self.slot, side, &env, &log, &self.stop).await
    }

    /// Adds the missing `workspace.setup` to a message, as a possible cause.
    pub(crate) fn with_missing_setup(&self, message: String) -> String {
        match &self.missing_setup {
            Some(why) => format!("{message}; {why}"),
            None => message,
        }
    }
}
