//! What this machine has for running Qdrant: Docker at all, and a server that autopack started.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::docker::{Docker, SOCKET};
use super::{Autostart, start_commands};

/// Limit of the look at the engine, for a message.
const LOOK: Duration = Duration::from_secs(1);

/// Checks whether nothing on this machine could start Qdrant: no engine is named by `DOCKER_HOST`, and neither Docker's
/// socket nor a command for containers exists.
pub async fn is_docker_missing(docker_host: Option<&str>, workspace: &Path) -> bool {
    let is_named = docker_host.is_some_and(|host| !host.is_empty());
    !is_named
        && !Path::new(SOCKET).exists()
        && start_commands::find_engine(workspace).await.is_none()
}

impl Autostart {
    /// Checks whether a container that autopack started serves the configured ports.
    pub async fn is_serving(&self) -> bool {
        let Ok(docker) = Docker::connect(self.docker_host.as_deref()) else { return false };
        let Ok(running) = timeout(LOOK, docker.containers_on_volume()).await else { return false };
        running.iter().any(|one| one.is_at(&self.settings) && self.is_own(one))
    }
}
