//! Qdrant over gRPC: our collections, our points, each call within a deadline and behind a circuit breaker.
//!
//! Here is the client: `serving` says whether it would serve us, `collections` names and makes collections, `own` keeps
//! this workspace's points, `search` asks for the nearest.
//!
//! Every point bears its workspace; nothing here reads another's unless told to, and nothing ever writes another's.

mod call;
mod call_breaker;
mod collections;
mod nearest_points;
mod own_points;
mod point;
mod readiness;

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use qdrant_client::Qdrant as Client;

use crate::config::QdrantSettings;

pub use call::QdrantError;
use call::Result;
use call_breaker::Breaker;
pub use nearest_points::Found;
pub use point::OwnPoint;

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
    has_key: bool,
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
            has_key: !settings.api_key.is_empty(),
            breaker: Breaker::default(),
            known: Mutex::default(),
        })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its name as a follower of the journal: another server, workspace or embedder starts from nothing. So does
    /// another way of naming points (2): every point is then compared, and rewritten where its id is of the old way.
    pub fn follower(&self) -> String {
        format!("qdrant 2 {} {} {}", self.address, self.workspace, self.embedder)
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
