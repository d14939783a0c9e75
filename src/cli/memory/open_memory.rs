//! Opens the memory for a command, from its settings and the environment.

use std::time::Duration;

use crate::cli::Context;
use crate::cli::attempt_setup::open_repository;
use crate::config::{EmbedderSettings, MemorySettings};
use crate::failure::Failure;
use crate::memory::{AutostartPermission, Memory, MemoryLocation, OpenMemory};

/// Maximum wait for the indexes at the end. Journal entries are safe already.
const CLOSING: Duration = Duration::from_secs(5);

/// Returns the paths, keys and Docker host of the memory.
pub fn memory_location(
    context: &Context,
    settings: &MemorySettings,
) -> Result<MemoryLocation, Failure> {
    let workspace = context.workspace()?;
    let provider_key = match &settings.embedder {
        EmbedderSettings::Http(http) => context.env.key(&http.api_key_env),
        EmbedderSettings::Builtin | EmbedderSettings::Model2vec(_) => None,
    };
    Ok(MemoryLocation {
        autopack_dir: workspace.join(".autopack"),
        repository: None,
        workspace,
        docker_host: context.env.docker_host(),
        provider_key,
        redactor: context.redactor()?,
    })
}

/// Opens the memory.
pub async fn open(context: &Context, starting: AutostartPermission) -> Result<OpenMemory, Failure> {
    let settings = &context.config()?.memory;
    let mut location = memory_location(context, settings)?;
    if settings.enabled
        && settings.use_qdrant
        && let Ok(repo) = open_repository(context).await
    {
        location.repository = repo.shared_identity().await?;
    }
    Ok(Memory::open(settings, &location, starting).await?)
}

/// Waits a short time for pending index updates.
pub async fn close(memory: &Memory) {
    if tokio::time::timeout(CLOSING, memory.close()).await.is_err() {
        tracing::info!("memory: the indexes are behind the journal; the next drain updates them");
    }
}
