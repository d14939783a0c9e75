//! Real and invented output of `cargo test`.

use super::*;
use proptest::prelude::*;

const REAL: &str = include_str!("../../../tests/fixtures/ci/cargo/crash.txt");

fn parse(output: &str, find: &FindFile) -> TestReport {
    let mut reader = LibtestReader::default();
    output.lines().for_each(|line| reader.line(line));
    reader.into_report(find)
}

fn find(path: &str, _: Option<&str>) -> Option<String> {
    let there = ["src/lib.rs", "src/main.rs", "src/deep/mod.rs", "tests/api.rs", "tests/crash.rs"];
    there.contains(&path).then(|| path.to_owned())
}

fn real() -> TestReport {
    parse(REAL, &find)
}

#[test]
fn a_real_output_is_read_by_test_program() {
    let report = real();
    let line = |(id, test): (&String, &TestCase)| {
        format!("{:?} {id} [{}]", test.status, test.file.as_deref().unwrap_or("-"))
    };
    let lines: Vec<String> = report.tests.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    Passed doctests (calc) src/lib.rs - add [src/lib.rs]
    Passed doctests (calc) src/lib.rs - nothing [src/lib.rs]
    Failed doctests (calc) src/lib.rs - sub [src/lib.rs]
    Failed src/lib.rs (calc) deep::tests::result [src/deep/mod.rs]
    Passed src/lib.rs (calc) deep::tests::works [src/deep/mod.rs]
    Failed src/lib.rs (calc) tests::fails [src/lib.rs]
    Skipped src/lib.rs (calc) tests::later [src/lib.rs]
    Passed src/lib.rs (calc) tests::panics [src/lib.rs]
    Passed src/lib.rs (calc) tests::works [src/lib.rs]
    Passed src/main.rs (calc) tests::works [src/main.rs]
    Failed tests/api.rs (api) fails [tests/api.rs]
    Passed tests/api.rs (api) works [tests/api.rs]
    Failed tests/crash.rs (crash) [tests/crash.rs]
    ");
    assert!(!report.partial && !report.collection_error);
}

#[test]
fn a_crash_hides_the_tests_of_its_program() {
    let crash = &real().tests["tests/crash.rs (crash)"];
    assert_eq!(crash.hides.as_deref(), Some("tests/crash.rs (crash) "));
    assert!(crash.message.contains("SIGABRT"), "{}", crash.message);
}

#[test]
fn messages_belong_to_their_tests() {
    let report = real();
    let fails = &report.tests["src/lib.rs (calc) tests::fails"].message;
    assert!(fails.starts_with("some output") && fails.contains("sum is off"), "{fails}");
    assert!(!fails.contains("Error: \"no\""));
    assert!(report.tests["tests/api.rs (api) fails"].message.contains("api is down"));
    assert_eq!(report.tests["tests/api.rs (api) works"].message, "");
}

#[test]
fn what_does_not_compile_has_no_tests() {
    let text = include_str!("../../../tests/fixtures/ci/cargo/not_compiled.txt");
    let report = parse(text, &find);
    assert!(report.collection_error && report.is_empty());
}

#[test]
fn a_run_that_stopped_at_the_first_failure_is_partial() {
    let end = REAL.find("     Running unittests src/main.rs").unwrap();
    let report = parse(&REAL[..end], &find);
    assert!(report.partial && report.has_red());
}

#[test]
fn a_moved_doctest_keeps_its_id() {
    let moved = REAL.replace("(line 9)", "(line 12)").replace("(line 4)", "(line 7)");
    let ids = |text| parse(text, &find).tests.into_keys().collect::<Vec<_>>();
    assert_eq!(ids(&moved), ids(REAL));
}

#[test]
fn same_named_programs_of_two_packages_stay_apart() {
    let text = "     Running tests/api.rs (target/debug/deps/api-735160b19cd407a9)\n\nrunning 1 test\n\
        test a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\n";
    let report = parse(&text.repeat(2), &find);
    let ids: Vec<_> = report.tests.into_keys().collect();
    assert_eq!(ids, ["tests/api.rs (api 2) a", "tests/api.rs (api) a"]);
}

/// A test that prints copies of cargo's lines, and child processes that print between a name and its result.
#[test]
fn what_tests_print_is_not_taken_for_results() {
    let text = "     Running tests/api.rs (target/debug/deps/api-735160b19cd407a9)\n\nrunning 4 tests\n\
        test a ... noiseok\ntest b ... child says\nhello\nok\ntest c has been running for over 60 seconds\n\
        test c ... FAILED\ntest d - should panic ... FAILED\n\nfailures:\n\n---- c stdout ----\n\
        test x ... ok\nrunning 9 tests\n     Running tests/y.rs (target/debug/deps/y-735160b19cd407a9)\n\
        ---- z stdout ----\n---- d stdout ----\nnote: test did not panic as expected\n\nfailures:\n    c\n    d - should panic\n\n\
        test result: FAILED. 2 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n\n\
        error: test failed, to rerun pass `--test api`\nerror: 1 target failed:\n    `--test api`\n";
    let report = parse(text, &find);
    let ids: Vec<_> = report.tests.keys().map(String::as_str).collect();
    let expected = ["a", "b", "c", "d"].map(|name| format!("tests/api.rs (api) {name}"));
    assert_eq!(ids, expected);
    assert!(report.tests[&expected[2]].message.contains("---- z stdout ----"));
    assert!(report.tests[&expected[3]].message.contains("did not panic"));
    assert!(!report.partial);
}

#[test]
fn a_count_that_does_not_add_up_is_partial() {
    let text = REAL.replace("test tests::works ... ok\n", "");
    assert!(parse(&text, &find).partial);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(     Running tests/a.rs \\(a-735160b19cd407a9\\)\n|running 1 test\n|test a \\.\\.\\. (ok|FAILED)?\n|failures:\n|    a\n|---- a stdout ----\n|test result: \\PC{0,9}\n|error: test failed, to rerun\n|\\PC{0,9}\n){0,20}") {
        let _ = parse(&text, &find);
    }
}
