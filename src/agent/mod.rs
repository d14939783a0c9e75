//! Runs an agent: takes a prompt, lets the agent edit files in a worktree, returns the usage.
//!
//! Each kind of agent has a file. Programs with an output stream (listed in `adapters`) share the runner
//! `program`; each file only defines the command line and the meaning of the stream. Success reported by an
//! agent is passed on without effect: the diff and CI decide elsewhere. An error of this module would also
//! affect the next phase.

mod adapters;
mod builtin;
mod detection;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod needs;
pub mod prices;
mod program_words;
mod providers;
mod runner;
mod secret_variables;
mod transcript;

#[cfg(test)]
mod properties;

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use crate::config::AgentSettings;
use crate::phase::{FixedSpec, PhaseId, RunId, Usage};
use crate::process::child_env::Env;
use crate::process::view::ChildView;
use crate::process::{JobEnd, Redactor, SpawnError, StopReceiver};
use adapters::Runner;
use runner::result_file;

pub use adapters::{CoAuthor, co_author, program_kinds};
pub use detection::{DetectedAgent, detect, detectable};
pub use needs::{
    AgentNeeds, AgentPlace, CloudNeeds, CredentialFile, HomeVariable, add_view_env,
    keeps_own_sandbox, needs, needs_of_all, own_sandbox,
};
pub use program_words::{has_program, program_words, resume_words};
pub use runner::agent_version::{Version, version};
pub use runner::event::{AgentEvent, AttemptBudget, Outcome, RateLimitReset};
pub use runner::own_sandbox::OwnSandbox;
pub use runner::start_check::AgentCheck;
pub use secret_variables::{provider_secret, secret_variables};
pub use transcript::{Transcript, TranscriptEntry};

/// An attempt, as input of an agent. The prompt and the phase file exist before the start.
pub struct Task {
    /// The run of the phase.
    pub run_id: RunId,
    /// The phase's id.
    pub phase_id: PhaseId,
    /// The number of this attempt, counted or not.
    pub attempt: u32,
    /// The number of counted attempts so far, plus 1.
    pub counted_attempt: u32,
    /// The drain's id, carried by the agent's processes so that a dead drain's processes can be found.
    pub owner: String,
    /// The prompt's text.
    pub prompt: String,
    /// The user's repository.
    pub workspace: PathBuf,
    /// The slot, the agent's working directory.
    pub worktree: PathBuf,
    /// The file with the prompt.
    pub prompt_file: PathBuf,
    /// The FixedSpec as JSON.
    pub phase_file: PathBuf,
    /// File in which the agent may report usage.
    pub result_file: PathBuf,
    /// Receives the agent's output.
    pub log: PathBuf,
    /// For the agent's own files; exists before the start.
    pub log_dir: PathBuf,
    /// The agent's environment, without secrets of others; its settings add to it.
    pub env: Env,
    /// Removes secrets from output.
    pub redact: Redactor,
    /// The slot's lock.
    pub hold: Option<Arc<OwnedFd>>,
    /// The phase: deliverables and allowed scope.
    pub spec: FixedSpec,
    /// Paths protected from every phase.
    pub protected: Vec<String>,
    /// Limits of the attempt.
    pub budget: AttemptBudget,
    /// Session of the failed attempt to continue.
    pub session: Option<String>,
    /// Runs the phase's CI on the present worktree, at the agent's request.
    pub checks: Option<Arc<dyn Checks>>,
    /// What the agent's program sees of the machine.
    pub view: Option<ChildView>,
    /// Decision about the program's own sandbox.
    pub own_sandbox: OwnSandbox,
    /// Set for a question: the agent answers, and changes no file.
    pub question: Option<Question>,
    /// File in which the agent may ask for files outside of its scope; `None` if requests are refused.
    pub request_file: Option<PathBuf>,
    /// Decides on requests at once, for an agent whose tools ask.
    pub request_desk: Option<Arc<dyn RequestDesk>>,
}

/// A question to an agent. The answer is the summary of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Purpose in a word, for the agent's program: `scope-proposal`.
    pub purpose: &'static str,
    /// File in which a program may write the answer; else its output is the answer.
    pub answer_file: PathBuf,
}

