//! How the patch that passed differs from the patch that failed: what a fix consisted of. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::process::patch::{self, PatchLine};

/// Of the difference; more would tell less.
const LINES: usize = 60;
const LINE_CHARS: usize = 200;

/// The added and removed lines of each file, by path.
type Edits<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Lines that only the passing patch has, then those that it does without; `None` where they say the same.
pub(super) fn difference(failed: &str, passed: &str) -> Option<String> {
    let (failed, passed) = (edits(failed), edits(passed));
    let mut lines = Vec::new();
    let paths: BTreeSet<&str> = failed.keys().chain(passed.keys()).copied().collect();
    for path in paths {
        let (none, before, after) = (BTreeSet::new(), failed.get(path), passed.get(path));
        let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
        let new: Vec<&&str> = after.difference(before).collect();
        let dropped: Vec<&&str> = before.difference(after).collect();
        if new.is_empty() && dropped.is_empty() {
            continue;
        }
        lines.push(format!("{path}:"));
        lines.extend(new.into_iter().map(|line| cut(line)));
        lines.extend(dropped.into_iter().map(|line| format!("no longer: {}", cut(line))));
    }
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    if more > 0 {
        lines.push(format!("... {more} lines more"));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn cut(line: &str) -> String {
    line.chars().take(LINE_CHARS).collect()
}

fn edits(patch: &str) -> Edits<'_> {
    let mut edits = Edits::new();
    let mut path = "";
    let lines = patch.split_inclusive('\n').zip(patch::lines(patch.as_bytes()));
    for (line, read) in lines.map(|(line, read)| (line.trim_end_matches(['\n', '\r']), read)) {
        match read {
            PatchLine::Header(_) => {
                if let Some(named) = patch::path_of(line) {
                    path = named;
                    edits.entry(path).or_default();
                }
            }
            PatchLine::Added(text) | PatchLine::Removed(text) if !text.trim_ascii().is_empty() => {
                edits.entry(path).or_default().insert(line);
            }
            _ => {}
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(path: &str, lines: &str) -> String {
        let count = |other: char| lines.lines().filter(|line| !line.starts_with(other)).count();
        let (old, new) = (count('+'), count('-'));
        format!(
            "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,{old} +1,{new} @@\n{lines}"
        )
    }

    #[test]
    fn only_what_differs_is_told() {
        let failed = patch("src/a.py", " same\n+import os\n+x = 1\n");
        let passed = patch("src/a.py", " same\n+import os\n+x = 2\n") + &patch("b.py", "+y\n");
        let told = difference(&failed, &passed).unwrap();
        assert_eq!(told, "b.py:\n+y\nsrc/a.py:\n+x = 2\nno longer: +x = 1");
        assert_eq!(difference(&passed, &passed), None);
        assert_eq!(difference("", ""), None);
    }

    #[test]
    fn much_is_cut_and_counted() {
        let lines: String = (0..100).map(|n| format!("+line {n}\n")).collect();
        let told = difference("", &patch("a", &lines)).unwrap();
        assert!(told.ends_with("... 41 lines more"), "{told}");
    }

    proptest::proptest! {
        #[test]
        fn no_patch_makes_it_panic(a in "[-+@ \na-z/]{0,200}", b in ".{0,80}") {
            difference(&a, &b);
        }
    }
}
