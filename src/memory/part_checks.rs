//! Checks of the memory's parts for `health`: each works or reports the reason. Creates nothing; starts Qdrant only on
//! request.

use std::time::Duration;

use super::autostart::docker::Docker;
use super::autostart::start_commands::Commands;
use super::choose_backend::choose;
use super::embed::{Embedder, TextRedactor};
use super::index::faiss::Faiss;
use super::inner::Backend;
use super::journal::{Change, JOURNAL, Journal};
use super::{AutostartPermission, Collection, EntryId, MemoryError, MemoryLocation};
use crate::config::MemorySettings;

const ENGINE: Duration = Duration::from_secs(3);

/// Backend of a drain started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingIndex {
    /// The backend.
    pub backend: Backend,
    /// The backend, or the reason against Qdrant, in the words of a drain.
    pub line: String,
    /// How Qdrant was started, if not running before.
    pub how: Option<String>,
    /// Qdrant is running but rejects the API key.
    pub refused: bool,
    /// Qdrant's image is missing.
    pub image_is_absent: bool,
}

/// Checks whether the Docker engine answers.
///
/// # Errors
/// The engine is unreachable, with the reason in a single line.
pub async fn engine(docker_host: Option<&str>) -> Result<(), String> {
    let docker = Docker::connect(docker_host)?;
    let silent = || format!("the Docker engine did not answer within {} s", ENGINE.as_secs());
    let answer = tokio::time::timeout(ENGINE, docker.ping()).await.map_err(|_| silent())?;
    answer.map_err(|why| why.to_string())
}

/// Chooses a backend like a drain.
///
/// # Errors
/// Qdrant is required and does not serve.
pub async fn choose_backend(
    settings: &MemorySettings,
    location: &MemoryLocation,
    starting: AutostartPermission,
) -> Result<ServingIndex, MemoryError> {
    let choice = choose(settings, location, starting).await?;
    Ok(ServingIndex {
        backend: choice.backend,
        line: choice.line.unwrap_or_default(),
        how: choice.how,
        refused: choice.absence.as_ref().is_some_and(|absence| absence.refused),
        image_is_absent: choice.absence.is_some_and(|absence| absence.pull.is_some()),
    })
}

/// Returns the commands for hints in this workspace.
pub async fn commands(settings: &MemorySettings, location: &MemoryLocation) -> Commands {
    super::choose_backend::commands(&settings.qdrant, location).await
}

/// Checks the embedder; returns the id and the length of the vectors.
///
/// # Errors
/// The embedder cannot be set up or fails.
pub async fn embedder(
    settings: &MemorySettings,
    location: &MemoryLocation,
) -> Result<(String, usize), MemoryError> {
    let redactor = location.redactor.clone();
    let redact = TextRedactor::new(move |text| redactor.redact(text).into_owned());
    let embedder = Embedder::open(
        &settings.embedder,
        &location.workspace,
        location.provider_key.clone(),
        redact,
    )?;
    let vectors = embedder.embed(vec!["is anybody there".to_owned()]).await?;
    Ok((embedder.id().to_owned(), vectors.first().map_or(0, Vec::len)))
}

/// Counts the entries; `None` without a journal.
///
/// # Errors
/// The journal cannot be read.
pub async fn journal(location: &MemoryLocation) -> Result<Option<u64>, MemoryError> {
    Ok(Journal::count_existing(&location.autopack_dir.join(JOURNAL)).await?)
}

/// Adds, finds and removes a few vectors in a temporary index.
///
/// # Errors
/// FAISS fails or gives a wrong result.
pub fn faiss() -> Result<(), MemoryError> {
    let directory = tempfile::tempdir().map_err(|error| MemoryError::Setup(error.to_string()))?;
    let (mut index, _) = Faiss::open(directory.path(), "probe", &[], 0);
    let put = |n: i64, vector: [f32; 4]| Change {
        n,
        id: EntryId::from_stored(n.to_string()),
        collection: Collection::Planning,
        embedder: "probe".to_owned(),
        vector: Some(vector.to_vec()),
    };
    index.apply(&[put(1, [1.0, 0.0, 0.0, 0.0]), put(2, [0.0, 1.0, 0.0, 0.0])])?;
    let found = index.search(&[0.0, 1.0, 0.0, 0.0], &[Collection::Planning], None, 1)?;
    match found.first().map(|found| found.n) {
        Some(2) => Ok(()),
        other => Err(MemoryError::Setup(format!(
            "FAISS found {other:?} instead of the nearest vector, 2"
        ))),
    }
}
