//! The index, compared with a plain search of every vector.

use tempfile::TempDir;

use super::*;
use crate::memory::memory_entry::EntryId;

const D: usize = 16;

/// Returns deterministic, distinct vectors of length 1.
fn vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut vector: Vec<f32> = (0..D)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 2_000) as f32 / 1_000.0 - 1.0
        })
        .collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

fn put(n: i64, entry: &str, collection: Collection) -> Change {
    Change {
        n,
        id: EntryId::from_stored(entry),
        collection,
        embedder: "e".into(),
        vector: Some(vector(n.unsigned_abs())),
    }
}

fn tombstone(n: i64, entry: &str) -> Change {
    Change { vector: None, ..put(n, entry, Collection::ErrorsCi) }
}

fn puts(changes: &[Change]) -> Vec<VectorRef> {
    let put = |change: &Change| VectorRef {
        n: change.n,
        id: change.id.clone(),
        collection: change.collection,
    };
    changes.iter().filter(|change| change.vector.is_some()).map(put).collect()
}

fn empty(dir: &TempDir) -> Faiss {
    Faiss::open(dir.path(), "e", &[], 0).0
}

fn numbers(index: &mut Faiss, query: u64, only: Option<&HashSet<i64>>, k: usize) -> Vec<i64> {
    let found = index.search(&vector(query), &Collection::ALL, only, k).unwrap();
    found.iter().map(|found| found.n).collect()
}

