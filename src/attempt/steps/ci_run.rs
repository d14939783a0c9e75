//! One run of CI in its checkout: the permit, the view, the log, and what the sandbox refused.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use crate::attempt::checkout_runner::CheckoutRunner;
use crate::attempt::child_environment::Purpose;
use crate::attempt::permitted_ci::run_permitted;
use crate::attempt::program_view::{ViewReport, ViewedProgram};
use crate::attempt::{Attempt, AttemptError, Views};
use crate::ci::{self, CiOutcome, CiPlan, CiRun};
use crate::merge_queue::ci_permits::CiPermit;
use crate::process::child_env::OWNER;
use crate::process::view::ViewMode;
use crate::progress::Step;
use crate::workspace::Side;
use crate::workspace::view::ViewPurpose;

/// A shorter wait for other runs of CI is not shown.
const PERMIT_WAIT: Duration = Duration::from_millis(500);
/// Most runs of CI in which a linked directory may change.
const CHANGED_LINK_RUNS: u32 = 2;

impl Attempt<'_> {
    /// Runs CI, and again if a linked directory of the user's checkout changed meanwhile.
    pub(crate) async fn run_ci(&mut self, plan: &CiPlan) -> Result<CiRun, AttemptError> {
        let views = self.context.views.clone();
        let mut stamps = self.slot.stamp_overlay_links(Side::Ci);
        for _ in 0..CHANGED_LINK_RUNS {
            let run = self.run_ci_in(plan, &views).await?;
            let now = self.slot.stamp_overlay_links(Side::Ci);
            let Some((path, _)) = now.iter().find(|stamp| !stamps.contains(stamp)) else {
                return Ok(run);
            };
            if matches!(run.outcome(), CiOutcome::Stopped) {
                return Ok(run);
            }
            self.note(&format!("{path} of your checkout changed during CI: running CI again"));
            stamps = now;
        }
        self.run_ci_in(plan, &views).await
    }

    /// Runs CI in a view of this mode.
    pub(crate) async fn run_ci_in(
        &mut self,
        plan: &CiPlan,
        views: &Views,
    ) -> Result<CiRun, AttemptError> {
        self.record.ci_runs += 1;
        // An earlier program may have revoked access to the directory.
        self.context.repo.reopen(self.directory.path());
        let runner = CheckoutRunner { views, ..self.context.runner() };
        let mut env = runner.environment(Purpose::Ci, &self.slot, Side::Ci);
        env.insert(OWNER.into(), self.claim.owner.as_str().into());
        let words = plan.words();
        let (place, directory) = ((&self.slot, Side::Ci), self.directory.path());
        let program = ViewedProgram::new(ViewPurpose::Ci, place, &words, directory);
        let permit = self.ci_permit(plan).await;
        let opened = runner.open_view(&program, &mut env)?;
        let request = ci::CiRequest {
            lent: Vec::new(),
            dir: self.slot.path_of(Side::Ci),
            checkout: self.context.repo.root(),
            env: &env,
            log: self.directory.ci_log(self.record.ci_runs),
            redact: self.context.redactor.clone(),
            hold: Some(self.slot.lock_fd()?),
            view: opened.child.clone(),
        };
        tracing::debug!(command = plan.display(), "ci starts");
        let (run, beside) = run_permitted(permit, plan, request, &self.stop).await;
        self.ci_turn.runs.extend(beside);
        let ViewReport { notes, refused_hosts } = opened.close().await;
        let run = CiRun { refused_hosts, ..run? };
        tracing::debug!(outcome = ?run.outcome(), "ci ended");
        for note in notes.iter().chain(&run.refused_hosts) {
            self.note(&format!("CI: {note}"));
        }
        self.record.ci += run.duration;
        Ok(run)
    }

    /// Waits for a permit to run CI. `None` after a stop: the run then ends at once.
    async fn ci_permit(&self, plan: &CiPlan) -> Option<CiPermit> {
        let queue = &self.context.merge_queue;
        let permits = &queue.permits;
        let program = plan.display();
        let mut permit = std::pin::pin!(permits.acquire_unless_stopped(
            &program,
            self.ci_turn.alone,
            &self.stop
        ));
        if let Ok(permit) = tokio::time::timeout(PERMIT_WAIT, &mut permit).await {
            return permit;
        }
        self.report_step("waiting for other runs of CI");
        // Another drain may be gone, with a run of CI left behind.
        let _waiting = queue.changes.wait_for_others();
        let permit = permit.await;
        self.step(Step::Ci);
        permit
    }

    /// Adds refusals of the sandbox to a message, with the keys to allow them.
    pub(crate) fn with_refusals(&self, message: String, run: &CiRun) -> String {
        if self.context.views.mode == ViewMode::Off {
            return message;
        }
        let message = match &run.refused_hosts {
            Some(refused) => format!("{message}; {refused}: list it in sandbox.ci_network"),
            None => message,
        };
        let home = self.context.environments.ci.env.get(OsStr::new("HOME")).map(Path::new);
        ci::name_sandbox_keys(message, &run.log_tail, self.context.repo.root(), home)
    }
}
