//! Difference between the patch of a passed attempt and the patch of a failed attempt: the content of a fix. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::process::patch::{self, PatchLine};

/// Lines kept of the difference; longer texts help less.
const LINES: usize = 60;
const LINE_CHARS: usize = 200;

/// Added and removed lines of each file, by path.
type Edits<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Lists lines only in the passing patch, then lines only in the failing patch; `None` if equal.
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
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::fuzz::tests::cases;

    fn patch(path: &str, lines: &str) -> String {
        let count = |other: char| lines.lines().filter(|line| !line.starts_with(other)).count();
        let (old, new) = (count('+'), count('-'));
        format!(
            "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,{old} +1,{new} @@\n{lines}"
        )
    }

    #[test]
    fn lesson_contains_only_differences() {
        let failed = patch("src/a.py", " same\n+import os\n+x = 1\n");
        let passed = patch("src/a.py", " same\n+import os\n+x = 2\n") + &patch("b.py", "+y\n");
        let lesson = difference(&failed, &passed).unwrap();
        assert_eq!(lesson, "b.py:\n+y\nsrc/a.py:\n+x = 2\nno longer: +x = 1");
        assert_eq!(difference(&passed, &passed), None);
        assert_eq!(difference("", ""), None);
    }

    #[test]
    fn long_lessons_are_cut_with_a_count() {
        let lines: String = (0..100).map(|n| format!("+line {n}\n")).collect();
        let lesson = difference("", &patch("a", &lines)).unwrap();
        assert!(lesson.ends_with("... 41 lines more"), "{lesson}");
    }

    /// Lines of a hunk, many of which look like another part of a patch.
    fn hunk() -> impl Strategy<Value = Vec<String>> {
        let texts =
            ["", " ", "x", "y = 1", "++ b/f", "-- a/f", "@@ -1 +1 @@", "\\", "diff --git a/f b/f"];
        let line = (select(vec!['+', '-', ' ']), select(texts.to_vec()));
        vec(line.prop_map(|(sign, text)| format!("{sign}{text}")), 0..12)
    }

    fn files() -> impl Strategy<Value = BTreeMap<&'static str, Vec<String>>> {
        btree_map(select(vec!["a.py", "docs/b c.md", "src/d.rs"]), hunk(), 0..4)
    }

    fn whole(files: &BTreeMap<&str, Vec<String>>) -> String {
        let lines =
            |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        files.iter().map(|(path, hunk)| patch(path, &lines(hunk))).collect()
    }

    /// The lines that change a file and say something.
    fn edited<'a>(files: &'a BTreeMap<&str, Vec<String>>, path: &str) -> BTreeSet<&'a str> {
        let lines = files.get(path).into_iter().flatten().map(String::as_str);
        lines.filter(|line| !line.starts_with(' ') && !line[1..].trim().is_empty()).collect()
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn each_differing_line_is_reported_once(failed in files(), passed in files()) {
            let lesson = difference(&whole(&failed), &whole(&passed)).unwrap_or_default();
            let mut expected = Vec::new();
            for path in ["a.py", "docs/b c.md", "src/d.rs"] {
                let (before, after) = (edited(&failed, path), edited(&passed, path));
                let new = after.iter().filter(|line| !before.contains(*line)).map(|line| (*line).to_owned());
                let gone = before.iter().filter(|line| !after.contains(*line)).map(|line| format!("no longer: {line}"));
                let lines: Vec<String> = new.chain(gone).collect();
                if !lines.is_empty() {
                    expected.push(format!("{path}:"));
                    expected.extend(lines);
                }
            }
            prop_assert_eq!(lesson.lines().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn malformed_patch_equals_itself(files in files(), at in any::<Index>(), noise in "[-+@ \n\\\\a-z/]{0,20}") {
            let mut spoiled = whole(&files);
            spoiled.insert_str(at.index(spoiled.len() + 1), &noise);
            prop_assert_eq!(difference(&spoiled, &spoiled), None);
            let lesson = difference(&whole(&files), &spoiled).unwrap_or_default();
            prop_assert!(lesson.lines().count() <= LINES + 1);
        }
    }
}
