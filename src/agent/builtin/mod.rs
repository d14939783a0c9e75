//! autopack's built-in agent: a model, with tools limited to the worktree and the scope.
//!
//! [`session`] is the loop. [`model_request`] sends one request, [`request_retries`] repeats it. [`tool_calls`]
//! executes the model's calls through [`tools`]; [`edit`] computes edits without IO, [`edit_bench`] checks and writes
//! them. [`worktree`] confines file access. [`provider`] reads the key and passes it on only as the credential of a request, and to
//! [`known_secrets`]. CI and the gates judge the result, not this module.

mod conversation;
mod edit;
mod edit_bench;
#[cfg(any(test, fuzzing))]
pub(super) mod invariants;
mod known_secrets;
mod model_request;
mod provider;
mod rate_limit_reset;
mod repeated_calls;
mod request_failure;
mod request_retries;
mod retry_delay;
mod session;
mod system_prompt;
mod token_totals;
mod tool_calls;
mod tools;
mod transcript;
mod worktree;

use std::path::PathBuf;
use std::time::Duration;

use super::runner::agent_job;
use super::runner::start_check::AgentCheck;
use super::{AgentError, AgentEvent, AgentReply, Task};
use crate::config::BuiltinAgentSettings;
use crate::process::child_env::Env;
use crate::process::{JobEnd, StopLevel, StopReceiver};
use provider::Provider;
use session::{End, Session};

/// Checks the settings and the key without a request. The path is the provider's URL.
pub(super) fn check(settings: &BuiltinAgentSettings, env: &Env) -> Result<AgentCheck, AgentError> {
    let provider = Provider::of(settings, env)?;
    Ok(AgentCheck { path: PathBuf::from(provider.base.as_str()) })
}

/// Returns the variables that may hold the key.
pub(super) fn key_variables(settings: &BuiltinAgentSettings) -> Vec<String> {
    provider::key_variables(settings)
}

/// Returns settings for the first provider with a key in the environment, and the origin of the key, for people.
pub(super) fn of_key(env: &Env) -> Option<(BuiltinAgentSettings, &'static str)> {
    provider::of_key(env)
}

/// Returns the variables that [`of_key`] looks for.
pub(super) fn key_names() -> impl Iterator<Item = &'static str> {
    provider::MODELS_BY_KEY.iter().map(|entry| entry.key)
}

/// Runs the agent until it finishes, is stopped or exceeds a limit.
pub(super) async fn run(
    settings: &BuiltinAgentSettings,
    task: Task,
    stop: &StopReceiver,
    on_event: &(dyn Fn(AgentEvent) + Sync),
) -> Result<AgentReply, AgentError> {
    let provider = Provider::of(settings, &task.env)?;
    let mut session = Session::new(settings, &task, &provider, on_event).await?;
    on_event(AgentEvent::Started);
    let timeout = Duration::from_secs(settings.timeout_seconds);
    let wall = task.budget.wall_time.filter(|wall| *wall < timeout);
    // Biased: a stop wins over an answer that arrives at the same time.
    let end = tokio::select! {
        biased;
        () = stop.reached(StopLevel::Graceful) => Ok(End::Ended(JobEnd::Stopped)),
        () = tokio::time::sleep(wall.unwrap_or(timeout)) => Ok(time_limit_end(wall)),
        end = session.work() => end,
    };
    // A stop must not leave an edit half written.
    session.idle().await;
    let reply = session.reply(end?).await;
    on_event(AgentEvent::Finished);
    reply
}

fn time_limit_end(wall: Option<Duration>) -> End {
    match wall {
        Some(wall) => End::Outcome(agent_job::out_of_time(wall)),
        None => End::Ended(JobEnd::TimedOut),
    }
}
