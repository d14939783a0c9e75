//! `workspace.setup` in each checkout of a slot: where it ran before on the same command, manifests and lock files, and all that
//! it left is there, it does not run again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::attempt::child_environment::Purpose;
use crate::attempt::{Attempt, Site, Trouble};
use crate::config::CommandLine;
use crate::phase::shell;
use crate::process::child_env::Env;
use crate::process::{self, How, Job, SpawnError, Stop};
use crate::workspace::dependencies::is_input;
use crate::workspace::{Side, Slot};

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
            None if self.stop.level() > process::StopLevel::Run => Ok(SetUp::DidNotRun),
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
        self.site.run_setup(command, &self.slot, side, env, log, self.stop).await
    }
}

impl Site {
    /// Runs a setup command in one of the checkouts of a slot. `None`: it ran to its end, or was stopped. Otherwise why it failed.
    pub(crate) async fn run_setup(
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
        let timeout = Duration::from_secs(self.settings.workspace.setup_timeout_seconds);
        let job = Job {
            log: Some(log.clone()),
            redact: self.redactor.clone(),
            hold: Some(slot.lock_fd()?),
            ..Job::new(argv, slot.path_of(side), env, timeout)
        };
        let ended = match process::run(job, stop).await {
            Err(error @ (SpawnError::NotFound { .. } | SpawnError::CannotStart { .. })) => {
                return Ok(Some(format!("workspace.setup failed: {error}")));
            }
            ended => ended?,
        };
        let why = match ended.how {
            // Whatever is run next notices the stop as well.
            How::Exited(0) | How::Stopped => return Ok(None),
            How::Exited(code) => format!("it exited with {code}"),
            How::Signalled(signal) => format!("signal {signal} ended it"),
            How::TimedOut | How::Stalled => format!("it took longer than {} s", timeout.as_secs()),
        };
        let said = match ended.last_lines(1) {
            line if line.trim().is_empty() => String::new(),
            line => format!(": {line}"),
        };
        let log = log.display();
        Ok(Some(format!("workspace.setup failed: {why}{said}; its output is in {log}")))
    }
}
