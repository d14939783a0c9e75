//! Entries of the memory: collections, entries, ids and lifetimes.
//!
//! Pure types; stored by the journal, searched by the indexes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::phase::words::hex;
use crate::phase::{PhaseId, RunId, UnixMs};

/// Collections, under the names used in commands and configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Collection {
    /// Work of a phase, with the CI result.
    RunSummaries,
    /// A failing test or error, normalized.
    ErrorsCi,
    /// Fix of a failure.
    DoctorHints,
    /// Work planned for queued phases; removed once they land.
    Planning,
    /// The repository's files, in chunks.
    CodeDocs,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Collection {
    /// All collections.
    pub const ALL: [Self; 5] =
        [Self::RunSummaries, Self::ErrorsCi, Self::DoctorHints, Self::Planning, Self::CodeDocs];

    /// Returns the name of the collection.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunSummaries => "run_summaries",
            Self::ErrorsCi => "errors_ci",
            Self::DoctorHints => "doctor_hints",
            Self::Planning => "planning",
            Self::CodeDocs => "code_docs",
        }
    }

    /// Returns the default lifetime of an entry; `None` means forever.
    pub fn lifetime(self) -> Option<Duration> {
        match self {
            Self::RunSummaries | Self::Planning => Some(DAY * 180),
            Self::ErrorsCi => Some(DAY * 90),
            Self::DoctorHints => Some(DAY * 365),
            // Kept as long as the file.
            Self::CodeDocs => None,
        }
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Collection {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|collection| collection.as_str() == name);
        known.copied().ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown collection {name:?}; the collections are {names}")
        })
    }
}

/// Id of an entry everywhere: a UUID, as required by Qdrant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(String);

impl EntryId {
    /// Derives an id. The same parts always give the same id, so that writing an entry twice has no further effect.
    pub fn derive(workspace: &str, collection: Collection, key: &[&str]) -> Self {
        let parts: Vec<&str> =
            [workspace, collection.as_str()].into_iter().chain(key.iter().copied()).collect();
        Self(uuid_from(&parts))
    }

    /// Wraps an id read from the journal or Qdrant.
    pub fn from_stored(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns a UUID of version 8 (RFC 9562: custom contents) from a digest: the same parts always give the same UUID.
pub(super) fn uuid_from(parts: &[&str]) -> String {
    uuid_of(&digest(parts))
}

/// Returns a UUID of version 8 from the first 16 bytes.
fn uuid_of(digest: &[u8]) -> String {
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Returns the SHA-256 in hex.
pub(super) fn hash_of(parts: &[&str]) -> String {
    hex(&digest(parts))
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// An entry to remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Collection of the entry.
    pub collection: Collection,
    /// Run, if any.
    pub run: Option<RunId>,
    /// Phase, if any.
    pub phase: Option<PhaseId>,
    /// Key that distinguishes the entry from others of the same run and phase; `None` uses the text.
    pub key: Option<String>,
    /// Origin, for people: `run/phase` or a path.
    pub source: String,
    /// Text, searched and shown.
    pub text: String,
    /// Additional data, as a JSON object.
    pub payload: Value,
    /// Lifetime instead of the collection's default.
    pub lifetime: Option<Duration>,
    /// Entries made obsolete by this entry.
    pub supersedes: Vec<EntryId>,
}

impl Entry {
    /// Creates an entry without run, phase, or key.
    pub fn new(collection: Collection, source: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            collection,
            run: None,
            phase: None,
            key: None,
            source: source.into(),
            text: text.into(),
            payload: Value::Object(serde_json::Map::new()),
            lifetime: None,
            supersedes: Vec::new(),
        }
    }

    /// Sets run and phase.
    pub fn of(mut self, run: &RunId, phase: &PhaseId) -> Self {
        self.run = Some(run.clone());
        self.phase = Some(phase.clone());
        self
    }

    /// Returns the id within a workspace.
    pub fn id(&self, workspace: &str) -> EntryId {
        let run = self.run.as_ref().map_or("", |run| run.as_str());
        let phase = self.phase.as_ref().map_or("", |phase| phase.as_str());
        let key = self.key.as_deref().unwrap_or(&self.text);
        EntryId::derive(workspace, self.collection, &[run, phase, key])
    }

    pub(super) fn expires(&self, now: UnixMs) -> Option<UnixMs> {
        let lifetime = self.lifetime.or(self.collection.lifetime())?;
        let millis = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        Some(UnixMs(now.0.saturating_add(millis)))
    }
}

/// An entry as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEntry {
    /// Id of the entry.
    pub id: EntryId,
    /// Collection of the entry.
    pub collection: Collection,
    /// Run, if any.
    pub run: Option<RunId>,
    /// Phase, if any.
    pub phase: Option<PhaseId>,
    /// Origin, for people: `run/phase` or a path.
    pub source: String,
    /// Text, searched and shown.
    pub text: String,
    /// Additional data, as a JSON object.
    pub payload: Value,
    /// Time of the first writing.
    pub created: UnixMs,
    /// End of the lifetime; `None` means forever.
    pub expires: Option<UnixMs>,
}

impl StoredEntry {
    pub(super) fn from_entry(entry: Entry, workspace: &str, now: UnixMs) -> Self {
        Self {
            id: entry.id(workspace),
            expires: entry.expires(now),
            created: now,
            collection: entry.collection,
            run: entry.run,
            phase: entry.phase,
            source: entry.source,
            text: entry.text,
            payload: entry.payload,
        }
    }

    /// Returns a hash that changes with anything searched or shown.
    pub(super) fn hash(&self) -> String {
        hash_of(&[&self.text, &self.payload.to_string(), &self.source])
    }
}

/// Selection of entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryFilter {
    /// Collections; empty selects all.
    pub collections: Vec<Collection>,
    /// Only entries of this run.
    pub run: Option<RunId>,
}

impl EntryFilter {
    /// Returns the selected collections.
    pub fn collections(&self) -> &[Collection] {
        if self.collections.is_empty() { &Collection::ALL } else { &self.collections }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_and_depend_on_every_part() {
        let id = EntryId::derive("w", Collection::ErrorsCi, &["a", "b"]);
        assert_eq!(id, EntryId::derive("w", Collection::ErrorsCi, &["a", "b"]));
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(&id.as_str()[14..15], "8");
        for other in [
            EntryId::derive("v", Collection::ErrorsCi, &["a", "b"]),
            EntryId::derive("w", Collection::Planning, &["a", "b"]),
            EntryId::derive("w", Collection::ErrorsCi, &["ab", ""]),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn collections_are_parsed_by_name() {
        for collection in Collection::ALL {
            assert_eq!(collection.as_str().parse(), Ok(collection));
        }
        assert!("errors".parse::<Collection>().unwrap_err().contains("errors_ci"));
    }
}
