//! Properties of every edit, for any texts.

use proptest::prelude::*;

use super::staged_changes::{FileChange, plan};
use super::{Refusal, apply_hunks, parse_patch, replace, unified};
use crate::fuzz::tests::cases;

/// Few letters, so that lines repeat; both line ends, with and without a final line end.
fn text() -> impl Strategy<Value = String> {
    let line = proptest::string::string_regex("[ab +\\-@*é]{0,4}").unwrap();
    let lines = prop::collection::vec((line, prop::bool::ANY), 0..12);
    (lines, prop::bool::ANY, prop::bool::ANY).prop_map(|(lines, ended, bom)| {
        let mut text = if bom { "\u{feff}".to_owned() } else { String::new() };
        let last = lines.len().saturating_sub(1);
        for (index, (line, crlf)) in lines.iter().enumerate() {
            text.push_str(line);
            if index < last || ended {
                text.push_str(if *crlf { "\r\n" } else { "\n" });
            }
        }
        text
    })
}

fn plain(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn overlapping(text: &str, part: &str) -> usize {
    (0..text.len()).filter(|at| text.is_char_boundary(*at) && text[*at..].starts_with(part)).count()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_replacement_happens_exactly_where_the_text_is_unique(
        before in text(), old in "[ab\n]{1,4}", new in "[abc\n]{0,4}",
    ) {
        let body = plain(before.trim_start_matches('\u{feff}'));
        let expected = overlapping(&body, &old) == 1 && old != new;
        match replace::replace(&before, &old, &new) {
            Ok(after) => {
                prop_assert!(expected);
                let after = plain(after.trim_start_matches('\u{feff}'));
                prop_assert_eq!(after, body.replacen(&old, &new, 1));
            }
            Err(_) => prop_assert!(!expected),
        }
    }

    #[test]
    fn text_around_a_replacement_is_unchanged(before in text()) {
        let before = format!("{before}\nUNIQUE\r\n{before}");
        let after = replace::replace(&before, "UNIQUE", "X").unwrap();
        prop_assert_eq!(after, before.replace("UNIQUE", "X"));
    }

    #[test]
    fn a_diff_of_two_texts_leads_from_one_to_the_other(
        before in "[ab\n]{0,30}", after in "[abc\n]{0,30}",
    ) {
        prop_assume!(before != after);
        let diff = similar::TextDiff::from_lines(&before, &after);
        let patch = diff.unified_diff().header("a/f", "b/f").to_string();
        let changes = unified::parse(&patch).unwrap();
        let [FileChange::Update { hunks, .. }] = changes.as_slice() else { panic!("{patch}") };
        prop_assert_eq!(apply_hunks::apply(&before, hunks).unwrap(), after);
    }

    #[test]
    fn nothing_panics_and_a_refusal_stages_nothing(patch in "(?s).{0,200}", before in text()) {
        let mut read = |_: &str| Ok::<_, Refusal>(Some(before.clone()));
        if let Ok(changes) = parse_patch(&patch) {
            let _ = plan(&changes, &mut read);
        }
    }

    #[test]
    fn nothing_panics_on_what_looks_like_a_patch(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "*** Begin Patch", "*** Update File: f", "*** Add File: g", "*** Delete File: f", "*** Move to: g",
                "@@", "@@ a", "@@ -1,2 +1 @@", "@@ -9,0 +99 @@", "--- a/f", "+++ b/f", "--- /dev/null", "+++ /dev/null",
                "+a", "-a", " a", "-b", "+", "", "\\ No newline at end of file", "*** End of File", "*** End Patch",
                "diff --git a/f b/f", "rename from f", "rename to g",
            ]),
            0..25,
        ),
        before in text(),
    ) {
        let mut read = |path: &str| Ok::<_, Refusal>((path == "f").then(|| before.clone()));
        if let Ok(changes) = parse_patch(&lines.join("\n"))
            && let Ok(staged) = plan(&changes, &mut read)
        {
            prop_assert!(staged.iter().all(|file| file.before != file.after));
        }
    }
}
