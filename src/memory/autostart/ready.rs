//! Whether Qdrant is ready: `/readyz` on its REST port and a health call on its gRPC port.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::{sleep, timeout};

use crate::config::QdrantSettings;
use crate::memory::qdrant::{Qdrant, QdrantError, address};

const PROBE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(150);

/// Until it is.
pub async fn wait(settings: &QdrantSettings) {
    while !(rest(settings).await && grpc(settings).await) {
        sleep(PAUSE).await;
    }
}

async fn rest(settings: &QdrantSettings) -> bool {
    let url = format!("http://{}/readyz", address(&settings.host, settings.port));
    let Ok(url) = url.parse() else { return false };
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = timeout(PROBE, client.get(url)).await;
    matches!(answer, Ok(Ok(answer)) if answer.status().is_success())
}

/// Whether the port that we use answers; a refused key is an answer too, and says so later.
pub async fn grpc(settings: &QdrantSettings) -> bool {
    let Ok(qdrant) = Qdrant::new(settings, "", "") else { return false };
    let answer = timeout(PROBE, qdrant.version()).await;
    matches!(answer, Ok(Ok(_) | Err(QdrantError::Refused { .. })))
}
