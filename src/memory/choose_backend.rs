//! Choice of a backend at start, reported in a single line with the reason.

use std::sync::Arc;

use tokio::time::timeout;

use super::autostart::start_commands::Commands;
use super::autostart::{Autostart, Started, ready};
use super::embed::{Embedder, Redact};
use super::index::qdrant::{Qdrant, address};
use super::inner::{Absence, Backend, MemoryWorker, PATIENCE, may_start};
use super::journal::{self, JOURNAL, Journal};
use super::{Memory, MemoryError, Place, Starting, workspace_id};
use crate::config::{MemorySettings, QdrantSettings};

/// Limit of the wait for an image with `require: true`.
const REQUIRED_PULL: std::time::Duration = std::time::Duration::from_secs(300);

/// An open memory, with the line reported to the user.
#[derive(Debug)]
pub struct Opened {
    /// The memory.
    pub memory: Memory,
    /// `None` if the memory is off or the in-process index was configured.
    pub line: Option<String>,
    /// Repair made while opening; included in the line.
    pub trouble: Option<String>,
}

/// State of Qdrant at the start.
pub(super) struct Choice {
    pub backend: Backend,
    pub line: Option<String>,
    /// How Qdrant was started, if not running before.
    pub how: Option<String>,
    /// Reason why Qdrant does not serve.
    pub absence: Option<Absence>,
}

impl Memory {
    /// Opens the memory. All waiting for a start happens here, within the autostart timeout.
    ///
    /// # Errors
    /// Qdrant is required and does not serve, or journal or embedder cannot be set up.
    pub async fn open(
        settings: &MemorySettings,
        place: &Place,
        starting: Starting,
    ) -> Result<Opened, MemoryError> {
        if !settings.enabled {
            return Ok(Opened { memory: Self::off(), line: None, trouble: None });
        }
        let mut choice = choose(settings, place, starting).await?;
        let (mut inner, trouble) = match build(settings, place).await {
            Ok(built) => built,
            Err(error) => {
                let line = Some(format!("memory is off: {error}"));
                return Ok(Opened { memory: Self::off(), line, trouble: None });
            }
        };
        // The embedder may be slow to report the vector length; a later batch then checks.
        if let Some(qdrant) = inner.qdrant.as_ref().filter(|_| choice.backend == Backend::Qdrant)
            && let Ok(fitted) = timeout(PATIENCE, inner.make_collections_fit(qdrant)).await
            && let Err(MemoryError::Qdrant(error)) = fitted
            && error.is_configuration()
        {
            choice = without(&settings.qdrant, place, error.into()).await?;
        }
        inner.begin_with(choice.backend, choice.absence, starting);
        let inner = Arc::new(inner);
        inner.find_commands();
        inner.catch_up_in_background();
        let line = match (choice.line, &trouble) {
            (Some(line), Some(trouble)) => Some(format!("{line}; {trouble}")),
            (line, trouble) => line.or_else(|| trouble.clone()),
        };
        Ok(Opened { memory: Self(Some(inner)), line, trouble })
    }
}

async fn build(
    settings: &MemorySettings,
    place: &Place,
) -> Result<(MemoryWorker, Option<String>), MemoryError> {
    let setup = |why: std::io::Error| {
        MemoryError::Setup(format!("{}: {why}", place.autopack_dir.display()))
    };
    std::fs::create_dir_all(&place.autopack_dir).map_err(setup)?;
    let workspace = workspace_id::of(&place.workspace, &place.autopack_dir).map_err(setup)?;
    let redactor = place.redactor.clone();
    let redact = Redact::new(move |text| redactor.redact(text).into_owned());
    let embedder = Embedder::open(
        &settings.embedder,
        &place.workspace,
        place.provider_key.clone(),
        redact.clone(),
    )?;
    let journal::Opened { journal, set_aside } =
        Journal::open(&place.autopack_dir.join(JOURNAL)).await?;
    let trouble = set_aside.map(|aside| {
        format!("the memory's journal was damaged and has been moved to {}", aside.display())
    });
    let qdrant = settings
        .use_qdrant
        .then(|| Qdrant::new(&settings.qdrant, &workspace.id, embedder.id()))
        .transpose()?;
    let autostart = autostart(settings, place);
    let inner =
        MemoryWorker::new(settings, place, workspace, journal, embedder, redact, qdrant, autostart);
    Ok((inner, trouble))
}

