//! Our container: looked at, started, or made from the image that is there.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, HostConfig,
    PortBinding,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, LogsOptionsBuilder};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::{Docker, LOOK_AGAIN, said, status};
use crate::config::QdrantSettings;
use crate::memory::autostart::{CONTAINER, LABEL, LABEL_VALUE, VOLUME};

/// What became of an attempt to run the container.
pub enum Launch {
    Launched(&'static str),
    NoImage,
}

impl Docker {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_bound_to_this_machine_only() {
        let body = body(&QdrantSettings::default());
        let ports = body.host_config.and_then(|config| config.port_bindings).unwrap();
        for bindings in ports.into_values().flatten() {
            assert_eq!(bindings[0].host_ip.as_deref(), Some("127.0.0.1"));
        }
    }
}
