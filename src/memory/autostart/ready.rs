//! Readiness of Qdrant: `/readyz` on the REST port and a health call on the gRPC port.

use std::time::Duration;

use reqwest::Client;
use tokio::time::{sleep, timeout};

use crate::config::QdrantSettings;
use crate::http::{self, HttpAccess, Limits};
use crate::memory::index::qdrant::{Qdrant, QdrantError, address};

const PROBE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(150);

/// Waits until Qdrant is ready.
pub async fn wait(settings: &QdrantSettings) {
    // Only servers on this machine are started. Without an HTTP client the gRPC port alone decides.
    let client = http::client(Limits { whole: PROBE, silence: PROBE }, HttpAccess::Machine).ok();
    while !(rest(client.as_ref(), settings).await && grpc(settings).await) {
        sleep(PAUSE).await;
    }
}

async fn rest(client: Option<&Client>, settings: &QdrantSettings) -> bool {
    let Some(client) = client else { return true };
    let url = format!("http://{}/readyz", address(&settings.host, settings.port));
    client.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
}

/// Checks whether a server answers at the configured gRPC port; the API key is checked later.
pub async fn grpc(settings: &QdrantSettings) -> bool {
    let Ok(qdrant) = Qdrant::new(settings, "", "") else { return false };
    let answer = timeout(PROBE, qdrant.version()).await;
    matches!(answer, Ok(Ok(_) | Err(QdrantError::Refused { .. } | QdrantError::Denied { .. })))
}
