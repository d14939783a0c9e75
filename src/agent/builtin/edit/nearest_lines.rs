//! Finds the lines of a file most similar to a missing text.

use std::collections::HashSet;

use similar::{Algorithm, TextDiff};

/// Number of candidates compared in full.
const CANDIDATES: usize = 8;
const CONTEXT: usize = 2;
const MOST_LINES: usize = 30;
/// Comparing longer texts takes longer than reading the file again.
const LONGEST: usize = 4_000;

/// Returns the most similar lines with numbers and context; `None` without similar lines.
pub(super) fn nearest(text: &str, wanted: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let height = wanted.lines().count().clamp(1, MOST_LINES);
    let at = best_window(&lines, wanted, height)?;
    let from = at.saturating_sub(CONTEXT);
    let to = (at + height + CONTEXT).min(lines.len());
    Some(numbered(&lines[from..to], from + 1))
}

pub(in crate::agent::builtin) fn numbered(lines: &[&str], first: usize) -> String {
    let width = (first + lines.len()).to_string().len();
    let line = |(index, text): (usize, &&str)| format!("{:>width$} | {text}\n", first + index);
    lines.iter().enumerate().map(line).collect()
}

/// Common words select the candidates, a full comparison selects the best.
fn best_window(lines: &[&str], wanted: &str, height: usize) -> Option<usize> {
    let wanted_words: HashSet<&str> = words(wanted).collect();
    let common: Vec<usize> = lines
        .iter()
        .map(|line| words(line).filter(|word| wanted_words.contains(word)).count())
        .collect();
    let window = |at: usize| common[at..(at + height).min(common.len())].iter().sum::<usize>();
    let mut candidates: Vec<(usize, usize)> =
        (0..lines.len()).map(|at| (window(at), at)).filter(|(score, _)| *score > 0).collect();
    candidates.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let ratio = |at: usize| {
        let text = lines[at..(at + height).min(lines.len())].join("\n");
        alike(&text, wanted)
    };
    let compared = candidates.into_iter().take(CANDIDATES).map(|(_, at)| (ratio(at), at));
    compared.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))).map(|(_, at)| at)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn alike(a: &str, b: &str) -> f32 {
    if a.len() > LONGEST || b.len() > LONGEST {
        return TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(a, b).ratio();
    }
    TextDiff::from_chars(a, b).ratio()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_place_is_shown_with_its_numbers() {
        let text = "import os\n\ndef a(x):\n    return x + 1\n\ndef b(y):\n    return y + 2\n";
        let near = nearest(text, "def b(z):\n    return z + 2").unwrap();
        assert!(near.contains("6 | def b(y):\n7 |     return y + 2\n"), "{near}");
        assert_eq!(nearest(text, "+++"), None);
        assert_eq!(nearest("", "x"), None);
    }
}
