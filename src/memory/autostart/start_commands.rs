//! Commands named in hints: only commands available on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CONTAINER, VOLUME, compose, is_local, published_ports};
use crate::config::QdrantSettings;
use crate::process::{Tool, output};

/// Version checks answer at once; the limit allows for a busy machine.
const LOOK: Duration = Duration::from_secs(5);

/// Commands for starting Qdrant and managing the container on this machine.
#[derive(Clone, Debug)]
pub struct Commands {
    /// `docker` or `podman`.
    engine: Option<&'static str>,
    /// `docker compose` or `docker-compose`.
    compose: Option<&'static str>,
    settings: QdrantSettings,
    workspace: PathBuf,
}

impl Commands {
    /// Looks for the commands available on this machine.
    pub async fn find_available(
        settings: &QdrantSettings,
        workspace: &Path,
        docker_host: Option<&str>,
    ) -> Self {
        let engine = find_engine(workspace).await;
        let compose = compose::tool(workspace, docker_host, settings, LOOK).await;
        Self {
            engine,
            compose: compose.map(|tool| tool.name()),
            settings: settings.clone(),
            workspace: workspace.to_owned(),
        }
    }

    /// Returns the hint for starting Qdrant: "start it with `docker compose up -d qdrant`".
    pub fn start(&self) -> String {
        let QdrantSettings { host, .. } = &self.settings;
        if !is_local(host) {
            return format!("start it on {host}");
        }
        match (self.compose, self.engine, compose::find(&self.workspace)) {
            (Some(tool), _, Some(_)) => format!("start it with `{}`", self.up(tool)),
            (Some(tool), _, None) if !compose::is_there(&self.workspace) => {
                format!("start it with `autopack init --docker-compose` and `{}`", self.up(tool))
            }
            (_, Some(engine), _) => format!("start it with `{}`", self.run(engine)),
            (Some(_), None, _) | (None, None, _) => {
                "start a Qdrant server there, or install Docker".to_owned()
            }
        }
    }

    /// Sets variables only for ports other than the defaults of the compose file.
    fn up(&self, tool: &str) -> String {
        let defaults = QdrantSettings::default();
        let usual = (defaults.port, defaults.grpc_port);
        let variables: String = match (self.settings.port, self.settings.grpc_port) == usual {
            true => String::new(),
            false => published_ports::variables(&self.settings)
                .map(|(name, value)| format!("{name}={value} "))
                .collect(),
        };
        format!("{variables}{tool} up -d qdrant")
    }

    fn run(&self, engine: &str) -> String {
        let QdrantSettings { port, grpc_port, image, .. } = &self.settings;
        format!(
            "{engine} run -d --name {CONTAINER} --restart unless-stopped -p 127.0.0.1:{port}:6333 -p 127.0.0.1:{grpc_port}:6334 -v {VOLUME}:/qdrant/storage {image}"
        )
    }
}

/// Returns a command line for the engine, if a command is available: `docker rm -f autopack-qdrant`.
pub async fn of_engine(workspace: &Path, arguments: &str) -> Option<String> {
    find_engine(workspace).await.map(|engine| format!("{engine} {arguments}"))
}

/// Returns `docker` or `podman`, if available.
pub async fn find_engine(workspace: &Path) -> Option<&'static str> {
    for program in ["docker", "podman"] {
        let tool = Tool::new(program, workspace, LOOK).args(["--version"]);
        if output(tool).await.is_ok_and(|answer| answer.success()) {
            return Some(program);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(
        engine: Option<&'static str>,
        compose: Option<&'static str>,
        settings: QdrantSettings,
    ) -> (tempfile::TempDir, Commands) {
        let dir = tempfile::tempdir().unwrap();
        let workspace = dir.path().to_owned();
        (dir, Commands { engine, compose, settings, workspace })
    }

    #[test]
    fn hint_names_only_available_commands() {
        let usual = QdrantSettings::default;
        let (dir, here) = commands(Some("docker"), Some("docker-compose"), usual());
        let hint = here.start();
        assert!(
            hint.contains("`autopack init --docker-compose`")
                && hint.ends_with("`docker-compose up -d qdrant`")
        );
        let shipped = include_str!("../../../docker-compose.yml");
        std::fs::write(dir.path().join("docker-compose.yml"), shipped).unwrap();
        assert_eq!(here.start(), "start it with `docker-compose up -d qdrant`");
        std::fs::write(dir.path().join("docker-compose.yml"), "services: {qdrant: {}}").unwrap();
        assert!(
            here.start().starts_with("start it with `docker run -d "),
            "an application's own file"
        );

        let (_dir, here) = commands(Some("podman"), None, usual());
        assert!(here.start().starts_with("start it with `podman run -d "), "{}", here.start());
        let (_dir, here) = commands(None, None, usual());
        assert!(!here.start().contains('`'), "{}", here.start());
        let elsewhere = QdrantSettings { host: "db.example".into(), ..usual() };
        let (_dir, here) = commands(Some("docker"), None, elsewhere);
        assert_eq!(here.start(), "start it on db.example");
    }

    #[test]
    fn other_ports_are_named_to_compose() {
        let settings = QdrantSettings { port: 7333, ..QdrantSettings::default() };
        let (_dir, here) = commands(None, Some("docker compose"), settings);
        let command = "`AUTOPACK_QDRANT_PORT=7333 AUTOPACK_QDRANT_GRPC_PORT=6334 docker compose up -d qdrant`";
        assert!(here.start().ends_with(command), "{}", here.start());
    }
}
