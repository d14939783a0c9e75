//! The stand-in's file: every acknowledged change as a line, written before the answer. A kill loses no acknowledged
//! change; a line torn by a kill is skipped. A second server cannot open the file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;

use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{Distance, Value};
use serde::{Deserialize, Serialize};

use super::{Collection, Point};

pub type Collections = BTreeMap<String, Collection>;

#[derive(Serialize, Deserialize)]
pub enum Change {
    Create { collection: String, dimensions: u64, distance: i32 },
    Drop { collection: String },
    Index { collection: String, field: String },
    Upsert { collection: String, points: Vec<StoredPoint> },
    Delete { collection: String, ids: Vec<String> },
}

#[derive(Serialize, Deserialize)]
pub struct StoredPoint {
    id: String,
    payload: BTreeMap<String, Stored>,
    vector: Vec<f32>,
}

/// Value types in autopack's payloads.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Number(i64),
    Text(String),
}

impl StoredPoint {
    /// `Err` names a type of value that autopack does not write.
    pub fn new(id: &str, point: &Point) -> Result<Self, String> {
        let stored = |(key, value): (&String, &Value)| match &value.kind {
            Some(Kind::StringValue(text)) => Ok((key.clone(), Stored::Text(text.clone()))),
            Some(Kind::IntegerValue(number)) => Ok((key.clone(), Stored::Number(*number))),
            other => Err(format!("{key} is {other:?}")),
        };
        let payload = point.payload.iter().map(stored).collect::<Result<_, _>>()?;
        Ok(Self { id: id.to_owned(), payload, vector: point.vector.clone() })
    }

    fn into_point(self) -> (String, Point) {
        let value = |(key, stored)| {
            let value = match stored {
                Stored::Number(number) => Value::from(number),
                Stored::Text(text) => Value::from(text),
            };
            (key, value)
        };
        let payload: HashMap<String, Value> = self.payload.into_iter().map(value).collect();
        (self.id, Point { payload, vector: self.vector })
    }
}

pub fn apply(collections: &mut Collections, change: Change) {
    match change {
        Change::Create { collection, dimensions, distance } => {
            let distance = Distance::try_from(distance).unwrap();
            let (points, indexed) = (BTreeMap::new(), BTreeSet::new());
            let made = Collection { dimensions, distance, points, indexed };
            collections.insert(collection, made);
        }
        Change::Drop { collection } => {
            collections.remove(&collection);
        }
        Change::Index { collection, field } => {
            collections.get_mut(&collection).unwrap().indexed.insert(field);
        }
        Change::Upsert { collection, points } => {
            let collection = collections.get_mut(&collection).unwrap();
            collection.points.extend(points.into_iter().map(StoredPoint::into_point));
        }
        Change::Delete { collection, ids } => {
            let collection = collections.get_mut(&collection).unwrap();
            collection.points.retain(|id, _| !ids.contains(id));
        }
    }
}

/// Returns the file's contents and the file for further changes; an error of kind `WouldBlock` while another server
/// uses it.
pub fn open(path: &Path) -> std::io::Result<(Collections, File)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(ErrorKind::WouldBlock.into());
    }
    let mut collections = Collections::new();
    let (mut reader, mut whole, mut line) = (BufReader::new(&file), 0, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        apply(&mut collections, serde_json::from_slice(&line)?);
        whole += line.len() as u64;
        line.clear();
    }
    file.set_len(whole)?;
    file.flush()?;
    Ok((collections, file))
}

/// In a single write, so that a kill comes before it or after it.
pub fn append(file: &mut File, change: &Change) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(change)?;
    line.push(b'\n');
    file.write_all(&line)
}
