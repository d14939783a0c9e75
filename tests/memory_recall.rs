//! Search quality of the memory: vector, full text and both, over pairs with distractors. Run with `--nocapture` to see
//! the table.
//!
//! `fixtures/recall.jsonl` has 140 errors with their fixes, written for this test in the style of Python, Rust,
//! JavaScript, Go, Docker, git and SQL tools; 129 tasks with the file that they are about, from this repository's own
//! sources (the first sentence of a file's header, and the file without it); and 96 descriptions of phases from real
//! projects as distractors (hshk99/Autopack, MIT). The fix alone is searched for, without its error.

use std::collections::HashSet;
use std::fs;

use autopack::memory::embed::builtin;
use autopack::memory::journal::{EntryVector, Journal};
use autopack::memory::memory_entry::{Collection, Entry, EntryFilter, EntryId, StoredEntry};
use autopack::memory::recall::fuse;
use serde::Deserialize;
use tempfile::TempDir;

#[derive(Deserialize)]
struct Line {
    kind: String,
    query: Option<String>,
    text: String,
}

/// A stored text, and the queries that should find it.
struct Document {
    kind: String,
    query: Option<String>,
    text: String,
    id: EntryId,
    vector: Vec<f32>,
}

const POOL: usize = 50;

/// Vectors are of length 1.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn documents() -> Vec<Document> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/recall.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let document = |(number, line): (usize, &str)| {
        let Line { kind, query, text } = serde_json::from_str(line).unwrap();
        // Qdrant's ids are UUIDs; the journal takes any.
        let id = EntryId::from_stored(format!("document-{number}"));
        Document { vector: builtin::embed(&text), kind, query, text, id }
    };
    text.lines().enumerate().map(document).collect()
}

async fn journal_of(documents: &[Document], dir: &TempDir) -> Journal {
    let journal = Journal::open(&dir.path().join("memory.db")).await.unwrap().journal;
    let entries: Vec<(StoredEntry, Vec<EntryId>)> = documents.iter().map(kept).collect();
    journal.put(&entries).await.unwrap();
    let embedded: Vec<EntryVector> = journal
        .unembedded(1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|pending| EntryVector {
            vector: builtin::embed(&pending.text),
            id: pending.id,
            hash: pending.hash,
        })
        .collect();
    journal.store_vectors(builtin::ID, &embedded).await.unwrap();
    journal
}

fn kept(document: &Document) -> (StoredEntry, Vec<EntryId>) {
    let entry = Entry::new(Collection::DoctorHints, "benchmark", &document.text);
    let kept = StoredEntry {
        id: document.id.clone(),
        collection: entry.collection,
        run: None,
        phase: None,
        source: entry.source,
        text: entry.text,
        payload: entry.payload,
        created: autopack::phase::UnixMs(0),
        expires: None,
    };
    (kept, Vec::new())
}

fn nearest(query: &str, documents: &[Document]) -> Vec<EntryId> {
    let query = builtin::embed(query);
    let mut scored: Vec<(f32, &EntryId)> =
        documents.iter().map(|document| (cosine(&query, &document.vector), &document.id)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near = scored.into_iter().take(POOL).filter(|(score, _)| *score >= builtin::FLOOR);
    near.map(|(_, id)| id.clone()).collect()
}

/// Hits within the first five places, and the number of queries.
#[derive(Default)]
struct Tally {
    asked: usize,
    vector: usize,
    lexical: usize,
    hybrid: usize,
}

impl Tally {
    fn say(&self, what: &str) {
        let share = |hits: usize| hits as f64 / self.asked as f64;
        eprintln!(
            "{what:<10} {:>4} pairs  hit@5: vector {:.3}  full text {:.3}  both {:.3}",
            self.asked,
            share(self.vector),
            share(self.lexical),
            share(self.hybrid)
        );
    }
}

#[tokio::test]
async fn vector_and_full_text_together_find_more_than_either() {
    let documents = documents();
    let dir = TempDir::new().unwrap();
    let journal = journal_of(&documents, &dir).await;
    let (mut all, mut fixes, mut files) = (Tally::default(), Tally::default(), Tally::default());
    for document in &documents {
        let Some(query) = &document.query else { continue };
        let vector = nearest(query, &documents);
        let hits = journal.search_text(query, &EntryFilter::default(), POOL).await.unwrap();
        let lexical: Vec<EntryId> = hits.into_iter().map(|hit| hit.id).collect();
        let hybrid: Vec<EntryId> =
            fuse(&vector, &lexical, &HashSet::new()).into_iter().map(|ranked| ranked.id).collect();
        let among =
            |list: &[EntryId]| usize::from(list.iter().take(5).any(|id| *id == document.id));
        let of_kind = if document.kind == "error_fix" { &mut fixes } else { &mut files };
        for tally in [&mut all, of_kind] {
            tally.asked += 1;
            tally.vector += among(&vector);
            tally.lexical += among(&lexical);
            tally.hybrid += among(&hybrid);
        }
    }
    for (tally, what) in [(&fixes, "error/fix"), (&files, "task/file"), (&all, "all")] {
        tally.say(what);
    }
    assert!(all.asked >= 200);
    assert!(all.hybrid > all.vector && all.hybrid > all.lexical);
}

/// The same error at another time: elsewhere, later, with more text around it.
fn again(text: &str, number: usize) -> [String; 3] {
    [
        format!("2026-03-0{} 10:22:0{} ERROR worker-{number}: {text}", number % 9 + 1, number % 10),
        format!("File \"/srv/build/{number}/app/module.py\", line {number}, in run\n    {text}"),
        text.split_whitespace().rev().collect::<Vec<_>>().join(" "),
    ]
}

#[test]
fn near_duplicates_score_above_unrelated_texts() {
    let documents = documents();
    let queries: Vec<&str> = documents.iter().filter_map(|d| d.query.as_deref()).collect();
    let (mut above, mut pairs) = (0, 0);
    for (number, query) in queries.iter().enumerate() {
        let vector = builtin::embed(query);
        let unrelated = builtin::embed(queries[(number + queries.len() / 2) % queries.len()]);
        for duplicate in again(query, number) {
            pairs += 1;
            let near = cosine(&vector, &builtin::embed(&duplicate));
            above += usize::from(near > cosine(&vector, &unrelated));
        }
    }
    eprintln!("near-duplicates above unrelated texts: {above} of {pairs}");
    assert!(above * 1_000 > pairs * 990, "{above} of {pairs}");
}
