//! Context shared by all attempts of a drain, and a few decisions based on this context alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::base_runs::BaseRuns;
use super::checkout_runner::{CheckoutRunner, Setups};
use super::estimator::Estimator;
use super::inherited_environments::InheritedEnvironments;
use super::kept_files::ArtifactKeeper;
use super::limits::disk_space::DiskSpace;
use super::limits::rate_limit_backoff::Backoff;
use super::limits::repeated_verdicts::Repeats;
use super::remote_outage::RemoteOutage;
use super::views::Views;
use crate::agent::provider_secret;
use crate::attempt::AttemptError;
use crate::ci::Pythons;
use crate::config::{AgentSettings, Settings};
use crate::memory::Memory;
use crate::merge_queue::MergeQueue;
use crate::notify::Notifier;
use crate::phase::{PhaseCi, RunId, Usage};
use crate::process::{Redactor, UsersCheckout};
use crate::progress::Progress;
use crate::store::{ProviderKey, RunFacts, Store};
use crate::workspace::{BranchUpdate, RemoteFence, Repo, RunBranch, Tip};

/// Context shared by all attempts of a drain.
pub struct DrainContext {
    /// Repository of the drain.
    pub repo: Repo,
    /// Store with runs, phases and attempts.
    pub store: Store,
    /// Configuration.
    pub settings: Settings,
    /// Name of the configuration file with the agents, for messages.
    pub settings_file: String,
    /// Agent from `--agent`; overrides the phase and the configuration.
    pub agent: Option<String>,
    /// Start of a run's branch from `--base`; overrides the configuration.
    pub base: Option<String>,
    /// Environments of agents, CI and setup.
    pub environments: InheritedEnvironments,
    /// User's checkout; programs in a slot must not use paths of this checkout.
    pub users_checkout: UsersCheckout,
    /// Removes secrets from text.
    pub redactor: Redactor,
    /// Python interpreters by path.
    pub pythons: Pythons,
    /// Progress output.
    pub progress: Arc<Progress>,
    /// Memory of the runs.
    pub memory: Memory,
    /// Estimates of output tokens.
    pub estimator: Estimator,
    /// Failures common to several phases in a row, not caused by these phases.
    pub repeats: Repeats,
    /// Rate limits by agent.
    pub backoff: Backoff,
    /// Providers' keys by agent; agents that log in have none.
    pub provider_keys: BTreeMap<String, ProviderKey>,
    /// Merge queue of each run, as far as shared by the workers of this drain.
    pub merge_queue: MergeQueue,
    /// CI results at base commits.
    pub bases: BaseRuns,
    pub(super) setups: Setups,
    /// Filled once the memory's index of the repository is up to date.
    pub(super) file_index: tokio::sync::OnceCell<()>,
    /// Remote with the runs, if it is not this repository.
    pub remote: Option<RemoteFence>,
    /// Questions that wait for the remote.
    pub remote_outage: RemoteOutage,
    /// Locked while a run's branch is created.
    pub(super) branch_creation: tokio::sync::Mutex<()>,
    has_noted_held_branch: AtomicBool,
    has_noted_unpriced_usage: AtomicBool,
    /// Free disk space, watched for all workers.
    pub disk: DiskSpace,
    /// Stores the files of attempts for other machines.
    pub artifacts: ArtifactKeeper,
    /// Mode of the sandbox.
    pub views: Views,
    /// Sends notifications about the drain.
    pub notifier: Notifier,
}

impl DrainContext {
    /// Creates a context with the memory off, without overrides and without calibration.
    pub fn new(
        repo: Repo,
        store: Store,
        settings: Settings,
        environments: InheritedEnvironments,
        redactor: Redactor,
        pythons: Pythons,
        progress: Progress,
    ) -> Self {
        let circuit_breaker = settings.executor.circuit_breaker;
        let progress = Arc::new(progress);
        let disk = DiskSpace::new(&repo, store.file(), &progress);
        let bases = BaseRuns::new(&settings, &environments.ci.env);
        let merge_queue = MergeQueue::new(&settings.ci, &repo.autopack_dir());
        let repeat_limit = settings.executor.repeat_limit;
        let remote = RemoteFence::of(&repo);
        let key_of = |(name, agent): (&String, &AgentSettings)| {
            let secret = provider_secret(agent, &environments.of_agent(name).env)?;
            Some((name.clone(), ProviderKey::new(secret)))
        };
        let artifacts = ArtifactKeeper::new(&store, &repo, &settings.artifacts, &redactor);
        Self {
            provider_keys: settings.agents.named.iter().filter_map(key_of).collect(),
            base: settings.workspace.base.clone(),
            users_checkout: UsersCheckout::new(repo.root(), &environments.ci.env),
            repo,
            store,
            settings,
            settings_file: "autopack.yaml".to_owned(),
            agent: None,
            environments,
            redactor,
            pythons,
            progress,
            memory: Memory::off(),
            estimator: Estimator::default(),
            repeats: Repeats::new(circuit_breaker, repeat_limit),
            backoff: Backoff::default(),
            merge_queue,
            bases,
            setups: Setups::default(),
            file_index: tokio::sync::OnceCell::new(),
            remote,
            remote_outage: RemoteOutage::default(),
            branch_creation: tokio::sync::Mutex::default(),
            has_noted_held_branch: AtomicBool::new(false),
            has_noted_unpriced_usage: AtomicBool::new(false),
            disk,
            artifacts,
            views: Views::default(),
            notifier: Notifier::default(),
        }
    }

