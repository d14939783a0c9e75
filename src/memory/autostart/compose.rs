//! `docker compose up -d qdrant`, only for a service that bears our label: an application's own is left alone.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_yaml::Value;
use tokio::time::sleep;

use super::published_ports::{self, variables};
use super::{LABEL, LABEL_VALUE};
use crate::config::QdrantSettings;
use crate::process::{Output, Tool, ToolError, output};

/// In the order in which compose looks for them.
const FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const SERVICE: &str = "qdrant";
/// The old program is written in Python and takes seconds to say anything where the machine is busy.
const LOOK: Duration = Duration::from_secs(5);

/// While another process starts it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A compose file whose `qdrant` service is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeFile {
    pub path: PathBuf,
    pub image: Option<String>,
    ports: Vec<Value>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    services: std::collections::BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    image: Option<String>,
    labels: Option<Value>,
    #[serde(default)]
    ports: Vec<Value>,
}

fn file(workspace: &Path) -> Option<PathBuf> {
    FILES.iter().map(|name| workspace.join(name)).find(|path| path.is_file())
}

/// Whether there is a compose file, whoever wrote it.
pub fn is_there(workspace: &Path) -> bool {
    file(workspace).is_some()
}

/// The first compose file decides, as it does for compose itself.
pub fn find(workspace: &Path) -> Option<ComposeFile> {
    let path = file(workspace)?;
    let text = std::fs::read_to_string(&path).ok()?;
    // A file that we cannot read is not ours to judge, nor to start.
    let document: Document = serde_yaml::from_str(&text).ok()?;
    let service = document.services.get(SERVICE)?;
    let image = service.image.clone().filter(|image| !image.contains('$'));
    bears_our_label(service.labels.as_ref()?).then(|| ComposeFile {
        path,
        image,
        ports: service.ports.clone(),
    })
}

impl ComposeFile {
    /// Whether Qdrant would be reached at the ports that we use, as far as the file tells.
    ///
    /// # Errors
    /// In one line: which port the file publishes instead, and what helps.
    pub fn publishes(&self, settings: &QdrantSettings) -> Result<(), String> {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        published_ports::check(&file, &self.ports, settings)
    }
}

/// Compose takes labels as a map or as a list of `name=value`.
fn bears_our_label(labels: &Value) -> bool {
    match labels {
        Value::Mapping(map) => map.get(LABEL).and_then(Value::as_str) == Some(LABEL_VALUE),
        Value::Sequence(list) => {
            list.iter().any(|label| label.as_str() == Some(&format!("{LABEL}={LABEL_VALUE}")))
        }
        _ => false,
    }
}

/// The plugin of the docker command, or the program of its own that older systems have.
#[derive(Clone, Debug)]
pub struct Compose {
    program: &'static str,
    subcommand: &'static [&'static str],
    docker_host: Option<String>,
    workspace: PathBuf,
    /// Ours, for the file that `init` writes.
    variables: Vec<(&'static str, String)>,
}

/// The one that is there; the plugin before the old program.
pub async fn tool(
    workspace: &Path,
    docker_host: Option<&str>,
    settings: &QdrantSettings,
    left: Duration,
) -> Option<Compose> {
    let candidates = [("docker", &["compose"][..]), ("docker-compose", &[][..])];
    for (program, subcommand) in candidates {
        let tool = Compose {
            program,
            subcommand,
            docker_host: docker_host.map(str::to_owned),
            workspace: workspace.to_owned(),
            variables: variables(settings).collect(),
        };
        let answer = tool.run(&["version".into()], left.min(LOOK)).await;
        if answer.is_ok_and(|answer| answer.success()) {
            return Some(tool);
        }
    }
    None
}

