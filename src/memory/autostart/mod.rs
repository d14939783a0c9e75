//! Starting Qdrant on this machine: by compose where its service is ours, else through the Docker API; then waiting
//! until it is ready. Nothing here takes longer than the timeout, whatever hangs, and two may do it at once.
//!
//! Whether to start at all is `choose`'s business; other hosts are never started.

pub mod compose;
pub mod docker;
pub mod ready;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::config::QdrantSettings;
use docker::{Docker, Pull, Unreachable};

/// The container that the Docker API starts, and the volume that both ways keep.
pub const CONTAINER: &str = "autopack-qdrant";
pub const VOLUME: &str = "autopack_qdrant_storage";
/// What marks a container or a compose service as ours.
pub const LABEL: &str = "autopack.service";
pub const LABEL_VALUE: &str = "qdrant";

/// How long a failed start waits for another process's to succeed.
const ANOTHERS: Duration = Duration::from_secs(2);

/// Beyond the timeout, for a better reason.
const AFTERTHOUGHT: Duration = Duration::from_millis(500);

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
            Err(_) => Started::Failed(self.too_late().await),
        }
    }

    /// A slow tool may hide that there is no engine at all, and that is what the user has to know.
    async fn too_late(&self) -> String {
        if let Ok(docker) = Docker::connect(self.docker_host.as_deref())
            && let Ok(Err(docker::Unreachable::Down(why))) =
                timeout(AFTERTHOUGHT, docker.ping()).await
        {
            return why;
        }
        let seconds = self.settings.autostart_timeout_seconds;
        format!("Docker did not get Qdrant ready within {seconds} s")
    }

    async fn start_and_wait(&self, deadline: Instant) -> Started {
        let docker = Docker::connect(self.docker_host.as_deref());
        let engine = match &docker {
            Ok(docker) => docker.ping().await,
            Err(why) => Err(Unreachable::Down(why.clone())),
        };
        if let Err(Unreachable::Hangs(why)) = engine {
            return Started::Failed(why);
        }
        let started = match self.by_compose(docker.as_ref().ok(), &engine, deadline).await {
            Some(started) => started,
            None => match (docker.as_ref(), engine) {
                (Ok(docker), Ok(())) => self.by_the_api(docker).await,
                (_, Err(why)) => Started::Failed(why.to_string()),
                (Err(why), Ok(())) => Started::Failed(why.clone()),
            },
        };
        match started {
            Started::Failed(why) => self.unless_another_did(why, deadline).await,
            started => started,
        }
    }

    /// `None` where there is no compose file of ours or nothing to run it with.
    async fn by_compose(
        &self,
        docker: Option<&Docker>,
        engine: &Result<(), Unreachable>,
        deadline: Instant,
    ) -> Option<Started> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let file = compose::find(&self.workspace)?;
        let host = self.docker_host.as_deref();
        let tool = compose::tool(&self.workspace, host, left()).await?;
        // An engine that only compose can reach (a context) gets its image from compose.
        let docker = docker.filter(|_| engine.is_ok());
        let image = file.image.as_deref().unwrap_or(&self.settings.image);
        if let Some(pull) = pull_if_absent(docker, image).await {
            return Some(Started::Pulling(pull));
        }
        let mut up = tool.up(&file, left()).await;
        if up.is_err() && engine.is_ok() {
            // Two at once tread on each other's toes; the second time what the other made is there.
            up = tool.up(&file, left()).await;
        }
        Some(match (up, engine) {
            (Ok(()), _) => {
                let how = format!("started by {}", tool.name());
                self.until_ready(docker, tool.container(&file, left()), how).await
            }
            // Compose fails too, and says the same in many lines.
            (Err(_), Err(why)) => Started::Failed(why.to_string()),
            (Err(why), Ok(())) => Started::Failed(why),
        })
    }

    async fn by_the_api(&self, docker: &Docker) -> Started {
        match docker.start(&self.settings).await {
            Ok(docker::Launch::Launched(how)) => {
                let container = async { Some(CONTAINER.to_owned()) };
                self.until_ready(Some(docker), container, how.to_owned()).await
            }
            Ok(docker::Launch::NoImage) => Started::Pulling(docker.pull(&self.settings.image)),
            Err(why) => Started::Failed(why),
        }
    }

    /// Another process may have started it in another way: then ours found the port taken.
    async fn unless_another_did(&self, why: String, deadline: Instant) -> Started {
        let until = deadline.min(Instant::now() + ANOTHERS);
        match timeout_at(until, ready::wait(&self.settings)).await {
            Ok(()) => Started::Ready("started by another process".to_owned()),
            Err(_) => Started::Failed(why),
        }
    }

    /// Waits for both ports; a container that ends instead ends the wait.
    async fn until_ready(
        &self,
        docker: Option<&Docker>,
        container: impl Future<Output = Option<String>>,
        how: String,
    ) -> Started {
        let ends = async {
            match (docker, container.await) {
                (Some(docker), Some(container)) => docker.until_it_ends(&container).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ready::wait(&self.settings) => Started::Ready(how),
            why = ends => Started::Failed(why),
        }
    }
}

async fn pull_if_absent(docker: Option<&Docker>, image: &str) -> Option<Pull> {
    let docker = docker?;
    let absent = docker.has_image(image).await.ok().is_some_and(|there| !there);
    absent.then(|| docker.pull(image))
}
