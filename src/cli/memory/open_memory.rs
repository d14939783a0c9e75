//! Opening the memory for a verb, from its settings and the environment.

use std::time::Duration;

use crate::cli::Context;
use crate::config::{EmbedderSettings, MemorySettings};
use crate::failure::Failure;
use crate::memory::{Memory, Opened, Place, Starting};

/// What is in the journal is safe; the way to the indexes is not worth a longer wait at the end.
const CLOSING: Duration = Duration::from_secs(5);

pub fn place(context: &Context, settings: &MemorySettings) -> Result<Place, Failure> {
    let workspace = context.workspace()?;
    let provider_key = match &settings.embedder {
        EmbedderSettings::Http(http) => context.env.key(&http.api_key_env),
        EmbedderSettings::Builtin | EmbedderSettings::Model2vec(_) => None,
    };
    Ok(Place {
        autopack_dir: workspace.join(".autopack"),
        workspace,
        docker_host: context.env.docker_host(),
        provider_key,
        redactor: context.redactor()?,
    })
}

pub async fn open(context: &Context, starting: Starting) -> Result<Opened, Failure> {
    let settings = &context.config()?.memory;
    Ok(Memory::open(settings, &place(context, settings)?, starting).await?)
}

/// Waits for what is under way, but not for long.
pub async fn close(memory: &Memory) {
    if tokio::time::timeout(CLOSING, memory.close()).await.is_err() {
        tracing::info!("memory: the indexes are behind the journal; the next drain brings them up");
    }
}