/// Returns the result of comparing with every vector.
fn expected(query: u64, among: impl Iterator<Item = i64>, k: usize) -> Vec<i64> {
    let query = vector(query);
    let score =
        |n: i64| -> f32 { query.iter().zip(vector(n.unsigned_abs())).map(|(a, b)| a * b).sum() };
    let mut all: Vec<(f32, i64)> = among.map(|n| (score(n), n)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().take(k).map(|(_, n)| n).collect()
}

#[test]
fn search_covers_all_collections_or_one() {
    let dir = TempDir::new().unwrap();
    let mut index = empty(&dir);
    let collection = |n: i64| Collection::ALL[usize::try_from(n).unwrap() % 2];
    let changes: Vec<Change> = (1..=300).map(|n| put(n, &n.to_string(), collection(n))).collect();
    index.apply(&changes).unwrap();
    assert_eq!(index.applied(), 300);
    assert_eq!(numbers(&mut index, 7, None, 10), expected(7, 1..=300, 10));
    let even = index.search(&vector(7), &[Collection::ALL[0]], None, 10).unwrap();
    let even: Vec<i64> = even.iter().map(|found| found.n).collect();
    assert_eq!(even, expected(7, (2..=300).step_by(2), 10));
}

#[test]
fn replaced_and_deleted_vectors_are_never_returned_and_use_no_result_slots() {
    let dir = TempDir::new().unwrap();
    let mut index = empty(&dir);
    let mut changes: Vec<Change> =
        (1..=200).map(|n| put(n, &n.to_string(), Collection::ErrorsCi)).collect();
    // Remove the hundred nearest to the query.
    let nearest = expected(9, 1..=200, 100);
    changes.extend((201..).zip(&nearest[..50]).map(|(n, old)| tombstone(n, &old.to_string())));
    changes.extend(
        (301..).zip(&nearest[50..]).map(|(n, old)| put(n, &old.to_string(), Collection::ErrorsCi)),
    );
    index.apply(&changes).unwrap();
    let alive = (1..=200).filter(|n| !nearest.contains(n)).chain(301..351);
    assert_eq!(numbers(&mut index, 9, None, 40), expected(9, alive, 40));
    assert_eq!(index.size(), Size { live: 150, dead: 100 });
}

#[test]
fn filter_returns_the_nearest_allowed_vectors() {
    let dir = TempDir::new().unwrap();
    let mut index = empty(&dir);
    let changes: Vec<Change> =
        (1..=500).map(|n| put(n, &n.to_string(), Collection::ErrorsCi)).collect();
    index.apply(&changes).unwrap();
    let only: HashSet<i64> = expected(3, 1..=500, 500)[480..].iter().copied().collect();
    assert_eq!(numbers(&mut index, 3, Some(&only), 10), expected(3, only.iter().copied(), 10));
    assert!(numbers(&mut index, 3, Some(&HashSet::new()), 10).is_empty());
}

#[test]
fn saved_index_is_loaded_and_only_later_vectors_are_missing() {
    let dir = TempDir::new().unwrap();
    let mut changes: Vec<Change> =
        (1..=50).map(|n| put(n, &n.to_string(), Collection::ErrorsCi)).collect();
    let mut index = empty(&dir);
    index.apply(&changes).unwrap();
    index.save().unwrap();
    // Meanwhile another process wrote an entry and removed another.
    changes.remove(9);
    changes.push(put(51, "51", Collection::ErrorsCi));
    let (mut index, loaded) = Faiss::open(dir.path(), "e", &puts(&changes), 51);
    assert_eq!(loaded, LoadedIndex { unusable: vec![], missing: vec![51] });
    index.add(&changes[49..]).unwrap();
    let alive = (1..=51).filter(|n| *n != 10);
    assert_eq!(numbers(&mut index, 4, None, 50), expected(4, alive, 50));
}

#[test]
fn broken_file_or_file_of_another_embedder_is_ignored() {
    let dir = TempDir::new().unwrap();
    let changes = [put(1, "1", Collection::ErrorsCi)];
    let mut index = empty(&dir);
    index.apply(&changes).unwrap();
    index.save().unwrap();
    let path = dir.path().join("errors_ci.faiss");
    let good = std::fs::read(&path).unwrap();

    let (_, other) = Faiss::open(dir.path(), "another", &puts(&changes), 1);
    assert_eq!(other, LoadedIndex { unusable: vec![], missing: vec![1] });
    for length in [0, 10, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        let (_, loaded) = Faiss::open(dir.path(), "e", &puts(&changes), 1);
        assert_eq!((loaded.unusable.len(), loaded.missing), (1, vec![1]), "{length}");
    }
    for at in (0..good.len()).step_by(7) {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let (_, loaded) = Faiss::open(dir.path(), "e", &puts(&changes), 1);
        assert_eq!(loaded.missing, [1], "byte {at}");
    }
}

#[test]
fn graph_finds_nearly_all_and_respects_filters_and_deletions() {
    let all: Vec<Change> =
        (1..=2_000).map(|n| put(n, &n.to_string(), Collection::ErrorsCi)).collect();
    let batch: Vec<(&Change, &[f32])> =
        all.iter().map(|change| (change, change.vector.as_deref().unwrap())).collect();
    let mut graph = CollectionIndex::new(Kind::Graph, D).unwrap();
    graph.add(&batch).unwrap();
    while graph.move_some(100).unwrap() {}
    for n in (2..=2_000).step_by(2) {
        assert!(graph.kill_before(&EntryId::from_stored(n.to_string()), i64::MAX));
    }
    let mut hits = 0;
    for query in 5_000..5_050 {
        let expected = expected(query, (1..=2_000).step_by(2), 10);
        let found = graph.search(&vector(query), None, 10).unwrap();
        assert!(found.iter().all(|found| found.n % 2 == 1));
        hits += found.iter().filter(|found| expected.contains(&found.n)).count();
    }
    assert!(hits >= 490, "{hits} of 500");
}

#[test]
fn rebuild_includes_concurrent_changes() {
    let dir = TempDir::new().unwrap();
    let mut index = empty(&dir);
    let changes: Vec<Change> =
        (1..=1_600).map(|n| put(n, &n.to_string(), Collection::ErrorsCi)).collect();
    index.apply(&changes).unwrap();
    assert!(index.due().unwrap().is_empty());
    let deaths: Vec<Change> = (1..=1_500).map(|n| tombstone(2_000 + n, &n.to_string())).collect();
    index.apply(&deaths).unwrap();
    let (collection, snapshot) = index.due().unwrap().remove(0);
    let built = snapshot.build().unwrap();
    index.apply(&[tombstone(4_000, "1600"), put(4_001, "new", Collection::ErrorsCi)]).unwrap();
    index.replace(collection, built).unwrap();
    assert_eq!(index.size(), Size { live: 100, dead: 1 });
    let alive = (1_501..=1_599).chain([4_001]);
    assert_eq!(numbers(&mut index, 2, None, 100), expected(2, alive, 100));
}

#[test]
fn vector_of_other_dimensions_is_refused() {
    let dir = TempDir::new().unwrap();
    let mut index = empty(&dir);
    index.apply(&[put(1, "1", Collection::ErrorsCi)]).unwrap();
    let odd = Change { vector: Some(vec![1.0]), ..put(2, "2", Collection::ErrorsCi) };
    assert!(matches!(index.apply(&[odd]), Err(FaissError::Dimensions { expected: 16, got: 1 })));
}

/// Half in the graph, a quarter moved but still in the tail, a quarter in the tail alone.
fn graph_with_tail() -> CollectionIndex {
    let all: Vec<Change> =
        (1..=2_000).map(|n| put(n, &n.to_string(), Collection::ErrorsCi)).collect();
    let batch: Vec<(&Change, &[f32])> =
        all.iter().map(|change| (change, change.vector.as_deref().unwrap())).collect();
    let mut graph = CollectionIndex::new(Kind::Graph, D).unwrap();
    graph.add(&batch[..1_000]).unwrap();
    while graph.move_some(100).unwrap() {}
    graph.add(&batch[1_000..]).unwrap();
    assert!(graph.move_some(500).unwrap());
    graph
}

#[test]
fn waiting_vectors_are_found_once_and_can_be_deleted() {
    let mut graph = graph_with_tail();
    assert_eq!(graph.size(), Size { live: 2_000, dead: 0 });
    for n in [1, 1_200, 1_900] {
        assert!(graph.kill_before(&EntryId::from_stored(n.to_string()), i64::MAX));
    }
    let alive = || (1..=2_000).filter(|n| ![1, 1_200, 1_900].contains(n));
    let mut hits = 0;
    for query in [1, 1_200, 1_900, 5_000, 5_001] {
        let found = graph.search(&vector(query), None, 20).unwrap();
        let found: Vec<i64> = found.iter().map(|found| found.n).collect();
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), 20);
        assert!(found.iter().all(|n| alive().any(|a| a == *n)));
        let expected = expected(query, alive(), 20);
        hits += found.iter().filter(|n| expected.contains(n)).count();
    }
    assert!(hits >= 98, "{hits} of 100");
    while graph.move_some(100).unwrap() {}
    assert_eq!(graph.size(), Size { live: 1_997, dead: 2 });
}

