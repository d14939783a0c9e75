//! Autopack's Qdrant container: inspected, started, or created from an existing image.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
    HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    StopContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::{Docker, POLL_INTERVAL, describe_error, status};
use crate::config::QdrantSettings;
use crate::memory::autostart::{CONTAINER, LABEL, LABEL_VALUE, VOLUME};

/// Result of starting the container.
pub enum Launch {
    /// Started; the text tells how.
    Launched(&'static str),
    /// The image does not exist locally.
    NoImage,
    /// The container publishes other ports and would have to be recreated; the text is a single line.
    OtherPorts(String),
}

/// A running container with the volume mounted.
#[derive(Clone, Debug)]
pub struct RunningContainer {
    /// Container id.
    pub id: String,
    /// Container name.
    pub name: String,
    /// Directory of the compose project, if any.
    pub project: Option<String>,
    rest: Option<u16>,
    grpc: Option<u16>,
}

impl RunningContainer {
    /// Checks whether the container publishes the configured ports.
    pub fn is_at(&self, settings: &QdrantSettings) -> bool {
        (self.rest, self.grpc) == (Some(settings.port), Some(settings.grpc_port))
    }

    /// Returns "at the ports 6333 and 6334".
    pub fn published_address(&self) -> String {
        match (self.rest, self.grpc) {
            (Some(rest), Some(grpc)) => format!("at the ports {rest} and {grpc}"),
            _ => "without publishing both ports".to_owned(),
        }
    }
}

impl Docker {
    /// Starts the existing container, or creates the container from the pinned image.
    ///
    /// # Errors
    /// The engine refused, with the reason in a single line.
    pub async fn start(&self, settings: &QdrantSettings) -> Result<Launch, String> {
        if let Some(existing) = self.existing().await? {
            if let Err(why) = publishes(&existing, settings) {
                return Ok(Launch::OtherPorts(why));
            }
            self.start_existing().await?;
            return Ok(Launch::Launched("container started"));
        }
        if !self.has_image(&settings.image).await? {
            return Ok(Launch::NoImage);
        }
        let options = CreateContainerOptionsBuilder::default().name(CONTAINER).build();
        match self.api.create_container(Some(options), body(settings)).await {
            Ok(_) => {}
            // Another process created the container first, with the same result.
            Err(error) if status(&error) == Some(409) => self.wait_until_created().await?,
            Err(error) if status(&error) == Some(404) => return Ok(Launch::NoImage),
            Err(error) => {
                return Err(describe_error("create the container autopack-qdrant", &error));
            }
        }
        self.start_existing().await?;
        Ok(Launch::Launched("container created and started"))
    }

