//! Looking at the memory's parts one by one, for `health`: each works or says why not. Nothing is made; only Qdrant may
//! be started, where that is asked for.

use std::time::Duration;

use super::autostart::docker::Docker;
use super::autostart::start_commands::Commands;
use super::choose_backend::choose;
use super::embed::{Embedder, Redact};
use super::index::faiss::Faiss;
use super::inner::Backend;
use super::journal::{Change, JOURNAL, Journal};
use super::{Collection, EntryId, MemoryError, Place, Starting};
use crate::config::MemorySettings;

const ENGINE: Duration = Duration::from_secs(3);

/// What would serve a drain that started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    pub backend: Backend,
    /// What, or why not Qdrant; as a drain says it.
    pub line: String,
    /// How Qdrant was started, where it had to be.
    pub how: Option<String>,
    /// Qdrant is there and does not take our key.
    pub refused: bool,
    /// Qdrant's image is not there yet.
    pub image_is_absent: bool,
}

pub async fn engine(docker_host: Option<&str>) -> Result<(), String> {
    let docker = Docker::connect(docker_host)?;
    let silent = || format!("the Docker engine gave no answer within {} s", ENGINE.as_secs());
    let answer = tokio::time::timeout(ENGINE, docker.ping()).await.map_err(|_| silent())?;
    answer.map_err(|why| why.to_string())
}

pub async fn serving(
    settings: &MemorySettings,
    place: &Place,
    starting: Starting,
) -> Result<Serving, MemoryError> {
    let choice = choose(settings, place, starting).await?;
    Ok(Serving {
        backend: choice.backend,
        line: choice.line.unwrap_or_default(),
        how: choice.how,
        refused: choice.absence.as_ref().is_some_and(|absence| absence.refused),
        image_is_absent: choice.absence.is_some_and(|absence| absence.pull.is_some()),
    })
}

/// The commands that a hint may name here.
pub async fn commands(settings: &MemorySettings, place: &Place) -> Commands {
    super::choose_backend::commands(&settings.qdrant, place).await
}

/// The number of dimensions that it gives.
pub async fn embedder(
    settings: &MemorySettings,
    place: &Place,
) -> Result<(String, usize), MemoryError> {
    let redactor = place.redactor.clone();
    let redact = Redact::new(move |text| redactor.redact(text).into_owned());
    let embedder =
        Embedder::open(&settings.embedder, &place.workspace, place.provider_key.clone(), redact)?;
    let vectors = embedder.embed(vec!["is anybody there".to_owned()]).await?;
    Ok((embedder.id().to_owned(), vectors.first().map_or(0, Vec::len)))
}

/// How many entries it holds; `None` where there is none yet.
pub async fn journal(place: &Place) -> Result<Option<u64>, MemoryError> {
    Ok(Journal::look(&place.autopack_dir.join(JOURNAL)).await?)
}

/// Adds, finds and removes a few vectors in an index of its own.
pub fn faiss() -> Result<(), MemoryError> {
    let folder = tempfile::tempdir().map_err(|error| MemoryError::Setup(error.to_string()))?;
    let (mut index, _) = Faiss::open(folder.path(), "probe", &[], 0);
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
        other => Err(MemoryError::Setup(format!("it found {other:?} where 2 is nearest"))),
    }
}
