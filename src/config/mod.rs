//! Settings: their types, and the only reader of configuration files and environment variables.
//!
//! Both `autopack.yaml` and `memory.yaml` are read from the first directory with the file and laid over the
//! shipped defaults. Environment variables override both. The origin of every setting is recorded.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

mod agent_settings;
mod artifacts_settings;
mod bounds;
mod command_setting;
pub mod env;
mod hidden_files;
#[cfg(any(test, fuzzing))]
pub mod invariants;
pub mod json_schema;
mod load;
mod locate;
mod memory_settings;
mod network_hosts;
mod notify_settings;
mod origin;
mod parse_errors;
mod publish_settings;
mod sandbox_settings;
mod sandbox_validation;
mod schema;
mod settings;
pub mod suggestion;
mod validate;
mod written_path;

pub use agent_settings::*;
pub use artifacts_settings::ArtifactsSettings;
pub use command_setting::CommandLine;
pub use env::Env;
pub use hidden_files::HiddenFile;
pub use load::{Places, load};
pub use memory_settings::*;
pub use notify_settings::*;
pub use origin::{Origin, Setting};
pub use publish_settings::PublishSettings;
pub use sandbox_settings::*;
pub use sandbox_validation::{SandboxPlaces, check_paths};
pub use settings::*;
pub use suggestion::suggestion;
pub use written_path::without_dots;

use origin::Origins;
use schema::Document;

/// Key with an address that may be a secret.
const WEBHOOK_URL: &str = "notify.webhook.url";
/// Directory of the configuration of one checkout, relative to the workspace; outside of git.
pub const PRIVATE_DIRECTORY: &str = ".autopack/config";
/// Directory of the configuration in the repository, relative to the workspace.
pub const SHARED_DIRECTORY: &str = "config";

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings of `autopack.yaml`.
    pub settings: Settings,
    /// Settings of `memory.yaml`.
    pub memory: MemorySettings,
    /// Files that were read.
    pub files: Vec<PathBuf>,
    /// Files with settings that are not read, because another file of the same name is.
    pub hidden: Vec<HiddenFile>,
    origins: Origins,
}

/// Error in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read, or has an invalid key or value.
    #[error("cannot read {name}: {why}")]
    File {
        /// Name of the file.
        name: String,
        /// What is wrong with the file.
        why: String,
    },
    /// A variable has an invalid value.
    #[error("{name} {why}")]
    Variable {
        /// Name of the variable.
        name: &'static str,
        /// What is wrong with the value.
        why: String,
    },
    /// The directory given by the user does not exist.
    #[error("configuration directory {} does not exist", dir.display())]
    NoSuchDirectory {
        /// The missing directory.
        dir: PathBuf,
    },
}

impl Config {
    /// Returns the names of variables declared as keys by the configuration.
    pub fn key_variables(&self) -> Vec<&str> {
        let agents = self.settings.agents.named.values().filter_map(|agent| match agent {
            AgentSettings::Builtin(agent) => agent.api_key_env.as_deref(),
            _ => None,
        });
        let embedder = match &self.memory.embedder {
            EmbedderSettings::Http(http) => Some(http.api_key_env.as_str()),
            EmbedderSettings::Builtin | EmbedderSettings::Model2vec(_) => None,
        };
        let webhook = self.settings.notify.webhook.url_env.as_deref();
        agents
            .chain(embedder)
            .chain(webhook)
            .chain([WEBHOOK_URL])
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// Returns values in the configuration files that may be secrets, as variables: their names tell.
    pub fn variables_held(&self) -> Vec<(OsString, OsString)> {
        let agents = self.settings.agents.named.values().filter_map(AgentSettings::env).flatten();
        let qdrant = ("memory.qdrant.api_key".into(), self.memory.qdrant.api_key.clone().into());
        let agents = agents.map(|(name, value)| (name.into(), value.into()));
        let webhook = self.settings.notify.webhook.url.clone();
        let webhook = webhook.map(|url| (WEBHOOK_URL.into(), url.into()));
        agents.chain([qdrant]).chain(webhook).collect()
    }

    /// Returns the name of the `autopack.yaml` in use, relative to the workspace if inside; without one, of the
    /// file that `init` writes.
    pub fn settings_file(&self, workspace: Option<&Path>) -> String {
        let file = self.files.iter().find(|file| file.ends_with(Settings::FILE));
        let relative = |file: &PathBuf| {
            let inside = workspace.and_then(|root| file.strip_prefix(root).ok());
            inside.unwrap_or(file).display().to_string()
        };
        file.map_or_else(|| format!("{PRIVATE_DIRECTORY}/{}", Settings::FILE), relative)
    }

    /// Uses an agent of this machine, if none is configured. `found` tells people how the agent was found.
    pub fn use_found_agent(&mut self, name: &str, agent: AgentSettings, found: &'static str) {
        let agents = &mut self.settings.agents;
        agents.named.insert(name.to_owned(), agent);
        agents.default = Some(name.to_owned());
        for key in ["default", name] {
            let path = vec!["agents".to_owned(), key.to_owned()];
            self.origins.record(path, Origin::Found(found));
        }
    }

    /// Returns the agent of this machine that serves because none is configured: name, and how it was found.
    pub fn found_agent(&self) -> Option<(&str, &'static str)> {
        let name = self.settings.agents.default.as_deref()?;
        match self.origin_of("agents.default") {
            Origin::Found(found) => Some((name, found)),
            _ => None,
        }
    }

    /// Returns the origin of a setting, by the dotted path of its key.
    pub fn origin_of(&self, key: &str) -> Origin {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        self.origins.of(&path)
    }

    /// Returns every setting with its origin, in file order.
    pub fn list(&self) -> Vec<Setting> {
        let memory = MemoryFile { memory: self.memory.clone() };
        let values = [schema::value_of(&self.settings), schema::value_of(&memory)];
        values.iter().flat_map(|value| origin::settings(value, &self.origins)).collect()
    }
}

/// Returns the shipped files: name and text.
pub fn shipped() -> [(&'static str, &'static str); 2] {
    [(Settings::FILE, Settings::SHIPPED), (MemoryFile::FILE, MemoryFile::SHIPPED)]
}
