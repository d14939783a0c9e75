//! Signals of the history: files of commits with a similar message, files changed together, recent changes.

use std::collections::{HashMap, HashSet};

use super::path_words::stems;
use super::{MESSAGE, RECENT, RankingInput, Scores, TOGETHER};
use crate::phase::proposal::PastChange;

/// Most files of a commit whose files belong together.
const MOST_TOGETHER: usize = 20;
/// Number of similar messages used.
const SIMILAR: usize = 20;

/// Adds the files of commits whose message has rare words of the task.
pub(super) fn add_similar_changes<'a>(
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

/// Adds the files changed together with the best files.
pub(super) fn add_together<'a>(
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

/// Prefers recently changed files, among files with another signal.
pub(super) fn add_recent<'a>(scores: &mut Scores<'a>, history: &'a [PastChange]) {
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

/// Checks for a commit small enough for its files to belong together.
fn is_telling(change: &PastChange) -> bool {
    change.files.len() <= MOST_TOGETHER
}
