//! Choice of the agent of a phase: by option, phase, ladder and default; and after a rate limit.

use super::{AttemptError, DrainContext};
use crate::agent::co_author;
use crate::config::{AgentSettings, Attribution, OnLimit};
use crate::phase::{FixedSpec, UnixMs, Usage};
use crate::progress::PhaseFinished;
use crate::store::Claim;
use crate::workspace::AgentCredit;

impl DrainContext {
    /// Returns the name of the agent for phases without an agent of their own.
    pub fn default_agent(&self) -> Option<&str> {
        let first = self.settings.choose_agent(self.agent.as_deref(), None, 0);
        self.settings.agent(first).map(|(name, _)| name)
    }

    /// Returns the agent of a phase, by name.
    ///
    /// # Errors
    ///
    /// No agent has this name.
    pub fn agent_of<'a>(
        &'a self,
        claim: &'a Claim,
    ) -> Result<(&'a str, &'a AgentSettings), AttemptError> {
        match claim.agent.as_deref() {
            Some(name) => self.named_agent(Some(name)),
            None => self.agent_for(&claim.phase, claim.counted_attempts),
        }
    }

    /// Returns the agents that may execute a phase: the selected agent, and with `executor.on_limit: next_agent` the
    /// others of the ladder, from the next rung on. A phase with an agent of its own, or `--agent`, excludes others.
    ///
    /// # Errors
    ///
    /// As for [`DrainContext::agent_for`].
    pub fn agents_for<'a>(
        &'a self,
        phase: &'a FixedSpec,
        counted_attempts: u32,
    ) -> Result<Vec<(&'a str, &'a AgentSettings)>, AttemptError> {
        let mut agents = vec![self.agent_for(phase, counted_attempts)?];
        let executor = &self.settings.executor;
        if executor.on_limit == OnLimit::Wait || self.agent.is_some() || phase.agent().is_some() {
            return Ok(agents);
        }
        let ladder = &executor.ladder;
        let rung = (counted_attempts as usize).min(ladder.len().saturating_sub(1));
        for name in ladder[rung..].iter().chain(&ladder[..rung]) {
            if agents.iter().all(|(agent, _)| agent != name) {
                agents.push(self.named_agent(Some(name))?);
            }
        }
        Ok(agents)
    }

    /// Returns when a phase may run again after a limit of its agent: at once if another agent may take the phase,
    /// else when the first of its agents is ready.
    pub fn next_start(&self, claim: &Claim, now: UnixMs) -> Option<UnixMs> {
        let agents = self.agents_for(&claim.phase, claim.counted_attempts).ok()?;
        let ready = agents.iter().map(|(name, _)| self.backoff.limited_until(name));
        ready.min().map(|at| at.max(now))
    }

    /// Tells the limit of an agent's key to drains with the same key. Without the note, they would meet it themselves.
    pub(super) async fn share_rate_limit(&self, agent: &str, until: UnixMs, phase: &PhaseFinished) {
        let Some(key) = self.provider_keys.get(agent) else { return };
        let place = (&phase.run_id, &phase.phase_id);
        if let Err(error) = self.store.record_key_limit(key, (agent, until), place).await {
            tracing::warn!("cannot record the rate limit of agent {agent}: {error}");
        }
    }

    /// Returns how the commit of a claim names its agent; `None` for the work of a person. The model is the reported one,
    /// else the configured one.
    ///
    /// # Errors
    ///
    /// As for [`DrainContext::agent_of`].
    pub(super) fn agent_credit(
        &self,
        claim: &Claim,
        usage: &Usage,
    ) -> Result<Option<AgentCredit>, AttemptError> {
        if claim.is_by_person {
            return Ok(None);
        }
        let (name, settings) = self.agent_of(claim)?;
        let model = usage.model.as_deref().or(settings.model());
        // A reported model is text of the agent.
        let model = model.map(|model| self.redactor.redact(model).into());
        let program = co_author(settings.kind());
        Ok(match (self.settings.workspace.attribution, program) {
            (Attribution::None, _) => None,
            (Attribution::CoAuthor, Some(program)) => {
                Some(AgentCredit::CoAuthor { name: program.name, address: program.address, model })
            }
            (Attribution::CoAuthor | Attribution::Trailer, _) => {
                Some(AgentCredit::Trailer { agent: name.to_owned(), model })
            }
        })
    }

    /// Returns the estimated output tokens of an attempt; 0 without an agent.
    pub fn expected_output(&self, claim: &Claim) -> u64 {
        let agent = self.agent_of(claim).ok();
        agent.map_or(0, |agent| self.estimator.early(&claim.phase, agent).output_tokens)
    }

    /// Selects the agent: `--agent`, else the phase's, else the ladder's for this attempt, else the default.
    ///
    /// # Errors
    ///
    /// No agent has the selected name, or no default agent is configured.
    pub fn agent_for<'a>(
        &'a self,
        phase: &'a FixedSpec,
        counted_attempts: u32,
    ) -> Result<(&'a str, &'a AgentSettings), AttemptError> {
        let wanted =
            self.settings.choose_agent(self.agent.as_deref(), phase.agent(), counted_attempts);
        self.named_agent(wanted)
    }

    /// Returns the agent with this name; without a name, the default agent.
    fn named_agent(&self, wanted: Option<&str>) -> Result<(&str, &AgentSettings), AttemptError> {
        self.settings.agent(wanted).ok_or_else(|| {
            let known = self.settings.agents.named.keys().map(String::as_str).collect::<Vec<_>>();
            let known = known.join(", ");
            AttemptError::Systemic(match wanted {
                Some(name) => {
                    format!("no agent is called {name:?}; {} has {known}", self.settings_file)
                }
                None => {
                    format!("agents.default names none of the agents; set it to one of {known}")
                }
            })
        })
    }
}
