//! Settings: their types, and the only reader of configuration files and environment variables.
//!
//! Each of `autopack.yaml` and `memory.yaml` is taken from the first folder that has it, laid over the
//! shipped defaults, with environment variables over both; every setting knows where it came from.

use std::ffi::OsString;
use std::path::PathBuf;

mod agent_settings;
mod bounds;
pub mod env;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod load;
mod locate;
mod memory_settings;
mod origin;
mod parse_errors;
mod schema;
mod settings;
mod suggestion;
mod validate;

pub use agent_settings::*;
pub use env::Env;
pub use load::{Places, load};
pub use memory_settings::*;
pub use origin::{Origin, Setting};
pub use settings::*;
pub use suggestion::suggestion;

use origin::Origins;
use schema::Document;

/// The configuration in force.
#[derive(Clone, Debug)]
pub struct Config {
    pub settings: Settings,
    pub memory: MemorySettings,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    origins: Origins,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {name}: {why}")]
    File { name: String, why: String },
    #[error("{name} {why}")]
    Variable { name: &'static str, why: String },
    #[error("there is no configuration folder {}", dir.display())]
    NoSuchFolder { dir: PathBuf },
}

impl Config {
    /// Variables that hold keys because the configuration says so, whatever they are called.
    pub fn key_variables(&self) -> Vec<&str> {
        let agents = self.settings.agents.named.values().filter_map(|agent| match agent {
            AgentSettings::Builtin(agent) => agent.api_key_env.as_deref(),
            _ => None,
        });
        let embedder = match &self.memory.embedder {
            EmbedderSettings::Http(http) => Some(http.api_key_env.as_str()),
            EmbedderSettings::Builtin | EmbedderSettings::Model2vec(_) => None,
        };
        agents.chain(embedder).filter(|name| !name.is_empty()).collect()
    }

    /// What stands in the files themselves and may be a secret, as variables: the name tells.
    pub fn variables_held(&self) -> Vec<(OsString, OsString)> {
        let agents = self.settings.agents.named.values().filter_map(AgentSettings::env).flatten();
        let qdrant = ("memory.qdrant.api_key".into(), self.memory.qdrant.api_key.clone().into());
        let agents = agents.map(|(name, value)| (name.into(), value.into()));
        agents.chain([qdrant]).collect()
    }

    /// Every setting with where it comes from, in the order of the files.
    pub fn list(&self) -> Vec<Setting> {
        let memory = MemoryFile { memory: self.memory.clone() };
        let values = [schema::value_of(&self.settings), schema::value_of(&memory)];
        values.iter().flat_map(|value| origin::settings(value, &self.origins)).collect()
    }
}

/// The shipped files: name and text.
pub fn shipped() -> [(&'static str, &'static str); 2] {
    [(Settings::FILE, Settings::SHIPPED), (MemoryFile::FILE, MemoryFile::SHIPPED)]
}
