//! Asks an agent for a plan, and again with the problems of its answer.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::goal::Goal;
use crate::agent::{AgentReply, AttemptBudget, Outcome};
use crate::attempt::{AttemptDirectory, DrainContext, ReadOnlyAnswer, ReadOnlyCall};
use crate::cli::attempt_setup::{
    build_drain_context, check_sandbox, choose_views, open_repository,
};
use crate::cli::{Context, autofix_limits, open_database};
use crate::config::AgentSettings;
use crate::drain::Signals;
use crate::failure::{Exit, Failure};
use crate::import::plan_check::{CheckedPlan, GoalIssue, PlanRules, check_plan};
use crate::import::plan_template;
use crate::phase::autofix::{Limits, Unscoped, autofix};
use crate::phase::words::{counted, first_few, short_commit};
use crate::phase::{FixedSpec, PhaseId, RawSpec, RunId, Usage};
use crate::process::{JobEnd, StopReceiver};
use crate::progress::{Mode, NOTES, shown_id};
use crate::store::Store;
use crate::workspace::{Slot, view};

/// Questions to the agent: the first, and three corrections.
const QUESTIONS: u32 = 4;
/// Problems named in a message; the rest are counted.
const NAMED: usize = 5;
const PURPOSE: &str = "plan";
/// Said at the first Ctrl-C.
const STOPPING: &str = "the question is stopped; no plan is written";
/// Name of the copy of an accepted plan.
const COPY: &str = "plan.yaml";

/// A request for a plan.
pub(super) struct PlanWriter<'a> {
    pub goal: &'a Goal,
    /// Run of the plan, if given.
    pub run: Option<&'a RunId>,
    /// Agent, if given.
    pub agent: Option<&'a str>,
}

/// A plan, and how it came about.
pub(super) struct WrittenPlan {
    pub checked: CheckedPlan,
    /// Copy of the plan in `.autopack`.
    pub copy: PathBuf,
    /// Name of the agent.
    pub agent: String,
    /// Number of questions to the agent.
    pub questions: u32,
    /// Usage of all questions.
    pub usage: Usage,
}

/// What the questions have in common.
struct Interview<'a> {
    drain: &'a DrainContext,
    agent: (&'a str, &'a AgentSettings),
    slot: Slot,
    base: String,
    directory: AttemptDirectory,
    spec: FixedSpec,
    stop: StopReceiver,
    usage: Usage,
    agent_ms: u64,
}

