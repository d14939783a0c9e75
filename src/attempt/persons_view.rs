//! A person's programs in the slot reserved for a phase: the view, environment and session of the phase's agent.

use std::ffi::OsString;
use std::path::Path;

use super::child_environment::Purpose;
use super::program_view::{ViewReport, ViewedProgram};
use super::{AttemptError, DrainContext};
use crate::agent;
use crate::config::AgentSettings;
use crate::process::StopReceiver;
use crate::workspace::view::{ViewPurpose, session_directory};
use crate::workspace::{ReservedWork, Side, Slot};

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
        slot.reset(commit, &self.settings.workspace).await?;
        // From here on, a person or an agent may write anywhere.
        slot.seal_ci()?;
        if let Some(why) = self.runner().prepare_checkout(slot, Side::Agent, logs, stop).await? {
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
        let PersonsPlace { slot, work, directory, agent } = *place;
        let purpose = agent.map_or(Purpose::Ci, |(name, _)| Purpose::Agent(name));
        let mut env = self.runner().environment(purpose, slot, Side::Agent);
        env.extend(phase_variables(work, directory));
        let mut words = command.clone();
        let sessions = match agent {
            Some((name, settings)) => {
                words.extend(agent::program_words(settings, self.repo.root(), slot.path()));
                self.add_agents_variables(settings, &mut env);
                let (run, phase) = (work.run_id.file_name(), work.phase_id.file_name());
                Some(session_directory(&self.repo, &run, &phase, name)?)
            }
            None => None,
        };
        let program = ViewedProgram {
            agent: agent.zip(sessions.as_deref()).map(|((_, settings), of)| (settings, of)),
            ..ViewedProgram::new(ViewPurpose::Agent, (slot, Side::Agent), &words, directory)
        };
        let ended = self.runner().run_at_terminal(&program, command, env).await?;
        let (code, ViewReport { notes, refused_hosts }) = ended;
        for note in notes.iter().chain(&refused_hosts) {
            self.progress.note(note);
        }
        Ok(code)
    }
}

/// Returns the variables that an agent has, too.
fn phase_variables(work: &ReservedWork, directory: &Path) -> Vec<(OsString, OsString)> {
    vec![
        ("AUTOPACK_RUN_ID".into(), work.run_id.as_str().into()),
        ("AUTOPACK_PHASE_ID".into(), work.phase_id.as_str().into()),
        ("AUTOPACK_PROMPT_FILE".into(), directory.join("prompt.md").into()),
        ("AUTOPACK_PHASE_FILE".into(), directory.join("phase.json").into()),
    ]
}
