//! What every attempt of a drain shares, and the few decisions that follow from it alone.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::base_runs::BaseRuns;
use super::estimator::Foresight;
use super::limits::rate_limit_backoff::Backoff;
use super::limits::repeated_verdicts::Repeats;
use super::steps::setup_step::Setups;
use crate::attempt::Trouble;
use crate::ci::Pythons;
use crate::config::{AgentSettings, Settings};
use crate::memory::Memory;
use crate::merge_queue::landing_order::LandingQueue;
use crate::phase::{FixedSpec, PhaseId, RunId, Usage};
use crate::process::{Redactor, UsersCheckout};
use crate::progress::Progress;
use crate::store::{Claim, RunFacts, Store};
use crate::workspace::{Followed, Repo, RunBranch, Tip};

pub struct Site {
    pub repo: Repo,
    pub store: Store,
    pub settings: Settings,
    /// `--agent`, over what the phase and the configuration say.
    pub agent: Option<String>,
    /// Where a run's branch begins: `--base`, over the configuration.
    pub base: Option<String>,
    /// What agents and CI inherit.
    pub agent_env: BTreeMap<OsString, OsString>,
    pub ci_env: BTreeMap<OsString, OsString>,
    /// Whose paths nothing that runs in a copy may go by.
    pub users_checkout: UsersCheckout,
    pub redactor: Redactor,
    pub pythons: Pythons,
    pub progress: Progress,
    pub memory: Memory,
    pub foresight: Foresight,
    /// What phase after phase fails with is no phase's fault.
    pub repeats: Repeats,
    pub backoff: Backoff,
    pub landings: LandingQueue,
    /// What CI says of the commits that attempts begin with.
    pub bases: BaseRuns,
    pub(super) setups: Setups,
    /// Held while a run's branch is made.
    making_branch: tokio::sync::Mutex<()>,
    said_held: AtomicBool,
    said_unpriced: AtomicBool,
    pub(super) said_full: AtomicBool,
    /// After which phases room was made, and how often.
    pub(super) room_made: Mutex<HashMap<(RunId, PhaseId), u32>>,
}