impl PlanWriter<'_> {
    /// Has the plan written. `Ok(Err(_))`: the user interrupted it.
    ///
    /// # Errors
    /// The agent cannot be started or fails, changes files, or its last answer still has problems.
    pub async fn write(&self, context: &Context) -> Result<Result<WrittenPlan, Exit>, Failure> {
        let settings = &context.config()?.settings;
        let repo = open_repository(context).await?;
        let store = open_database::create_store(&open_database::url(context)?, context).await?;
        check_sandbox(context, &repo, &store)?;
        repo.prepare_directory()?;
        let base = settings.workspace.base.as_deref().unwrap_or("HEAD");
        let Some(base) = repo.resolve(base).await? else {
            return Err(
                Failure::new(format!("{base} names no commit")).hint("commit something first")
            );
        };
        let views = choose_views(context, &repo, &store).await?;
        let (handle, stop) = StopReceiver::pair();
        let signals = Signals::listen_with(handle, STOPPING)?;
        let fix = autofix_limits::fixer(settings, repo.root());
        let drain = build_drain_context(context, repo, store.clone(), Mode::Lines, views)?;
        let Some((name, agent)) = settings.agent(self.agent) else {
            return Err(Failure::new("no agent is configured"));
        };
        let mut slot = drain.repo.acquire_slot().await?;
        slot.reset(&base, &settings.workspace).await?;
        let path = drain.repo.autopack_dir().join("plan");
        std::fs::create_dir_all(&path)?;
        let spec = question_spec(&self.goal.text)?;
        let mut interview = Interview {
            drain: &drain,
            agent: (name, agent),
            slot,
            base,
            directory: AttemptDirectory::at(path),
            spec,
            stop,
            usage: Usage::default(),
            agent_ms: 0,
        };
        let agents: Vec<&str> = settings.agents.named.keys().map(String::as_str).collect();
        let tree = drain.tree_files(&interview.base).await?;
        let issue = self.goal.issue.as_ref().map(|tracker| GoalIssue { tracker, tree: &tree });
        let rules = PlanRules { run: self.run, fix: &fix, agents: &agents, issue };
        let mut refused: Vec<String> = Vec::new();
        for question in 1..=QUESTIONS {
            let again = match refused.len() {
                0 => String::new(),
                n => format!(" to correct {}", counted(n as u64, "problem")),
            };
            let at = short_commit(&interview.base);
            tracing::info!(target: NOTES, "asking {}{again}; it reads the repository at {at}", shown_id(name));
            let Goal { text, issue } = self.goal;
            let prompt = plan_template::for_goal(text, issue.is_some(), &refused);
            let answer = interview.ask(prompt, settings.executor.budgets.attempt).await?;
            if matches!(answer.reply.ended, JobEnd::Stopped) {
                interview.close(store).await;
                return Ok(Err(signals.exit()));
            }
            refused = match check_plan(&answer.text, &rules) {
                Ok(checked) => {
                    let usage = interview.usage.clone();
                    let copy = keep_copy(interview.directory.path(), &checked.text);
                    interview.close(store).await;
                    let agent = name.to_owned();
                    return Ok(Ok(WrittenPlan {
                        checked,
                        copy,
                        agent,
                        questions: question,
                        usage,
                    }));
                }
                Err(problems) => problems,
            };
            // Its output is an error message, and no attempt at a plan.
            if matches!(answer.reply.ended, JobEnd::Exited(code) if code != 0)
                && let Some(failure) = failure_of(name, &answer.reply)
            {
                interview.close(store).await;
                return Err(failure);
            }
        }
        let log = interview.directory.agent_log().display().to_string();
        interview.close(store).await;
        let problems: Vec<&str> = refused.iter().map(String::as_str).collect();
        Err(Failure::new(format!(
            "agent {} wrote no usable plan in {QUESTIONS} answers: {}",
            shown_id(name),
            first_few(&problems, NAMED)
        ))
        .hint(format!(
            "say more in the goal, or ask another agent with --agent; its output is in {log}"
        )))
    }
}

impl Interview<'_> {
    /// Asks once, and refuses what is no answer.
    async fn ask(
        &mut self,
        prompt: String,
        budget: crate::phase::budget::Budget,
    ) -> Result<ReadOnlyAnswer, Failure> {
        self.slot.seal_ci()?;
        let (run, phase) = (RunId::new(PURPOSE), PhaseId::new(PURPOSE));
        let owner = format!("{}-plan", std::process::id());
        let budget = AttemptBudget {
            tokens: budget.tokens,
            cost_usd: budget.cost_usd,
            wall_time: budget.wall_seconds.map(std::time::Duration::from_secs),
        };
        let call = ReadOnlyCall {
            agent: self.agent,
            purpose: PURPOSE,
            run_id: &run,
            phase_id: &phase,
            attempt: 1,
            owner: &owner,
            spec: &self.spec,
            budget: budget.after(&self.usage, Some(self.agent_ms)),
            slot: &self.slot,
            base: &self.base,
            directory: &self.directory,
            stop: &self.stop,
            show: &|_| {},
        };
        let answer = self.drain.ask_read_only(&call, prompt).await?;
        self.usage = self.usage.clone().plus(&answer.reply.usage);
        self.agent_ms = self.agent_ms.saturating_add(answer.agent_ms);
        for note in &answer.notes {
            tracing::info!(target: NOTES, "{note}");
        }
        if !answer.changed.is_empty() {
            let paths: Vec<&str> = answer.changed.iter().map(String::as_str).collect();
            return Err(Failure::new(format!(
                "the agent was asked for a plan, and changed files instead: {}; the changes are discarded",
                first_few(&paths, NAMED)
            ))
            .hint("set sandbox.mode to auto, so that the agent can only read"));
        }
        match failure_of(self.agent.0, &answer.reply) {
            Some(failure)
                if answer.text.trim().is_empty() || answer.reply.outcome != Outcome::Finished =>
            {
                Err(failure)
            }
            _ => Ok(answer),
        }
    }

    /// Removes what the agent leaves behind.
    async fn close(self, store: Store) {
        if let Err(error) = view::remove_sessions(&self.drain.repo, PURPOSE, Some(PURPOSE)) {
            tracing::debug!("{error}");
        }
        store.close().await;
    }
}

