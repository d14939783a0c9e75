//! Qdrant over gRPC: autopack's collections and points, with each call bounded by a deadline and guarded by a circuit
//! breaker.
//!
//! This file holds the client: `serving` checks whether Qdrant can be used, `collections` names and creates
//! collections, `own` manages this workspace's points, `search` finds the nearest points.
//!
//! Every point is labeled with a workspace; reads are limited to this workspace unless requested otherwise, writes
//! always.

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
pub use nearest_points::PointMatch;
pub use point::ListedPoint;

/// Longest wait of a phase for Qdrant.
pub const DEADLINE: Duration = Duration::from_secs(2);
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// Syncing is off the critical path, so a batch of points may take longer.
const BATCH_DEADLINE: Duration = Duration::from_secs(10);

/// Client of a Qdrant server, for a workspace and an embedder.
pub struct Qdrant {
    client: Client,
    address: String,
    workspace: String,
    /// Repository of the workspace; others with the same are searched, too.
    repository: Option<String>,
    embedder: String,
    has_key: bool,
    breaker: Breaker,
    /// Collections already created or seen, to check each only once.
    known: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Qdrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Qdrant({})", self.address)
    }
}

impl Qdrant {
    /// Creates a client; sends nothing yet.
    ///
    /// # Errors
    /// The address or the API key is invalid.
    pub fn new(settings: &QdrantSettings, workspace: &str, embedder: &str) -> Result<Self> {
        let address = address(&settings.host, settings.grpc_port);
        let mut config = Client::from_url(&format!("http://{address}"))
            .timeout(BATCH_DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            // The check prints to stdout and blocks inside the constructor.
            .skip_compatibility_check();
        if !settings.api_key.is_empty() {
            config.set_api_key(&settings.api_key);
        }
        let client = config.build().map_err(|error| QdrantError::Refused {
            address: address.clone(),
            doing: "accept the address",
            why: error.to_string(),
        })?;
        Ok(Self {
            client,
            address,
            workspace: workspace.to_owned(),
            repository: None,
            embedder: embedder.to_owned(),
            has_key: !settings.api_key.is_empty(),
            breaker: Breaker::default(),
            known: Mutex::default(),
        })
    }

    /// Shares this workspace's points with the other workspaces of its repository.
    #[must_use]
    pub fn in_repository(mut self, repository: Option<String>) -> Self {
        self.repository = repository;
        self
    }

    /// Returns the address, as host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the name as a follower of the journal: another server, workspace, repository or embedder starts from nothing. The
    /// number is the version of the naming of points (2): after a change every point is compared and rewritten under
    /// the new id.
    pub fn follower(&self) -> String {
        let name = format!("qdrant 2 {} {} {}", self.address, self.workspace, self.embedder);
        match &self.repository {
            Some(repository) => format!("{name} {repository}"),
            None => name,
        }
    }
}

/// Formats an address, with an IPv6 address in brackets.
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
