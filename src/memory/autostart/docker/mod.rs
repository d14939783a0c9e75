//! Docker API: availability of the engine, and wording of errors.
//!
//! `container` inspects, starts or creates the container; `pull` downloads a missing image in the background.

mod container;
mod pull;

use std::time::Duration;

use bollard::errors::Error;
use tokio::time::timeout;

pub use container::{Launch, RunningContainer};
pub use pull::Pull;

/// Socket of the engine, without `DOCKER_HOST`.
pub const SOCKET: &str = "/var/run/docker.sock";
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
const PING: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(300);
const PULL_BUDGET: Duration = Duration::from_secs(30 * 60);

/// Client of a Docker engine.
#[derive(Clone)]
pub struct Docker {
    api: bollard::Docker,
    host: String,
}

/// Reason why the engine is unreachable.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreachable {
    /// The engine does not answer or refuses.
    #[error("{0}")]
    Down(String),
    /// The engine accepted the request but never answered; another request would wait again.
    #[error("{0}")]
    Hangs(String),
}

impl Docker {
    /// Creates a client for `host` (`DOCKER_HOST`) or the default socket.
    ///
    /// # Errors
    /// The address is invalid.
    pub fn connect(host: Option<&str>) -> Result<Self, String> {
        let host = host.filter(|host| !host.is_empty()).unwrap_or(DEFAULT_HOST).to_owned();
        match bollard::Docker::connect_with_host(&host) {
            // Timeout of each request: the answer to a pull begins only after the registry's answer.
            Ok(api) => Ok(Self { api: api.with_timeout(PULL_BUDGET), host }),
            Err(error) => Err(unreachable(&host, &error)),
        }
    }

    /// Checks whether the engine answers.
    ///
    /// # Errors
    /// The engine is unreachable.
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

    /// Checks whether the image exists locally.
    ///
    /// # Errors
    /// The engine refused the request.
    pub async fn has_image(&self, image: &str) -> Result<bool, String> {
        match self.api.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(describe_error("check for the image", &error)),
        }
    }
}

fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn describe_error(doing: &str, error: &Error) -> String {
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
        let what = if denied { "denies access" } else { "reports an error" };
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
        Some(std::io::ErrorKind::NotFound) => "it does not exist".to_owned(),
        Some(std::io::ErrorKind::ConnectionRefused) => "it is not running".to_owned(),
        _ => cause.to_string(),
    };
    format!("no Docker engine at {host}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn missing_engine_is_reported_in_one_line() {
        let docker = Docker::connect(Some("unix:///nonexistent/docker.sock"));
        let why = match docker {
            Ok(docker) => docker.ping().await.unwrap_err().to_string(),
            Err(why) => why,
        };
        assert!(why.starts_with("no Docker engine at unix:///nonexistent/docker.sock"), "{why}");
        assert!(!why.contains('\n'));
    }
}
