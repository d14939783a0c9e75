//! Settings of `autopack.yaml` as types. `load` reads files and the environment.
//!
//! Every key is optional. The defaults here are the shipped values, as shown in `config/autopack.yaml`.

use serde::{Deserialize, Serialize};

use super::agent_settings::{AgentSettings, AgentsSettings};
use super::artifacts_settings::ArtifactsSettings;
use super::command_setting::CommandLine;
use super::notify_settings::NotifySettings;
use super::publish_settings::PublishSettings;
use super::sandbox_settings::SandboxSettings;
use crate::phase::autofix::Unscoped;
use crate::phase::budget::Budgets;
use crate::phase::scope_request::ScopeRequests;

/// Upper limit for parallel phases, beyond the capacity of any machine.
pub const MAX_JOBS: u32 = 256;

/// Contents of `autopack.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Settings of the executor.
    pub executor: ExecutorSettings,
    /// Settings of agents.
    pub agents: AgentsSettings,
    /// Settings of CI.
    pub ci: CiSettings,
    /// Settings of the workspace.
    pub workspace: WorkspaceSettings,
    /// Settings of the sandbox.
    pub sandbox: SandboxSettings,
    /// Settings of notifications.
    pub notify: NotifySettings,
    /// Settings of publishing.
    pub publish: PublishSettings,
    /// Settings of files that machines share.
    pub artifacts: ArtifactsSettings,
    /// Settings of telemetry.
    pub telemetry: TelemetrySettings,
    /// Settings of model prices.
    pub prices: PricesSettings,
}

/// Settings of model prices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PricesSettings {
    /// File with model prices that override autopack's own list, relative to the workspace.
    pub file: Option<String>,
}

/// Settings of the executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutorSettings {
    /// Maximum number of counted attempts per phase, unless the phase sets its own.
    pub max_attempts: u32,
    /// Handling of phases without any path.
    pub unscoped: Unscoped,
    /// Maximum age of a drain's heartbeat in seconds. After that, the drain counts as stuck and its work is
    /// reclaimed.
    pub lease_seconds: u64,
    /// Agents by attempt; the last entry takes all further attempts. If empty, the default agent takes all.
    pub ladder: Vec<String>,
    /// Handling of phases whose agent is rate limited.
    pub on_limit: OnLimit,
    /// Number of parallel phases, unless `--jobs` is given.
    pub jobs: u32,
    /// Budgets.
    pub budgets: Budgets,
    /// Number of phases in a row with the same error of the agent, provider or CI start that end the drain; 0
    /// for never.
    pub circuit_breaker: u32,
    /// Number of phases in a row with the same forbidden changes that end the drain; 0 for never.
    pub repeat_limit: u32,
    /// Maximum number of uncounted attempts of a phase in a row; further attempts are counted.
    pub max_uncounted: u32,
    /// Handling of requests of agents for files outside of the scope.
    pub scope_requests: ScopeRequests,
    /// Maximum number of attempts of a phase with granted requests; 0 for none.
    pub max_scope_requests: u32,
}

/// Handling of phases whose agent is rate limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// The phases wait for the end of the limit.
    Wait,
    /// The phases go to the ladder's next agent without a limit.
    NextAgent,
}

/// Settings of CI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CiSettings {
    /// Command run in the slot after each attempt; if not set, the runner is detected.
    pub command: Option<CommandLine>,
    /// Whether failures from before the attempt are excused.
    pub baseline: bool,
    /// Handling of a CI that fails before any agent has worked.
    pub red_base: RedBase,
    /// Upper limit for raised timeouts, in seconds.
    pub max_timeout_seconds: u64,
    /// Most members of a run's merge queue tested at once; as many as there are workers if not set. With 1, CI of
    /// this repository runs one at a time.
    pub parallel: Option<u32>,
    /// Most runs of CI at once on this machine; not limited if not set.
    pub jobs: Option<u32>,
    /// Whether a green result of CI is used again for exactly the same tree.
    pub cache: CiCache,
    /// Ignored: CI always runs on what lands. Files of older versions may have this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_tip: Option<serde_yaml::Value>,
    /// Whether the tip of the run is tested again in a clean clone at the end.
    #[serde(rename = "final")]
    pub final_test: FinalTest,
    /// Time for finding the landing that broke the clean clone, in seconds; by default three CI runs, at
    /// least 600.
    pub final_budget: Option<u64>,
    /// Secret variables that CI inherits: names, or the start of names followed by `*`.
    pub env_pass: Vec<String>,
}

