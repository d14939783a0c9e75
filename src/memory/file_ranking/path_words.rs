//! Signals of a task's words: words of the path, paths and names in the text.

use std::collections::{HashMap, HashSet};

use super::{AREA, NAMED, PATH, RankingInput, Scores};
use crate::memory::embed::tokens::{stem, words};
use crate::phase::path::{file_name, parent};

/// Words before the colon of a title, such as `parser: `, that name an area.
const AREA_WORDS: usize = 4;

/// Adds the share of the task's words in the path, rare words first.
pub(super) fn add_paths<'a>(scores: &mut Scores<'a>, input: &RankingInput<'a>) {
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
pub(super) fn add_names<'a>(
    scores: &mut Scores<'a>,
    input: &RankingInput<'a>,
    known: &HashSet<&'a str>,
) {
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

/// Returns the area named at the start of a title: `parser: an empty file`, `fix(parser): ...`.
fn area_of(text: &str) -> &str {
    let title = text.lines().next().unwrap_or_default();
    let area = title.split_once(':').map_or("", |(area, _)| area);
    if area.split_whitespace().count() <= AREA_WORDS { area } else { "" }
}

/// Returns the stems of a text.
pub(super) fn stems(text: &str) -> HashSet<String> {
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

    #[test]
    fn a_sentence_names_no_area() {
        assert_eq!(area_of("fix(parser): an empty file"), "fix(parser)");
        assert_eq!(area_of("a sentence with many words before: it"), "");
    }
}
