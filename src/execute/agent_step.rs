//! The part of an attempt in which something of the user's is run: setup, and the agent.

use std::time::{Duration, Instant};

use super::{Attempt, Trouble, millis};
use crate::agent::{self, AgentEvent, AgentReply, AttemptBudget, Task};
use crate::config::CommandLine;
use crate::phase::{Failure, FailureKind, Requeue, Verdict};
use crate::process::child_env::OWNER;
use crate::process::{self, How, Job};
use crate::progress::Step;
use crate::telemetry::estimate;

impl Attempt<'_> {
    /// `workspace.setup`: without it, neither an agent nor CI can work here.
    pub(super) async fn set_up(&self) -> Result<(), Trouble> {
        let settings = &self.site.settings.workspace;
        let Some(command) = &settings.setup else { return Ok(()) };
        let argv: Vec<String> = match command {
            CommandLine::Argv(argv) => argv.clone(),
            CommandLine::Shell(line) => ["sh", "-c", line].map(str::to_owned).to_vec(),
        };
        let timeout = Duration::from_secs(settings.setup_timeout_seconds);
        let env = self.environment(&self.site.ci_env);
        let job = Job {
            log: Some(self.folder.setup_log()),
            redact: self.site.redactor.clone(),
            hold: Some(self.slot.lock_fd()?),
            ..Job::new(argv, self.slot.path(), env, timeout)
        };
        let ended = process::run(job, self.stop).await?;
        let why = match ended.how {
            // Whatever is run next notices the stop as well.
            How::Exited(0) | How::Stopped => return Ok(()),
            How::Exited(code) => format!("it exited with {code}"),
            How::Signalled(signal) => format!("signal {signal} ended it"),
            How::TimedOut | How::Stalled => format!("it took longer than {} s", timeout.as_secs()),
        };
        let log = self.folder.setup_log();
        Err(Trouble::Systemic(format!(
            "workspace.setup failed: {why}: {}; its output is in {}",
            ended.last_lines(1),
            log.display()
        )))
    }

    pub(super) async fn agent(&mut self, prompt: String) -> Result<AgentReply, Trouble> {
        let (name, settings) = self.site.agent_of(self.claim)?;
        let estimate = estimate::predicted_for(&self.claim.phase);
        self.site.store.record_agent(self.claim, name, Some(estimate)).await?;
        let before = self.site.repo.checkout_state().await?;
        self.step(Step::Agent);
        let started = Instant::now();
        let show = |event| self.show(event);
        let reply = agent::run(settings, self.task(prompt)?, self.stop, &show).await;
        self.record.agent_ms = Some(millis(started.elapsed()));
        let reply = reply?;
        self.record.usage = reply.usage.clone();
        for note in &reply.notes {
            self.note(note);
        }
        let touched = self.site.repo.changed_since(&before).await?;
        if !touched.is_empty() {
            self.note(&format!(
                "your own checkout changed while the agent worked (by you, or by the agent): {}",
                touched.join(", ")
            ));
        }
        Ok(reply)
    }

    fn task(&self, prompt: String) -> Result<Task, Trouble> {
        let claim = self.claim;
        Ok(Task {
            run_id: claim.run_id.clone(),
            phase_id: claim.phase_id.clone(),
            attempt: claim.attempt,
            try_number: claim.tries + 1,
            owner: claim.owner.as_str().to_owned(),
            prompt,
            workspace: self.site.repo.root().to_owned(),
            worktree: self.slot.path().to_owned(),
            prompt_file: self.folder.prompt(),
            phase_file: self.folder.phase(),
            result_file: self.folder.result(),
            log: self.folder.agent_log(),
            env: self.environment(&self.site.agent_env),
            redact: self.site.redactor.clone(),
            hold: Some(self.slot.lock_fd()?),
            spec: claim.phase.clone(),
            protected: self.site.settings.workspace.protected_paths.clone(),
            budget: AttemptBudget::default(),
            session: None,
            checks: None,
        })
    }

    /// The environment of whatever runs in the slot: marked, so that leftovers of a dead drain can be found.
    pub(super) fn environment(
        &self,
        inherited: &process::child_env::Env,
    ) -> process::child_env::Env {
        let mut env = inherited.clone();
        env.extend(self.slot.environment());
        env.insert(OWNER.into(), self.claim.owner.as_str().into());
        env.insert("AUTOPACK_WORKSPACE".into(), self.site.repo.root().into());
        env.insert("AUTOPACK_WORKTREE".into(), self.slot.path().into());
        env
    }

    fn show(&self, event: AgentEvent) {
        if let AgentEvent::Line(line) = event {
            self.site.progress.step(&self.claim.phase_id, &line);
        }
    }

    /// The verdict on an attempt whose agent we ended: what it left may look whole, and is not trusted.
    pub(super) fn cut_short(&self, reply: &AgentReply) -> Option<Verdict> {
        let (kind, what) = match reply.ended {
            How::Stopped => return Some(Verdict::Requeued(Requeue::Interrupted)),
            How::TimedOut => (FailureKind::AgentTimeout, "the agent ran out of time"),
            How::Stalled => (FailureKind::AgentStalled, "the agent gave no sign of life"),
            How::Exited(_) | How::Signalled(_) => return None,
        };
        let mut failure = Failure::new(kind, format!("{what} and was ended"));
        failure.detail.log_tail.clone_from(&reply.last_lines);
        Some(Verdict::Failed(failure))
    }
}
