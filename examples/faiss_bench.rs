//! Measures the in-process index: `cargo run --example faiss_bench [COUNT ...]`, by default 1,000 to 100,000.
//!
//! Vectors are mixtures of the builtin embedder's, each mostly of one of five hundred topics, so that there are
//! neighbours to find. FAISS itself is always built optimised; what Rust adds is small beside it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use autopack::memory::embed::builtin;
use autopack::memory::entry::{Collection, EntryId};
use autopack::memory::faiss::Faiss;
use autopack::memory::journal::{Change, Put};

const QUERIES: usize = 200;
const K: usize = 10;

fn main() -> anyhow::Result<()> {
    let counts: Vec<usize> =
        std::env::args().skip(1).filter_map(|count| count.parse().ok()).collect();
    let counts =
        if counts.is_empty() { vec![1_000, 10_000, 20_000, 50_000, 100_000] } else { counts };
    println!(
        "| vectors | index | search p50 | p99 | recall@10 | upsert of 1, p50 | of 1,000 | load | rebuild | file | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for count in counts {
        measure(count)?;
    }
    Ok(())
}

/// The exact index and, where one is due, the graph that takes its place.
fn measure(count: usize) -> anyhow::Result<()> {
    let pool = Pool::new();
    let folder = tempfile::tempdir()?;
    let changes: Vec<Change> = (1..=count).map(|n| change(&pool, n, n)).collect();
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|q| pool.vector(10_000_000 + q)).collect();

    let before = resident_mib();
    let started = Instant::now();
    let mut index = Faiss::open(folder.path(), builtin::ID, &[], 0).0;
    for batch in changes.chunks(1_000) {
        index.apply(batch)?;
    }
    let rebuild = started.elapsed();
    let exact = found(&mut index, &queries)?.1;
    report(&mut index, "exact", &pool, &changes, &queries, &exact, rebuild, before)?;

    let started = Instant::now();
    let due = index.due()?;
    if due.is_empty() {
        return Ok(());
    }
    // The report changed a thousand entries: the truth is what the exact index finds now.
    let exact = found(&mut index, &queries)?.1;
    for (collection, snapshot) in due {
        index.replace(collection, snapshot.build()?)?;
    }
    report(&mut index, "graph", &pool, &changes, &queries, &exact, started.elapsed(), before)
}

#[allow(clippy::too_many_arguments, reason = "one row of a table")]
fn report(
    index: &mut Faiss,
    kind: &str,
    pool: &Pool,
    changes: &[Change],
    queries: &[Vec<f32>],
    exact: &[BTreeSet<i64>],
    rebuild: Duration,
    before: u64,
) -> anyhow::Result<()> {
    let count = changes.len();
    let memory = resident_mib().saturating_sub(before);
    let (mut times, results) = found(index, queries)?;
    let hits: usize = results.iter().zip(exact).map(|(a, b)| a.intersection(b).count()).sum();
    let recall = hits as f64 / (queries.len() * K) as f64;

    let folder = tempfile::tempdir()?;
    let file = save(index, folder.path())?;
    let puts: Vec<Put> = changes.iter().map(put).collect();
    let started = Instant::now();
    drop(Faiss::open(folder.path(), builtin::ID, &puts, 0));
    let load = started.elapsed();

    let next = usize::try_from(index.applied())? + 1;
    let mut singles = Vec::new();
    for i in 0..100 {
        let change = change(pool, next + i, i + 1);
        let started = Instant::now();
        index.apply(std::slice::from_ref(&change))?;
        singles.push(started.elapsed());
    }
    let batch: Vec<Change> =
        (0..1_000.min(count)).map(|i| change(pool, next + 100 + i, i + 1)).collect();
    let started = Instant::now();
    index.apply(&batch)?;
    let thousand = started.elapsed();
    println!(
        "| {count} | {kind} | {} | {} | {recall:.3} | {} | {} | {} | {} | {file} MiB | {memory} MiB |",
        ms(quantile(&mut times, 50)),
        ms(quantile(&mut times, 99)),
        ms(quantile(&mut singles, 50)),
        ms(thousand),
        ms(load),
        ms(rebuild)
    );
    Ok(())
}

/// Into the folder that the index was opened with, and from there to where it is loaded again.
fn save(index: &mut Faiss, folder: &std::path::Path) -> anyhow::Result<u64> {
    let written = index.save_to(folder)?;
    Ok(std::fs::metadata(written)?.len() >> 20)
}

type Results = Vec<BTreeSet<i64>>;

fn found(index: &mut Faiss, queries: &[Vec<f32>]) -> anyhow::Result<(Vec<Duration>, Results)> {
    let mut times = Vec::new();
    let mut results = Vec::new();
    for query in queries {
        let started = Instant::now();
        let found = index.search(query, &[Collection::ErrorsCi], None, K)?;
        times.push(started.elapsed());
        results.push(found.iter().map(|found| found.n).collect());
    }
    Ok((times, results))
}

fn change(pool: &Pool, n: usize, entry: usize) -> Change {
    Change {
        n: i64::try_from(n).unwrap_or(i64::MAX),
        id: EntryId::from_stored(format!("entry-{entry}")),
        collection: Collection::ErrorsCi,
        embedder: builtin::ID.to_owned(),
        vector: Some(pool.vector(n)),
    }
}

fn put(change: &Change) -> Put {
    Put { n: change.n, id: change.id.clone(), collection: change.collection }
}

/// Embedded texts, to mix vectors from: embedding a hundred thousand texts takes longer than all the rest.
struct Pool(Vec<Vec<f32>>);

const TOPICS: usize = 500;
const OTHERS: usize = 2_000;

impl Pool {
    fn new() -> Self {
        Self((0..TOPICS + OTHERS).map(|seed| builtin::embed(&text(seed))).collect())
    }

    fn vector(&self, seed: usize) -> Vec<f32> {
        let mut random = random(seed);
        let parts =
            [(1.0, random(TOPICS)), (0.8, TOPICS + random(OTHERS)), (0.6, TOPICS + random(OTHERS))];
        let mut vector = vec![0.0; builtin::DIMENSIONS];
        for (weight, part) in parts {
            vector.iter_mut().zip(&self.0[part]).for_each(|(x, y)| *x += weight * y);
        }
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= length);
        vector
    }
}

/// Forty made-up words.
fn text(seed: usize) -> String {
    let mut random = random(seed);
    let words: Vec<String> = (0..40).map(|_| format!("w{}x", random(25_000) * 7_919)).collect();
    words.join(" ")
}

fn random(seed: usize) -> impl FnMut(usize) -> usize {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    }
}

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

/// Linux's own count, in MiB; 0 elsewhere.
fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    (pages * 4_096) >> 20
}
