//! Ranks the files of a repository by how likely a task changes them. Pure: the search results, the paths and the history
//! come from the caller.
//!
//! Signals: chunks of files found by full text and vectors, words of the path, paths and names in the text, files of commits
//! with a similar message, files that changed together with those, and the tests of a file. The weights come from the benchmark
//! `scope` (docs/benchmarks.md).

use std::collections::{HashMap, HashSet};

use super::embed::tokens::{stem, words};
use crate::phase::companion::is_test_for;
use crate::phase::path::{file_name, parent};
use crate::phase::proposal::PastChange;

/// Commits with more files than this tell nothing about what belongs together.
const MOST_TOGETHER: usize = 20;
/// Files from which related files are looked up.
const SEEDS: usize = 8;

/// Similar messages that count.
const SIMILAR: usize = 20;
/// Words before the colon of a title, such as `parser: `, that name an area.
const AREA_WORDS: usize = 4;

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

/// Adds the share of the task's words in the path, rare words first.
fn add_paths<'a>(scores: &mut Scores<'a>, input: &RankingInput<'a>) {
    let (wanted, area) = (stems(input.text), stems(area_of(input.text)));
    let paths: Vec<(&str, Vec<(String, f32)>)> =
        input.files.iter().map(|file| (*file, path_stems(file))).collect();
    let mut frequency: HashMap<&str, f32> = HashMap::new();
    for (stem, _) in paths.iter().flat_map(|(_, stems)| stems) {
        *frequency.entry(stem).or_default() += 1.0;
    }
    let all = paths.len() as f32;
    let rarity = |stem: &str| {
        let files = frequency.get(stem).copied().unwrap_or(1.0);
        ((all + 1.0) / files).ln() / (all + 1.0).ln()
    };
    for (file, stems) in &paths {
        let total: f32 = stems.iter().map(|(stem, weight)| rarity(stem) * weight).sum();
        let met = |wanted: &HashSet<String>| -> f32 {
            let met = stems.iter().filter(|(stem, _)| wanted.contains(stem));
            met.map(|(stem, weight)| rarity(stem) * weight).sum()
        };
        let met = PATH * met(&wanted) + AREA * met(&area);
        if met > 0.0 {
            scores.add(file, met / total.max(0.5).sqrt(), "its path has words of the task");
        }
    }
}

/// Adds the files named in the text: whole paths, ends of paths, and names of files or modules.
fn add_names<'a>(scores: &mut Scores<'a>, input: &RankingInput<'a>, known: &HashSet<&'a str>) {
    let is_end = |c: char| c.is_whitespace() || "`'\"()[]<>,;:".contains(c);
    let tokens: HashSet<&str> = input
        .text
        .split(is_end)
        .map(|token| token.trim_matches(['.', '/', '*', '!', '?']))
        .filter(|token| token.contains(['/', '.', '_']) && token.len() > 3)
        .collect();
    for file in input.files.iter().filter(|file| known.contains(**file)) {
        let name = file_name(file);
        let stem = name.split('.').next().unwrap_or(name);
        let below = |token: &&str| file.ends_with(&format!("/{token}"));
        if tokens.contains(file) || tokens.iter().any(|token| token.contains('/') && below(token)) {
            scores.add(file, NAMED, "the task names it");
        } else if tokens.contains(name) && name.contains('.') {
            scores.add(file, NAMED * 0.75, "the task names it");
        } else if stem.contains('_') && tokens.contains(stem) {
            scores.add(file, NAMED * 0.5, "the task names it");
        }
    }
}

/// Adds the files of commits whose message has rare words of the task.
fn add_similar_changes<'a>(
    scores: &mut Scores<'a>,
    input: &RankingInput<'a>,
    known: &HashSet<&'a str>,
) {
    let wanted = stems(input.text);
    let changes = input.history.iter().filter(|change| is_telling(change));
    let changes: Vec<(HashSet<String>, &PastChange)> =
        changes.map(|change| (stems(&change.message), change)).collect();
    let mut frequency: HashMap<&str, f32> = HashMap::new();
    for stem in changes.iter().flat_map(|(stems, _)| stems) {
        *frequency.entry(stem).or_default() += 1.0;
    }
    let all = changes.len() as f32 + 1.0;
    let weight = |stem: &String| {
        let commits = frequency.get(stem.as_str()).copied().unwrap_or_default();
        (all / (commits + 0.5)).ln().powi(2)
    };
    let length = |stems: &HashSet<String>| stems.iter().map(weight).sum::<f32>().sqrt();
    let own: HashSet<String> =
        wanted.into_iter().filter(|stem| frequency.contains_key(stem.as_str())).collect();
    let own_length = length(&own).max(f32::EPSILON);
    let mut similar: Vec<(f32, &PastChange)> = changes
        .iter()
        .filter_map(|(stems, change)| {
            let shared: f32 = stems.intersection(&own).map(weight).sum();
            (shared > 0.0).then(|| (shared / own_length / length(stems).max(f32::EPSILON), *change))
        })
        .collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut sums: HashMap<&str, f32> = HashMap::new();
    for (share, change) in similar.into_iter().take(SIMILAR) {
        for file in &change.files {
            let files = (change.files.len() as f32).sqrt();
            *sums.entry(file.as_str()).or_default() += share / files;
        }
    }
    let most = sums.values().copied().fold(f32::EPSILON, f32::max);
    for (file, sum) in sums {
        if let Some(file) = known.get(file) {
            scores.add(file, MESSAGE * sum / most, "a similar task changed it before");
        }
    }
}

