//! Setup and CI in a clean clone: a new directory that holds one commit, what `workspace.link` and the automatic links bring,
//! and nothing else. It is removed again afterwards.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::child_environment::Purpose;
use super::{Site, Trouble};
use crate::ci::{self, CiOutcome, CiRun};
use crate::config::WorkspaceSettings;
use crate::phase::words::short_commit;
use crate::phase::{PhaseCi, RunId};
use crate::process::Stop;
use crate::workspace::{Side, Slot};

/// Of CI's output.
const LAST_LINES: usize = 20;

/// What CI said of a commit in a clean clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CleanRun {
    pub verdict: CloneVerdict,
    /// The failing tests, where the runner reports single tests.
    pub failing: Option<BTreeSet<String>>,
    /// The end of the output, where it is red.
    pub last_lines: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloneVerdict {
    Green,
    Red,
    /// There is nothing to run.
    NoCi,
    /// The operator stopped autopack.
    Stopped,
}

impl Site {
    /// Runs setup and CI at a commit in a clean clone.
    pub(super) async fn run_in_clean_clone(
        &self,
        run: &RunId,
        commit: &str,
        stop: &Stop,
    ) -> Result<CleanRun, Trouble> {
        let mut slot = self.repo.acquire_clean_clone().await?;
        let settings = WorkspaceSettings { keep: Vec::new(), ..self.settings.workspace.clone() };
        slot.reset_ci(commit, &settings).await?;
        let ran = self.run_at(run, commit, &slot, stop).await;
        let left = slot.remove_clean_clone().await;
        let ran = ran?;
        left?;
        Ok(ran)
    }

    async fn run_at(
        &self,
        run: &RunId,
        commit: &str,
        slot: &Slot,
        stop: &Stop,
    ) -> Result<CleanRun, Trouble> {
        let logs = self.clean_logs(run, commit)?;
        let env = self.environment(Purpose::Ci, slot, Side::Ci);
        if let Some(command) = &self.settings.workspace.setup {
            let log = logs.join("setup.log");
            let failed = self.run_setup(command, slot, Side::Ci, env.clone(), log, stop).await?;
            if let Some(why) = failed {
                return Ok(CleanRun::red(None, why));
            }
        }
        let site = ci::Site { dir: slot.path_of(Side::Ci), workspace: self.repo.root(), env: &env };
        let phase =
            PhaseCi { timeout_seconds: self.settings.ci.max_timeout_seconds, ..PhaseCi::default() };
        let plan = ci::plan(&site, &self.settings.ci, &phase, &self.pythons).await;
        let request = ci::Request {
            dir: slot.path_of(Side::Ci),
            env: &env,
            log: logs.join("ci.log"),
            redact: self.redactor.clone(),
            hold: Some(slot.lock_fd()?),
        };
        Ok(judged(&ci::run(&plan, request, stop).await?))
    }

    /// `.autopack/clean/<run>/<commit>/`, for people who wonder why it is red.
    fn clean_logs(&self, run: &RunId, commit: &str) -> Result<PathBuf, Trouble> {
        let folder = self.repo.autopack_dir().join("clean").join(run.file_name());
        let folder = folder.join(short_commit(commit));
        std::fs::create_dir_all(&folder).map_err(|error| Trouble::io(&folder, error))?;
        Ok(folder)
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
