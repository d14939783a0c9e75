//! What every verb is handed: where it works, how it is configured, where it writes.
//!
//! Each is found when first asked for, so that `completions` needs no repository and `health` can tell
//! what is wrong with the configuration instead of failing by it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use super::output::logging;
use super::{Global, Output};
use crate::config::{self, Config, Env, Origin, Places, env};
use crate::failure::Failure;
use crate::process::Redactor;
use crate::process::child_env::{self, SharedDatabase};
use crate::progress::NOTES;
use crate::store::DatabaseUrl;
use crate::workspace::Repo;

/// Relative to the workspace.
const DEFAULT_DATABASE: &str = "sqlite:///.autopack/autopack.db";

pub struct Context {
    pub global: Global,
    pub env: Env,
    pub out: Output,
    /// Where the search for the repository starts.
    start: PathBuf,
    config: OnceLock<Config>,
    shared_database: OnceLock<SharedDatabase>,
    said_database: AtomicBool,
}

/// Which database, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseChoice {
    pub url: String,
    pub origin: Origin,
}

impl Context {
    pub fn new(global: Global) -> Result<Self, Failure> {
        let here = std::env::current_dir().context("cannot tell the current folder")?;
        let start = global.workspace.as_ref().map_or(here.clone(), |dir| here.join(dir));
        let env = Env::of_process();
        Ok(Self {
            global,
            env,
            out: Output::default(),
            start,
            config: OnceLock::new(),
            shared_database: OnceLock::new(),
            said_database: AtomicBool::new(false),
        })
    }

    /// The top of the git repository that is worked on.
    pub fn workspace(&self) -> Result<PathBuf, Failure> {
        if !self.start.is_dir() {
            return Err(Failure::new(format!("there is no folder {}", self.start.display())));
        }
        let start = self.start.canonicalize().context("cannot resolve the workspace")?;
        Repo::top_of(&start).map_err(|error| match error.hint() {
            Some(hint) => Failure::from(error).hint(hint),
            None => Failure::from(error),
        })
    }

    /// Knows what is neither kept nor shown: of the environment, and of the configuration.
    pub fn redactor(&self) -> Result<Redactor, Failure> {
        let config = self.config()?;
        let env = self.env.all().clone().into_iter().chain(config.variables_held());
        Ok(Redactor::knowing(env, &config.key_variables()))
    }

    /// Both files and the environment, checked.
    pub fn config(&self) -> Result<&Config, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let chosen = self.global.config_dir.clone().or_else(|| self.env.config_dir());
        let workspace = match self.workspace() {
            Ok(root) => Some(root),
            // Outside of a repository there is still the shipped configuration.
            Err(_) if self.global.workspace.is_none() => None,
            Err(failure) => return Err(failure),
        };
        let places = Places { chosen, workspace };
        let config = config::load(&places, &self.env)?;
        logging::know(&config);
        Ok(self.config.get_or_init(|| config))
    }

    /// Which database is used, and who said so. `DATABASE_URL` is a hint: where it names an application's database, that is
    /// said once, and the usual one is used.
    pub fn database(&self) -> Result<DatabaseChoice, Failure> {
        if let Some(url) = &self.global.database_url {
            let origin = Origin::Option("--database-url");
            return Ok(DatabaseChoice { url: url.clone(), origin });
        }
        if let Some(url) = self.env.database_url()? {
            return Ok(DatabaseChoice { url, origin: Origin::Variable(env::DATABASE_URL) });
        }
        let usual = DatabaseChoice { url: DEFAULT_DATABASE.to_owned(), origin: Origin::Shipped };
        let Some(url) = self.env.shared_database_url() else { return Ok(usual) };
        if self.shared_database() == SharedDatabase::Ours {
            let origin = Origin::Variable(env::SHARED_DATABASE_URL);
            return Ok(DatabaseChoice { url, origin });
        }
        if !self.said_database.swap(true, Ordering::Relaxed) {
            tracing::info!(
                target: NOTES,
                "DATABASE_URL names no database of autopack's: it is left alone, and .autopack/autopack.db is used \
                 (--database-url or AUTOPACK_DATABASE_URL choose another)"
            );
        }
        Ok(usual)
    }

    /// Looks whose the database of `DATABASE_URL` is: once, before anything asks for it.
    pub async fn look_at_shared_database(&self) {
        let (Some(url), Ok(workspace)) = (self.env.shared_database_url(), self.workspace()) else {
            return;
        };
        if DatabaseUrl::of_hint(&url, &workspace).await.is_some() {
            let _ = self.shared_database.set(SharedDatabase::Ours);
        }
    }

    fn shared_database(&self) -> SharedDatabase {
        self.shared_database.get().copied().unwrap_or(SharedDatabase::Application)
    }

    /// What agents inherit of the environment.
    pub fn agent_env(&self) -> child_env::Env {
        child_env::for_agent(self.env.all().clone(), self.shared_database())
    }

    /// What CI and setup commands inherit of the environment.
    pub fn ci_env(&self, config: &Config) -> child_env::Env {
        let env = self.env.all().clone();
        child_env::for_ci(env, self.shared_database(), &config.key_variables())
    }
}
