//! Start of Qdrant on this machine: with compose for autopack's own service, else through the Docker API; then wait
//! until ready. Bounded by the timeout even if a tool hangs, and safe to run in several processes at once.
//!
//! `choose` decides whether to start Qdrant; servers on other hosts are never started.

pub mod compose;
pub mod docker;
pub mod presence;
mod published_ports;
pub mod ready;
pub mod start_commands;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::index::qdrant::{Qdrant, QdrantError};
use crate::config::QdrantSettings;
use docker::{Docker, Pull, RunningContainer, Unreachable};

/// Name of the container started through the Docker API.
pub const CONTAINER: &str = "autopack-qdrant";
/// Volume used by both ways of starting.
pub const VOLUME: &str = "autopack_qdrant_storage";
/// Label of autopack's container or compose service.
pub const LABEL: &str = "autopack.service";
/// Value of the label.
pub const LABEL_VALUE: &str = "qdrant";

const STARTED_BY_OTHER: &str = "started by another process";

/// Wait for a start by another process after a failed start.
const OTHER_START_WAIT: Duration = Duration::from_secs(2);

/// Extra time after the timeout, for finding a better reason.
const REASON_WAIT: Duration = Duration::from_millis(500);
/// Extra time after the timeout, for stopping a container that does not serve.
const CLEANUP_WAIT: Duration = Duration::from_millis(1_400);

/// Inputs of a start.
#[derive(Clone, Debug)]
pub struct Autostart {
    /// Qdrant settings.
    pub settings: QdrantSettings,
    /// Directory searched for a compose file.
    pub workspace: PathBuf,
    /// `DOCKER_HOST` from the environment.
    pub docker_host: Option<String>,
}

/// Result of a start.
#[derive(Debug)]
pub enum AutostartOutcome {
    /// Ready; the text tells how: "started by docker compose".
    Ready(String),
    /// The image is missing; a pull is in progress.
    Pulling(Pull),
    /// Failed, with the reason in a single line.
    Failed(String),
    /// Qdrant is running but rejects the API key.
    Denied(QdrantError),
}

/// Container started by this process; stopped again if Qdrant does not serve.
#[derive(Default)]
struct StartedContainer(Mutex<Option<String>>);

impl StartedContainer {
    fn set(&self, container: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(container.to_owned());
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Checks whether a host is this machine; only a local Qdrant is started.
pub fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]")
}

