//! The conversation on disk during the attempt: a redacted JSON object per line.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::super::AgentError;
use super::known_secrets::Secrets;
use crate::phase::json::map_texts;

pub(super) struct Transcript {
    file: File,
    path: PathBuf,
    secrets: Secrets,
}

impl Transcript {
    pub(super) async fn open(path: &Path, secrets: &Secrets) -> Result<Self, AgentError> {
        let opened = OpenOptions::new().append(true).create(true).open(path).await;
        let file = opened.map_err(|source| failed("open", path, source))?;
        Ok(Self { file, path: path.to_owned(), secrets: secrets.clone() })
    }

    pub(super) async fn add(&mut self, entry: Value) -> Result<(), AgentError> {
        // Text by text, before JSON escapes line ends and quotes; then secrets across texts.
        let entry = map_texts(entry, &|text| self.secrets.redact(text));
        let line = format!("{}\n", self.secrets.redact(&entry.to_string()));
        let written = async {
            self.file.write_all(line.as_bytes()).await?;
            self.file.flush().await
        };
        written.await.map_err(|source| failed("write", &self.path, source))
    }
}

fn failed(what: &'static str, path: &Path, source: std::io::Error) -> AgentError {
    AgentError::Io { what, path: path.to_owned(), source }
}