/// Whether a commit is small enough to tell what belongs together.
fn is_telling(change: &PastChange) -> bool {
    change.files.len() <= MOST_TOGETHER
}

/// Returns the area named at the start of a title: `parser: an empty file`, `fix(parser): ...`.
fn area_of(text: &str) -> &str {
    let title = text.lines().next().unwrap_or_default();
    let area = title.split_once(':').map_or("", |(area, _)| area);
    if area.split_whitespace().count() <= AREA_WORDS { area } else { "" }
}

/// Adds the files that changed together with the best files.
fn add_together<'a>(
    scores: &mut Scores<'a>,
    seeds: &[(&'a str, f32)],
    history: &'a [PastChange],
    known: &HashSet<&'a str>,
) {
    let best = seeds.first().map_or(1.0, |seed| seed.1).max(f32::EPSILON);
    for (seed, score) in seeds {
        let mut together: HashMap<&str, f32> = HashMap::new();
        let mut changes = 0.0;
        for commit in history.iter().filter(|commit| is_telling(commit)) {
            if !commit.files.iter().any(|file| file == seed) {
                continue;
            }
            changes += 1.0;
            for file in commit.files.iter().filter(|file| file != seed) {
                *together.entry(file.as_str()).or_default() += 1.0;
            }
        }
        for (file, count) in together {
            // One common change may be chance.
            let share = (count - 0.5) / (changes + 1.0);
            if let Some(file) = known.get(file) {
                let amount = TOGETHER * share * score / best;
                scores.add(file, amount, "it often changes together with a similar file");
            }
        }
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

/// Prefers files that changed lately, among files with another signal.
fn add_recent<'a>(scores: &mut Scores<'a>, history: &'a [PastChange]) {
    let mut changes: HashMap<&str, f32> = HashMap::new();
    for (age, commit) in history.iter().enumerate().filter(|(_, commit)| is_telling(commit)) {
        for file in &commit.files {
            *changes.entry(file.as_str()).or_default() += 30.0 / (30.0 + age as f32);
        }
    }
    for (file, score) in &mut scores.0 {
        let lately = changes.get(file).copied().unwrap_or_default();
        score.0 += RECENT * (1.0 + lately).ln();
    }
}

/// Returns the stems of a text.
fn stems(text: &str) -> HashSet<String> {
    words(text).flat_map(|word| word.parts).filter(|part| part.len() > 1).collect()
}

/// Returns the stems of a path, each once, with a weight: the name of the file counts most.
fn path_stems(path: &str) -> Vec<(String, f32)> {
    let name = file_name(path);
    let base = name.split('.').next().unwrap_or(name);
    let mut weighted: Vec<(String, f32)> = Vec::new();
    let mut add = |text: &str, weight: f32| {
        for part in words(text).flat_map(|word| word.parts).filter(|part| part.len() > 1) {
            match weighted.iter_mut().find(|(known, _)| *known == part) {
                Some(known) => known.1 = known.1.max(weight),
                None => weighted.push((part, weight)),
            }
        }
    };
    add(base, 1.0);
    // A module's file says nothing; its directory is the name.
    let is_generic = ["mod", "index", "__init__", "main", "lib"].contains(&base);
    let mut weight = if is_generic { 1.0 } else { 0.6 };
    let mut at = parent(path);
    while let Some(directory) = at {
        add(file_name(directory), weight);
        weight *= 0.6;
        at = parent(directory);
    }
    let generic = [stem("src"), stem("mod"), stem("tests"), stem("lib")];
    weighted.retain(|(part, _)| !generic.contains(part));
    weighted
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
        assert_eq!(area_of("a sentence with many words before: it"), "");
    }
}