impl Compose {
    pub fn name(&self) -> &'static str {
        if self.subcommand.is_empty() { "docker-compose" } else { "docker compose" }
    }

    /// Starts the service.
    pub async fn up(&self, file: &ComposeFile, left: Duration) -> Result<(), String> {
        let _alone = alone(file).await;
        let up = self.run(&on_file(file, &["up", "-d", "--no-deps", SERVICE]), left).await;
        match up {
            Ok(answer) if answer.success() => Ok(()),
            Ok(answer) => Err(self.failed(&last_line(&answer.error_text()))),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    /// The id of the service's container, where compose says it.
    pub async fn container(&self, file: &ComposeFile, left: Duration) -> Option<String> {
        let ids = self.run(&on_file(file, &["ps", "-q", SERVICE]), left).await.ok()?;
        ids.text().lines().next().filter(|id| !id.is_empty()).map(str::to_owned)
    }

    fn failed(&self, why: &str) -> String {
        format!("{} could not start the service {SERVICE}: {why}", self.name())
    }

    async fn run(&self, args: &[OsString], left: Duration) -> Result<Output, ToolError> {
        let subcommand = self.subcommand.iter().map(OsString::from);
        let mut tool = Tool::new(self.program, &self.workspace, left)
            .args(subcommand.chain(args.iter().cloned()));
        if let Some(host) = &self.docker_host {
            tool = tool.env("DOCKER_HOST", host);
        }
        for (variable, value) in &self.variables {
            tool = tool.env(variable, value);
        }
        output(tool).await
    }
}

/// Two at once can make two networks of one name, and then no compose can use either. So the file is locked meanwhile;
/// the autostart timeout bounds the wait.
async fn alone(file: &ComposeFile) -> Option<File> {
    let opened = File::open(&file.path).ok()?;
    loop {
        match opened.try_lock() {
            Ok(()) => return Some(opened),
            Err(TryLockError::WouldBlock) => sleep(LOOK_AGAIN).await,
            // A file system without locks.
            Err(TryLockError::Error(_)) => return None,
        }
    }
}

fn on_file(file: &ComposeFile, verb: &[&str]) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-f".into(), file.path.clone().into()];
    args.extend(verb.iter().map(OsString::from));
    args
}

/// The old program's last line says nothing; the one before it does.
const SAYS_NOTHING: &str = "Encountered errors while bringing up the project.";

/// The last line of what compose wrote is what went wrong; before it stands its progress.
fn last_line(text: &str) -> String {
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != SAYS_NOTHING);
    let last = lines.next_back().unwrap_or("it said nothing");
    last.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<ComposeFile> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("docker-compose.yml"), text).unwrap();
        find(dir.path())
    }

    #[tokio::test]
    async fn one_at_a_time_brings_the_service_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker-compose.yml");
        std::fs::write(&path, "").unwrap();
        let file = ComposeFile { path, image: None, ports: Vec::new() };
        let first = alone(&file).await.expect("nobody else has it");
        let mut second = std::pin::pin!(alone(&file));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two at once"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        assert!(second.await.is_some());
    }

    #[test]
    fn the_line_that_says_why_is_told() {
        let said = "Starting it ...\nERROR: for qdrant  port is taken\nEncountered errors while bringing up the project.\n";
        assert_eq!(last_line(said), "ERROR: for qdrant  port is taken");
    }

    #[test]
    fn only_a_service_with_our_label_is_ours() {
        let ours = found(
            "services:\n  qdrant:\n    image: q:1\n    labels:\n      autopack.service: qdrant\n",
        );
        assert_eq!(ours.unwrap().image.as_deref(), Some("q:1"));
        assert!(found("services:\n  qdrant:\n    labels: ['autopack.service=qdrant']\n").is_some());
        for other in [
            "services:\n  qdrant:\n    image: q:1\n",
            "services:\n  qdrant:\n    labels:\n      app: shop\n",
            "services:\n  db:\n    labels: ['autopack.service=qdrant']\n",
            "services: [",
            "",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
        assert_eq!(find(Path::new("/nonexistent")), None);
    }
}
