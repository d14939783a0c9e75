//! Setup or frozen installs, then CI, in a clean clone: a new directory with only one commit, the paths of
//! `workspace.link` and the automatic links. The clone is removed afterwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::checkout_runner::{CheckoutRunner, InstallReport, SetupEnd};
use super::child_environment::Purpose;
use super::permitted_ci::run_permitted;
use super::program_view::ViewedProgram;
use super::{AttemptError, DrainContext};
use crate::ci::{self, CiOutcome, CiPlan, CiRun, merge_base_rerun, plan_base_rerun};
use crate::config::WorkspaceSettings;
use crate::phase::words::short_commit;
use crate::phase::{PhaseCi, RunId};
use crate::process::StopReceiver;
use crate::process::child_env::Env;
use crate::process::view::ViewMode;
use crate::workspace::view::{self, PrivateFiles, ViewPurpose};
use crate::workspace::{Side, Slot};

/// Lines of CI output kept with a red result.
const LAST_LINES: usize = 20;

/// CI result of a commit in a clean clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CleanRun {
    /// Result of CI.
    pub verdict: CloneVerdict,
    /// Failing tests, if the runner reports individual tests.
    pub failing: Option<BTreeSet<String>>,
    /// End of the output of a red run.
    pub last_lines: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloneVerdict {
    Green,
    Red,
    /// No CI command to run.
    NoCi,
    /// The operator stopped autopack.
    Stopped,
}

/// Outcome of testing a commit in a clean clone, before any comparison.
pub(crate) enum CloneRun {
    /// Setup or an install failed.
    NotReady { why: String },
    Tested {
        plan: Box<CiPlan>,
        run: Box<CiRun>,
        /// Description of the missing `workspace.setup` if CI may have failed without setup.
        missing_setup: Option<String>,
    },
}

/// Number of CI runs in a clean clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloneTest {
    Once,
    /// As at the base of a run: a red run is repeated, and imports from the user's checkout are refused.
    AsBase,
}

impl CheckoutRunner<'_> {
    /// Runs setup or frozen installs, then CI, at a commit in a clean clone. `logs` is an existing directory.
    ///
    /// # Errors
    ///
    /// Errors of git or the disk. A red CI is not an error.
    pub async fn test_in_clean_clone(
        &self,
        commit: &str,
        logs: &Path,
        test: CloneTest,
        stop: &StopReceiver,
    ) -> Result<CloneRun, AttemptError> {
        let mut slot = self.open_clean_clone(commit).await?;
        let ran = self.test_in(&mut slot, logs, test, stop).await;
        let left = slot.remove_clean_clone().await;
        let ran = ran?;
        left?;
        Ok(ran)
    }

    /// Creates a clean clone at a commit, to be removed afterwards.
    pub(super) async fn open_clean_clone(&self, commit: &str) -> Result<Slot, AttemptError> {
        let mut slot = self.repo.acquire_clean_clone().await?;
        let settings = WorkspaceSettings { keep: Vec::new(), ..self.settings.workspace.clone() };
        if let Err(error) = slot.reset_ci(commit, &settings).await {
            // The first error is the cause.
            let _ = slot.remove_clean_clone().await;
            return Err(error.into());
        }
        Ok(slot)
    }

    async fn test_in(
        &self,
        slot: &mut Slot,
        logs: &Path,
        test: CloneTest,
        stop: &StopReceiver,
    ) -> Result<CloneRun, AttemptError> {
        if self.views.mode != ViewMode::Off {
            // Nothing of an earlier test, and no cache.
            view::open_private(self.repo, slot, Side::Ci, PrivateFiles::RemoveAll)?;
        }
        let env = self.environment(Purpose::Ci, slot, Side::Ci);
        let prepare = self.environment(Purpose::Setup, slot, Side::Ci);
        if let Some(command) = &self.settings.workspace.setup {
            let log = logs.join("setup.log");
            let end = self.run_setup(command, slot, Side::Ci, prepare.clone(), log, stop).await?;
            if let SetupEnd::Failed { why } = end {
                return Ok(CloneRun::NotReady { why });
            }
        }
        let mut plan = self.plan_in(slot, &env).await;
        let mut installed = InstallReport::default();
        if plan.is_configured() {
            let log = logs.join("install.log");
            installed = self.run_installs(slot, Side::Ci, &prepare, &log, stop).await?;
            // The program for the tests may depend on the installed packages.
            plan = self.plan_in(slot, &env).await;
        }
        if let Some(failure) = installed.failed {
            return Ok(CloneRun::NotReady { why: failure.why });
        }
        let run = match test {
            CloneTest::Once => self.ci_in(slot, &plan, &env, logs.join("ci.log"), stop).await?,
            CloneTest::AsBase => {
                let dir = slot.path_of(Side::Ci);
                let site = ci::CiPlace { dir, workspace: self.repo.root(), env: &env };
                if !self.views.moves_checkouts()
                    && let Some(why) = ci::find_misplaced_imports(&site, &plan, self.pythons).await
                {
                    return Ok(CloneRun::NotReady { why });
                }
                plan = plan.at_base(self.settings.ci.max_timeout_seconds);
                let run = self.ci_in(slot, &plan, &env, logs.join("ci.log"), stop).await?;
                match plan_base_rerun(&plan, &run) {
                    None => run,
                    Some(rerun) => {
                        let log = logs.join("ci-2.log");
                        let again = self.ci_in(slot, &rerun, &env, log, stop).await?;
                        merge_base_rerun(&plan, run, again)
                    }
                }
            }
        };
        let (plan, run) = (Box::new(plan), Box::new(run));
        Ok(CloneRun::Tested { plan, run, missing_setup: installed.missing })
    }

    async fn ci_in(
        &self,
        slot: &Slot,
        plan: &CiPlan,
        env: &Env,
        log: PathBuf,
        stop: &StopReceiver,
    ) -> Result<CiRun, AttemptError> {
        let mut env = env.clone();
        let words = plan.words();
        let logs = log.parent().unwrap_or(&log);
        let program = ViewedProgram::new(ViewPurpose::Ci, (slot, Side::Ci), &words, logs);
        let opened = self.open_view(&program, &mut env)?;
        let program = plan.display();
        let permit = self.ci_permits.acquire_unless_stopped(&program, false, stop).await;
        let request = ci::CiRequest {
            dir: slot.path_of(Side::Ci),
            checkout: self.repo.root(),
            env: &env,
            log: log.clone(),
            redact: self.redactor.clone(),
            hold: Some(slot.lock_fd()?),
            lent: Vec::new(),
            view: opened.child.clone(),
        };
        let (run, _) = run_permitted(permit, plan, request, stop).await;
        let refused_hosts = opened.close().await.refused_hosts;
        Ok(CiRun { refused_hosts, ..run? })
    }

    async fn plan_in(&self, slot: &Slot, env: &Env) -> CiPlan {
        let site = ci::CiPlace { dir: slot.path_of(Side::Ci), workspace: self.repo.root(), env };
        let phase =
            PhaseCi { timeout_seconds: self.settings.ci.max_timeout_seconds, ..PhaseCi::default() };
        ci::choose_plan(&site, &self.settings.ci, &phase, self.pythons).await
    }
}