/// Use of kept results of CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CiCache {
    /// A green result answers for the same tree, command, setup and environment.
    On,
    /// Every run starts anew.
    Off,
}

/// Test at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalTest {
    /// In a fresh clone, with setup and links, without caches.
    Clean,
    /// No test.
    Off,
}

/// Whether a drain starts although CI fails before any change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedBase {
    /// The drain stops.
    Stop,
    /// For runs that fix CI, or start without CI.
    Allow,
}

/// Settings of the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceSettings {
    /// Starting point of run branches: any revision; HEAD by default.
    pub base: Option<String>,
    /// Command run in a slot after its reset, before the agent.
    pub setup: Option<CommandLine>,
    /// Timeout for setup, in seconds.
    pub setup_timeout_seconds: u64,
    /// Paths and patterns that trigger setup when changed, besides manifests and lock files.
    pub setup_inputs: Vec<String>,
    /// Untracked paths of the user's checkout copied into each slot.
    pub link: Vec<String>,
    /// Untracked paths of a slot kept during a reset.
    pub keep: Vec<String>,
    /// Paths closed to all phases.
    pub protected_paths: Vec<String>,
    /// How landing commits name the agent and its model.
    pub attribution: Attribution,
    /// Directory of the slots; by default in the user's state directory.
    pub slots_dir: Option<String>,
    /// Remote with the runs' branches and claims, for drains of several clones; by default in this repository.
    pub remote: Option<String>,
    /// Secret variables that setup inherits: names, or the start of names followed by `*`.
    pub env_pass: Vec<String>,
}

/// How landing commits name the agent and its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// With the trailer `Autopack-Agent`.
    Trailer,
    /// As a co-author, for programs with an address of their own; else with the trailer.
    CoAuthor,
    /// Not at all.
    None,
}

/// Settings of telemetry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Whether samples are recorded.
    pub enabled: bool,
}

impl WorkspaceSettings {
    /// Returns the remote with the runs' branches and claims; an empty name is none.
    pub fn run_remote(&self) -> Option<&str> {
        self.remote.as_deref().filter(|remote| !remote.is_empty())
    }
}

impl Settings {
    /// Returns the agent for the attempt after `tries` counted attempts: `--agent` (`over`), else the phase's
    /// own, else from the ladder.
    pub fn choose_agent<'a>(
        &'a self,
        over: Option<&'a str>,
        own: Option<&'a str>,
        tries: u32,
    ) -> Option<&'a str> {
        let ladder = &self.executor.ladder;
        let rung = ladder.get(tries as usize).or(ladder.last()).map(String::as_str);
        over.or(own).or(rung)
    }

    /// Returns the agent with this name; without a name, the default or only agent.
    pub fn agent(&self, name: Option<&str>) -> Option<(&str, &AgentSettings)> {
        let agents = &self.agents;
        match name.or(agents.default.as_deref()) {
            Some(name) => agents.named.get_key_value(name),
            None if agents.named.len() == 1 => agents.named.first_key_value(),
            None => None,
        }
        .map(|(name, agent)| (name.as_str(), agent))
    }
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            unscoped: Unscoped::Propose,
            lease_seconds: 60,
            ladder: Vec::new(),
            on_limit: OnLimit::Wait,
            jobs: 1,
            budgets: Budgets::default(),
            circuit_breaker: 3,
            repeat_limit: 10,
            max_uncounted: 5,
            scope_requests: ScopeRequests::Siblings,
            max_scope_requests: 2,
        }
    }
}

impl Default for CiSettings {
    fn default() -> Self {
        Self {
            command: None,
            baseline: true,
            red_base: RedBase::Stop,
            max_timeout_seconds: 3600,
            parallel: None,
            jobs: None,
            cache: CiCache::On,
            moved_tip: None,
            final_test: FinalTest::Clean,
            final_budget: None,
            env_pass: Vec::new(),
        }
    }
}

impl Default for WorkspaceSettings {
    fn default() -> Self {
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Self {
            base: None,
            setup: None,
            setup_timeout_seconds: 600,
            setup_inputs: Vec::new(),
            link: Vec::new(),
            keep: strings(&[
                "target",
                "node_modules",
                ".venv",
                ".pytest_cache",
                ".mypy_cache",
                ".ruff_cache",
                ".gradle",
                ".tox",
            ]),
            protected_paths: strings(&[
                ".git*",
                ".github/",
                ".autopack/",
                "config/autopack.yaml",
                "config/memory.yaml",
            ]),
            attribution: Attribution::Trailer,
            slots_dir: None,
            remote: None,
            env_pass: Vec::new(),
        }
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}
