//! A prompt goes to an agent, which edits files in a worktree; what it used comes back.
//!
//! One file per kind of agent. Those that are programs with a stream of their own (`adapters` lists them) share one runner,
//! `runner::program`; each file says only how its agent is called and what its stream means. What an agent says about its own success is passed on and decides
//! nothing: the diff and CI do, elsewhere. An error here is ours and would meet the next phase too.

mod adapters;
mod builtin;
#[cfg(any(test, fuzzing))]
pub mod invariants;
pub mod prices;
mod runner;

#[cfg(test)]
mod properties;

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::AgentSettings;
use crate::phase::{FixedSpec, PhaseId, RunId, Usage};
use crate::process::child_env::Env;
use crate::process::{How, Redactor, SpawnError, Stop};
use adapters::Runner;

pub use runner::agent_version::{Version, version};
pub use runner::event::{AgentEvent, AttemptBudget, Outcome, Until};
pub use runner::start_check::{Checked, check};

/// One attempt, as an agent gets it. The prompt and the phase file exist before it starts.
pub struct Task {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    /// The number of this execution.
    pub attempt: u32,
    /// The number of this try: charged tries so far, and one.
    pub try_number: u32,
    /// Of the drain: the agent's processes bear it, so that leftovers of a dead drain can be found.
    pub owner: String,
    pub prompt: String,
    /// The user's repository.
    pub workspace: PathBuf,
    /// The slot, where the agent works.
    pub worktree: PathBuf,
    pub prompt_file: PathBuf,
    /// The FixedSpec as JSON.
    pub phase_file: PathBuf,
    /// Where the agent may say what it used.
    pub result_file: PathBuf,
    /// Gets the agent's output.
    pub log: PathBuf,
    /// For the agent's own files; it exists before the agent starts.
    pub log_dir: PathBuf,
    /// What the agent inherits: `process::child_env::for_agent` of ours.
    pub env: Env,
    pub redact: Redactor,
    /// The slot's lock.
    pub hold: Option<Arc<OwnedFd>>,
    /// The phase itself: its deliverables, and the scope that edits are held to.
    pub spec: FixedSpec,
    /// Paths that no phase may change.
    pub protected: Vec<String>,
    pub budget: AttemptBudget,
    /// The session of the failed try to go on with.
    pub session: Option<String>,
    /// Runs the phase's CI on what is in the worktree now, for an agent that asks.
    pub checks: Option<Arc<dyn Checks>>,
}

/// The phase's CI, for an agent that wants to know before it is judged.
pub trait Checks: Send + Sync {
    /// What it printed last and how it ended, redacted.
    fn run(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;
}

#[derive(Debug)]
pub struct AgentReply {
    pub ended: How,
    pub outcome: Outcome,
    pub usage: Usage,
    /// What a retry can be told to go on with.
    pub session: Option<String>,
    pub summary: Option<String>,
    /// Of its output, redacted, for the next prompt and for people.
    pub last_lines: String,
    /// What was odd but stops nothing, one line each.
    pub notes: Vec<String>,
    /// What its last lines say of its provider, where it exited with an error: counts where it left its work undone.
    pub excuse: Option<Outcome>,
}

/// Systemic: the next phase would meet it too.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("cannot start the agent: {program} is missing ({searched}); {hint}")]
    Missing { program: String, searched: String, hint: String },
    #[error("cannot start the agent: {program}: {why}; {hint}")]
    CannotStart { program: String, why: String, hint: String },
    #[error("cannot run the agent: {0}")]
    Spawn(#[source] SpawnError),
    #[error("cannot {what} {}: {source}", .path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

/// Has the agent work on one attempt, until it ends or has to.
pub async fn run(
    settings: &AgentSettings,
    task: Task,
    stop: &Stop,
    on_event: &(dyn Fn(AgentEvent) + Sync),
) -> Result<AgentReply, AgentError> {
    match Runner::of(settings) {
        Runner::Program(kind, settings) => {
            runner::program::run(kind, settings, task, stop, on_event).await
        }
        Runner::Command(settings) => {
            adapters::own_command::run(settings, task, stop, on_event).await
        }
        Runner::Replay(settings) => adapters::replay::run(settings, task, stop, on_event).await,
        Runner::Builtin(settings) => builtin::run(settings, task, stop, on_event).await,
    }
}

#[cfg(test)]
impl Task {
    /// A task whose workspace is `folder` and whose slot is `folder/worktree`.
    fn sample(folder: &std::path::Path, phase_id: &str) -> Self {
        Self {
            run_id: RunId::new("run"),
            phase_id: PhaseId::new(phase_id),
            attempt: 2,
            try_number: 1,
            owner: "owner-1".to_owned(),
            prompt: "do {workspace}".to_owned(),
            workspace: folder.to_owned(),
            worktree: folder.join("worktree"),
            prompt_file: folder.join("prompt.md"),
            phase_file: folder.join("phase.json"),
            result_file: folder.join("result.json"),
            log: folder.join("agent.log"),
            log_dir: folder.join("agent-files"),
            env: Env::new(),
            redact: Redactor::formats_only(),
            hold: None,
            spec: FixedSpec::sample(phase_id, "src/a.rs"),
            protected: Vec::new(),
            budget: AttemptBudget::default(),
            session: None,
            checks: None,
        }
    }
}
