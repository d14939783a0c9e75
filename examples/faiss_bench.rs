//! Measures the in-process index: `cargo run --example faiss_bench [COUNT ...]`, by default 1,000 to 100,000.
//!
//! Vectors are mixtures of the builtin embedder's, each mostly of one of five hundred topics, so that there are
//! neighbours to find. FAISS itself is always built optimised; what Rust adds is small beside it, but for the filtered
//! searches, whose sets are Rust's.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use autopack::memory::embed::builtin;
use autopack::memory::index::faiss::Faiss;
use autopack::memory::journal::{Change, VectorRef};
use autopack::memory::memory_entry::{Collection, EntryId};

const QUERIES: usize = 200;
const K: usize = 10;

fn main() -> anyhow::Result<()> {
    let counts: Vec<usize> =
        std::env::args().skip(1).filter_map(|count| count.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1_000, 10_000, 20_000, 100_000] } else { counts };
    println!(
        "| vectors | index | search p50 | p99 | recall@10 | every third, p50 | recall@10 | upsert of 1, p50 | p99 | of 1,000 | moving one | load | rebuild | file | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for count in counts {
        measure(count)?;
    }
    Ok(())
}

/// The exact index and, where one is due, the graph that takes its place.
fn measure(count: usize) -> anyhow::Result<()> {
    let pool = Pool::new();
    let directory = tempfile::tempdir()?;
    let changes: Vec<Change> = (1..=count).map(|n| change(&pool, n, n)).collect();
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|q| pool.vector(10_000_000 + q)).collect();

    let before = resident_mib();
    let started = Instant::now();
    let mut index = Faiss::open(directory.path(), builtin::ID, &[], 0).0;
    for batch in changes.chunks(1_000) {
        index.apply(batch)?;
    }
    let rebuild = started.elapsed();
    let third: HashSet<i64> =
        changes.iter().map(|change| change.n).filter(|n| n % 3 == 0).collect();
    let vectors: Vec<VectorRef> = changes.iter().map(vector_ref).collect();
    let bench = Bench { pool, queries, third, count };
    let truth = bench.truth(&mut index)?;
    bench.report(&mut index, "exact", &truth, &vectors, rebuild, before)?;

    let due = index.due()?;
    if due.is_empty() {
        return Ok(());
    }
    // The report changed some entries: the truth is what the exact index finds now.
    let truth = bench.truth(&mut index)?;
    let started = Instant::now();
    for (collection, snapshot) in due {
        index.replace(collection, snapshot.build()?)?;
    }
    let rebuild = started.elapsed();
    bench.report(&mut index, "graph", &truth, &vectors[SINGLES + BATCH..], rebuild, before)
}

const SINGLES: usize = 200;
const BATCH: usize = 1_000;

struct Bench {
    pool: Pool,
    queries: Vec<Vec<f32>>,
    /// A filter that lets every third number through.
    third: HashSet<i64>,
    count: usize,
}

/// What an exact index finds: among all, and among every third.
type Truth = [Results; 2];

impl Bench {
    fn truth(&self, index: &mut Faiss) -> anyhow::Result<Truth> {
        Ok([self.found(index, None)?.1, self.found(index, Some(&self.third))?.1])
    }

    fn report(
        &self,
        index: &mut Faiss,
        kind: &str,
        truth: &Truth,
        vectors: &[VectorRef],
        rebuild: Duration,
        before: u64,
    ) -> anyhow::Result<()> {
        let memory = resident_mib().saturating_sub(before);
        let (mut times, results) = self.found(index, None)?;
        let (mut filtered, of_third) = self.found(index, Some(&self.third))?;

        let directory = tempfile::tempdir()?;
        let file = std::fs::metadata(index.save_to(directory.path())?)?.len() >> 20;
        let started = Instant::now();
        let (_, loaded) = Faiss::open(directory.path(), builtin::ID, vectors, 0);
        let load = started.elapsed();
        anyhow::ensure!(loaded.missing.is_empty(), "the file lacks what was written");

        let (mut singles, batch) = self.upsert(index)?;
        let moving = moving(index)?;
        println!(
            "| {} | {kind} | {} | {} | {:.3} | {} | {:.3} | {} | {} | {} | {moving} | {} | {} | {file} MiB | {memory} MiB |",
            self.count,
            ms(quantile(&mut times, 50)),
            ms(quantile(&mut times, 99)),
            recall(&results, &truth[0]),
            ms(quantile(&mut filtered, 50)),
            recall(&of_third, &truth[1]),
            ms(quantile(&mut singles, 50)),
            ms(quantile(&mut singles, 99)),
            ms(batch),
            ms(load),
            ms(rebuild)
        );
        Ok(())
    }

    /// One at a time, and a thousand in one go: the first entries anew.
    fn upsert(&self, index: &mut Faiss) -> anyhow::Result<(Vec<Duration>, Duration)> {
        let next = usize::try_from(index.applied())? + 1;
        let anew: Vec<Change> = (0..(SINGLES + BATCH).min(self.count))
            .map(|i| change(&self.pool, next + i, i + 1))
            .collect();
        let (one_by_one, batch) = anew.split_at(SINGLES);
        let mut singles = Vec::new();
        for change in one_by_one {
            let started = Instant::now();
            index.apply(std::slice::from_ref(change))?;
            singles.push(started.elapsed());
        }
        let started = Instant::now();
        index.apply(batch)?;
        Ok((singles, started.elapsed()))
    }

    fn found(
        &self,
        index: &mut Faiss,
        only: Option<&HashSet<i64>>,
    ) -> anyhow::Result<(Vec<Duration>, Results)> {
        let mut times = Vec::new();
        let mut results = Vec::new();
        for query in &self.queries {
            let started = Instant::now();
            let found = index.search(query, &[Collection::ErrorsCi], only, K)?;
            times.push(started.elapsed());
            results.push(found.iter().map(|found| found.n).collect());
        }
        Ok((times, results))
    }
}

/// What waits, into the graph: the mean for one. A graph's alone.
fn moving(index: &mut Faiss) -> anyhow::Result<String> {
    let started = Instant::now();
    let mut moved = 0;
    while index.move_some()? {
        moved += 1;
    }
    if moved == 0 {
        return Ok("-".to_owned());
    }
    Ok(ms(started.elapsed() / u32::try_from(SINGLES + BATCH)?))
}

fn recall(results: &Results, truth: &Results) -> f64 {
    let hits: usize = results.iter().zip(truth).map(|(a, b)| a.intersection(b).count()).sum();
    hits as f64 / (results.len() * K) as f64
}

type Results = Vec<BTreeSet<i64>>;

fn change(pool: &Pool, n: usize, entry: usize) -> Change {
    Change {
        n: i64::try_from(n).unwrap_or(i64::MAX),
        id: EntryId::from_stored(format!("entry-{entry}")),
        collection: Collection::ErrorsCi,
        embedder: builtin::ID.to_owned(),
        vector: Some(pool.vector(n)),
    }
}

fn vector_ref(change: &Change) -> VectorRef {
    VectorRef { n: change.n, id: change.id.clone(), collection: change.collection }
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