impl Autostart {
    /// Returns the time limit of a start.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.settings.autostart_timeout_seconds)
    }

    /// Starts Qdrant. Ends within the timeout plus two seconds for cleanup.
    pub async fn start(&self) -> AutostartOutcome {
        let deadline = Instant::now() + self.timeout();
        let launched = StartedContainer::default();
        let started = match timeout_at(deadline, self.start_and_wait(deadline, &launched)).await {
            Ok(started) => started,
            Err(_) => AutostartOutcome::Failed(self.timeout_reason().await),
        };
        let clearing = async {
            match &started {
                AutostartOutcome::Failed(_) => self.stop_unsuccessful(&launched, false).await,
                AutostartOutcome::Denied(_) => self.stop_unsuccessful(&launched, true).await,
                AutostartOutcome::Ready(_) | AutostartOutcome::Pulling(_) => None,
            }
        };
        let note = timeout(CLEANUP_WAIT, clearing).await.ok().flatten();
        match (started, note) {
            (AutostartOutcome::Failed(why), Some(note)) => {
                AutostartOutcome::Failed(format!("{why}; {note}"))
            }
            (started, _) => started,
        }
    }

    /// Stops a container started without success. A slow container keeps running and will serve at a later batch.
    async fn stop_unsuccessful(
        &self,
        launched: &StartedContainer,
        regardless: bool,
    ) -> Option<&'static str> {
        let container = launched.take()?;
        let docker = Docker::connect(self.docker_host.as_deref()).ok()?;
        if !regardless && docker.is_coming_up(&container, &self.settings).await {
            return Some("the container is still starting");
        }
        // Stopped in any case: the engine would start one that ended over and over.
        let ended = docker.has_ended(&container).await;
        let is_stopped = docker.stop(&container).await;
        is_stopped.then_some(match ended {
            true => "its container had ended by itself, and is not started again",
            false => "the container was stopped again",
        })
    }

    /// Returns the reason for a timeout. A slow tool can hide a missing engine, and the user has to know about a
    /// missing engine.
    async fn timeout_reason(&self) -> String {
        if let Ok(docker) = Docker::connect(self.docker_host.as_deref())
            && let Ok(Err(docker::Unreachable::Down(why))) =
                timeout(REASON_WAIT, docker.ping()).await
        {
            return why;
        }
        let seconds = self.settings.autostart_timeout_seconds;
        format!("Docker did not get Qdrant ready within {seconds} s")
    }

    async fn start_and_wait(
        &self,
        deadline: Instant,
        launched: &StartedContainer,
    ) -> AutostartOutcome {
        let docker = Docker::connect(self.docker_host.as_deref());
        let engine = match &docker {
            Ok(docker) => docker.ping().await,
            Err(why) => Err(Unreachable::Down(why.clone())),
        };
        if let Err(Unreachable::Hangs(why)) = engine {
            return AutostartOutcome::Failed(why);
        }
        let mut running = Vec::new();
        if let (Ok(docker), Ok(())) = (&docker, &engine) {
            running = docker.containers_on_volume().await;
            if let Some(other) = self.other_server(&running) {
                return match other.is_at(&self.settings) {
                    true => {
                        self.wait_until_ready(
                            Some(docker),
                            Some(other.id.clone()),
                            STARTED_BY_OTHER.to_owned(),
                        )
                        .await
                    }
                    false => AutostartOutcome::Failed(self.describe_other_server(other).await),
                };
            }
        }
        let start = StartInProgress { running: &running, launched, deadline };
        let started = match self.start_with_compose(docker.as_ref().ok(), &engine, &start).await {
            Some(started) => started,
            None => match (docker.as_ref(), engine) {
                (Ok(docker), Ok(())) => self.start_with_docker(docker, &start).await,
                // Nothing was tried, so no start of another process was in the way.
                (_, Err(why)) => return AutostartOutcome::Failed(why.to_string()),
                (Err(why), Ok(())) => AutostartOutcome::Failed(why.clone()),
            },
        };
        match started {
            AutostartOutcome::Failed(why) => self.wait_for_other_start(why, deadline).await,
            started => started,
        }
    }

    /// Returns a foreign container with the same volume: a second server with the volume would exit at once.
    fn other_server<'a>(&self, running: &'a [RunningContainer]) -> Option<&'a RunningContainer> {
        running.iter().find(|one| !self.is_own(one))
    }

    fn is_own(&self, one: &RunningContainer) -> bool {
        let here = self.workspace.canonicalize().unwrap_or_else(|_| self.workspace.clone());
        one.name == CONTAINER || one.project.as_deref().is_some_and(|at| here == Path::new(at))
    }

    async fn describe_other_server(&self, other: &RunningContainer) -> String {
        let stop =
            start_commands::of_engine(&self.workspace, &format!("stop {}", other.name)).await;
        let stop = stop.map_or("stop that container".to_owned(), |command| format!("`{command}`"));
        format!(
            "the container {} serves the volume {VOLUME} {}; set memory.qdrant.port and grpc_port to these, or {stop}",
            other.name,
            other.published_address()
        )
    }

    /// Starts with compose; `None` without autopack's compose file or without a compose command.
    async fn start_with_compose(
        &self,
        docker: Option<&Docker>,
        engine: &Result<(), Unreachable>,
        start: &StartInProgress<'_>,
    ) -> Option<AutostartOutcome> {
        let left = || start.deadline.saturating_duration_since(Instant::now());
        let file = compose::find(&self.workspace)?;
        let host = self.docker_host.as_deref();
        let tool = compose::tool(&self.workspace, host, &self.settings, left()).await?;
        if engine.is_ok()
            && let Err(why) = file.publishes(&self.settings)
        {
            return Some(AutostartOutcome::Failed(why));
        }
        // An engine reachable only by compose (a context) gets the image from compose.
        let docker = docker.filter(|_| engine.is_ok());
        let image = file.image.as_deref().unwrap_or(&self.settings.image);
        if let Some(pull) = pull_if_absent(docker, image).await {
            return Some(AutostartOutcome::Pulling(pull));
        }
        let mut up = tool.up(&file, left()).await;
        if up.is_err() && engine.is_ok() {
            // Concurrent starts can disturb each other; the second try finds the objects created by the first process.
            up = tool.up(&file, left()).await;
        }
        Some(match (up, engine) {
            (Ok(()), _) => {
                let how = format!("started by {}", tool.name());
                let container = tool.container(&file, left()).await;
                start.record_container(container.as_deref());
                self.wait_until_ready(docker, container, how).await
            }
            // Compose fails too, with the same reason in many lines.
            (Err(_), Err(why)) => AutostartOutcome::Failed(why.to_string()),
            (Err(why), Ok(())) => AutostartOutcome::Failed(why),
        })
    }

    async fn start_with_docker(
        &self,
        docker: &Docker,
        start: &StartInProgress<'_>,
    ) -> AutostartOutcome {
        match docker.start(&self.settings).await {
            Ok(docker::Launch::Launched(how)) => {
                start.record_container(Some(CONTAINER));
                self.wait_until_ready(Some(docker), Some(CONTAINER.to_owned()), how.to_owned())
                    .await
            }
            Ok(docker::Launch::NoImage) => {
                AutostartOutcome::Pulling(docker.pull(&self.settings.image))
            }
            Ok(docker::Launch::OtherPorts(why)) => {
                let arguments = format!("rm -f {CONTAINER}");
                let remove = start_commands::of_engine(&self.workspace, &arguments).await;
                let remove = remove.map_or("remove it".to_owned(), |line| format!("run `{line}`"));
                AutostartOutcome::Failed(format!(
                    "{why}; {remove} to have it recreated, its volume is kept"
                ))
            }
            Err(why) => AutostartOutcome::Failed(why),
        }
    }

    /// Waits for a start by another process in another way: the port was then taken.
    async fn wait_for_other_start(&self, why: String, deadline: Instant) -> AutostartOutcome {
        let until = deadline.min(Instant::now() + OTHER_START_WAIT);
        match timeout_at(until, ready::wait(&self.settings)).await {
            Ok(()) => self.check_key(STARTED_BY_OTHER.to_owned()).await,
            Err(_) => AutostartOutcome::Failed(why),
        }
    }

    /// Waits for both ports, or for the end of the container.
    async fn wait_until_ready(
        &self,
        docker: Option<&Docker>,
        container: Option<String>,
        how: String,
    ) -> AutostartOutcome {
        let ends = async {
            match (docker, container) {
                (Some(docker), Some(container)) => docker.wait_for_exit(&container).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ready::wait(&self.settings) => self.check_key(how).await,
            why = ends => AutostartOutcome::Failed(why),
        }
    }

    /// Checks the API key: readiness does not need a key, later calls do. The first call reports any other fault.
    async fn check_key(&self, how: String) -> AutostartOutcome {
        let asked = match Qdrant::new(&self.settings, "", "") {
            Ok(qdrant) => qdrant.check_usable().await,
            Err(error) => Err(error),
        };
        match asked {
            Err(error @ QdrantError::Denied { .. }) => AutostartOutcome::Denied(error),
            _ => AutostartOutcome::Ready(how),
        }
    }
}

/// A start in progress.
struct StartInProgress<'a> {
    /// Containers with the volume before the start.
    running: &'a [RunningContainer],
    launched: &'a StartedContainer,
    deadline: Instant,
}

impl StartInProgress<'_> {
    /// Records the container, unless the container was running before and so must not be stopped.
    fn record_container(&self, container: Option<&str>) {
        let ran = |container: &str| {
            self.running.iter().any(|one| one.id.starts_with(container) || one.name == container)
        };
        if let Some(container) = container.filter(|container| !ran(container)) {
            self.launched.set(container);
        }
    }
}

async fn pull_if_absent(docker: Option<&Docker>, image: &str) -> Option<Pull> {
    let docker = docker?;
    let absent = docker.has_image(image).await.ok().is_some_and(|there| !there);
    absent.then(|| docker.pull(image))
}
