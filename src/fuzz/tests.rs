//! Runs every fuzz target on its seeds, changed at random.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

const PIECES: [&[u8]; 16] = [
    b"",
    b"\n",
    b"\0",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b"-1",
    b"18446744073709551615",
    b"1e999",
    b"\"\\ud800\"",
    "\u{feff}é".as_bytes(),
    b"../",
    b": ",
    b"\t",
    b"\x1b[31m",
];

/// Difference between an input and a recording.
#[derive(Clone, Debug)]
enum Change {
    /// Replaces this many bytes from this position.
    Replace(Index, usize, Vec<u8>),
    /// Takes the rest from another recording.
    Splice(Index, Index, Index),
    /// Repeats a range.
    Repeat(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![
        select(PIECES.to_vec()).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..12),
        any::<String>().prop_map(String::into_bytes),
    ];
    prop_oneof![
        4 => (any::<Index>(), 0..40_usize, piece).prop_map(|(at, len, new)| Change::Replace(at, len, new)),
        1 => any::<(Index, Index, Index)>().prop_map(|(at, other, from)| Change::Splice(at, other, from)),
        1 => (any::<Index>(), 1..200_usize).prop_map(|(at, len)| Change::Repeat(at, len)),
    ]
}

fn changed(mut input: Vec<u8>, change: Change, seeds: &[Vec<u8>]) -> Vec<u8> {
    let place = |at: Index, len: usize| at.index(len + 1);
    match change {
        Change::Replace(at, len, new) => {
            let at = place(at, input.len());
            let end = (at + len).min(input.len());
            input.splice(at..end, new);
        }
        Change::Splice(at, other, from) => {
            let other = other.get(seeds);
            input.truncate(place(at, input.len()));
            input.extend_from_slice(&other[place(from, other.len())..]);
        }
        Change::Repeat(at, len) => {
            let at = place(at, input.len());
            let part = input[at..(at + len).min(input.len())].to_vec();
            input.splice(at..at, part);
        }
    }
    input
}

/// Returns the number of cases: `short` in short runs, `PROPTEST_CASES` in long runs.
pub(crate) fn cases(short: u32) -> ProptestConfig {
    let long = ProptestConfig::default().cases;
    let unset = long == 256;
    ProptestConfig {
        cases: if unset { short } else { long },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Runs a target on the recordings, then on `PROPTEST_CASES` (100) changed recordings.
fn hold(target: &str, holds: fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "no seeds for {target}");
    seeds.iter().for_each(|seed| holds(seed));
    let inputs = (any::<Index>(), prop::collection::vec(change(), 1..5));
    let spoiled = inputs.prop_map(|(which, changes)| {
        let seed = which.get(&seeds).clone();
        changes.into_iter().fold(seed, |input, change| changed(input, change, &seeds))
    });
    let run = TestRunner::new(cases(100)).run(&spoiled, |input| {
        holds(&input);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{target}: {error}"));
}

/// Returns the seeds of a target: files in `tests/fuzz/seeds`, and files named by `.from`.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("tests/fuzz/seeds");
    let named = fs::read_to_string(directory.join(format!("{target}.from"))).unwrap_or_default();
    let mut files = files(&directory.join(target));
    named.lines().for_each(|name| files.extend(self::files(&root.join(name))));
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn files(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let entries = fs::read_dir(at).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.flat_map(|path| files(&path)).collect();
    found.sort();
    found
}

macro_rules! targets {
    ($($target:ident),*) => {
        $(
            #[test]
            fn $target() {
                hold(stringify!($target), super::$target);
            }
        )*

        /// A target without a test here, or without a program there, would never be fuzzed.
        #[test]
        fn every_target_has_its_program() {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
            let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
            let mut tested = [$(format!("{}.rs", stringify!($target))),*];
            tested.sort();
            let programs = files(&root.join("targets"));
            let names = programs.iter().map(|file| file.file_name().unwrap().to_str().unwrap());
            assert!(names.eq(tested.iter().map(String::as_str)));
            for name in &tested {
                assert!(manifest.contains(&format!("path = \"targets/{name}\"")), "{name}");
            }
        }
    };
}

targets!(
    autofix,
    ci_results,
    config,
    database_url,
    edits,
    memories,
    network,
    paths,
    plans,
    redaction,
    streams
);
