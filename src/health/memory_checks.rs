//! Health checks of the memory: Docker engine, Qdrant, FAISS, journal and embedder.
//!
//! Only a required Qdrant can prevent a drain, so all other problems only warn.

use super::Finding;
use crate::config::MemorySettings;
use crate::memory::autostart::presence::is_docker_missing;
use crate::memory::autostart::{is_local, start_commands};
use crate::memory::index::qdrant::address;
use crate::memory::journal::JournalError;
use crate::memory::{AutostartPermission, Backend, MemoryError, MemoryLocation, part_checks};

/// Part of the memory to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryPart {
    /// Docker engine that starts Qdrant.
    Docker,
    /// Qdrant server.
    Qdrant,
    /// FAISS index.
    Faiss,
    /// Journal file.
    Journal,
    /// Embedding model.
    Embedder,
}

/// Input of the memory checks.
#[derive(Debug)]
pub struct MemoryCheckInput<'a> {
    /// Memory settings.
    pub settings: &'a MemorySettings,
    /// Paths, keys and Docker host.
    pub location: MemoryLocation,
    /// Whether Qdrant may be started.
    pub autostart: AutostartPermission,
}

impl MemoryCheckInput<'_> {
    /// Checks a part of the memory.
    pub async fn check(&self, part: MemoryPart) -> Finding {
        if !self.settings.enabled {
            return Finding::skip("the memory is off");
        }
        match part {
            MemoryPart::Docker => self.docker().await,
            MemoryPart::Qdrant => self.qdrant().await,
            MemoryPart::Faiss => self.faiss().await,
            MemoryPart::Journal => self.journal().await,
            MemoryPart::Embedder => self.embedder().await,
        }
    }

    async fn docker(&self) -> Finding {
        let qdrant = &self.settings.qdrant;
        if !self.settings.use_qdrant {
            return Finding::skip("memory.use_qdrant is false");
        }
        if !qdrant.autostart || !is_local(&qdrant.host) {
            return Finding::skip("autopack does not start Qdrant here");
        }
        if self.is_docker_missing() {
            return Finding::skip("no Docker engine here, so autopack starts no Qdrant");
        }
        match part_checks::engine(self.location.docker_host.as_deref()).await {
            Ok(()) => Finding::ok("the engine responds"),
            Err(why) => {
                let remedy = match &self.location.docker_host {
                    Some(_) => "start Docker there, or correct DOCKER_HOST",
                    None => "start Docker, so that autopack can start Qdrant",
                };
                Finding::warn(why, format!("{remedy}; or set memory.use_qdrant to false"))
            }
        }
    }

    async fn qdrant(&self) -> Finding {
        if !self.settings.use_qdrant {
            return Finding::skip("memory.use_qdrant is false");
        }
        match part_checks::choose_backend(self.settings, &self.location, self.autostart).await {
            Ok(serving) if serving.backend == Backend::Qdrant => {
                let qdrant = &self.settings.qdrant;
                Finding::ok(format_reachable(&address(&qdrant.host, qdrant.grpc_port), serving.how))
            }
            Ok(serving) if serving.image_is_absent => {
                let image = &self.settings.qdrant.image;
                let pull_command = format!("pull {image}");
                let pull_line =
                    start_commands::of_engine(&self.location.workspace, &pull_command).await;
                let alternative =
                    pull_line.map_or(String::new(), |line| format!("; or now: {line}"));
                let hint = format!("the next drain pulls it{alternative}");
                Finding::warn(without_prefix(&serving.line), hint)
            }
            Ok(serving) if serving.backend == Backend::Faiss && self.is_docker_missing() => {
                Finding::skip("none here; the memory uses FAISS in this process")
            }
            Ok(serving) => {
                let hint = self.qdrant_hint(serving.refused).await;
                Finding::warn_with(without_prefix(&serving.line), hint)
            }
            Err(error) => {
                let refused = matches!(error, MemoryError::Required { refused: true, .. });
                let hint = self.qdrant_hint(refused).await;
                Finding::fail_with(error.to_string(), hint)
            }
        }
    }

    fn is_docker_missing(&self) -> bool {
        is_local(&self.settings.qdrant.host)
            && is_docker_missing(self.location.docker_host.as_deref())
    }

    /// Returns a hint for an unreachable Qdrant or a rejected key.
    ///
    /// Returns `None` if Docker would start Qdrant but does not respond; the Docker check has the hint.
    async fn qdrant_hint(&self, refused: bool) -> Option<String> {
        if refused {
            return Some(
                "set memory.qdrant.api_key, or AUTOPACK_QDRANT_API_KEY, to its key".to_owned(),
            );
        }
        let qdrant = &self.settings.qdrant;
        if is_local(&qdrant.host)
            && part_checks::engine(self.location.docker_host.as_deref()).await.is_err()
        {
            return (!qdrant.autostart)
                .then(|| "start it, or set memory.use_qdrant to false".to_owned());
        }
        Some(part_checks::commands(self.settings, &self.location).await.start())
    }

    async fn faiss(&self) -> Finding {
        if self.settings.use_qdrant && !self.settings.qdrant.fallback_to_faiss {
            return Finding::skip("memory.qdrant.fallback_to_faiss is false");
        }
        let probed = tokio::task::spawn_blocking(part_checks::faiss).await;
        match probed {
            Ok(Ok(())) => Finding::ok("search works"),
            Ok(Err(error)) => Finding::warn(error.to_string(), "report it: the build is broken"),
            Err(error) => Finding::warn(error.to_string(), "report it: the build is broken"),
        }
    }

    async fn journal(&self) -> Finding {
        match part_checks::journal(&self.location).await {
            Ok(None) => Finding::ok("no journal yet; the first drain creates it"),
            Ok(Some(1)) => Finding::ok("1 entry"),
            Ok(Some(n)) => Finding::ok(format!("{n} entries")),
            Err(error) => Finding::warn(error.to_string(), journal_hint(&error)),
        }
    }

    async fn embedder(&self) -> Finding {
        match part_checks::embedder(self.settings, &self.location).await {
            Ok((id, dimensions)) => Finding::ok(format!("{id}, {dimensions} dimensions")),
            Err(error) => {
                Finding::warn(error.to_string(), "correct memory.embedder in memory.yaml")
            }
        }
    }
}