    /// Sets the values of `--agent` and `--base`.
    pub fn with_overrides(mut self, agent: Option<String>, base: Option<String>) -> Self {
        self.agent = agent;
        self.base = base.or(self.base);
        self
    }

    /// Sets the name of the configuration file.
    pub fn with_settings_file(mut self, settings_file: String) -> Self {
        self.settings_file = settings_file;
        self
    }

    /// Sets the mode of the sandbox.
    ///
    /// # Errors
    ///
    /// As for [`Views::prepare_repo`].
    pub fn with_views(mut self, views: Views) -> anyhow::Result<Self> {
        self.repo = views.prepare_repo(self.repo)?;
        self.views = views;
        Ok(self)
    }

    /// Sets the notifier.
    pub fn with_notifier(mut self, notifier: Notifier) -> Self {
        self.notifier = notifier;
        self
    }

    /// Sets the memory.
    pub fn with_memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Sets the estimator.
    pub fn with_estimator(mut self, estimator: Estimator) -> Self {
        self.estimator = estimator;
        self
    }

    /// Returns the facts and the tip of a run; creates the branch at the first claim. The branch is recorded before
    /// the creation, so that a crash in between leaves no unknown branch.
    ///
    /// # Errors
    ///
    /// The run belongs to another repository, or git or the database fails.
    pub async fn ensure_branch(&self, run: &RunId) -> Result<(RunFacts, Tip), AttemptError> {
        if let Some(remote) = &self.remote {
            return Box::pin(self.ensure_branch_at(remote, run)).await;
        }
        let _making = self.branch_creation.lock().await;
        let facts = match self.store.run_facts(run).await? {
            Some(facts) => facts,
            None => self.settle_facts(run).await?,
        };
        // Another drain may have settled the run in the meantime.
        if let Some(refusal) = facts.explain_foreign_repository(run, &self.repo.identity()) {
            return Err(anyhow::Error::msg(refusal).into());
        }
        let branch =
            RunBranch { branch: facts.branch.clone(), base_commit: facts.base_commit.clone() };
        let tip = self.repo.make_branch(run, &branch).await?;
        Ok((facts, tip))
    }

    /// Returns the branch of a run with its tip. Before the first claim for work, these are where the run would start now:
    /// nothing is created or recorded.
    ///
    /// # Errors
    ///
    /// As for [`DrainContext::ensure_branch`].
    pub(super) async fn planned_branch(
        &self,
        run: &RunId,
    ) -> Result<(String, String), AttemptError> {
        if self.store.run_facts(run).await?.is_some() {
            let (facts, tip) = self.ensure_branch(run).await?;
            return Ok((facts.branch, tip.commit));
        }
        let planned = self.repo.plan_branch(run, self.base.as_deref()).await?;
        Ok((planned.branch, planned.base_commit))
    }

    /// Returns the facts and the last known tip of a run at the remote; asks the remote if no tip is known here.
    async fn ensure_branch_at(
        &self,
        remote: &RemoteFence,
        run: &RunId,
    ) -> Result<(RunFacts, Tip), AttemptError> {
        let facts = match (self.store.run_facts(run).await?, self.repo.remote_tip(run).await?) {
            (Some(facts), Some(_)) => facts,
            _ => match self.sync_once(remote, run).await? {
                Ok(facts) => facts,
                Err(failure) => return Err(AttemptError::Systemic(failure.to_string())),
            },
        };
        if let Some(refusal) = facts.explain_foreign_repository(run, &self.repo.identity()) {
            return Err(anyhow::Error::msg(refusal).into());
        }
        Ok((facts, self.repo.tip(run).await?))
    }

    pub(super) async fn settle_facts(&self, run: &RunId) -> Result<RunFacts, AttemptError> {
        match self.repo.plan_branch(run, self.base.as_deref()).await {
            Ok(RunBranch { branch, base_commit }) => {
                let facts = RunFacts { repo: self.repo.identity(), branch, base_commit };
                Ok(self.store.record_run_facts(run, &facts).await?)
            }
            // Another drain may have settled the facts just now.
            Err(error) => match self.store.run_facts(run).await? {
                Some(facts) => Ok(facts),
                None => Err(error.into()),
            },
        }
    }

