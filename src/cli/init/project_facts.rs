//! Facts found by `init`: agents, the CI command, the install command of the lock file, and a `.env` to copy.

use std::ffi::OsStr;
use std::path::Path;

use crate::agent::{self, DetectedAgent};
use crate::ci::{self, CiPlace, Pythons};
use crate::cli::Context;
use crate::config::Settings;
use crate::phase::PhaseCi;
use crate::process::which::{ProgramLookup, find};
use crate::workspace::Repo;
use crate::workspace::dependencies::{FrozenInstall, choose_frozen_installs};

/// An agent with a version.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundAgent {
    /// Name and kind.
    pub name: String,
    /// Model, for agents in need of a model.
    pub model: Option<String>,
    /// Version of the agent and how autopack found the agent, for people.
    pub note: String,
}

/// Command found in the repository, or given by the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FoundCommand {
    /// No command.
    #[default]
    None,
    /// Detected by autopack without configuration.
    Detected(String),
    /// To be written.
    Chosen(String),
}

/// Facts about a repository and this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectFacts {
    /// Agents, the default first.
    pub agents: Vec<FoundAgent>,
    /// CI command.
    pub ci: FoundCommand,
    /// Command to install the dependencies.
    pub setup: FoundCommand,
    /// Untracked files to copy.
    pub link: Vec<String>,
    /// Budget of a drain in US dollars.
    pub budget_usd: Option<f64>,
}

impl ProjectFacts {
    /// Looks for all facts. Unknown facts are left out.
    pub async fn find(repo: &Repo, context: &Context) -> Self {
        let root = repo.root();
        let env = context.env.all();
        let mut facts = Self::default();
        for DetectedAgent { name, settings, origin } in agent::detect(root, env) {
            let version = agent::version(&settings, root, env).await.and_then(|found| found.found);
            let note = version.map_or(origin.to_owned(), |version| format!("{version}, {origin}"));
            let model = settings.model().map(str::to_owned);
            facts.agents.push(FoundAgent { name: name.to_owned(), model, note });
        }
        facts.ci = find_ci(root, context).await;
        if let Ok(tree) = repo.tree("HEAD").await {
            let inputs: Vec<&str> = tree.inputs().filter(|path| !path.contains('/')).collect();
            let path = env.get(OsStr::new("PATH"));
            let has_program = |program: &str| {
                let found = find(program.as_ref(), root, path.map(|path| path.as_os_str()));
                matches!(found, ProgramLookup::Program(_))
            };
            let installs = choose_frozen_installs(&tree, root, &inputs, &has_program);
            let lines: Vec<String> = installs
                .iter()
                .filter_map(|install| match install {
                    FrozenInstall::Run(command) => Some(command.line()),
                    FrozenInstall::Missing { .. } => None,
                })
                .collect();
            if !lines.is_empty() {
                facts.setup = FoundCommand::Chosen(lines.join(" && "));
            }
            if root.join(".env").is_file() && !tree.has_file(".env") {
                facts.link.push(".env".to_owned());
            }
        }
        facts
    }

    /// Describes the facts, each on a line.
    pub fn describe(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .agents
            .iter()
            .map(|agent| format!("agent {}: {}", agent.name, agent.note))
            .collect();
        if lines.is_empty() {
            lines.push("no agent was found: name one under `agents`".to_owned());
        }
        lines.push(match &self.ci {
            FoundCommand::None => "no CI was found: set `ci.command`".to_owned(),
            FoundCommand::Detected(command) | FoundCommand::Chosen(command) => {
                format!("CI: {command}")
            }
        });
        if let FoundCommand::Detected(command) | FoundCommand::Chosen(command) = &self.setup {
            lines.push(format!("setup: {command}"));
        }
        lines.extend(self.link.iter().map(|path| format!("copied for agents and CI: {path}")));
        lines
    }
}

async fn find_ci(root: &Path, context: &Context) -> FoundCommand {
    let place = CiPlace { dir: root, workspace: root, env: context.env.all() };
    let (settings, limits) = (Settings::default(), PhaseCi::default());
    let plan = ci::choose_plan(&place, &settings.ci, &limits, &Pythons::default()).await;
    match plan.is_configured() && plan.note.is_none() {
        true => FoundCommand::Detected(plan.display()),
        false => FoundCommand::None,
    }
}