    /// Waits until the container can be inspected: the name is taken earlier. The autostart timeout bounds the wait.
    async fn wait_until_created(&self) -> Result<(), String> {
        while self.existing().await?.is_none() {
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    async fn existing(&self) -> Result<Option<ContainerInspectResponse>, String> {
        match self.api.inspect_container(CONTAINER, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(describe_error("inspect the container autopack-qdrant", &error)),
        }
    }

    async fn start_existing(&self) -> Result<(), String> {
        match self.api.start_container(CONTAINER, None).await {
            Ok(()) => Ok(()),
            // The container runs already.
            Err(error) if status(&error) == Some(304) => Ok(()),
            Err(error) => Err(describe_error("start the container autopack-qdrant", &error)),
        }
    }

    /// Waits for the end of the container; returns the exit code and the last output.
    pub async fn wait_for_exit(&self, container: &str) -> String {
        loop {
            if let Ok(found) = self.api.inspect_container(container, None).await
                && let Some(code) = exit_code(&found)
            {
                let last = self.last_log_line(container).await;
                return format!("Qdrant's container ended at once with exit code {code}{last}");
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the last output of the container, or a note about another server with the same storage.
    async fn last_log_line(&self, container: &str) -> String {
        let mut text = String::new();
        // A busy engine may deliver the log of an ended container late.
        for _ in 0..LOG_LOOKS {
            let options =
                LogsOptionsBuilder::default().stdout(true).stderr(true).tail("40").build();
            let mut logs = Box::pin(self.api.logs(container, Some(options)));
            // The log stream may never end; the text received so far is enough.
            let _ = timeout(POLL_INTERVAL, async {
                while let Some(Ok(part)) = logs.next().await {
                    text += &part.to_string();
                }
            })
            .await;
            if !text.trim().is_empty() {
                break;
            }
            sleep(POLL_INTERVAL).await;
        }
        last_line(&text)
    }

    /// Lists the running containers with autopack's volume, whoever started them. Empty if the engine does not answer.
    pub async fn containers_on_volume(&self) -> Vec<RunningContainer> {
        let filters = HashMap::from([("volume", vec![VOLUME]), ("status", vec!["running"])]);
        let options = ListContainersOptionsBuilder::default().filters(&filters).build();
        let listed = self.api.list_containers(Some(options)).await.unwrap_or_default();
        listed.into_iter().filter_map(running_container).collect()
    }

    /// Checks whether the container runs and publishes the configured ports.
    pub async fn is_coming_up(&self, container: &str, settings: &QdrantSettings) -> bool {
        let Ok(found) = self.api.inspect_container(container, None).await else { return false };
        exit_code(&found).is_none() && publishes(&found, settings).is_ok()
    }

    /// Returns whether the container ended by itself, even if the engine is about to restart the container.
    pub async fn has_ended(&self, container: &str) -> bool {
        let found = self.api.inspect_container(container, None).await;
        found.is_ok_and(|found| exit_code(&found).is_some())
    }
    /// Stops a container, with a second to shut down. Returns whether the container was stopped.
    pub async fn stop(&self, container: &str) -> bool {
        let options = StopContainerOptionsBuilder::default().t(1).build();
        self.api.stop_container(container, Some(options)).await.is_ok()
    }
}

fn running_container(found: ContainerSummary) -> Option<RunningContainer> {
    let ports = found.ports.unwrap_or_default();
    let published = |inside: u16| {
        ports.iter().find(|port| port.private_port == inside).and_then(|port| port.public_port)
    };
    let name = found.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let mut labels = found.labels.unwrap_or_default();
    Some(RunningContainer {
        id: found.id?,
        name: name.trim_start_matches('/').to_owned(),
        project: labels.remove("com.docker.compose.project.working_dir"),
        rest: published(6333),
        grpc: published(6334),
    })
}

/// Number of requests for the log of an ended container while the log is empty.
const LOG_LOOKS: u32 = 5;

/// Errors of a second server with the same storage: the write-ahead log is locked.
const LOCKED: [&str; 3] = ["WouldBlock", "Resource temporarily unavailable", "already locked"];

/// Returns the line with the reason; Qdrant's panics print a long trace after the reason.
fn last_line(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines().any(|line| LOCKED.iter().any(|locked| line.contains(locked))) {
        return format!(
            ": another Qdrant server uses the volume {VOLUME}; stop that server, or set memory.qdrant.port and grpc_port to its ports"
        );
    }
    let why = lines().rfind(|line| line.contains("Panic") || line.contains("ERROR"));
    match why.or(lines().next_back()) {
        Some(line) => format!(": {}", line.chars().take(300).collect::<String>()),
        None => String::new(),
    }
}

/// Returns the exit code unless the container is running; a container waiting for a restart counts as ended.
fn exit_code(found: &ContainerInspectResponse) -> Option<i64> {
    use ContainerStateStatusEnum::{DEAD, EXITED, RESTARTING};
    let state = found.state.as_ref()?;
    let over = matches!(state.status, Some(EXITED | DEAD | RESTARTING));
    over.then(|| state.exit_code.unwrap_or(-1))
}

/// Checks the published ports; they are fixed when the container is created, so waiting would not help.
fn publishes(found: &ContainerInspectResponse, settings: &QdrantSettings) -> Result<(), String> {
    let bindings = found.host_config.as_ref().and_then(|config| config.port_bindings.as_ref());
    let published = |inside: &str| {
        let of_port = bindings.and_then(|bindings| bindings.get(inside)?.as_ref());
        of_port.and_then(|of_port| of_port.first()?.host_port.clone()).unwrap_or_default()
    };
    for (inside, wanted) in [("6333/tcp", settings.port), ("6334/tcp", settings.grpc_port)] {
        let there = published(inside);
        if there != wanted.to_string() {
            let there =
                if there.is_empty() { "no port".to_owned() } else { format!("port {there}") };
            return Err(format!(
                "the container {CONTAINER} publishes {inside} at {there}, not {wanted}"
            ));
        }
    }
    Ok(())
}

fn body(settings: &QdrantSettings) -> ContainerCreateBody {
    // Publishing on every interface would serve the whole network without a key.
    let ip = if settings.host.contains("::1") { "::1" } else { "127.0.0.1" };
    let bind = |inside: u16, outside: u16| {
        let binding =
            PortBinding { host_ip: Some(ip.to_owned()), host_port: Some(outside.to_string()) };
        (format!("{inside}/tcp"), Some(vec![binding]))
    };
    let key = (!settings.api_key.is_empty())
        .then(|| vec![format!("QDRANT__SERVICE__API_KEY={}", settings.api_key)]);
    ContainerCreateBody {
        image: Some(settings.image.clone()),
        env: key,
        labels: Some(HashMap::from([(LABEL.to_owned(), LABEL_VALUE.to_owned())])),
        exposed_ports: Some(vec!["6333/tcp".to_owned(), "6334/tcp".to_owned()]),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([
                bind(6333, settings.port),
                bind(6334, settings.grpc_port),
            ])),
            binds: Some(vec![format!("{VOLUME}:/qdrant/storage")]),
            // The container returns after a restart of the engine.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_storage_is_reported_as_such() {
        let locked = "INFO qdrant: Loading\nERROR qdrant::startup: Panic occurred in file lib/storage/src/content_manager/consensus/consensus_wal.rs at line 36: called `Result::unwrap()` on an `Err` value: Can't open Collections meta Wal: Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }\n  10: _start\n";
        assert!(
            last_line(locked)
                .starts_with(": another Qdrant server uses the volume autopack_qdrant_storage")
        );
        let other = "INFO qdrant: Loading\nERROR qdrant::startup: Panic occurred: no space left\n  10: _start\n";
        assert_eq!(last_line(other), ": ERROR qdrant::startup: Panic occurred: no space left");
        assert_eq!(last_line("the stand-in was told to exit\n"), ": the stand-in was told to exit");
        assert_eq!(last_line(""), "");
    }

    #[test]
    fn ports_are_bound_to_localhost_only() {
        let body = body(&QdrantSettings::default());
        let ports = body.host_config.and_then(|config| config.port_bindings).unwrap();
        for bindings in ports.into_values().flatten() {
            assert_eq!(bindings[0].host_ip.as_deref(), Some("127.0.0.1"));
        }
    }
}
