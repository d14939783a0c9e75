//! Shared by commands that run agents or CI: opens the repository and builds the drain context.

use std::io::{IsTerminal, stdout};

use super::{Context, open_database};
use crate::attempt::{DrainContext, Views};
use crate::ci::Pythons;
use crate::config::{SandboxPlaces, check_paths};
use crate::failure::Failure;
use crate::forge;
use crate::process::host_place::machine_name;
use crate::progress::{Mode, Progress};
use crate::store::Store;
use crate::workspace::Repo;

/// Returns the repository of the workspace, with the configured slots directory and remote for runs.
pub(super) async fn open_repository(context: &Context) -> Result<Repo, Failure> {
    let workspace = &context.config()?.settings.workspace;
    let repo = Repo::discover(&context.workspace()?).await?;
    let repo = repo.with_slots_dir(workspace.slots_dir.as_deref());
    let repo = repo.with_run_remote(workspace.run_remote()).await?;
    // Other machines may have a clone at the same path.
    let repo = match open_database::url(context) {
        Ok(url) if url.file().is_none() => repo.on_machine(machine_name()),
        _ => repo,
    };
    Ok(repo.with_run_login(|push_url, url| forge::given_login(push_url, url, &context.env)))
}

/// Checks the paths of the sandbox, before the first agent or CI starts.
pub(super) fn check_sandbox(context: &Context, repo: &Repo, store: &Store) -> Result<(), Failure> {
    let config = context.config()?;
    let home = context.env.home();
    let places =
        SandboxPlaces { workspace: repo.root(), home: home.as_deref(), database: store.file() };
    check_paths(&config.settings.sandbox, places).map_err(|(key, why)| {
        let hint = format!("correct it; {key} is set by {}", config.origin_of(key));
        Failure::new(format!("{key} {why}")).hint(hint)
    })
}

/// Chooses the mode of the sandbox, before the first agent or CI starts.
pub(super) async fn choose_views(
    context: &Context,
    repo: &Repo,
    store: &Store,
) -> Result<Views, Failure> {
    let sandbox = &context.config()?.settings.sandbox;
    let database = store.file().map(std::path::Path::to_owned);
    Views::choose(sandbox, repo, database, &context.env)
        .await
        .map_err(|error| Failure::new(format!("{error:#}")))
}

/// Builds a drain context from the configuration and environment of this process.
pub(super) fn build_drain_context(
    context: &Context,
    repo: Repo,
    store: Store,
    mode: Mode,
    views: Views,
) -> Result<DrainContext, Failure> {
    let config = context.config()?;
    let settings_file = config.settings_file(Some(repo.root()));
    let drain_context = DrainContext::new(
        repo,
        store,
        config.settings.clone(),
        context.inherited_environments(config),
        context.redactor()?,
        Pythons::default(),
        Progress::new(mode, stdout().is_terminal() && console::colors_enabled()),
    );
    Ok(drain_context.with_settings_file(settings_file).with_views(views)?)
}
