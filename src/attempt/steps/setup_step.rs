//! `workspace.setup` in each checkout of a slot: skipped if command, manifests and lock files are unchanged since the
//! last run, and all results are still present.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::attempt::child_environment::Purpose;
use crate::attempt::{Attempt, AttemptError};
use crate::config::CommandLine;
use crate::phase::dependency_inputs::is_input;
use crate::process::StopLevel;
use crate::workspace::Side;

/// Last setup of each checkout in this drain. State on disk is not trusted, because agents can write there.
#[derive(Default)]
pub struct Setups(Mutex<HashMap<PathBuf, Done>>);

#[derive(Clone)]
struct Done {
    key: String,
    /// Results surviving a reset; `None` if a reset removes some of them.
    kept: Option<Vec<PathBuf>>,
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
    fn get(&self, dir: &Path) -> Option<Done> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(dir).cloned()
    }

    fn put(&self, dir: &Path, done: Option<Done>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Some(done) => drop(all.insert(dir.to_owned(), done)),
            None => drop(all.remove(dir)),
        }
    }
}

impl Done {
    fn is_whole(&self, dir: &Path) -> bool {
        let there = |path: &PathBuf| dir.join(path).symlink_metadata().is_ok();
        self.kept.as_ref().is_some_and(|kept| kept.iter().all(there))
    }
}

impl Attempt<'_> {
    /// Runs setup in a checkout. Neither an agent nor CI can work without setup.
    ///
    /// # Errors
    ///
    /// [`AttemptError::Systemic`] if setup fails on inputs common to every phase.
    pub(crate) async fn set_up(&self, side: Side) -> Result<SetupOutcome, AttemptError> {
        let settings = &self.site.settings.workspace;
        let Some(command) = &settings.setup else { return Ok(SetupOutcome::DidNotRun) };
        let inputs = self.slot.inputs_key(side, &is_input, &settings.setup_inputs).await?;
        let key = format!("{}\n{inputs}", serde_json::json!(command));
        let dir = self.slot.path_of(side);
        let setups = &self.site.setups;
        if setups.get(dir).is_some_and(|done| done.key == key && done.is_whole(dir)) {
            tracing::debug!(dir = %dir.display(), "nothing changed since setup ran here");
            return Ok(SetupOutcome::DidNotRun);
        }
        setups.put(dir, None);
        match self.run_setup(side, command).await? {
            None if self.stop.level() > StopLevel::Run => Ok(SetupOutcome::DidNotRun),
            None => {
                let remains = self.slot.remains(side).await?;
                let kept = (!remains.goes).then_some(remains.kept);
                setups.put(dir, Some(Done { key, kept }));
                Ok(SetupOutcome::Ran)
            }
            Some(why) => {
                let agents = setups.get(self.slot.path_of(Side::Agent));
                match side == Side::Ci && agents.is_some_and(|agents| agents.key != key) {
                    true => Ok(SetupOutcome::Failed { why }),
                    false => Err(AttemptError::Systemic(why)),
                }
            }
        }
    }

    /// Runs the command. Returns `None` on success or after a stop, otherwise the reason of the failure.
    async fn run_setup(
        &self,
        side: Side,
        command: &CommandLine,
    ) -> Result<Option<String>, AttemptError> {
        let log = match side {
            Side::Agent => self.folder.setup_log(),
            Side::Ci => self.folder.ci_setup_log(),
        };
        let env = self.environment(Purpose::Setup, side);
        self.site.runner().run_setup(command, &self.slot, side, env, log, self.stop).await
    }
}
