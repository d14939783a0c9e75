//! The Docker API: our container is looked at, started or made; an absent image is pulled in the background.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, HostConfig,
    PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, LogsOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::{CONTAINER, LABEL, LABEL_VALUE, VOLUME};
use crate::config::QdrantSettings;

const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
const PING: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(300);
const IMAGE_PAUSE: Duration = Duration::from_secs(1);
const PULL_BUDGET: Duration = Duration::from_secs(30 * 60);

#[derive(Clone)]
pub struct Docker {
    api: bollard::Docker,
    host: String,
}

/// Why an engine cannot be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreachable {
    #[error("{0}")]
    Down(String),
    /// It took the question and never answered: whoever asks again waits again.
    #[error("{0}")]
    Hangs(String),
}

/// What became of an attempt to run the container.
pub enum Launch {
    Launched(&'static str),
    NoImage,
}

impl Docker {
    pub fn connect(host: Option<&str>) -> Result<Self, String> {
        let host = host.filter(|host| !host.is_empty()).unwrap_or(DEFAULT_HOST).to_owned();
        match bollard::Docker::connect_with_host(&host) {
            // Of each request: the pull's answer begins when the registry's does.
            Ok(api) => Ok(Self { api: api.with_timeout(PULL_BUDGET), host }),
            Err(error) => Err(unreachable(&host, &error)),
        }
    }

    pub async fn ping(&self) -> Result<(), Unreachable> {
        match timeout(PING, self.api.ping()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Unreachable::Down(unreachable(&self.host, &error))),
            Err(_) => {
                let why = format!("the Docker engine at {} does not answer", self.host);
                Err(Unreachable::Hangs(why))
            }
        }
    }

    pub async fn has_image(&self, image: &str) -> Result<bool, String> {
        match self.api.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(said("look for the image", &error)),
        }
    }

    /// Starts our container with the image that it has, or makes it from the pinned one.
    pub async fn start(&self, settings: &QdrantSettings) -> Result<Launch, String> {
        if let Some(existing) = self.existing().await? {
            publishes(&existing, settings)?;
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

    async fn last_words(&self, container: &str) -> String {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("1").build();
        let mut logs = Box::pin(self.api.logs(container, Some(options)));
        match timeout(LOOK_AGAIN, logs.next()).await {
            Ok(Some(Ok(line))) => format!(": {}", line.to_string().trim()),
            _ => String::new(),
        }
    }

    /// Begins a pull that goes on by itself.
    pub fn pull(&self, image: &str) -> Pull {
        let pull = Pull { image: image.to_owned(), state: Arc::default() };
        let (docker, image, state) = (self.clone(), image.to_owned(), Arc::clone(&pull.state));
        tokio::spawn(async move {
            let result = tokio::select! {
                pulled = timeout(PULL_BUDGET, pull_image(&docker.api, &image)) => {
                    pulled.unwrap_or_else(|_| Err(format!("Docker cannot pull {image}: it took too long")))
                }
                // Loaded by hand, or pulled by another process, while ours hangs.
                () = docker.until_there(&image) => Ok(()),
            };
            *state.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        });
        pull
    }

    async fn until_there(&self, image: &str) {
        loop {
            sleep(IMAGE_PAUSE).await;
            if timeout(PING, self.has_image(image)).await.is_ok_and(|there| there == Ok(true)) {
                return;
            }
        }
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
                "the container {CONTAINER} publishes {inside} at {there}, not {wanted}; `docker rm -f {CONTAINER}` lets it be made anew, its volume stays"
            ));
        }
    }
    Ok(())
}

/// A pull under way.
#[derive(Clone, Debug)]
pub struct Pull {
    pub image: String,
    state: Arc<Mutex<Option<Result<(), String>>>>,
}

impl Pull {
    /// `None` while it goes on.
    pub fn result(&self) -> Option<Result<(), String>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub async fn wait(&self) -> Result<(), String> {
        loop {
            if let Some(result) = self.result() {
                return result;
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// The stream has to be drained: the engine stops pulling when nobody listens.
async fn pull_image(api: &bollard::Docker, image: &str) -> Result<(), String> {
    let (name, tag) = name_and_tag(image);
    let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
    let mut steps = Box::pin(api.create_image(Some(options), None, None));
    while let Some(step) = steps.next().await {
        let step = step.map_err(|error| said(&format!("pull {image}"), &error))?;
        if let Some(why) = step.error_detail.and_then(|detail| detail.message) {
            return Err(format!("Docker cannot pull {image}: {why}"));
        }
    }
    Ok(())
}

/// A colon after the last slash is a tag's; one before it is a registry's port.
fn name_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !image.contains('@') => (name, tag),
        _ if image.contains('@') => (image, ""),
        _ => (image, "latest"),
    }
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
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn said(doing: &str, error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => {
            let line = message.lines().next().unwrap_or_default();
            format!("Docker cannot {doing}: {line}")
        }
        other => format!("Docker cannot {doing}: {other}"),
    }
}

fn unreachable(host: &str, error: &Error) -> String {
    if let Error::DockerResponseServerError { status_code, message } = error {
        let line = message.lines().next().unwrap_or_default();
        let denied = matches!(status_code, 401 | 403);
        let what = if denied { "denies access" } else { "is not in order" };
        return format!("the Docker engine at {host} {what} ({status_code}: {line})");
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let why = match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::PermissionDenied) => {
            "permission denied; is this user in the group docker?".to_owned()
        }
        Some(std::io::ErrorKind::NotFound) => "there is none".to_owned(),
        Some(std::io::ErrorKind::ConnectionRefused) => "it is not running".to_owned(),
        _ => cause.to_string(),
    };
    format!("no Docker engine at {host}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_port_is_no_tag() {
        assert_eq!(name_and_tag("qdrant/qdrant:v1.19.0"), ("qdrant/qdrant", "v1.19.0"));
        assert_eq!(name_and_tag("localhost:5000/qdrant"), ("localhost:5000/qdrant", "latest"));
        assert_eq!(name_and_tag("q@sha256:ab"), ("q@sha256:ab", ""));
    }

    #[test]
    fn ports_are_bound_to_this_machine_only() {
        let body = body(&QdrantSettings::default());
        let ports = body.host_config.and_then(|config| config.port_bindings).unwrap();
        for bindings in ports.into_values().flatten() {
            assert_eq!(bindings[0].host_ip.as_deref(), Some("127.0.0.1"));
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_said_in_one_line() {
        let docker = Docker::connect(Some("unix:///nonexistent/docker.sock"));
        let why = match docker {
            Ok(docker) => docker.ping().await.unwrap_err().to_string(),
            Err(why) => why,
        };
        assert!(why.starts_with("no Docker engine at unix:///nonexistent/docker.sock"), "{why}");
        assert!(!why.contains('\n'));
    }
}
