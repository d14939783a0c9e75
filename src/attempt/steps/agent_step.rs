//! Agent step of an attempt.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::agent_files::AgentFiles;
use crate::agent::{self, AgentEvent, AgentReply, AttemptBudget, Outcome, RateLimitReset, Task};
use crate::attempt::agents_view::AgentsPlace;
use crate::attempt::child_environment::Purpose;
use crate::attempt::program_view::ViewReport;
use crate::attempt::{Attempt, AttemptError, NextStep, millis};
use crate::clock::now;
use crate::phase::budget::{Budget, BudgetUsage, ExhaustedBudget, Level};
use crate::phase::{Failure, FailureKind, RequeueReason, UnixMs, Verdict};
use crate::process::JobEnd;
use crate::progress::{Step, without_escapes};
use crate::workspace::Side;

impl Attempt<'_> {
    pub(crate) async fn agent(&mut self, prompt: String) -> Result<AgentReply, AttemptError> {
        let (name, settings) = self.context.agent_of(self.claim)?;
        let estimator = &self.context.estimator;
        let estimate = estimator.of(&self.claim.phase, (name, settings), self.slot.path());
        let (estimate, existing) = (estimate.output_tokens, &estimate.existing_bytes);
        self.context.store.record_agent(self.claim, name, Some(estimate), Some(existing)).await?;
        self.record.estimated_output = Some(estimate);
        self.step(Step::Agent);
        // From here on, an agent may write anywhere.
        self.slot.seal_ci()?;
        self.context.repo.note_agent();
        let started = Instant::now();
        let show = |event| self.show(event);
        let files = AgentFiles::create(self.directory.agent_files())?;
        let mut task = self.task(name, prompt).await?;
        let place =
            AgentsPlace { slot: &self.slot, directory: self.directory.path(), is_read_only: false };
        let opened = self.context.open_agents_view((name, settings), &mut task, place)?;
        let reply = agent::run(settings, task, &self.stop, &show).await;
        self.agents_view.clone_from(&opened.child);
        let ViewReport { notes, refused_hosts } = opened.close().await;
        for note in notes.iter().chain(&refused_hosts) {
            self.note(note);
        }
        self.record.agent_ms = Some(millis(started.elapsed()));
        self.keep_agent_files(files).await;
        let reply = reply?;
        tracing::debug!(agent = name, ended = ?reply.ended, outcome = ?reply.outcome, "agent ended");
        self.record.usage = reply.usage.clone();
        self.record.session.clone_from(&reply.session);
        for note in &reply.notes {
            self.note(note);
        }
        Ok(reply)
    }

    async fn task(&self, agent: &str, prompt: String) -> Result<Task, AttemptError> {
        let claim = self.claim;
        Ok(Task {
            run_id: claim.run_id.clone(),
            phase_id: claim.phase_id.clone(),
            attempt: claim.attempt,
            counted_attempt: claim.counted_attempts + 1,
            owner: claim.owner.as_str().to_owned(),
            prompt,
            workspace: self.context.repo.root().to_owned(),
            worktree: self.slot.path().to_owned(),
            prompt_file: self.directory.prompt(),
            phase_file: self.directory.phase(),
            result_file: self.directory.result(),
            log: self.directory.agent_log(),
            log_dir: self.directory.agent_files(),
            env: self.environment(Purpose::Agent(agent), Side::Agent),
            redact: self.context.redactor.clone(),
            hold: Some(self.slot.lock_fd()?),
            spec: claim.phase.clone(),
            protected: self.context.settings.workspace.protected_paths.clone(),
            budget: self.allowance(),
            session: self.session(),
            checks: self.checks().await?,
            view: None,
            own_sandbox: agent::OwnSandbox::default(),
            question: None,
            request_file: self.may_request().then(|| self.directory.request()),
            request_desk: self.request_desk().await?,
        })
    }

    /// Returns the budget of this attempt: the attempt budget, limited by the amounts left of the larger budgets.
    pub(crate) fn allowance(&self) -> AttemptBudget {
        let left = self.budgets().map(|(_, left)| left);
        let least = left.iter().fold(Budget::default(), |least, left| least.tightest(left));
        AttemptBudget {
            tokens: least.tokens,
            cost_usd: least.cost_usd,
            wall_time: least.wall_seconds.map(Duration::from_secs),
        }
    }

    /// Returns each budget level with the amount left, the largest level first.
    fn budgets(&self) -> [(Level, Budget); 4] {
        let budgets = &self.context.settings.executor.budgets;
        let spent = &self.claim.spent;
        [
            (Level::Drain, budgets.drain.subtract(&self.drain_spent)),
            // The time of a run is summed over all attempts, and other attempts may be running.
            (
                Level::Run,
                budgets.run.subtract(&spent.run).with_time_for_each_of(spent.run.running + 1),
            ),
            (Level::Phase, budgets.phase.subtract(&spent.phase)),
            (Level::Attempt, budgets.attempt),
        ]
    }

    /// Returns the session of the failed attempt if left by the same agent.
    fn session(&self) -> Option<String> {
        let (name, _) = self.context.agent_of(self.claim).ok()?;
        let (agent, session) = self.claim.session.as_ref()?;
        (agent == name).then(|| session.clone())
    }

    pub(crate) fn show(&self, event: AgentEvent) {
        if matches!(event, AgentEvent::Tool(_)) {
            self.used_tools.store(true, Ordering::Relaxed);
        }
        let text = match event {
            AgentEvent::Line(text) | AgentEvent::Tool(text) => text,
            AgentEvent::Limit(text) => format!("rate limited: {text}"),
            AgentEvent::Error(text) => format!("error: {text}"),
            AgentEvent::Started | AgentEvent::Usage(_) | AgentEvent::Finished => return,
        };
        tracing::trace!(agent_says = text);
        let text = without_escapes(&text);
        self.activity.report_agent_text(&text);
        self.context.progress.step(&self.claim.run_id, &self.claim.phase_id, &text);
    }

    /// Returns the verdict if autopack stopped the agent: the work may look complete, but is not trusted.
    pub(crate) fn cut_short(
        &mut self,
        reply: &AgentReply,
    ) -> Result<Option<Verdict>, AttemptError> {
        if self.claim.is_by_person {
            return Ok(None);
        }
        if let Some(verdict) = self.outcome(&reply.outcome, reply)? {
            return Ok(Some(verdict));
        }
        let (kind, what) = match reply.ended {
            JobEnd::Stopped => return Ok(Some(Verdict::Requeued(RequeueReason::Interrupted))),
            JobEnd::TimedOut => (FailureKind::AgentTimeout, "the agent exceeded its time limit"),
            JobEnd::Stalled => (FailureKind::AgentStalled, "the agent was idle for too long"),
            JobEnd::Exited(_) | JobEnd::Signalled(_) => return Ok(None),
        };
        Ok(Some(failed(kind, format!("{what} and was stopped"), reply)))
    }

    /// Recognizes a provider error in the agent's output as the cause of unfinished work.
    pub(crate) fn find_provider_error(
        &mut self,
        reply: &AgentReply,
    ) -> Result<Option<Verdict>, AttemptError> {
        match &reply.provider_failure {
            Some(failure) => self.outcome(failure, reply),
            None => Ok(None),
        }
    }

    /// Evaluates the agent's own reports, if they decide before the diff.
    fn outcome(
        &mut self,
        outcome: &Outcome,
        reply: &AgentReply,
    ) -> Result<Option<Verdict>, AttemptError> {
        let name = self.context.agent_of(self.claim)?.0.to_owned();
        if !matches!(outcome, Outcome::RateLimited { .. } | Outcome::Unavailable { .. })
            && reply.provider_failure.is_none()
        {
            self.context.backoff.reset(&name);
        }
        Ok(Some(match outcome {
            Outcome::Finished => return Ok(None),
            Outcome::RateLimited { until, message } => {
                let not_before = self.defer_agent(name, *until);
                Verdict::Requeued(RequeueReason::RateLimited {
                    not_before,
                    message: message.clone(),
                })
            }
            Outcome::Unavailable { until, message } => {
                let not_before = self.defer_agent(name, *until);
                Verdict::Requeued(RequeueReason::Unavailable {
                    not_before,
                    message: message.clone(),
                })
            }
            Outcome::Systemic { message } => return Err(AttemptError::Systemic(message.clone())),
            Outcome::Failed { message } => {
                failed(FailureKind::AgentFailed, format!("the agent failed: {message}"), reply)
            }
            Outcome::Looped { what } => {
                failed(FailureKind::AgentLooped, format!("the agent was stopped: {what}"), reply)
            }
            Outcome::OverBudget { what } => self.over_budget(what, reply),
        }))
    }

    /// Defers all phases of the agent until the agent is ready again. Returns when this phase may run again.
    fn defer_agent(&mut self, agent: String, until: Option<RateLimitReset>) -> UnixMs {
        let at = now();
        let ready = self.context.backoff.next(&agent, until, at);
        self.record.next = NextStep::DeferAgent { agent, until: ready };
        self.context.next_start(self.claim, at).unwrap_or(ready)
    }

    /// Keeps the agent's log directory, with secrets removed and within limits.
    async fn keep_agent_files(&self, files: AgentFiles) {
        let redact = self.context.redactor.clone();
        let kept = tokio::task::spawn_blocking(move || files.keep(&redact)).await;
        let notes = kept.unwrap_or_else(|panic| vec![panic.to_string()]);
        notes.iter().for_each(|note| self.note(note));
    }

    /// Handles an exhausted budget by level: run and drain budgets end the drain, others only this attempt.
    fn over_budget(&mut self, what: &str, reply: &AgentReply) -> Verdict {
        let used = BudgetUsage {
            wall: Duration::from_millis(self.record.agent_ms.unwrap_or_default()),
            ..self.record.used()
        };
        let reached = self
            .budgets()
            .into_iter()
            .find_map(|(level, left)| Some((level, left.reached_limit(&used)?)));
        let (level, limit) = reached.unwrap_or((Level::Attempt, "tokens"));
        let message = format!("the {level}'s budget is spent: {what}");
        if level.ends_the_drain() {
            self.record.next =
                NextStep::OverBudget(ExhaustedBudget { level, limit, why: message.clone() });
            return Verdict::Requeued(RequeueReason::Systemic { message });
        }
        failed(FailureKind::OverBudget, message, reply)
    }
}

fn failed(kind: FailureKind, message: String, reply: &AgentReply) -> Verdict {
    let mut failure = Failure::new(kind, message);
    failure.detail.log_tail.clone_from(&reply.last_lines);
    Verdict::Failed(failure)
}
