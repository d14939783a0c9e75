//! An entry as a point, and back.
//!
//! A point's id is made from the workspace and the entry: a copied workspace has the entries of the original under
//! their ids, and must not write over its points. Earlier versions took the entry's id for the point's.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vector_output::Vector;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::{PointId, PointStruct, RetrievedPoint, Value};

use crate::memory::memory_entry::{EntryId, Kept, uuid_from};
use crate::phase::{PhaseId, RunId, UnixMs};

pub const WORKSPACE: &str = "workspace";
pub const RUN: &str = "run_id";
/// The number of the journal's change that wrote the point.
pub const NUMBER: &str = "n";

/// The id of the point's entry; points of earlier versions lack it.
pub const ENTRY: &str = "entry";

/// One of this workspace's points, as `own` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPoint {
    /// The id in Qdrant.
    pub point: String,
    pub entry: EntryId,
    pub n: Option<i64>,
}

/// The id of an entry's point.
pub fn id_of(workspace: &str, entry: &EntryId) -> String {
    uuid_from(&["point", workspace, entry.as_str()])
}

pub fn of(entry: &Kept, n: i64, vector: Vec<f32>, workspace: &str) -> PointStruct {
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

/// The entry that a point stands for.
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

/// `None` if the payload is not one of ours.
pub fn kept(id: EntryId, payload: &HashMap<String, Value>) -> Option<Kept> {
    Some(Kept {
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

pub fn entry(point: RetrievedPoint) -> Option<(Kept, Vec<f32>)> {
    let kept = kept(entry_id(&id(point.id)?, &point.payload), &point.payload)?;
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
