//! What this machine has for running Qdrant: Docker at all, and a server that autopack started.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::Autostart;
use super::docker::{Docker, SOCKET};

/// Limit of the look at the engine, for a message.
const LOOK: Duration = Duration::from_secs(1);

/// Checks whether Docker is missing on this machine: `DOCKER_HOST` names no engine, and there is no socket. A command
/// without an engine starts nothing.
pub fn is_docker_missing(docker_host: Option<&str>) -> bool {
    let is_named = docker_host.is_some_and(|host| !host.is_empty());
    !is_named && !Path::new(SOCKET).exists()
}

impl Autostart {
    /// Checks whether a container that autopack started serves the configured ports.
    pub async fn is_serving(&self) -> bool {
        let Ok(docker) = Docker::connect(self.docker_host.as_deref()) else { return false };
        let Ok(running) = timeout(LOOK, docker.containers_on_volume()).await else { return false };
        running.iter().any(|one| one.is_at(&self.settings) && self.is_own(one))
    }
}
