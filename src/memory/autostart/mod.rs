//! Starting Qdrant on this machine: by compose where its service is ours, else through the Docker API; then waiting
//! until it is ready. Nothing here takes longer than the timeout, whatever hangs, and two may do it at once.
//!
//! Whether to start at all is `choose`'s business; other hosts are never started.

pub mod compose;
pub mod docker;
pub mod ready;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::config::QdrantSettings;
use docker::{Docker, Pull};

/// The container that the Docker API starts, and the volume that both ways keep.
pub const CONTAINER: &str = "autopack-qdrant";
pub const VOLUME: &str = "autopack_qdrant_storage";
/// What marks a container or a compose service as ours.
pub const LABEL: &str = "autopack.service";
pub const LABEL_VALUE: &str = "qdrant";

/// What starting needs to know.
#[derive(Clone, Debug)]
pub struct Autostart {
    pub settings: QdrantSettings,
    /// Where a compose file may be.
    pub workspace: PathBuf,
    /// `DOCKER_HOST`, as the environment has it.
    pub docker_host: Option<String>,
}

/// What came of it.
#[derive(Debug)]
pub enum Started {
    /// Ready, and how: "started by docker compose".
    Ready(String),
    /// The image is absent and on its way.
    Pulling(Pull),
    /// In one line, why not.
    Failed(String),
}

/// Whether this host is the machine itself; others are never started.
pub fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]")
}

impl Autostart {
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.settings.autostart_timeout_seconds)
    }

    /// Ends within the timeout.
    pub async fn start(&self) -> Started {
        let deadline = Instant::now() + self.timeout();
        match timeout_at(deadline, self.start_and_wait(deadline)).await {
            Ok(started) => started,
            Err(_) => Started::Failed(format!(
                "Docker did not get Qdrant ready within {} s",
                self.settings.autostart_timeout_seconds
            )),
        }
    }

    async fn start_and_wait(&self, deadline: Instant) -> Started {
        let left = || deadline.saturating_duration_since(Instant::now());
        let docker = Docker::connect(self.docker_host.as_deref());
        if let Some(file) = compose::find(&self.workspace)
            && let Some(tool) =
                compose::tool(&self.workspace, self.docker_host.as_deref(), left()).await
        {
            let image = file.image.as_deref().unwrap_or(&self.settings.image);
            if let Some(pull) = pull_if_absent(docker.as_ref().ok(), image).await {
                return Started::Pulling(pull);
            }
            return match tool.up(&file, left()).await {
                Ok(container) => {
                    let how = format!("started by {}", tool.name());
                    self.until_ready(docker.ok().as_ref(), container.as_deref(), how).await
                }
                Err(why) => Started::Failed(why),
            };
        }
        match docker {
            Ok(docker) => self.by_the_api(&docker).await,
            Err(why) => Started::Failed(why),
        }
    }

    async fn by_the_api(&self, docker: &Docker) -> Started {
        if let Err(why) = docker.ping().await {
            return Started::Failed(why);
        }
        match docker.start(&self.settings).await {
            Ok(docker::Launch::Launched(how)) => {
                self.until_ready(Some(docker), Some(CONTAINER), how.to_owned()).await
            }
            Ok(docker::Launch::NoImage) => Started::Pulling(docker.pull(&self.settings.image)),
            Err(why) => Started::Failed(why),
        }
    }

    /// Waits for both ports; a container that ends instead ends the wait.
    async fn until_ready(
        &self,
        docker: Option<&Docker>,
        container: Option<&str>,
        how: String,
    ) -> Started {
        let ready = ready::wait(&self.settings);
        let (Some(docker), Some(container)) = (docker, container) else {
            ready.await;
            return Started::Ready(how);
        };
        tokio::select! {
            () = ready => Started::Ready(how),
            why = docker.until_it_ends(container) => Started::Failed(why),
        }
    }
}

async fn pull_if_absent(docker: Option<&Docker>, image: &str) -> Option<Pull> {
    let docker = docker?;
    // An engine that only compose can reach (a context) gets its image from compose.
    let absent = docker.has_image(image).await.ok().is_some_and(|there| !there);
    absent.then(|| docker.pull(image))
}