/// Keeps a copy of the plan, which was paid for. A copy that cannot be written is no reason to fail.
fn keep_copy(directory: &Path, text: &str) -> PathBuf {
    let copy = directory.join(COPY);
    // A link in its place would lead elsewhere.
    let _ = std::fs::remove_file(&copy);
    let written = File::create_new(&copy).and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        tracing::warn!("cannot write {}: {error}", copy.display());
    }
    copy
}

/// Returns why the agent gave no answer.
fn failure_of(agent: &str, reply: &AgentReply) -> Option<Failure> {
    let agent = shown_id(agent);
    let (what, hint) = match (&reply.outcome, &reply.ended) {
        (Outcome::RateLimited { message, .. }, _) => (
            format!("agent {agent} is rate limited: {message}"),
            "try again later, or name another with --agent",
        ),
        (Outcome::Unavailable { message, .. }, _) => {
            (format!("the provider of agent {agent} is unavailable: {message}"), "try again later")
        }
        (Outcome::Systemic { message } | Outcome::Failed { message }, _) => {
            (format!("agent {agent} failed: {message}"), "`autopack health` checks the agent")
        }
        (Outcome::OverBudget { what }, _) => {
            (format!("the budget is spent: {what}"), "raise executor.budgets.attempt")
        }
        (Outcome::Looped { what }, _) => {
            (format!("agent {agent} repeated itself: {what}"), "say more in the goal")
        }
        (Outcome::Finished, JobEnd::TimedOut) => (
            format!("agent {agent} exceeded its time limit"),
            "raise timeout_seconds of the agent, or split the goal",
        ),
        (Outcome::Finished, JobEnd::Stalled) => {
            (format!("agent {agent} was idle for too long"), "`autopack health` checks the agent")
        }
        (Outcome::Finished, JobEnd::Stopped) => return None,
        (Outcome::Finished, JobEnd::Exited(_) | JobEnd::Signalled(_)) => {
            let last = reply.last_lines.trim();
            let last = if last.is_empty() { "no output" } else { last };
            (format!("agent {agent} gave no answer: {last}"), "`autopack health` checks the agent")
        }
    };
    Some(Failure::new(what).hint(hint).exit(Exit::Systemic))
}

/// The spec of a question: agents are started with one.
fn question_spec(goal: &str) -> Result<FixedSpec, Failure> {
    let raw = RawSpec(json!({"phase_id": PURPOSE, "name": "Write a plan", "description": goal}));
    let limits = Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Allow };
    autofix(&raw, None, &limits).result.map_err(|why| Failure::new(format!("{why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_replaces_an_earlier_one_and_follows_no_link() {
        let at = tempfile::tempdir().unwrap();
        let target = at.path().join("target");
        std::fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, at.path().join(COPY)).unwrap();
        for text in ["first", "second"] {
            let copy = keep_copy(at.path(), text);
            assert_eq!(std::fs::read_to_string(copy).unwrap(), text);
        }
        assert_eq!(std::fs::read_to_string(target).unwrap(), "kept");
    }
}
