//! Context of a command: workspace, configuration, environment and output.
//!
//! Values are resolved on first use: `completions` needs no repository, and `health` can report configuration
//! errors instead of failing because of them.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use super::output::logging;
use super::{Global, Output};
use crate::agent;
use crate::attempt::InheritedEnvironments;
use crate::config::{self, Config, Env, Origin, Places, env};
use crate::failure::Failure;
use crate::process::Redactor;
use crate::process::child_env::SharedDatabase;
use crate::progress::NOTES;
use crate::store::DatabaseUrl;
use crate::workspace::Repo;

/// Default database URL, relative to the workspace.
const DEFAULT_DATABASE: &str = "sqlite:///.autopack/autopack.db";

/// Context of a command, shared by all subcommands.
pub struct Context {
    /// Global command-line options.
    pub global: Global,
    /// Environment of this process.
    pub env: Env,
    /// Standard output for results.
    pub out: Output,
    /// Directory where the search for the repository starts.
    start: PathBuf,
    config: OnceLock<Config>,
    shared_database: OnceLock<SharedDatabase>,
    said_database: AtomicBool,
    is_for_drain: AtomicBool,
}

/// Database URL and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseChoice {
    /// URL as configured.
    pub url: String,
    /// Source of the URL: option, variable or default.
    pub origin: Origin,
}

impl Context {
    /// From now on, the database is opened for a drain, which waits longer for a server.
    pub fn open_for_drain(&self) {
        self.is_for_drain.store(true, Ordering::Relaxed);
    }

    /// Returns whether the database is opened for a drain.
    pub fn is_for_drain(&self) -> bool {
        self.is_for_drain.load(Ordering::Relaxed)
    }

    /// Creates a context from the global options and the environment.
    ///
    /// # Errors
    ///
    /// Fails if the current directory cannot be determined.
    pub fn new(global: Global) -> Result<Self, Failure> {
        let here = std::env::current_dir().context("cannot determine the current directory")?;
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
            is_for_drain: AtomicBool::new(false),
        })
    }

    /// Returns the root of the git repository.
    ///
    /// # Errors
    ///
    /// Fails if the directory does not exist or is outside a git repository.
    pub fn workspace(&self) -> Result<PathBuf, Failure> {
        if !self.start.is_dir() {
            return Err(Failure::new(format!("directory {} does not exist", self.start.display())));
        }
        let start = self.start.canonicalize().context("cannot resolve the workspace")?;
        Repo::find_top(&start).map_err(|error| match error.hint() {
            Some(hint) => Failure::from(error).hint(hint),
            None => Failure::from(error),
        })
    }

    /// Returns a redactor for the secrets of the environment and the configuration.
    ///
    /// # Errors
    ///
    /// Fails if the configuration is invalid.
    pub fn redactor(&self) -> Result<Redactor, Failure> {
        let config = self.config()?;
        let env = self.env.all().clone().into_iter().chain(config.variables_held());
        Ok(Redactor::with_key_variables(env, &config.key_variables()))
    }

    /// Loads and checks both configuration files and the environment, once.
    ///
    /// # Errors
    ///
    /// Fails if the configuration is invalid or `--workspace` names no repository.
    pub fn config(&self) -> Result<&Config, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let chosen = self.global.config_dir.clone().or_else(|| self.env.config_dir());
        let workspace = match self.workspace() {
            Ok(root) => Some(root),
            // Outside a repository, the shipped configuration applies.
            Err(_) if self.global.workspace.is_none() => None,
            Err(failure) => return Err(failure),
        };
        let places = Places { chosen, workspace };
        let mut config = config::load(&places, &self.env, &agent::program_kinds())?;
        let agents = &config.settings.agents;
        if agents.named.is_empty() && agents.default.is_none() {
            let place = places.workspace.as_deref().unwrap_or(&self.start);
            if let Some(found) = agent::detect(place, self.env.all()).into_iter().next() {
                config.use_found_agent(found.name, found.settings, found.origin);
            }
        }
        logging::add_secrets(&config);
        Ok(self.config.get_or_init(|| config))
    }

    /// Returns the database URL and its origin.
    ///
    /// `DATABASE_URL` is a hint only: if it names an application's database, autopack prints a note once and uses the
    /// default database.
    ///
    /// # Errors
    ///
    /// Fails if a database variable is not valid UTF-8.
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
                "ignoring DATABASE_URL: it is not an autopack database; using .autopack/autopack.db \
                 (set --database-url or AUTOPACK_DATABASE_URL to use another)"
            );
        }
        Ok(usual)
    }

    /// Checks whether `DATABASE_URL` names an autopack database. Runs once, before the first use.
    pub async fn check_shared_database(&self) {
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

    /// Returns the environments that agents, CI and setup commands inherit.
    pub fn inherited_environments(&self, config: &Config) -> InheritedEnvironments {
        let (env, keys) = (self.env.all(), config.key_variables());
        InheritedEnvironments::new(env, &config.settings, &keys, self.shared_database())
    }
}
