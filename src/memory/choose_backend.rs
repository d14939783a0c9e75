//! Choice of a backend at start, reported in a single line with the reason.

use std::sync::Arc;

use tokio::time::timeout;

use super::autostart::presence::is_docker_missing;
use super::autostart::start_commands::Commands;
use super::autostart::{Autostart, AutostartOutcome, is_local, ready};
use super::embed::{Embedder, TextRedactor};
use super::index::qdrant::{Qdrant, address};
use super::inner::{Backend, MemoryWorker, PATIENCE, QdrantAbsence, may_start};
use super::journal::{self, JOURNAL, Journal};
use super::{AutostartPermission, Memory, MemoryError, MemoryLocation, workspace_id};
use crate::config::{MemorySettings, QdrantSettings};

/// Limit of the wait for an image with `require: true`.
const REQUIRED_PULL: std::time::Duration = std::time::Duration::from_secs(300);

/// End of the line about a Qdrant that autopack did not start.
const NOT_STARTED: &str = ", not started by autopack";

/// An open memory, with the line reported to the user.
#[derive(Debug)]
pub struct OpenMemory {
    /// The memory.
    pub memory: Memory,
    /// `None` if the memory is off or the in-process index was configured.
    pub line: Option<String>,
    /// Repair made while opening; included in the line.
    pub repair: Option<String>,
}

impl OpenMemory {
    /// Checks whether a Qdrant serves that autopack did not start.
    pub fn uses_foreign_qdrant(&self) -> bool {
        self.line.as_deref().is_some_and(|line| line.contains(NOT_STARTED))
    }
}

/// State of Qdrant at the start.
pub(super) struct BackendChoice {
    pub backend: Backend,
    pub line: Option<String>,
    /// How Qdrant was started, if not running before.
    pub how: Option<String>,
    /// Reason why Qdrant does not serve.
    pub absence: Option<QdrantAbsence>,
}

impl Memory {
    /// Opens the memory. All waiting for a start happens here, within the autostart timeout.
    ///
    /// # Errors
    /// Qdrant is required and does not serve, or journal or embedder cannot be set up.
    pub async fn open(
        settings: &MemorySettings,
        location: &MemoryLocation,
        starting: AutostartPermission,
    ) -> Result<OpenMemory, MemoryError> {
        if !settings.enabled {
            return Ok(OpenMemory { memory: Self::off(), line: None, repair: None });
        }
        let mut choice = choose(settings, location, starting).await?;
        let (mut inner, repair) = match build(settings, location).await {
            Ok(built) => built,
            Err(error) => {
                let line = Some(format!("memory is off: {error}"));
                return Ok(OpenMemory { memory: Self::off(), line, repair: None });
            }
        };
        // The embedder may be slow to report the vector length; a later batch then checks.
        if let Some(qdrant) = inner.qdrant.as_ref().filter(|_| choice.backend == Backend::Qdrant)
            && let Ok(fitted) = timeout(PATIENCE, inner.recreate_misfit_collections(qdrant)).await
            && let Err(MemoryError::Qdrant(error)) = fitted
            && error.is_configuration()
        {
            choice = choose_fallback(&settings.qdrant, location, error.into()).await?;
        }
        inner.set_first_backend(choice.backend, choice.absence, starting);
        let inner = Arc::new(inner);
        inner.find_commands();
        inner.catch_up_in_background();
        let line = match (choice.line, &repair) {
            (Some(line), Some(repair)) => Some(format!("{line}; {repair}")),
            (line, repair) => line.or_else(|| repair.clone()),
        };
        Ok(OpenMemory { memory: Self(Some(inner)), line, repair })
    }
}

async fn build(
    settings: &MemorySettings,
    location: &MemoryLocation,
) -> Result<(MemoryWorker, Option<String>), MemoryError> {
    let setup = |why: std::io::Error| {
        MemoryError::Setup(format!("{}: {why}", location.autopack_dir.display()))
    };
    std::fs::create_dir_all(&location.autopack_dir).map_err(setup)?;
    let workspace = workspace_id::of(&location.workspace, &location.autopack_dir).map_err(setup)?;
    let workspace = workspace.in_repository(location.repository.as_deref());
    let redactor = location.redactor.clone();
    let redact = TextRedactor::new(move |text| redactor.redact(text).into_owned());
    let embedder = Embedder::open(
        &settings.embedder,
        &location.workspace,
        location.provider_key.clone(),
        redact.clone(),
    )?;
    let journal::OpenJournal { journal, set_aside } =
        Journal::open(&location.autopack_dir.join(JOURNAL)).await?;
    let repair = set_aside.map(|aside| {
        format!("the memory's journal was damaged and has been moved to {}", aside.display())
    });
    let qdrant = settings
        .use_qdrant
        .then(|| Qdrant::new(&settings.qdrant, &workspace.id, embedder.id()))
        .transpose()?
        .map(|qdrant| qdrant.in_repository(workspace.repository.clone()));
    let autostart = autostart(settings, location);
    let inner = MemoryWorker::new(
        settings, location, workspace, journal, embedder, redact, qdrant, autostart,
    );
    Ok((inner, repair))
}