#[test]
fn strict_filter_over_a_graph_is_exact() {
    let mut graph = graph_with_tail();
    let only: HashSet<i64> = expected(3, 1..=2_000, 2_000)[1_900..].iter().copied().collect();
    let found = graph.search(&vector(3), Some(&only), 10).unwrap();
    let found: Vec<i64> = found.iter().map(|found| found.n).collect();
    assert_eq!(found, expected(3, only.iter().copied(), 10));
}

#[test]
fn waiting_vectors_are_restored_from_the_journal() {
    let dir = TempDir::new().unwrap();
    let mut graph = graph_with_tail();
    index_file::save(&dir.path().join("errors_ci.faiss"), "e", &graph).unwrap();
    let changes: Vec<Change> =
        (1..=2_000).map(|n| put(n, &n.to_string(), Collection::ErrorsCi)).collect();
    let (mut index, loaded) = Faiss::open(dir.path(), "e", &puts(&changes), 2_000);
    assert_eq!(loaded.missing, (1_501..=2_000).collect::<Vec<i64>>());
    index.add(&changes[1_500..]).unwrap();
    let again = numbers(&mut index, 5_000, None, 20);
    let before = graph.search(&vector(5_000), None, 20).unwrap();
    assert_eq!(again, before.iter().map(|found| found.n).collect::<Vec<_>>());
    assert_eq!(index.unsaved(), 0, "an index that only its tail grew in is not written again");
}

#[test]
fn concurrent_saves_leave_a_complete_file() {
    let dir = TempDir::new().unwrap();
    let changes: Vec<Change> =
        (1..=300).map(|n| put(n, &n.to_string(), Collection::ErrorsCi)).collect();
    let save = || {
        let mut index = empty(&dir);
        for batch in changes.chunks(10) {
            index.apply(batch).unwrap();
            index.save().unwrap();
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(save))));
    let (_, loaded) = Faiss::open(dir.path(), "e", &puts(&changes), 300);
    assert_eq!(loaded.unusable, Vec::<String>::new());
}
