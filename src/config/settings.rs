//! What can be configured, as types. Reading files and the environment is `load`'s work.
//!
//! Every key is optional; the defaults here are the shipped ones, and `config/autopack.yaml` shows them.

use serde::{Deserialize, Serialize};

use super::agent_settings::{AgentSettings, AgentsSettings};
use crate::phase::budget::Budgets;

/// More at a time than any machine has use for.
pub const MAX_JOBS: u32 = 256;

/// `autopack.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub executor: ExecutorSettings,
    pub agents: AgentsSettings,
    pub ci: CiSettings,
    pub workspace: WorkspaceSettings,
    pub telemetry: TelemetrySettings,
    pub prices: PricesSettings,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PricesSettings {
    /// Prices of models, over those that autopack knows; relative to the workspace.
    pub file: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutorSettings {
    /// Tries that a phase gets, where it does not say so itself.
    pub max_attempts: u32,
    /// What to do with a phase that names no path at all.
    pub unscoped: Unscoped,
    /// A drain whose heartbeat is older than this is taken for stuck and its work is rescued.
    pub lease_seconds: u64,
    /// Which agent takes which try; the last one takes what comes after. Empty: the default one takes all.
    pub ladder: Vec<String>,
    /// Phases that a drain executes at a time, where `--jobs` does not say it.
    pub jobs: u32,
    /// What may be spent.
    pub budgets: Budgets,
    /// So many phases in a row that meet the same error of agent, provider or CI's start end the drain; 0 is never.
    pub circuit_breaker: u32,
    /// The same for phases that change the same files that they may not change; 0 is never.
    pub repeat_limit: u32,
    /// Attempts of a phase in a row that charge no try; those after them do.
    pub max_uncounted: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unscoped {
    Refuse,
    Allow,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CiSettings {
    /// Run in the slot after each attempt; without it, the runner is detected.
    pub command: Option<CommandLine>,
    /// Whether failures that were there before an attempt are excused.
    pub baseline: bool,
    /// What a drain does where CI is red before any agent worked.
    pub red_base: RedBase,
    /// Timeouts are never raised beyond this.
    pub max_timeout_seconds: u64,
    /// Whether CI runs again where others landed after it was green.
    pub moved_tip: MovedTip,
    /// Whether the run's tip is tested once more in a clean clone when nothing is left to run.
    #[serde(rename = "final")]
    pub final_test: FinalTest,
    /// Seconds for finding the landing that broke the clean clone. Without it: three runs of CI, at least 600.
    pub final_budget: Option<u64>,
}

/// The test at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalTest {
    /// In a fresh clone, with setup and links, without caches.
    Clean,
    Off,
}

/// Whether a drain begins over a CI that no phase could pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedBase {
    Stop,
    /// For runs that mend CI, or begin without it.
    Allow,
}

/// When CI runs once more on a tip that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MovedTip {
    Always,
    /// Only where what landed meanwhile is near the phase's change or within its scope.
    Overlapping,
}

/// argv, or a line for `sh -c`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a list of arguments, or one line for the shell")]
pub enum CommandLine {
    Argv(Vec<String>),
    Shell(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceSettings {
    /// Where a run's branch starts: any revision; HEAD without it.
    pub base: Option<String>,
    /// Run in a slot after it was reset, before the agent.
    pub setup: Option<CommandLine>,
    pub setup_timeout_seconds: u64,
    /// Paths and patterns beside manifests and lock files: setup runs again where one of them changed.
    pub setup_inputs: Vec<String>,
    /// Untracked paths of the user's checkout that a slot gets as copies.
    pub link: Vec<String>,
    /// Untracked paths of a slot that outlive a reset.
    pub keep: Vec<String>,
    /// Paths that no phase may change.
    pub protected_paths: Vec<String>,
    /// Where the copies lie that agents and CI work in; without it, in the user's state directory.
    pub slots_dir: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    pub enabled: bool,
}

impl Settings {
    /// The name of whoever takes a try after so many: `--agent` (`over`), else the phase's own, else the ladder's.
    pub fn wanted_agent<'a>(
        &'a self,
        over: Option<&'a str>,
        own: Option<&'a str>,
        tries: u32,
    ) -> Option<&'a str> {
        let ladder = &self.executor.ladder;
        let rung = ladder.get(tries as usize).or(ladder.last()).map(String::as_str);
        over.or(own).or(rung)
    }

    /// The agent of that name; without a name the default one, or the only one there is.
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
            unscoped: Unscoped::Refuse,
            lease_seconds: 60,
            ladder: Vec::new(),
            jobs: 1,
            budgets: Budgets::default(),
            circuit_breaker: 3,
            repeat_limit: 10,
            max_uncounted: 5,
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
            moved_tip: MovedTip::Always,
            final_test: FinalTest::Clean,
            final_budget: None,
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
            slots_dir: None,
        }
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}