impl Site {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of its own, and named at the one call"
    )]
    pub fn new(
        repo: Repo,
        store: Store,
        settings: Settings,
        agent_env: BTreeMap<OsString, OsString>,
        ci_env: BTreeMap<OsString, OsString>,
        redactor: Redactor,
        pythons: Pythons,
        progress: Progress,
    ) -> Self {
        let circuit_breaker = settings.executor.circuit_breaker;
        let bases = BaseRuns::new(&settings, &ci_env);
        let repeat_limit = settings.executor.repeat_limit;
        Self {
            base: settings.workspace.base.clone(),
            users_checkout: UsersCheckout::new(repo.root(), &agent_env),
            repo,
            store,
            settings,
            agent: None,
            agent_env,
            ci_env,
            redactor,
            pythons,
            progress,
            memory: Memory::off(),
            foresight: Foresight::default(),
            repeats: Repeats::new(circuit_breaker, repeat_limit),
            backoff: Backoff::default(),
            landings: LandingQueue::default(),
            bases,
            setups: Setups::default(),
            making_branch: tokio::sync::Mutex::default(),
            said_held: AtomicBool::new(false),
            said_unpriced: AtomicBool::new(false),
            said_full: AtomicBool::new(false),
            room_made: Mutex::default(),
        }
    }

    /// `--agent` and `--base`, over the configuration.
    pub fn overridden(mut self, agent: Option<String>, base: Option<String>) -> Self {
        self.agent = agent;
        self.base = base.or(self.base);
        self
    }

    pub fn remembering(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    pub fn foreseeing(mut self, foresight: Foresight) -> Self {
        self.foresight = foresight;
        self
    }

    /// The agent of a phase that does not name its own.
    pub fn default_agent(&self) -> Option<&str> {
        let first = self.settings.wanted_agent(self.agent.as_deref(), None, 0);
        self.settings.agent(first).map(|(name, _)| name)
    }

    /// The agent of a phase, by name.
    pub fn agent_of<'a>(
        &'a self,
        claim: &'a Claim,
    ) -> Result<(&'a str, &'a AgentSettings), Trouble> {
        self.agent_for(&claim.phase, claim.tries)
    }

    /// Output tokens that an attempt is expected to take; nothing where it has no agent to take them.
    pub fn expected_output(&self, claim: &Claim) -> u64 {
        let agent = self.agent_of(claim).ok();
        agent.map_or(0, |agent| self.foresight.early(&claim.phase, agent).output_tokens)
    }

    /// `--agent`, else the phase's own, else whoever the ladder has for this try, else the default one.
    pub fn agent_for<'a>(
        &'a self,
        phase: &'a FixedSpec,
        tries: u32,
    ) -> Result<(&'a str, &'a AgentSettings), Trouble> {
        let wanted = self.settings.wanted_agent(self.agent.as_deref(), phase.agent(), tries);
        self.settings.agent(wanted).ok_or_else(|| {
            let known = self.settings.agents.named.keys().map(String::as_str).collect::<Vec<_>>();
            let known = known.join(", ");
            Trouble::Systemic(match wanted {
                Some(name) => format!("no agent is called {name:?}; autopack.yaml has {known}"),
                None => {
                    format!("agents.default names none of the agents; set it to one of {known}")
                }
            })
        })
    }

    /// The run's branch, made at its first claim. Recorded before it is made, so that a crash in between leaves
    /// no branch that nobody knows. Says where the run stands, too.
    pub async fn ensure_branch(&self, run: &RunId) -> Result<(RunFacts, Tip), Trouble> {
        let _making = self.making_branch.lock().await;
        let facts = match self.store.run_facts(run).await? {
            Some(facts) => facts,
            None => self.settle_facts(run).await?,
        };
        // Its first drain, or one that took it along, may have been another's since we looked.
        if let Some(refusal) = facts.refusal(run, &self.repo.identity()) {
            return Err(anyhow::Error::msg(refusal).into());
        }
        let branch =
            RunBranch { branch: facts.branch.clone(), base_commit: facts.base_commit.clone() };
        let tip = self.repo.make_branch(run, &branch).await?;
        Ok((facts, tip))
    }

    async fn settle_facts(&self, run: &RunId) -> Result<RunFacts, Trouble> {
        match self.repo.plan_branch(run, self.base.as_deref()).await {
            Ok(RunBranch { branch, base_commit }) => {
                let facts = RunFacts { repo: self.repo.identity(), branch, base_commit };
                Ok(self.store.settle_run_facts(run, &facts).await?)
            }
            // Another drain may have made it just now.
            Err(error) => match self.store.run_facts(run).await? {
                Some(facts) => Ok(facts),
                None => Err(error.into()),
            },
        }
    }

    /// Says which variables CI does not get as they are.
    pub fn say_followed(&self) {
        let names = self.users_checkout.named_by(&self.ci_env);
        if !names.is_empty() {
            self.progress.note(&format!(
                "ci gets these variables without your checkout's paths (CI's copy has them instead, where it has the file): {}",
                names.join(", ")
            ));
        }
    }

    /// Says that a landing could not move the branch itself, once in a drain.
    pub fn say_held(&self, branch: &str, held_by: Option<&Path>) {
        let Some(path) = held_by else { return };
        if self.said_held.swap(true, Ordering::Relaxed) {
            return;
        }
        self.progress.note(&format!(
            "{branch} is checked out in {}: landings wait beside it and the branch follows when it is free",
            path.display()
        ));
    }

    /// Says once that a budget in dollars does not see what an attempt used.
    pub fn say_unpriced(&self, usage: &Usage) {
        let budgets = &self.settings.executor.budgets;
        let used = usage.tokens.billed().is_some_and(|tokens| tokens > 0);
        if usage.cost_usd.is_some() || !used || !budgets.limit_dollars() {
            return;
        }
        if !self.said_unpriced.swap(true, Ordering::Relaxed) {
            let model = usage.model.as_deref().unwrap_or("a model that its agent does not name");
            self.progress.note(&format!(
                "the price of {model} is unknown: what it costs is not counted in budgets of dollars; set prices.file \
                 or a budget of tokens"
            ));
        }
    }

    /// Lets the run's branch catch up with landings that went beside it while the user had it checked out.
    pub async fn follow(&self, run: &RunId, branch: &str) -> Result<(), Trouble> {
        match self.repo.follow(run).await? {
            Followed::UpToDate => {}
            Followed::Moved => self.progress.note(&format!("{branch} caught up with what had landed")),
            Followed::Held(path) => self.say_held(branch, Some(&path)),
            Followed::Diverged => self.progress.note(&format!(
                "{branch} has commits of its own; what landed since is on refs/autopack/runs/{}: merge it",
                run.file_name()
            )),
        }
        Ok(())
    }
}
