//! Losses by names, declarations and numbers.

use std::collections::BTreeMap;

use super::*;
use crate::ci::results::{CiOutcome, PrintedTests};

/// A run of one runner; without `names`, only the number is known.
fn run(passed: u64, names: Option<&[&str]>) -> TestResults {
    let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    TestResults {
        counts: [("jest".to_owned(), passed)].into(),
        printed: [(String::new(), PrintedTests { passed, names })].into(),
        ..TestResults::of(CiOutcome::Passed)
    }
}

fn texts(files: &[(&str, &[&str])]) -> BTreeMap<String, String> {
    let text = |tests: &[&str]| -> String {
        tests.iter().map(|test| format!("test('{test}', () => check('{test}'));\n")).collect()
    };
    files.iter().map(|(file, tests)| ((*file).to_owned(), text(tests))).collect()
}

/// The phase delivers `mine.test.js`.
fn losses(now: &TestResults, base: &TestResults, sources: &Sources) -> MissingTests {
    find_losses(now, base, sources, &|file| file == "mine.test.js")
}

fn blocks(now: &TestResults, base: &TestResults, sources: &Sources) -> bool {
    let losses = losses(now, base, sources);
    !(losses.gone.is_empty() && losses.fewer.is_empty())
}

#[test]
fn a_name_of_a_delivered_file_may_go_and_any_other_blocks() {
    let base = run(3, Some(&["mine", "other", "both"]));
    let before =
        texts(&[("mine.test.js", &["mine", "both"]), ("other.test.js", &["other", "both"])]);
    for (left, blocking) in [
        (&["other", "both"][..], &[][..]),
        (&["mine", "both"][..], &["other"][..]),
        (&["mine", "other"][..], &["both"][..]),
    ] {
        let now = texts(&[("mine.test.js", left), ("other.test.js", &["other", "both"])]);
        let sources = Sources { before: before.clone(), now };
        let losses = losses(&run(2, Some(left)), &base, &sources);
        assert_eq!(losses.gone, blocking, "{left:?}");
        assert_eq!(losses.fewer.is_empty(), blocking.is_empty(), "{losses:?}");
    }
    // A name without a declaration belongs to no delivered file.
    assert_eq!(
        losses(&run(2, Some(&["mine", "both"])), &base, &Sources::default()).gone,
        ["other"]
    );
}

#[test]
fn new_tests_in_delivered_files_do_not_pay_for_others() {
    let before = texts(&[("other.test.js", &["a", "b"])]);
    let now = texts(&[("other.test.js", &["a"]), ("mine.test.js", &["new"])]);
    let sources = Sources { before: before.clone(), now };
    assert!(blocks(&run(2, None), &run(2, None), &sources));
    // In one place, a test may become another, and a moved test is no loss.
    for now in [
        texts(&[("other.test.js", &["a", "c"]), ("mine.test.js", &["new"])]),
        texts(&[("other.test.js", &["a"]), ("mine.test.js", &["b", "new"])]),
    ] {
        let sources = Sources { before: before.clone(), now };
        assert!(!blocks(&run(3, None), &run(2, None), &sources));
    }
}

#[test]
fn a_number_falls_by_as_many_tests_as_delivered_files_lose() {
    let before = texts(&[("mine.test.js", &["a", "b"]), ("other.test.js", &["c"])]);
    let sources = |mine: &[&str]| Sources {
        before: before.clone(),
        now: texts(&[("mine.test.js", mine), ("other.test.js", &["c"])]),
    };
    let base = run(5, None);
    assert!(!blocks(&run(4, None), &base, &sources(&["a"])));
    assert!(blocks(&run(3, None), &base, &sources(&["a"])));
    assert!(blocks(&run(4, None), &base, &sources(&["a", "b"])));
    assert!(blocks(&run(0, None), &run(2, None), &sources(&[])), "no test runs any more");
}

#[test]
fn a_name_taken_by_another_test_is_a_loss() {
    let before = texts(&[("other.test.js", &["a"])]);
    let empty = ("x.test.js".to_owned(), "test('a', () => {});\n".to_owned());
    let sources = Sources { before: before.clone(), now: [empty].into() };
    let same = run(1, Some(&["a"]));
    assert_eq!(losses(&same, &same, &sources).gone, ["other.test.js: a"]);
    let sources = Sources { before, now: texts(&[("x.test.js", &["a"])]) };
    assert!(!blocks(&same, &same, &sources), "the same text has moved");
}
