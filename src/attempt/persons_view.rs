//! A person's programs in the slot reserved for a phase: the view, environment and session of the phase's agent.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::checkout_runner::SetupEnd;
use super::child_environment::Purpose;
use super::program_view::{ProgramView, ViewReport, ViewedProgram};
use super::{AttemptError, DrainContext};
use crate::agent;
use crate::config::AgentSettings;
use crate::phase::{PhaseId, RunId};
use crate::process::child_env::Env;
use crate::process::view::{self, ViewMode};
use crate::process::{Job, StopReceiver, run_attached};
use crate::workspace::view::{ViewPurpose, session_directory};
use crate::workspace::{ReservedWork, Side, Slot};

/// The limit of a job, which a person does not have.
const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where a person works.
pub struct PersonsPlace<'a> {
    /// The slot.
    pub slot: &'a Slot,
    /// The phase.
    pub work: &'a ReservedWork,
    /// Directory with `prompt.md` and `phase.json`, shown to the program.
    pub directory: &'a Path,
    /// The agent with its name, if one is configured.
    pub agent: Option<(&'a str, &'a AgentSettings)>,
}

impl DrainContext {
    /// Puts a commit into a slot as for an agent: with setup or the installs of the project. What fails there is said in
    /// a note: a person can mend it.
    ///
    /// # Errors
    ///
    /// Git or the disk fails.
    pub async fn place_for_person(
        &self,
        slot: &mut Slot,
        commit: &str,
        logs: &Path,
        stop: &StopReceiver,
    ) -> Result<(), AttemptError> {
        let (runner, settings) = (self.runner(), &self.settings.workspace);
        slot.reset(commit, settings).await?;
        // From here on, a person or an agent may write anywhere.
        slot.seal_ci()?;
        let env = runner.environment(Purpose::Setup, slot, Side::Agent);
        let failed = match &settings.setup {
            Some(command) => {
                let log = logs.join("setup.log");
                match runner.run_setup(command, slot, Side::Agent, env, log, stop).await? {
                    SetupEnd::Failed { why } => Some(why),
                    SetupEnd::Done | SetupEnd::Stopped => None,
                }
            }
            None => {
                let log = logs.join("install.log");
                let installed = runner.run_installs(slot, Side::Agent, &env, &log, stop).await?;
                installed.failed.map(|failed| failed.why)
            }
        };
        if let Some(why) = failed {
            self.progress.note(&why);
        }
        Ok(())
    }

    /// Runs a command of a person at the terminal. Returns the exit code.
    ///
    /// # Errors
    ///
    /// The view cannot be prepared, or the command cannot be started.
    pub async fn run_for_person(
        &self,
        place: &PersonsPlace<'_>,
        command: Vec<OsString>,
    ) -> Result<i32, AttemptError> {
        let (opened, env) = self.open_persons_view(place, &command)?;
        let job = Job {
            hold: Some(place.slot.lock_fd()?),
            ..Job::new(command, place.slot.path(), env, NO_LIMIT)
        };
        let ended = run_attached(view::enter(opened.child.as_ref(), job)).await;
        let ViewReport { notes, refused_hosts } = opened.close().await;
        for note in notes.iter().chain(&refused_hosts) {
            self.progress.note(note);
        }
        Ok(ended?)
    }

    fn open_persons_view(
        &self,
        place: &PersonsPlace<'_>,
        command: &[OsString],
    ) -> Result<(ProgramView, Env), AttemptError> {
        let PersonsPlace { slot, work, directory, agent } = *place;
        let purpose = agent.map_or(Purpose::Ci, |(name, _)| Purpose::Agent(name));
        let mut env = self.runner().environment(purpose, slot, Side::Agent);
        env.extend(phase_variables(work, directory));
        let mut words = command.to_vec();
        let sessions = match agent {
            Some((name, settings)) => {
                words.extend(agent::program_words(settings, self.repo.root(), slot.path()));
                let own = settings.env().into_iter().flatten();
                env.extend(own.map(|(name, value)| (name.into(), value.into())));
                if self.views.mode == ViewMode::Namespaces {
                    agent::add_view_env(settings, &mut env);
                }
                let (run, phase) = (work.run_id.file_name(), work.phase_id.file_name());
                Some(session_directory(&self.repo, &run, &phase, name)?)
            }
            None => None,
        };
        let program = ViewedProgram {
            agent: agent.zip(sessions.as_deref()).map(|((_, settings), of)| (settings, of)),
            ..ViewedProgram::new(ViewPurpose::Agent, (slot, Side::Agent), &words, directory)
        };
        let opened = self.runner().open_view(&program, &mut env)?;
        Ok((opened, env))
    }
}

/// Returns the variables that an agent has, too.
fn phase_variables(work: &ReservedWork, directory: &Path) -> Vec<(OsString, OsString)> {
    let ReservedWork { run_id, phase_id, .. } = work;
    let (run, phase): (&RunId, &PhaseId) = (run_id, phase_id);
    vec![
        ("AUTOPACK_RUN_ID".into(), run.as_str().into()),
        ("AUTOPACK_PHASE_ID".into(), phase.as_str().into()),
        ("AUTOPACK_PROMPT_FILE".into(), directory.join("prompt.md").into()),
        ("AUTOPACK_PHASE_FILE".into(), directory.join("phase.json").into()),
    ]
}
