//! Our container: looked at, started, or made from the image that is there.

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

use super::{Docker, LOOK_AGAIN, said, status};
use crate::config::QdrantSettings;
use crate::memory::autostart::{CONTAINER, LABEL, LABEL_VALUE, VOLUME};

/// What became of an attempt to run the container.
pub enum Launch {
    Launched(&'static str),
    NoImage,
    /// It is there with other ports, in one line; it would have to be made anew.
    OtherPorts(String),
}

/// A container that runs on the volume.
#[derive(Clone, Debug)]
pub struct Running {
    pub id: String,
    pub name: String,
    /// The folder of its compose project, if it has one.
    pub project: Option<String>,
    rest: Option<u16>,
    grpc: Option<u16>,
}

impl Running {
    /// Whether it will be reached where we look.
    pub fn is_at(&self, settings: &QdrantSettings) -> bool {
        (self.rest, self.grpc) == (Some(settings.port), Some(settings.grpc_port))
    }

    /// "at the ports 6333 and 6334".
    pub fn place(&self) -> String {
        match (self.rest, self.grpc) {
            (Some(rest), Some(grpc)) => format!("at the ports {rest} and {grpc}"),
            _ => "without publishing both of its ports".to_owned(),
        }
    }
}

impl Docker {
    /// Starts our container with the image that it has, or makes it from the pinned one.
    pub async fn start(&self, settings: &QdrantSettings) -> Result<Launch, String> {
        if let Some(existing) = self.existing().await? {
            if let Err(why) = publishes(&existing, settings) {
                return Ok(Launch::OtherPorts(why));
            }
            self.start_existing().await?;
            return Ok(Launch::Launched("its container was started"));
        }
        if !self.has_image(&settings.image).await? {
            return Ok(Launch::NoImage);
        }
        let options = CreateContainerOptionsBuilder::default().name(CONTAINER).build();
        match self.api.create_container(Some(options), body(settings)).await {
            Ok(_) => {}
            // Another process was faster: what it makes is what we wanted.
            Err(error) if status(&error) == Some(409) => self.until_made().await?,
            Err(error) if status(&error) == Some(404) => return Ok(Launch::NoImage),
            Err(error) => return Err(said("make the container autopack-qdrant", &error)),
        }
        self.start_existing().await?;
        Ok(Launch::Launched("its container was made and started"))
    }

