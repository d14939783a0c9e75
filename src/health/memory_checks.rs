//! Health checks of the memory: Docker engine, Qdrant, FAISS, journal and embedder.
//!
//! Only a required Qdrant can prevent a drain, so all other problems only warn.

use super::Finding;
use crate::config::MemorySettings;
use crate::memory::autostart::{is_local, start_commands};
use crate::memory::index::qdrant::address;
use crate::memory::journal::JournalError;
use crate::memory::{Backend, MemoryError, Place, Starting, part_checks};

/// Part of the memory to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
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
    pub place: Place,
    /// Whether Qdrant may be started.
    pub starting: Starting,
}

impl MemoryCheckInput<'_> {
    /// Checks a part of the memory.
    pub async fn look(&self, part: Part) -> Finding {
        if !self.settings.enabled {
            return Finding::skip("the memory is off");
        }
        match part {
            Part::Docker => self.docker().await,
            Part::Qdrant => self.qdrant().await,
            Part::Faiss => self.faiss().await,
            Part::Journal => self.journal().await,
            Part::Embedder => self.embedder().await,
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
        match part_checks::engine(self.place.docker_host.as_deref()).await {
            Ok(()) => Finding::ok("the engine responds"),
            Err(why) => {
                let how = match &self.place.docker_host {
                    Some(_) => "start Docker there, or correct DOCKER_HOST",
                    None => "start Docker, so that autopack can start Qdrant",
                };
                Finding::warn(why, format!("{how}; or set memory.use_qdrant to false"))
            }
        }
    }

    async fn qdrant(&self) -> Finding {
        if !self.settings.use_qdrant {
            return Finding::skip("memory.use_qdrant is false");
        }
        match part_checks::serving(self.settings, &self.place, self.starting).await {
            Ok(serving) if serving.backend == Backend::Qdrant => {
                let qdrant = &self.settings.qdrant;
                Finding::ok(reachable(&address(&qdrant.host, qdrant.grpc_port), serving.how))
            }
            Ok(serving) if serving.image_is_absent => {
                let image = &self.settings.qdrant.image;
                let pull = format!("pull {image}");
                let pull = start_commands::of_engine(&self.place.workspace, &pull).await;
                let now = pull.map_or(String::new(), |line| format!("; or now: {line}"));
                let hint = format!("the next drain pulls it{now}");
                Finding::warn(without_prefix(&serving.line), hint)
            }
            Ok(serving) => {
                let hint = self.mend_qdrant(serving.refused).await;
                Finding { hint, ..Finding::warn(without_prefix(&serving.line), "") }
            }
            Err(error) => {
                let refused = matches!(error, MemoryError::Required { refused: true, .. });
                let hint = self.mend_qdrant(refused).await;
                Finding { hint, ..Finding::fail(error.to_string(), "") }
            }
        }
    }

    /// Returns a hint for an unreachable Qdrant or a rejected key.
    ///
    /// Returns `None` if Docker would start Qdrant but does not respond; the Docker check has the hint.
    async fn mend_qdrant(&self, refused: bool) -> Option<String> {
        if refused {
            return Some(
                "set memory.qdrant.api_key, or AUTOPACK_QDRANT_API_KEY, to its key".to_owned(),
            );
        }
        let qdrant = &self.settings.qdrant;
        if is_local(&qdrant.host)
            && part_checks::engine(self.place.docker_host.as_deref()).await.is_err()
        {
            let own = "start it, or set memory.use_qdrant to false";
            return (!qdrant.autostart).then(|| own.to_owned());
        }
        Some(part_checks::commands(self.settings, &self.place).await.start())
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
        match part_checks::journal(&self.place).await {
            Ok(None) => Finding::ok("no journal yet; the first drain creates it"),
            Ok(Some(1)) => Finding::ok("1 entry"),
            Ok(Some(n)) => Finding::ok(format!("{n} entries")),
            Err(error) => Finding::warn(error.to_string(), mend_journal(&error)),
        }
    }

    async fn embedder(&self) -> Finding {
        match part_checks::embedder(self.settings, &self.place).await {
            Ok((id, dimensions)) => Finding::ok(format!("{id}, {dimensions} dimensions")),
            Err(error) => {
                Finding::warn(error.to_string(), "correct memory.embedder in memory.yaml")
            }
        }
    }
}

/// Returns a hint for a journal error.
fn mend_journal(error: &MemoryError) -> &'static str {
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
fn reachable(at: &str, how: Option<String>) -> String {
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
    fn a_started_qdrant_is_told_from_one_that_ran() {
        let at = "localhost:6334";
        assert_eq!(reachable(at, None), "Qdrant at localhost:6334 reachable");
        let started = reachable(at, Some("container started".to_owned()));
        let told = "Qdrant at localhost:6334 autostarted and reachable: container started";
        assert_eq!(started, told);
    }
}
