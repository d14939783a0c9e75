//! Conversion between entries and points.
//!
//! A point's id is derived from workspace and entry: a copied workspace has the original's entries under the same ids,
//! and must not overwrite the original's points. Earlier versions used the entry's id as the point's id.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vector_output::Vector;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::{PointId, PointStruct, RetrievedPoint, Value};

use crate::memory::memory_entry::{EntryId, StoredEntry, uuid_from};
use crate::phase::{PhaseId, RunId, UnixMs};

pub const WORKSPACE: &str = "workspace";
pub const RUN: &str = "run_id";
/// Number of the journal's change that wrote the point.
pub const NUMBER: &str = "n";

/// Repository of the point's workspace; missing in points of earlier versions, and without a remote.
pub const REPOSITORY: &str = "repository";

/// Id of the point's entry; missing in points of earlier versions.
pub const ENTRY: &str = "entry";

/// A point of this workspace, as listed by `own`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPoint {
    /// Id of the point in Qdrant.
    pub point: String,
    /// Id of the entry.
    pub entry: EntryId,
    /// Number of the change that wrote the point.
    pub n: Option<i64>,
}

/// Returns the id of an entry's point.
pub fn id_of(workspace: &str, entry: &EntryId) -> String {
    uuid_from(&["point", workspace, entry.as_str()])
}

/// Returns the point of an entry; `owner` is the workspace, and its repository if others share it.
pub fn of(
    entry: &StoredEntry,
    n: i64,
    vector: Vec<f32>,
    owner: (&str, Option<&str>),
) -> PointStruct {
    let (workspace, repository) = owner;
    let mut payload: HashMap<String, Value> = HashMap::from([
        (WORKSPACE.to_owned(), workspace.into()),
        (ENTRY.to_owned(), entry.id.as_str().into()),
        (NUMBER.to_owned(), n.into()),
        ("collection".to_owned(), entry.collection.as_str().into()),
        ("source".to_owned(), entry.source.as_str().into()),
        ("text".to_owned(), entry.text.as_str().into()),
        ("payload".to_owned(), entry.payload.to_string().into()),
        ("created_ms".to_owned(), entry.created.0.into()),
    ]);
    if let Some(repository) = repository {
        payload.insert(REPOSITORY.to_owned(), repository.into());
    }
    if let Some(run) = &entry.run {
        payload.insert(RUN.to_owned(), run.as_str().into());
    }
    if let Some(phase) = &entry.phase {
        payload.insert("phase_id".to_owned(), phase.as_str().into());
    }
    if let Some(expires) = entry.expires {
        payload.insert("expires_ms".to_owned(), expires.0.into());
    }
    PointStruct::new(id_of(workspace, &entry.id), vector, payload)
}

pub fn id(id: Option<PointId>) -> Option<String> {
    match id?.point_id_options? {
        PointIdOptions::Uuid(uuid) => Some(uuid),
        PointIdOptions::Num(_) => None,
    }
}

/// Returns the id of a point's entry.
pub fn entry_id(point: &str, payload: &HashMap<String, Value>) -> EntryId {
    EntryId::from_stored(text(payload, ENTRY).map_or(point, String::as_str))
}

pub fn number(payload: &HashMap<String, Value>) -> Option<i64> {
    integer(payload, NUMBER)
}

pub fn text<'a>(payload: &'a HashMap<String, Value>, key: &str) -> Option<&'a String> {
    match payload.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

fn integer(payload: &HashMap<String, Value>, key: &str) -> Option<i64> {
    match payload.get(key)?.kind.as_ref()? {
        Kind::IntegerValue(number) => Some(*number),
        _ => None,
    }
}

/// Converts a payload to an entry; `None` for a payload not written by autopack.
pub fn stored_entry(id: EntryId, payload: &HashMap<String, Value>) -> Option<StoredEntry> {
    Some(StoredEntry {
        id,
        collection: text(payload, "collection")?.parse().ok()?,
        run: text(payload, RUN).map(RunId::new),
        phase: text(payload, "phase_id").map(PhaseId::new),
        source: text(payload, "source")?.clone(),
        text: text(payload, "text")?.clone(),
        payload: serde_json::from_str(text(payload, "payload")?).ok()?,
        created: UnixMs(integer(payload, "created_ms")?),
        expires: integer(payload, "expires_ms").map(UnixMs),
    })
}

pub fn entry(point: RetrievedPoint) -> Option<(StoredEntry, Vec<f32>)> {
    let kept = stored_entry(entry_id(&id(point.id)?, &point.payload), &point.payload)?;
    let VectorsOptions::Vector(vector) = point.vectors?.vectors_options? else {
        return None;
    };
    let vector = match vector.vector {
        Some(Vector::Dense(dense)) => dense.data,
        // Servers before 1.16 fill the older field.
        #[allow(deprecated)]
        None => vector.data,
        Some(_) => return None,
    };
    Some((kept, vector))
}
