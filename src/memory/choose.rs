//! Choosing a backend, once, and saying in one line what was done or why not.

use std::sync::Arc;

use super::autostart::{Autostart, Started, is_local, ready};
use super::embed::{Embedder, Redact};
use super::inner::{Backend, Inner};
use super::journal::{self, JOURNAL, Journal};
use super::qdrant::{Qdrant, QdrantError, address};
use super::{Memory, MemoryError, Place, Starting, workspace_id};
use crate::config::{MemorySettings, QdrantSettings};

/// How long `require: true` waits for an image.
const REQUIRED_PULL: std::time::Duration = std::time::Duration::from_secs(300);

/// A memory, and the line that says how it came to be.
#[derive(Debug)]
pub struct Opened {
    pub memory: Memory,
    /// `None` where there is nothing to say: the memory is off, or the in-process index was asked for.
    pub line: Option<String>,
    /// What had to be mended for it, which the line says too.
    pub trouble: Option<String>,
}

/// What was found out about Qdrant.
pub(super) struct Choice {
    pub backend: Backend,
    pub line: Option<String>,
    /// How Qdrant was started, where it had to be.
    pub how: Option<String>,
    /// Qdrant is there and said no.
    pub refused: bool,
    pub pull: Option<super::autostart::docker::Pull>,
}

/// Why Qdrant does not serve.
struct Absence {
    why: String,
    refused: bool,
    pull: Option<super::autostart::docker::Pull>,
}

impl From<String> for Absence {
    fn from(why: String) -> Self {
        Self { why, refused: false, pull: None }
    }
}

impl Memory {
    /// Everything that starting needs to wait for is waited for here, within the autostart timeout.
    pub async fn open(
        settings: &MemorySettings,
        place: &Place,
        starting: Starting,
    ) -> Result<Opened, MemoryError> {
        if !settings.enabled {
            return Ok(Opened { memory: Self::off(), line: None, trouble: None });
        }
        let choice = choose(settings, place, starting).await?;
        let (mut inner, trouble) = match build(settings, place).await {
            Ok(built) => built,
            Err(error) => {
                let line = Some(format!("memory is off: {error}"));
                return Ok(Opened { memory: Self::off(), line, trouble: None });
            }
        };
        inner.begin_with(choice.backend, choice.pull);
        let inner = Arc::new(inner);
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
) -> Result<(Inner, Option<String>), MemoryError> {
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
    let trouble = set_aside
        .map(|aside| format!("the memory's journal was broken and is now {}", aside.display()));
    let qdrant = settings
        .use_qdrant
        .then(|| Qdrant::new(&settings.qdrant, &workspace, embedder.id()))
        .transpose()?;
    let autostart = autostart(settings, place);
    let inner =
        Inner::new(settings, place, workspace, journal, embedder, redact, qdrant, autostart);
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
        return Ok(Choice {
            backend: Backend::Faiss,
            line: None,
            how: None,
            refused: false,
            pull: None,
        });
    }
    let qdrant = &settings.qdrant;
    let at = address(&qdrant.host, qdrant.grpc_port);
    if ready::grpc(qdrant).await {
        return reached(qdrant, None).await;
    }
    let down = format!("Qdrant at {at} cannot be reached");
    if !qdrant.autostart || !is_local(&qdrant.host) || starting == Starting::OnlyLook {
        return without(qdrant, down.into());
    }
    let stays_down = |why: &str| without(qdrant, format!("{down}: {why}").into());
    match autostart(settings, place).start().await {
        Started::Ready(how) => reached(qdrant, Some(how)).await,
        Started::Failed(why) => stays_down(&why),
        Started::Pulling(pull) if qdrant.require => {
            let pulled = tokio::time::timeout(REQUIRED_PULL, pull.wait()).await;
            match pulled {
                Ok(Ok(())) => match autostart(settings, place).start().await {
                    Started::Ready(how) => reached(qdrant, Some(how)).await,
                    Started::Failed(why) => stays_down(&why),
                    Started::Pulling(_) => stays_down("its image is gone again"),
                },
                Ok(Err(why)) => stays_down(&why),
                Err(_) => stays_down("its image did not come in time"),
            }
        }
        Started::Pulling(pull) => {
            let why = format!("{down}: its image {} is being pulled", pull.image);
            without(qdrant, Absence { pull: Some(pull), ..why.into() })
        }
    }
}

/// It answers; whether it takes our key is seen now, and not at every recall.
async fn reached(qdrant: &QdrantSettings, how: Option<String>) -> Result<Choice, MemoryError> {
    let at = address(&qdrant.host, qdrant.grpc_port);
    let started = how.as_ref().map(|how| format!(", {how}")).unwrap_or_default();
    let line = Some(format!("memory: Qdrant at {at}{started}"));
    match Qdrant::new(qdrant, "", "")?.answers().await {
        Ok(()) => Ok(Choice { backend: Backend::Qdrant, line, how, refused: false, pull: None }),
        Err(error) => {
            let refused = matches!(error, QdrantError::Refused { .. });
            without(qdrant, Absence { refused, ..error.to_string().into() })
        }
    }
}

/// What the configuration says for a Qdrant that stays down.
fn without(qdrant: &QdrantSettings, absence: Absence) -> Result<Choice, MemoryError> {
    let Absence { why, refused, pull } = absence;
    if qdrant.require {
        return Err(MemoryError::Required { why, refused });
    }
    let (backend, what) = if qdrant.fallback_to_faiss {
        (Backend::Faiss, "memory: FAISS in this process")
    } else {
        (Backend::Suspended, "memory is off for now")
    };
    Ok(Choice { backend, line: Some(format!("{what}; {why}")), how: None, refused, pull })
}