    /// Returns the project's CI, without checks of a phase.
    pub fn project_ci(&self) -> PhaseCi {
        PhaseCi { timeout_seconds: self.settings.ci.max_timeout_seconds, ..PhaseCi::default() }
    }

    /// Emits a note once per drain, for all workers.
    pub(crate) fn note_once(&self, text: &str) {
        let text = self.redactor.redact(text);
        if self.bases.is_new_note(&text) {
            self.progress.note(&text);
        }
    }

    /// Returns the runner of setup and installs.
    pub(crate) fn runner(&self) -> CheckoutRunner<'_> {
        CheckoutRunner {
            repo: &self.repo,
            settings: &self.settings,
            environments: &self.environments,
            users_checkout: &self.users_checkout,
            redactor: &self.redactor,
            pythons: &self.pythons,
            views: &self.views,
            ci_permits: &self.merge_queue.permits,
        }
    }

    /// Notes the secret variables withheld from the drain's agents, CI and setup.
    pub fn note_withheld_variables(&self) {
        let ladder = &self.settings.executor.ladder;
        let agents: Vec<&str> = match &self.agent {
            Some(name) => vec![name],
            None if ladder.is_empty() => self.default_agent().into_iter().collect(),
            None => ladder.iter().map(String::as_str).collect(),
        };
        if let Some(line) = self.environments.describe_withheld(&agents) {
            self.progress.note(&line);
        }
    }

    /// Notes mode, network and writable places of the sandbox.
    pub fn note_sandbox(&self) {
        self.progress.note(&self.views.describe(&self.settings.sandbox));
    }

    /// Notes a key of older versions that has no effect.
    pub fn note_ignored_keys(&self) {
        if self.settings.ci.moved_tip.is_some() {
            self.progress.note("ci.moved_tip is ignored: CI always runs on exactly what lands");
        }
    }

    /// Notes the variables rewritten for CI.
    pub fn note_relocated_variables(&self) {
        if self.views.moves_checkouts() {
            return;
        }
        let names = self.users_checkout.affected_variables(&self.environments.ci.env);
        if !names.is_empty() {
            self.progress.note(&format!(
                "CI gets these variables without paths of your checkout (replaced by paths of CI's copy if the file exists there): {}",
                names.join(", ")
            ));
        }
    }

    /// Notes, once per drain, a branch not movable by a landing.
    pub fn note_held_branch(&self, branch: &str, held_by: Option<&Path>) {
        let Some(path) = held_by else { return };
        if self.has_noted_held_branch.swap(true, Ordering::Relaxed) {
            return;
        }
        self.progress.note(&format!(
            "{branch} is checked out in {}: landings are kept on a separate ref, and the branch follows when free",
            path.display()
        ));
    }

    /// Notes, once, usage not counted in dollar budgets for lack of a price.
    pub fn note_unpriced_usage(&self, usage: &Usage) {
        let budgets = &self.settings.executor.budgets;
        let used = usage.tokens.billed().is_some_and(|tokens| tokens > 0);
        if usage.cost_usd.is_some() || !used || !budgets.has_cost_limit() {
            return;
        }
        if !self.has_noted_unpriced_usage.swap(true, Ordering::Relaxed) {
            let model = usage.model.as_deref().unwrap_or("a model not named by its agent");
            let remedy = match budgets.has_cost_limit_alone() {
                true => "set prices.file or a token budget",
                false => "only the token budget applies, unless prices.file names its price",
            };
            self.progress.note(&format!(
                "the price of {model} is unknown: its cost is not counted in dollar budgets; {remedy}"
            ));
        }
    }

    /// Moves the run's branch forward to landings recorded while the user had the branch checked out.
    ///
    /// # Errors
    ///
    /// Git or the disk fails.
    pub async fn follow(&self, run: &RunId, branch: &str) -> Result<(), AttemptError> {
        if let Some(remote) = &self.remote {
            match remote.refresh(run).await? {
                Ok(Some(tip)) => self.note_update(run, branch, &tip.update),
                Ok(None) => {}
                Err(failure) => self.note_once(&format!("the tip may be an older one: {failure}")),
            }
            return Ok(());
        }
        match self.repo.update_branch(run).await? {
            BranchUpdate::UpToDate => {}
            BranchUpdate::Moved => {
                self.progress.note(&format!("{branch} caught up with the landed commits"));
            }
            BranchUpdate::Held(path) => self.note_held_branch(branch, Some(&path)),
            BranchUpdate::Diverged => self.progress.note(&format!(
                "{branch} has commits of its own; later landings are on refs/autopack/runs/{}: merge them",
                run.file_name()
            )),
            // Only of a run at a remote.
            BranchUpdate::NotOurs => {}
        }
        Ok(())
    }
}
