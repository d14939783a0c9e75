//! Start with `docker compose up -d qdrant`, only for a service with autopack's label; an application's own service is
//! left alone.

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

/// Names of compose files, in compose's order of search.
const FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const SERVICE: &str = "qdrant";
/// `docker-compose` is written in Python and takes seconds to start on a busy machine.
const LOOK: Duration = Duration::from_secs(5);

/// Interval of checks while another process starts Qdrant.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A compose file whose `qdrant` service belongs to autopack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Image of the service.
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

/// Checks whether any compose file exists.
pub fn is_there(workspace: &Path) -> bool {
    file(workspace).is_some()
}

/// Returns the compose file with autopack's service. Only the first compose file counts, as in compose itself.
pub fn find(workspace: &Path) -> Option<ComposeFile> {
    let path = file(workspace)?;
    let text = std::fs::read_to_string(&path).ok()?;
    // An unreadable file is neither judged nor started.
    let document: Document = serde_yaml::from_str(&text).ok()?;
    let service = document.services.get(SERVICE)?;
    let image = service.image.clone().filter(|image| !image.contains('$'));
    has_own_label(service.labels.as_ref()?).then(|| ComposeFile {
        path,
        image,
        ports: service.ports.clone(),
    })
}

impl ComposeFile {
    /// Checks whether the file publishes Qdrant on the configured ports, as far as the file tells.
    ///
    /// # Errors
    /// A single line with the port published instead and the remedy.
    pub fn publishes(&self, settings: &QdrantSettings) -> Result<(), String> {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        published_ports::check(&file, &self.ports, settings)
    }
}

/// Checks for autopack's label; compose takes labels as a map or as a list of `name=value`.
fn has_own_label(labels: &Value) -> bool {
    match labels {
        Value::Mapping(map) => map.get(LABEL).and_then(Value::as_str) == Some(LABEL_VALUE),
        Value::Sequence(list) => {
            list.iter().any(|label| label.as_str() == Some(&format!("{LABEL}={LABEL_VALUE}")))
        }
        _ => false,
    }
}

/// The compose plugin of the docker command, or `docker-compose` on older systems.
#[derive(Clone, Debug)]
pub struct Compose {
    program: &'static str,
    subcommand: &'static [&'static str],
    docker_host: Option<String>,
    workspace: PathBuf,
    /// Port variables for the file written by `init`.
    variables: Vec<(&'static str, String)>,
}

/// Returns the available compose command; the plugin is preferred.
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
    /// Returns the command as typed in a shell.
    pub fn name(&self) -> &'static str {
        if self.subcommand.is_empty() { "docker-compose" } else { "docker compose" }
    }

    /// Starts the service.
    ///
    /// # Errors
    ///
    /// Fails with the message for the user when Compose cannot be run, ends with an error or does not end in time.
    pub async fn up(&self, file: &ComposeFile, left: Duration) -> Result<(), String> {
        let _alone = take_start_lock(file).await;
        let up = self.run(&on_file(file, &["up", "-d", "--no-deps", SERVICE]), left).await;
        match up {
            Ok(answer) if answer.success() => Ok(()),
            Ok(answer) => Err(self.failed(&last_line(&answer.error_text()))),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    /// Returns the id of the service's container, if compose reports a container.
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

/// Locks the file: two concurrent runs of compose can create two networks with the same name and so break every later
/// run. The autostart timeout bounds the wait.
async fn take_start_lock(file: &ComposeFile) -> Option<File> {
    let opened = File::open(&file.path).ok()?;
    loop {
        match opened.try_lock() {
            Ok(()) => return Some(opened),
            Err(TryLockError::WouldBlock) => sleep(LOOK_AGAIN).await,
            // The file system does not support locks.
            Err(TryLockError::Error(_)) => return None,
        }
    }
}

fn on_file(file: &ComposeFile, verb: &[&str]) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-f".into(), file.path.clone().into()];
    args.extend(verb.iter().map(OsString::from));
    args
}

/// Useless last line of `docker-compose`; the line before holds the reason.
const SAYS_NOTHING: &str = "Encountered errors while bringing up the project.";

/// Returns the reason of a failure: the last line of compose's output, after the progress.
fn last_line(text: &str) -> String {
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != SAYS_NOTHING);
    let last = lines.next_back().unwrap_or("no output");
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
    async fn service_is_started_by_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker-compose.yml");
        std::fs::write(&path, "").unwrap();
        let file = ComposeFile { path, image: None, ports: Vec::new() };
        let first = take_start_lock(&file).await.expect("nobody else has it");
        let mut second = std::pin::pin!(take_start_lock(&file));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two at once"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        assert!(second.await.is_some());
    }

    #[test]
    fn line_with_the_reason_is_reported() {
        let output = "Starting it ...\nERROR: for qdrant  port is taken\nEncountered errors while bringing up the project.\n";
        assert_eq!(last_line(output), "ERROR: for qdrant  port is taken");
    }

    #[test]
    fn only_a_labeled_service_is_used() {
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
