//! A question to an agent: one call in a slot that changes nothing. The answer is a text.
//!
//! In a sandbox the slot is read-only for the agent's program. Without one, the diff afterwards tells whether the agent
//! kept to it; the caller refuses the answer of an agent that changed files, and the next reset discards them.

use std::io;
use std::path::Path;
use std::time::Instant;

use super::agents_view::AgentsPlace;
use super::child_environment::Purpose;
use super::program_view::ViewReport;
use super::steps::agent_files::AgentFiles;
use super::{AttemptDirectory, AttemptError, DrainContext, millis};
use crate::agent::{self, AgentEvent, AgentReply, AttemptBudget, Question, Task};
use crate::config::AgentSettings;
use crate::phase::{FixedSpec, PhaseId, RunId};
use crate::process::StopReceiver;
use crate::process::child_env::OWNER;
use crate::workspace::{Side, Slot};

/// File in the attempt's directory in which a program may write its answer.
const ANSWER: &str = "answer.txt";

/// A question to an agent, except for the text.
pub struct ReadOnlyCall<'a> {
    /// Name and settings of the agent.
    pub agent: (&'a str, &'a AgentSettings),
    /// Purpose in a word, for the agent's program.
    pub purpose: &'static str,
    /// Run of the phase, for the agent's environment.
    pub run_id: &'a RunId,
    /// Phase of the question.
    pub phase_id: &'a PhaseId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Owner, carried by the agent's processes.
    pub owner: &'a str,
    /// Spec of the phase.
    pub spec: &'a FixedSpec,
    /// Limits of the call.
    pub budget: AttemptBudget,
    /// Slot with the files to read.
    pub slot: &'a Slot,
    /// Commit of the slot.
    pub base: &'a str,
    /// Directory for the prompt, the answer and the log.
    pub directory: &'a AttemptDirectory,
    /// Stop signal.
    pub stop: &'a StopReceiver,
    /// Receives the events of the agent.
    pub show: &'a (dyn Fn(AgentEvent) + Sync),
}

/// Answer of an agent. Whether to trust it is decided by the caller: see `reply` for failures and `changed`.
#[derive(Debug)]
pub struct ReadOnlyAnswer {
    /// The answer, redacted; empty if the agent gave none.
    pub text: String,
    /// End, outcome and usage of the agent.
    pub reply: AgentReply,
    /// Files that the agent changed although nothing was to be changed.
    pub changed: Vec<String>,
    /// Lines for the user.
    pub notes: Vec<String>,
    /// Run time of the agent, in milliseconds.
    pub agent_ms: u64,
}

impl DrainContext {
    /// Asks an agent. The slot has to be reset to `base`, and its CI checkout sealed, before.
    ///
    /// # Errors
    /// If the agent cannot be started, or the slot or the attempt's files cannot be read or written.
    pub async fn ask_read_only(
        &self,
        call: &ReadOnlyCall<'_>,
        prompt: String,
    ) -> Result<ReadOnlyAnswer, AttemptError> {
        let (name, settings) = call.agent;
        let prompt = self.redactor.redact(&prompt).into_owned();
        call.directory.write(&call.directory.prompt(), &prompt)?;
        let phase = serde_json::to_vec_pretty(call.spec.json()).map_err(anyhow::Error::new)?;
        call.directory.write(&call.directory.phase(), phase)?;
        let answer_file = call.directory.path().join(ANSWER);
        // Of an earlier question of the same attempt.
        remove_answer(&answer_file).map_err(|error| AttemptError::io(&answer_file, error))?;
        self.repo.note_agent();
        let files = AgentFiles::create(call.directory.agent_files())?;
        let question = Question { purpose: call.purpose, answer_file };
        let mut task = self.question_task(call, prompt, question)?;
        let directory = call.directory.path();
        let place = AgentsPlace { slot: call.slot, directory, is_read_only: true };
        let opened = self.open_agents_view((name, settings), &mut task, place)?;
        let started = Instant::now();
        let reply = agent::run(settings, task, call.stop, call.show).await;
        let agent_ms = millis(started.elapsed());
        let ViewReport { mut notes, refused_hosts } = opened.close().await;
        notes.extend(refused_hosts);
        let redact = self.redactor.clone();
        let kept = tokio::task::spawn_blocking(move || files.keep(&redact)).await;
        notes.extend(kept.unwrap_or_else(|panic| vec![panic.to_string()]));
        let reply = reply?;
        notes.extend(reply.notes.iter().cloned());
        let changed = self.changed_files(call).await?;
        // Not every program has a final message: then its last lines have the answer.
        let summary = reply.summary.as_deref().filter(|text| !text.trim().is_empty());
        let text = summary.unwrap_or(&reply.last_lines);
        let text = self.redactor.redact(text).into_owned();
        Ok(ReadOnlyAnswer { text, reply, changed, notes, agent_ms })
    }

    fn question_task(
        &self,
        call: &ReadOnlyCall<'_>,
        prompt: String,
        question: Question,
    ) -> Result<Task, AttemptError> {
        let (name, _) = call.agent;
        let mut env = self.runner().environment(Purpose::Agent(name), call.slot, Side::Agent);
        env.insert(OWNER.into(), call.owner.into());
        Ok(Task {
            run_id: call.run_id.clone(),
            phase_id: call.phase_id.clone(),
            attempt: call.attempt,
            counted_attempt: 1,
            owner: call.owner.to_owned(),
            prompt,
            workspace: self.repo.root().to_owned(),
            worktree: call.slot.path().to_owned(),
            prompt_file: call.directory.prompt(),
            phase_file: call.directory.phase(),
            result_file: call.directory.result(),
            log: call.directory.agent_log(),
            log_dir: call.directory.agent_files(),
            env,
            redact: self.redactor.clone(),
            hold: Some(call.slot.lock_fd()?),
            spec: call.spec.clone(),
            protected: self.settings.workspace.protected_paths.clone(),
            budget: call.budget,
            session: None,
            checks: None,
            view: None,
            own_sandbox: agent::OwnSandbox::default(),
            question: Some(question),
            request_file: None,
            request_desk: None,
        })
    }

    /// Returns the files that differ from the commit. Files that cannot be measured count as changed.
    async fn changed_files(&self, call: &ReadOnlyCall<'_>) -> Result<Vec<String>, AttemptError> {
        self.repo.reopen(call.directory.path());
        match call.slot.measure(call.base, &[]).await {
            Ok(measured) => Ok(measured.changes.into_iter().map(|change| change.path).collect()),
            Err(error) if error.is_caused_by_attempt() => Ok(vec![error.to_string()]),
            Err(error) => Err(error.into()),
        }
    }
}

/// Removes the answer to an earlier question: a file, or whatever the program created in its place.
fn remove_answer(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_answer_is_removed_whatever_it_is() {
        let at = tempfile::tempdir().unwrap();
        let answer = at.path().join(ANSWER);
        let target = at.path().join("target");
        std::fs::write(&target, "kept").unwrap();
        remove_answer(&answer).unwrap();
        let creations: [&dyn Fn() -> io::Result<()>; 3] = [
            &|| std::fs::write(&answer, "text"),
            &|| std::fs::create_dir_all(answer.join("deep")),
            &|| std::os::unix::fs::symlink(&target, &answer),
        ];
        for create in creations {
            create().unwrap();
            remove_answer(&answer).unwrap();
            assert!(answer.symlink_metadata().is_err());
        }
        assert!(target.exists());
        assert!(remove_answer(&target.join("below")).is_err(), "other errors are reported");
    }
}