    /// The name is taken before the container can be seen. The autostart timeout bounds this.
    async fn until_made(&self) -> Result<(), String> {
        while self.existing().await?.is_none() {
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    async fn existing(&self) -> Result<Option<ContainerInspectResponse>, String> {
        match self.api.inspect_container(CONTAINER, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(said("look at the container autopack-qdrant", &error)),
        }
    }

    async fn start_existing(&self) -> Result<(), String> {
        match self.api.start_container(CONTAINER, None).await {
            Ok(()) => Ok(()),
            // It runs already.
            Err(error) if status(&error) == Some(304) => Ok(()),
            Err(error) => Err(said("start the container autopack-qdrant", &error)),
        }
    }

    /// Until the container has ended; says how, and what it said last.
    pub async fn until_it_ends(&self, container: &str) -> String {
        loop {
            if let Ok(found) = self.api.inspect_container(container, None).await
                && let Some(code) = ended(&found)
            {
                let last = self.last_words(container).await;
                return format!("Qdrant's container ended at once with exit code {code}{last}");
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// What the container said last, or that another server holds its storage.
    async fn last_words(&self, container: &str) -> String {
        let mut text = String::new();
        // A busy engine may take a moment to hand over the log of a container that has ended.
        for _ in 0..LOG_LOOKS {
            let options =
                LogsOptionsBuilder::default().stdout(true).stderr(true).tail("40").build();
            let mut logs = Box::pin(self.api.logs(container, Some(options)));
            // Its end may never come; what came by then is enough.
            let _ = timeout(LOOK_AGAIN, async {
                while let Some(Ok(part)) = logs.next().await {
                    text += &part.to_string();
                }
            })
            .await;
            if !text.trim().is_empty() {
                break;
            }
            sleep(LOOK_AGAIN).await;
        }
        last_words(&text)
    }

    /// The containers that run on our volume, whoever started them. None where the engine does not say.
    pub async fn on_volume(&self) -> Vec<Running> {
        let filters = HashMap::from([("volume", vec![VOLUME]), ("status", vec!["running"])]);
        let options = ListContainersOptionsBuilder::default().filters(&filters).build();
        let listed = self.api.list_containers(Some(options)).await.unwrap_or_default();
        listed.into_iter().filter_map(running).collect()
    }

    /// Whether the container runs, and where we look for it.
    pub async fn is_coming_up(&self, container: &str, settings: &QdrantSettings) -> bool {
        let Ok(found) = self.api.inspect_container(container, None).await else { return false };
        ended(&found).is_none() && publishes(&found, settings).is_ok()
    }

    /// Whether the container ended by itself, though the engine may be about to start it over.
    pub async fn has_ended(&self, container: &str) -> bool {
        let found = self.api.inspect_container(container, None).await;
        found.is_ok_and(|found| ended(&found).is_some())
    }

    /// Stops a container; it has a second to end by itself. Whether it was there to be stopped.
    pub async fn stop(&self, container: &str) -> bool {
        let options = StopContainerOptionsBuilder::default().t(1).build();
        self.api.stop_container(container, Some(options)).await.is_ok()
    }
}

fn running(found: ContainerSummary) -> Option<Running> {
    let ports = found.ports.unwrap_or_default();
    let published = |inside: u16| {
        ports.iter().find(|port| port.private_port == inside).and_then(|port| port.public_port)
    };
    let name = found.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let mut labels = found.labels.unwrap_or_default();
    Some(Running {
        id: found.id?,
        name: name.trim_start_matches('/').to_owned(),
        project: labels.remove("com.docker.compose.project.working_dir"),
        rest: published(6333),
        grpc: published(6334),
    })
}

/// How often the log of a container that has ended is asked for, while it is empty.
const LOG_LOOKS: u32 = 5;

/// What a second server says on a storage that another one has open: its write-ahead log is locked.
const LOCKED: [&str; 3] = ["WouldBlock", "Resource temporarily unavailable", "already locked"];

/// Qdrant's panics end with a long trace: the line that says why is before it.
fn last_words(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines().any(|line| LOCKED.iter().any(|locked| line.contains(locked))) {
        return format!(
            ": another Qdrant uses the volume {VOLUME}; stop that one, or set memory.qdrant.port and grpc_port to its ports"
        );
    }
    let why = lines().rfind(|line| line.contains("Panic") || line.contains("ERROR"));
    match why.or(lines().next_back()) {
        Some(line) => format!(": {}", line.chars().take(300).collect::<String>()),
        None => String::new(),
    }
}

/// The exit code, if the container is not running now; one that waits to be started over has ended too.
fn ended(found: &ContainerInspectResponse) -> Option<i64> {
    use ContainerStateStatusEnum::{DEAD, EXITED, RESTARTING};
    let state = found.state.as_ref()?;
    let over = matches!(state.status, Some(EXITED | DEAD | RESTARTING));
    over.then(|| state.exit_code.unwrap_or(-1))
}

/// A container keeps the ports that it was made with; waiting for others would be in vain.
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
    // Published on every interface it would serve the whole network without a key.
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
            // It is there again after a restart of the engine.
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
    fn a_locked_storage_is_told_from_other_ends() {
        let locked = "INFO qdrant: Loading\nERROR qdrant::startup: Panic occurred in file lib/storage/src/content_manager/consensus/consensus_wal.rs at line 36: called `Result::unwrap()` on an `Err` value: Can't open Collections meta Wal: Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }\n  10: _start\n";
        assert!(
            last_words(locked)
                .starts_with(": another Qdrant uses the volume autopack_qdrant_storage")
        );
        let other = "INFO qdrant: Loading\nERROR qdrant::startup: Panic occurred: no space left\n  10: _start\n";
        assert_eq!(last_words(other), ": ERROR qdrant::startup: Panic occurred: no space left");
        assert_eq!(
            last_words("the stand-in was told to exit\n"),
            ": the stand-in was told to exit"
        );
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn ports_are_bound_to_this_machine_only() {
        let body = body(&QdrantSettings::default());
        let ports = body.host_config.and_then(|config| config.port_bindings).unwrap();
        for bindings in ports.into_values().flatten() {
            assert_eq!(bindings[0].host_ip.as_deref(), Some("127.0.0.1"));
        }
    }
}