fn autostart(settings: &MemorySettings, place: &Place) -> Autostart {
    Autostart {
        settings: settings.qdrant.clone(),
        workspace: place.workspace.clone(),
        docker_host: place.docker_host.clone(),
    }
}

pub(super) async fn choose(
    settings: &MemorySettings,
    place: &Place,
    starting: Starting,
) -> Result<Choice, MemoryError> {
    if !settings.use_qdrant {
        return Ok(Choice { backend: Backend::Faiss, line: None, how: None, absence: None });
    }
    let qdrant = &settings.qdrant;
    match find(settings, place, starting).await {
        Ok(how) => {
            let at = address(&qdrant.host, qdrant.grpc_port);
            let started = how.as_ref().map(|how| format!(", {how}")).unwrap_or_default();
            let line = Some(format!("memory: Qdrant at {at}{started}"));
            Ok(Choice { backend: Backend::Qdrant, line, how, absence: None })
        }
        Err(absence) => without(qdrant, place, absence).await,
    }
}

/// Looks for a working Qdrant; returns how Qdrant was started, if necessary.
async fn find(
    settings: &MemorySettings,
    place: &Place,
    starting: Starting,
) -> Result<Option<String>, Absence> {
    let qdrant = &settings.qdrant;
    if ready::grpc(qdrant).await {
        // Check the API key now instead of at every recall.
        Qdrant::new(qdrant, "", "")?.answers().await?;
        return Ok(None);
    }
    let at = address(&qdrant.host, qdrant.grpc_port);
    let down = format!("Qdrant at {at} cannot be reached");
    if !may_start(qdrant, starting) {
        return Err(down.into());
    }
    let stays_down = |cause: &str| Absence {
        cause: Some(cause.to_owned()),
        ..format!("{down}: {cause}").into()
    };
    let autostart = autostart(settings, place);
    let mut started = autostart.start().await;
    if let Started::Pulling(pull) = &started
        && qdrant.require
    {
        match timeout(REQUIRED_PULL, pull.wait()).await {
            Ok(Ok(())) => started = autostart.start().await,
            Ok(Err(why)) => return Err(stays_down(&why)),
            Err(_) => return Err(stays_down("the image pull timed out")),
        }
        if matches!(started, Started::Pulling(_)) {
            return Err(stays_down("the image was removed again"));
        }
    }
    match started {
        Started::Ready(how) => {
            Qdrant::new(qdrant, "", "")?.answers().await?;
            Ok(Some(how))
        }
        Started::Failed(why) => Err(stays_down(&why)),
        Started::Denied(error) => Err(error.into()),
        Started::Pulling(pull) => {
            let why = format!("{down}: its image {} is being pulled", pull.image);
            Err(Absence { pull: Some(pull), ..why.into() })
        }
    }
}

/// Applies the configuration for an unavailable Qdrant.
async fn without(
    qdrant: &QdrantSettings,
    place: &Place,
    absence: Absence,
) -> Result<Choice, MemoryError> {
    if qdrant.require {
        let Absence { why, answers, refused, .. } = absence;
        let help = match answers {
            true => None,
            false => Some(commands(qdrant, place).await.start()),
        };
        return Err(MemoryError::required(why, help, refused));
    }
    let (backend, what) = if qdrant.fallback_to_faiss {
        (Backend::Faiss, "memory: using FAISS in this process")
    } else {
        (Backend::Suspended, "memory is off for now")
    };
    let line = Some(format!("{what}; {}", absence.why));
    Ok(Choice { backend, line, how: None, absence: Some(absence) })
}

/// Returns the commands for hints in this workspace.
pub(super) async fn commands(qdrant: &QdrantSettings, place: &Place) -> Commands {
    Commands::here(qdrant, &place.workspace, place.docker_host.as_deref()).await
}