/// The phase's CI, for an agent that asks before the verdict.
pub trait Checks: Send + Sync {
    /// Returns the end of the output and the result, redacted.
    fn run(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;
}

/// Decides on files that an agent asks for during its attempt.
pub trait RequestDesk: Send + Sync {
    /// Keeps the request for the end of the attempt, and returns the decision in a sentence.
    ///
    /// # Errors
    /// Returns why the request cannot be kept.
    fn ask(&self, path: &str, reason: &str) -> Result<String, String>;
}

/// Result of an agent's run.
#[derive(Debug)]
pub struct AgentReply {
    /// How the program ended.
    pub ended: JobEnd,
    /// The outcome reported by the agent.
    pub outcome: Outcome,
    /// Tokens, cost and model.
    pub usage: Usage,
    /// Session for a retry.
    pub session: Option<String>,
    /// The agent's own summary.
    pub summary: Option<String>,
    /// Last lines of output, redacted, for the next prompt and for people.
    pub last_lines: String,
    /// Harmless oddities, one per line.
    pub notes: Vec<String>,
    /// The provider's failure mentioned in the last lines of a program that exited with an error: counts if
    /// the work is not done.
    pub provider_failure: Option<Outcome>,
}

impl AgentReply {
    /// Returns the reply of no agent: a person did the work.
    pub fn silent() -> Self {
        Self {
            ended: JobEnd::Exited(0),
            outcome: Outcome::Finished,
            usage: Usage::default(),
            session: None,
            summary: None,
            last_lines: String::new(),
            notes: Vec::new(),
            provider_failure: None,
        }
    }
}

/// Systemic: the next phase would fail too.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A program or file is missing.
    #[error("cannot start the agent: {program} is missing ({searched}); {hint}")]
    Missing {
        /// Name or path.
        program: String,
        /// Searched places, for the message.
        searched: String,
        /// Advice, for the message.
        hint: String,
    },
    /// The agent exists but cannot be started.
    #[error("cannot start the agent: {program}: {why}; {hint}")]
    CannotStart {
        /// Name or path.
        program: String,
        /// Cause, for the message.
        why: String,
        /// Advice, for the message.
        hint: String,
    },
    /// The agent's program did not run.
    #[error("cannot run the agent: {0}")]
    Spawn(#[source] SpawnError),
    /// A file of the attempt cannot be read or written.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// The action that failed, as a verb phrase.
        what: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

/// Checks that the agent can be started. `env` is the environment for the agent.
///
/// # Errors
///
/// If the agent's program, script or recordings are missing or cannot be used; the error has a hint.
pub fn check(
    settings: &AgentSettings,
    workspace: &Path,
    env: &Env,
) -> Result<AgentCheck, AgentError> {
    match Runner::of(settings)? {
        Runner::Program(adapter, settings) => {
            runner::program::find(adapter, settings, workspace, env).map(|path| AgentCheck { path })
        }
        Runner::Command(settings) => {
            runner::start_check::check_command(settings, workspace, workspace, env)
        }
        Runner::Replay(settings) => {
            adapters::replay::recordings_dir(settings, workspace).map(|path| AgentCheck { path })
        }
        Runner::Builtin(settings) => builtin::check(settings, env),
    }
}

/// Runs an agent on an attempt until the agent ends or a limit is reached.
///
/// # Errors
///
/// If the agent cannot be started, or its files cannot be read or written.
pub async fn run(
    settings: &AgentSettings,
    task: Task,
    stop: &StopReceiver,
    on_event: &(dyn Fn(AgentEvent) + Sync),
) -> Result<AgentReply, AgentError> {
    let question_file = task.question.as_ref().map(|question| question.answer_file.clone());
    let redact = task.redact.clone();
    let mut reply = match Runner::of(settings)? {
        Runner::Program(adapter, settings) => {
            runner::program::run(adapter, settings, task, stop, on_event).await
        }
        Runner::Command(settings) => {
            adapters::own_command::run(settings, task, stop, on_event).await
        }
        Runner::Replay(settings) => adapters::replay::run(settings, task, stop, on_event).await,
        Runner::Builtin(settings) => builtin::run(settings, task, stop, on_event).await,
    }?;
    if let Some(answer) = question_file.and_then(|file| result_file::read_answer(&file, &redact)) {
        reply.summary = Some(answer);
    }
    reply.notes.extend(prices::add_cost(&mut reply.usage));
    Ok(reply)
}

/// Reads the file with the agent's request for files; `None` if there is none. Secrets are removed, also from the file.
///
/// # Errors
/// Returns why the file cannot be used: not a regular file, or too large.
pub fn read_request_file(file: &Path, redact: &Redactor) -> Result<Option<String>, String> {
    result_file::read_clean(file, redact)
}

/// Whether the agent can answer questions. A replay only copies recorded files.
pub fn answers_questions(settings: &AgentSettings) -> bool {
    !matches!(settings, AgentSettings::Replay(_))
}

/// Whether the agent reports its cost. If not, a budget in dollars needs the price of its model.
pub fn reports_cost(settings: &AgentSettings) -> bool {
    matches!(Runner::of(settings), Ok(Runner::Program(adapter, _)) if adapter.reports_cost())
}

/// Whether the agent reports its tool calls: then an attempt without any did nothing.
pub fn reports_tool_calls(settings: &AgentSettings) -> bool {
    match Runner::of(settings) {
        Ok(Runner::Program(adapter, _)) => adapter.reports_tool_calls(),
        Ok(Runner::Builtin(_)) => true,
        Ok(Runner::Command(_) | Runner::Replay(_)) | Err(_) => false,
    }
}

#[cfg(test)]
impl Task {
    /// Creates a task with workspace `directory` and slot `directory/worktree`.
    fn sample(directory: &Path, phase_id: &str) -> Self {
        Self {
            run_id: RunId::new("run"),
            phase_id: PhaseId::new(phase_id),
            attempt: 2,
            counted_attempt: 1,
            owner: "owner-1".to_owned(),
            prompt: "do {workspace}".to_owned(),
            workspace: directory.to_owned(),
            worktree: directory.join("worktree"),
            prompt_file: directory.join("prompt.md"),
            phase_file: directory.join("phase.json"),
            result_file: directory.join("result.json"),
            log: directory.join("agent.log"),
            log_dir: directory.join("agent-files"),
            env: Env::new(),
            redact: Redactor::formats_only(),
            hold: None,
            spec: FixedSpec::sample(phase_id, "src/a.rs"),
            protected: Vec::new(),
            budget: AttemptBudget::default(),
            session: None,
            checks: None,
            view: None,
            own_sandbox: OwnSandbox::default(),
            question: None,
            request_file: None,
            request_desk: None,
        }
    }
}
