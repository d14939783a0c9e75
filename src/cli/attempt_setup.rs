//! Shared by commands that run agents or CI: opens the repository and builds the drain context.

use std::io::{IsTerminal, stdout};

use super::Context;
use crate::attempt::DrainContext;
use crate::ci::Pythons;
use crate::failure::Failure;
use crate::progress::{Mode, Progress};
use crate::store::Store;
use crate::workspace::Repo;

/// Returns the repository of the workspace, with the configured slots directory.
pub(super) async fn open_repository(context: &Context) -> Result<Repo, Failure> {
    let slots_dir = context.config()?.settings.workspace.slots_dir.as_deref();
    Ok(Repo::discover(&context.workspace()?).await?.with_slots_dir(slots_dir))
}

/// Builds a drain context from the configuration and environment of this process.
pub(super) fn build_drain_context(
    context: &Context,
    repo: Repo,
    store: Store,
    mode: Mode,
) -> Result<DrainContext, Failure> {
    let config = context.config()?;
    let settings_file = config.settings_file(Some(repo.root()));
    let drain_context = DrainContext::new(
        repo,
        store,
        config.settings.clone(),
        context.agent_env(),
        context.ci_env(config),
        context.redactor()?,
        Pythons::default(),
        Progress::new(mode, stdout().is_terminal() && console::colors_enabled()),
    );
    Ok(drain_context.with_settings_file(settings_file))
}