fn autostart(settings: &MemorySettings, location: &MemoryLocation) -> Autostart {
    Autostart {
        settings: settings.qdrant.clone(),
        workspace: location.workspace.clone(),
        docker_host: location.docker_host.clone(),
    }
}

pub(super) async fn choose(
    settings: &MemorySettings,
    location: &MemoryLocation,
    starting: AutostartPermission,
) -> Result<BackendChoice, MemoryError> {
    if !settings.use_qdrant {
        return Ok(BackendChoice { backend: Backend::Faiss, line: None, how: None, absence: None });
    }
    let qdrant = &settings.qdrant;
    match find(settings, location, starting).await {
        Ok(how) => {
            let at = address(&qdrant.host, qdrant.grpc_port);
            let started = match &how {
                Some(how) => format!(", {how}"),
                None if autostart(settings, location).is_serving().await => String::new(),
                None => NOT_STARTED.to_owned(),
            };
            let line = Some(format!("memory: Qdrant at {at}{started}"));
            Ok(BackendChoice { backend: Backend::Qdrant, line, how, absence: None })
        }
        Err(absence) => {
            let choice = choose_fallback(qdrant, location, absence).await?;
            // Nobody here expects Qdrant: FAISS is the usual index.
            let is_usual = choice.backend == Backend::Faiss
                && is_local(&qdrant.host)
                && is_docker_missing(location.docker_host.as_deref());
            Ok(BackendChoice { line: choice.line.filter(|_| !is_usual), ..choice })
        }
    }
}

/// Looks for a working Qdrant; returns how Qdrant was started, if necessary.
async fn find(
    settings: &MemorySettings,
    location: &MemoryLocation,
    starting: AutostartPermission,
) -> Result<Option<String>, QdrantAbsence> {
    let qdrant = &settings.qdrant;
    if ready::grpc(qdrant).await {
        // Check the API key now instead of at every recall.
        Qdrant::new(qdrant, "", "")?.check_usable().await?;
        return Ok(None);
    }
    let at = address(&qdrant.host, qdrant.grpc_port);
    let down = format!("Qdrant at {at} cannot be reached");
    if !may_start(qdrant, starting) {
        return Err(down.into());
    }
    let stays_down = |cause: &str| QdrantAbsence {
        cause: Some(cause.to_owned()),
        ..format!("{down}: {cause}").into()
    };
    let autostart = autostart(settings, location);
    let mut started = autostart.start().await;
    if let AutostartOutcome::Pulling(pull) = &started
        && qdrant.require
    {
        match timeout(REQUIRED_PULL, pull.wait()).await {
            Ok(Ok(())) => started = autostart.start().await,
            Ok(Err(why)) => return Err(stays_down(&why)),
            Err(_) => return Err(stays_down("the image pull timed out")),
        }
        if matches!(started, AutostartOutcome::Pulling(_)) {
            return Err(stays_down("the image was removed again"));
        }
    }
    match started {
        AutostartOutcome::Ready(how) => {
            Qdrant::new(qdrant, "", "")?.check_usable().await?;
            Ok(Some(how))
        }
        AutostartOutcome::Failed(why) => Err(stays_down(&why)),
        AutostartOutcome::Denied(error) => Err(error.into()),
        AutostartOutcome::Pulling(pull) => {
            let why = format!("{down}: its image {} is being pulled", pull.image);
            Err(QdrantAbsence { pull: Some(pull), ..why.into() })
        }
    }
}

/// Applies the configuration for an unavailable Qdrant.
async fn choose_fallback(
    qdrant: &QdrantSettings,
    location: &MemoryLocation,
    absence: QdrantAbsence,
) -> Result<BackendChoice, MemoryError> {
    if qdrant.require {
        let QdrantAbsence { why, answers, refused, .. } = absence;
        let help = match answers {
            true => None,
            false => Some(commands(qdrant, location).await.start()),
        };
        return Err(MemoryError::required(why, help, refused));
    }
    let (backend, what) = if qdrant.fallback_to_faiss {
        (Backend::Faiss, "memory: using FAISS in this process")
    } else {
        (Backend::Suspended, "memory is off for now")
    };
    let line = Some(format!("{what}; {}", absence.why));
    Ok(BackendChoice { backend, line, how: None, absence: Some(absence) })
}

/// Returns the commands for hints in this workspace.
pub(super) async fn commands(qdrant: &QdrantSettings, location: &MemoryLocation) -> Commands {
    Commands::find_available(qdrant, &location.workspace, location.docker_host.as_deref()).await
}