impl DrainContext {
    /// Runs setup and CI at a commit of a run in a clean clone.
    pub(super) async fn run_in_clean_clone(
        &self,
        run: &RunId,
        commit: &str,
        stop: &StopReceiver,
    ) -> Result<CleanRun, AttemptError> {
        let logs = self.clean_logs(run, commit)?;
        let tested =
            self.runner().test_in_clean_clone(commit, &logs, CloneTest::Once, stop).await?;
        Ok(match tested {
            CloneRun::NotReady { why } => CleanRun::red(None, why),
            CloneRun::Tested { run, missing_setup, .. } => {
                let mut judged = judged(&run);
                if let Some(why) = missing_setup.filter(|_| judged.verdict == CloneVerdict::Red) {
                    judged.last_lines = format!("{}\n{why}", judged.last_lines);
                }
                judged
            }
        })
    }

    /// Returns `.autopack/clean/<run>/<commit>/`, created for people reading the logs of a red run.
    fn clean_logs(&self, run: &RunId, commit: &str) -> Result<PathBuf, AttemptError> {
        let directory = self.repo.autopack_dir().join("clean").join(run.file_name());
        let directory = directory.join(short_commit(commit));
        std::fs::create_dir_all(&directory).map_err(|error| AttemptError::io(&directory, error))?;
        Ok(directory)
    }
}

impl CleanRun {
    fn red(failing: Option<BTreeSet<String>>, last_lines: String) -> Self {
        Self { verdict: CloneVerdict::Red, failing, last_lines }
    }

    fn of(verdict: CloneVerdict) -> Self {
        Self { verdict, failing: None, last_lines: String::new() }
    }
}

fn judged(run: &CiRun) -> CleanRun {
    let last_lines = || {
        let lines: Vec<&str> = run.log_tail.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    };
    match run.outcome() {
        CiOutcome::Passed | CiOutcome::NoTests => CleanRun::of(CloneVerdict::Green),
        CiOutcome::NotConfigured => CleanRun::of(CloneVerdict::NoCi),
        CiOutcome::Stopped => CleanRun::of(CloneVerdict::Stopped),
        CiOutcome::CouldNotStart { why } => CleanRun::red(None, why.clone()),
        CiOutcome::Failed | CiOutcome::TimedOut { .. } | CiOutcome::CollectionError => {
            let reports = run.results.tests.is_some();
            let failing = reports.then(|| run.results.red().map(|(id, _)| id.clone()).collect());
            CleanRun::red(failing, last_lines())
        }
    }
}