/// Returns a hint for a journal error.
fn journal_hint(error: &MemoryError) -> &'static str {
    let MemoryError::Journal(error) = error else { return "check the directory .autopack" };
    match error {
        JournalError::Broken { .. } => {
            "the next drain sets it aside and starts a new journal with the entries still in Qdrant"
        }
        JournalError::Newer { .. } => "update autopack",
        JournalError::Sql { .. } if error.is_busy() => {
            "try again when the other process has finished"
        }
        JournalError::Open { .. } => {
            "make .autopack/memory.db writable for your user; or move it away, and the next drain starts a new journal"
        }
        JournalError::Foreign { .. } | JournalError::BadRow(_) | JournalError::Sql { .. } => {
            "move .autopack/memory.db away: the next drain starts a new journal"
        }
    }
}

/// Formats the address, with "autostarted and reachable" and the method if autopack started Qdrant.
fn format_reachable(at: &str, how: Option<String>) -> String {
    match how {
        Some(how) => format!("Qdrant at {at} autostarted and reachable: {how}"),
        None => format!("Qdrant at {at} reachable"),
    }
}

fn without_prefix(line: &str) -> &str {
    line.strip_prefix("memory: ").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qdrant_started_by_the_check_is_reported() {
        let at = "localhost:6334";
        assert_eq!(format_reachable(at, None), "Qdrant at localhost:6334 reachable");
        let started = format_reachable(at, Some("container started".to_owned()));
        let expected = "Qdrant at localhost:6334 autostarted and reachable: container started";
        assert_eq!(started, expected);
    }
}
