//! `workspace.setup` in each checkout of a slot: where it ran before on the same command, manifests and lock files, and all that
//! it left is there, it does not run again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::attempt::child_environment::Purpose;
use crate::attempt::{Attempt, Trouble};
use crate::config::CommandLine;
use crate::phase::dependency_inputs::is_input;
use crate::process::StopLevel;
use crate::workspace::Side;

/// The last setup of each checkout that this drain saw. Nothing of it is believed that lies on disk, where agents write.
#[derive(Default)]
pub struct Setups(Mutex<HashMap<PathBuf, Done>>);

#[derive(Clone)]
struct Done {
    key: String,
    /// What it left that outlives a reset; nothing where a reset takes something of it away.
    kept: Option<Vec<PathBuf>>,
}

/// What came of a setup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetUp {
    /// There is none, or nothing changed since it ran, or the drain was stopped.
    DidNotRun,
    Ran,
    /// It ran on something else than it ran on for the agent, and failed: the change's fault.
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
    /// Without it, neither an agent nor CI can work here.
    ///
    /// # Errors
    ///
    /// [`Trouble::Systemic`] where it fails on what it is to run on for every phase.
    pub(crate) async fn set_up(&self, side: Side) -> Result<SetUp, Trouble> {
        let settings = &self.site.settings.workspace;
        let Some(command) = &settings.setup else { return Ok(SetUp::DidNotRun) };
        let inputs = self.slot.inputs_key(side, &is_input, &settings.setup_inputs).await?;
        let key = format!("{}\n{inputs}", serde_json::json!(command));
        let dir = self.slot.path_of(side);
        let setups = &self.site.setups;
        if setups.get(dir).is_some_and(|done| done.key == key && done.is_whole(dir)) {
            tracing::debug!(dir = %dir.display(), "nothing changed since setup ran here");
            return Ok(SetUp::DidNotRun);
        }
        setups.put(dir, None);
        match self.run_setup(side, command).await? {
            None if self.stop.level() > StopLevel::Run => Ok(SetUp::DidNotRun),
            None => {
                let remains = self.slot.remains(side).await?;
                let kept = (!remains.goes).then_some(remains.kept);
                setups.put(dir, Some(Done { key, kept }));
                Ok(SetUp::Ran)
            }
            Some(why) => {
                let agents = setups.get(self.slot.path_of(Side::Agent));
                match side == Side::Ci && agents.is_some_and(|agents| agents.key != key) {
                    true => Ok(SetUp::Failed { why }),
                    false => Err(Trouble::Systemic(why)),
                }
            }
        }
    }

    /// `None`: it ran to its end, or the drain was stopped. Otherwise why it failed.
    async fn run_setup(
        &self,
        side: Side,
        command: &CommandLine,
    ) -> Result<Option<String>, Trouble> {
        let log = match side {
            Side::Agent => self.folder.setup_log(),
            Side::Ci => self.folder.ci_setup_log(),
        };
        let env = self.environment(Purpose::Setup, side);
        self.site.runner().run_setup(command, &self.slot, side, env, log, self.stop).await
    }
}
