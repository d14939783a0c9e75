//! Ranks the files of a repository by how likely a task changes them. Pure: the search results, the paths and the history
//! come from the caller.
//!
//! Signals: chunks of files found by full text and vectors, words of the path, paths and names in the text, files of commits
//! with a similar message, files changed together with similar files, and the tests of a file. The weights are chosen on the
//! older commits of the benchmark `scope` (docs/benchmarks.md).

mod past_changes;
mod path_words;

use std::collections::{HashMap, HashSet};

use crate::phase::companion::is_test_for;
use crate::phase::proposal::PastChange;
use past_changes::{add_recent, add_similar_changes, add_together};
use path_words::{add_names, add_paths};

/// Files from which related files are looked up.
const SEEDS: usize = 8;

const CHUNK: f32 = 1.0;
const PATH: f32 = 0.8;
const AREA: f32 = 0.5;
const NAMED: f32 = 2.0;
const MESSAGE: f32 = 0.5;
const TOGETHER: f32 = 0.5;
const TEST: f32 = 0.1;
const RECENT: f32 = 0.2;

/// What a ranking is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct RankingInput<'a> {
    /// Text of the task.
    pub text: &'a str,
    /// All files of the repository.
    pub files: &'a [&'a str],
    /// Files of the chunks found by search, best first; a file may be listed several times.
    pub found: &'a [&'a str],
    /// Recent commits, newest first.
    pub history: &'a [PastChange],
}

/// A file with its score; larger is more likely.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedFile {
    /// Path of the file.
    pub path: String,
    /// Sum of the weighted signals.
    pub score: f32,
    /// The strongest signal, in words.
    pub reason: &'static str,
}

/// Ranks the files with any signal, best first.
pub fn rank_files(input: &RankingInput<'_>) -> Vec<RankedFile> {
    let mut scores = Scores::default();
    let known: HashSet<&str> = input.files.iter().copied().collect();
    add_chunks(&mut scores, input.found, &known);
    add_paths(&mut scores, input);
    add_names(&mut scores, input, &known);
    add_similar_changes(&mut scores, input, &known);
    let seeds = scores.best(SEEDS);
    add_together(&mut scores, &seeds, input.history, &known);
    add_tests(&mut scores, &seeds, input.files);
    add_recent(&mut scores, input.history);
    scores.into_ranking()
}

/// Scores by file: the sum, and the strongest signal.
#[derive(Default)]
struct Scores<'a>(HashMap<&'a str, (f32, f32, &'static str)>);

impl<'a> Scores<'a> {
    fn add(&mut self, file: &'a str, amount: f32, reason: &'static str) {
        let score = self.0.entry(file).or_insert((0.0, 0.0, reason));
        score.0 += amount;
        if amount > score.1 {
            (score.1, score.2) = (amount, reason);
        }
    }

    fn best(&self, count: usize) -> Vec<(&'a str, f32)> {
        let mut all: Vec<(&str, f32)> =
            self.0.iter().map(|(file, score)| (*file, score.0)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        all.truncate(count);
        all
    }

    fn into_ranking(self) -> Vec<RankedFile> {
        let mut ranked: Vec<RankedFile> = self
            .0
            .into_iter()
            .map(|(path, (score, _, reason))| RankedFile { path: path.to_owned(), score, reason })
            .collect();
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.path.cmp(&b.path)));
        ranked
    }
}

/// Adds the search results: the first counts most, further chunks of a file a little.
fn add_chunks<'a>(scores: &mut Scores<'a>, found: &[&'a str], known: &HashSet<&'a str>) {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for (rank, file) in found.iter().enumerate().filter(|(_, file)| known.contains(**file)) {
        let chunks = seen.entry(file).or_default();
        let share = 10.0 / (10.0 + rank as f32) / (1.0 + 2.0 * *chunks as f32);
        *chunks += 1;
        scores.add(file, CHUNK * share, "its text is similar to the task");
    }
}

/// Adds the tests of the best files.
fn add_tests<'a>(scores: &mut Scores<'a>, seeds: &[(&'a str, f32)], files: &[&'a str]) {
    let best = seeds.first().map_or(1.0, |seed| seed.1).max(f32::EPSILON);
    for (seed, score) in seeds {
        for file in files.iter().filter(|file| is_test_for(file, seed)) {
            scores.add(file, TEST * score / best, "it tests a similar file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 9] = [
        "src/parser/mod.rs",
        "src/parser/tokens.rs",
        "src/store/queue.rs",
        "src/store/claims.rs",
        "src/cli/drain.rs",
        "docs/guide.md",
        "tests/queue.rs",
        "tests/parser.rs",
        "Cargo.toml",
    ];

    fn rank(text: &str, found: &[&str], history: &[PastChange]) -> Vec<String> {
        let input = RankingInput { text, files: &FILES, found, history };
        rank_files(&input).into_iter().map(|file| file.path).collect()
    }

    fn commit(files: &[&str]) -> PastChange {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        PastChange { message: "a change".to_owned(), files }
    }

    #[test]
    fn words_of_the_path_and_names_in_the_text_count() {
        // The file and its test.
        for (text, file) in [
            ("the queue forgets a phase", "src/store/queue.rs"),
            ("parser: an empty file", "src/parser/mod.rs"),
        ] {
            let ranked = rank(text, &[], &[]);
            assert!(ranked[..2].iter().any(|known| known == file), "{ranked:?}");
        }
        assert_eq!(rank("see `store/claims.rs` of the queue", &[], &[])[0], "src/store/claims.rs");
        assert_eq!(rank("fix guide.md", &[], &[])[0], "docs/guide.md");
        assert!(rank("something else entirely", &[], &[]).is_empty());
    }

    #[test]
    fn found_chunks_count_by_rank_and_unknown_files_are_ignored() {
        let found = ["gone.rs", "src/cli/drain.rs", "src/store/claims.rs", "src/cli/drain.rs"];
        assert_eq!(rank("xyz", &found, &[]), ["src/cli/drain.rs", "src/store/claims.rs"]);
    }

    #[test]
    fn files_that_change_together_and_tests_follow_a_similar_file() {
        let history: Vec<PastChange> =
            (0..4).map(|_| commit(&["src/store/queue.rs", "src/cli/drain.rs"])).collect();
        let ranked = rank("queue", &["src/store/queue.rs"], &history);
        assert_eq!(ranked[0], "src/store/queue.rs");
        assert!(ranked.contains(&"tests/queue.rs".to_owned()), "{ranked:?}");
        assert!(ranked.contains(&"src/cli/drain.rs".to_owned()), "{ranked:?}");
        // A commit that changes everything tells nothing.
        let mut wide = commit(&["src/store/queue.rs", "Cargo.toml"]);
        wide.files.extend((0..40).map(|n| format!("src/{n}.rs")));
        assert!(!rank("queue", &[], &[wide]).contains(&"Cargo.toml".to_owned()));
    }

    #[test]
    fn files_of_similar_tasks_and_of_the_named_area_are_preferred() {
        let past = |message: &str, file: &str| PastChange {
            message: message.to_owned(),
            files: vec![file.to_owned()],
        };
        let history = [
            past("greet: politeness of the greeting", "src/cli/drain.rs"),
            past("weather: rain", "src/store/queue.rs"),
        ];
        assert_eq!(rank("the greeting lacks politeness", &[], &history)[0], "src/cli/drain.rs");
        let area = rank("cli: queue", &[], &[]);
        assert!(area.contains(&"src/cli/drain.rs".to_owned()), "{area:?}");
    }
}
