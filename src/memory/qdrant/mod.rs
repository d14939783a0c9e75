//! Qdrant over gRPC: our collections, our points, each call within a deadline and behind a circuit breaker.
//!
//! Here is the client, and whether it answers: `collections` names and makes collections, `own` keeps this workspace's
//! points, `search` asks for the nearest.
//!
//! Every point bears its workspace; nothing here reads another's unless told to, and nothing ever writes another's.

mod breaker;
mod call;
mod collections;
mod own;
mod point;
mod search;

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use qdrant_client::Qdrant as Client;

use crate::config::QdrantSettings;

use breaker::Breaker;
pub use call::QdrantError;
use call::Result;
pub use point::OwnPoint;
pub use search::Found;

/// A phase never waits longer for Qdrant than this.
pub const DEADLINE: Duration = Duration::from_secs(2);
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// Syncing is off the critical path: a batch of points may take longer.
const BATCH_DEADLINE: Duration = Duration::from_secs(10);

pub struct Qdrant {
    client: Client,
    address: String,
    workspace: String,
    embedder: String,
    breaker: Breaker,
    /// Collections that were made or seen, so that each is asked for once.
    known: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Qdrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Qdrant({})", self.address)
    }
}

impl Qdrant {
    /// Makes a client; nothing is sent yet.
    pub fn new(settings: &QdrantSettings, workspace: &str, embedder: &str) -> Result<Self> {
        let address = address(&settings.host, settings.grpc_port);
        let mut config = Client::from_url(&format!("http://{address}"))
            .timeout(BATCH_DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            // It prints to stdout and blocks inside the constructor.
            .skip_compatibility_check();
        if !settings.api_key.is_empty() {
            config.set_api_key(&settings.api_key);
        }
        let client = config.build().map_err(|error| QdrantError::Refused {
            address: address.clone(),
            doing: "be addressed",
            why: error.to_string(),
        })?;
        Ok(Self {
            client,
            address,
            workspace: workspace.to_owned(),
            embedder: embedder.to_owned(),
            breaker: Breaker::default(),
            known: Mutex::default(),
        })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its name as a follower of the journal: another server, workspace or embedder starts from nothing.
    pub fn follower(&self) -> String {
        format!("qdrant {} {} {}", self.address, self.workspace, self.embedder)
    }

    /// Whether it answers; returns its version.
    pub async fn version(&self) -> Result<String> {
        let reply = self.call("say its version", DEADLINE, self.client.health_check()).await?;
        Ok(reply.version)
    }

    /// As `version`, even while it rests: for a person who waits for the answer.
    pub async fn version_now(&self) -> Result<String> {
        self.breaker.succeeded();
        self.version().await
    }

    /// Whether it would serve: it answers, and takes our key.
    pub async fn answers(&self) -> Result<()> {
        self.version().await?;
        let probe = self.client.collection_exists("autopack");
        self.call("look for a collection", DEADLINE, probe).await.map(drop)
    }
}

/// An IPv6 address stands in brackets.
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
