//! The view of an agent's program, for an attempt and for a question.

use std::path::Path;

use super::program_view::{ProgramView, ViewedProgram};
use super::{AttemptError, DrainContext};
use crate::agent::{self, Task};
use crate::config::AgentSettings;
use crate::process::child_env::Env;
use crate::process::view::ViewMode;
use crate::workspace::view::{ViewPurpose, session_directory};
use crate::workspace::{Side, Slot};

/// Where an agent's program runs.
#[derive(Clone, Copy)]
pub(super) struct AgentsPlace<'a> {
    /// Slot with the agent's checkout.
    pub slot: &'a Slot,
    /// Directory of the attempt's files.
    pub directory: &'a Path,
    /// Whether the agent only reads the slot.
    pub is_read_only: bool,
}

impl DrainContext {
    /// Prepares the agent's view, and puts it into the task.
    pub(super) fn open_agents_view(
        &self,
        (name, settings): (&str, &AgentSettings),
        task: &mut Task,
        place: AgentsPlace<'_>,
    ) -> Result<ProgramView, AttemptError> {
        let views = &self.views;
        if views.mode == ViewMode::Off || !agent::has_program(settings) {
            return Ok(ProgramView::default());
        }
        let (run, phase) = (task.run_id.file_name(), task.phase_id.file_name());
        let sessions = session_directory(&self.repo, &run, &phase, name)?;
        let words = agent::program_words(settings, &task.workspace, &task.worktree);
        let AgentsPlace { slot, directory, is_read_only } = place;
        let program = ViewedProgram {
            agent: Some((settings, &sessions)),
            is_read_only,
            ..ViewedProgram::new(ViewPurpose::Agent, (slot, Side::Agent), &words, directory)
        };
        let mut env = task.env.clone();
        self.add_agents_variables(settings, &mut env);
        let opened = self.runner().open_view(&program, &mut env)?;
        task.env = env;
        task.own_sandbox = agent::own_sandbox(settings, &task.env, views.agent_place());
        if let Some(note) = &task.own_sandbox.note {
            self.note_once(note);
        }
        task.view.clone_from(&opened.child);
        Ok(opened)
    }

    /// Adds the variables that an agent needs in a view, and its own: these win over all others, and may name paths.
    pub(super) fn add_agents_variables(&self, settings: &AgentSettings, env: &mut Env) {
        if self.views.mode == ViewMode::Namespaces {
            agent::add_view_env(settings, env);
        }
        let own = settings.env().into_iter().flatten();
        env.extend(own.map(|(name, value)| (name.into(), value.into())));
    }
}
