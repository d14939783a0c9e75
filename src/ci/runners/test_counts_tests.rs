//! Complete outputs, as printed by runners and the tools around them.

use super::*;
use proptest::prelude::*;

fn summary(output: &str) -> PrintedSummary {
    let mut reader = CountReader::default();
    output.lines().for_each(|line| reader.line(line));
    reader.summary()
}

fn read(output: &str) -> (BTreeMap<String, u64>, bool) {
    let PrintedSummary { counts, any_ran, .. } = summary(output);
    (counts, any_ran)
}

fn counted(output: &str, runner: &str) -> u64 {
    let (counts, _) = read(output);
    assert_eq!(counts.len(), 1, "{output}: {counts:?}");
    counts[runner]
}

#[test]
fn summaries_of_every_runner_are_counted() {
    for (output, runner, passed) in [
        (
            "Test Suites: 2 passed, 2 total\nTests:       1 failed, 2 skipped, 10 passed, 13 total",
            "jest",
            10,
        ),
        ("Tests:       3 failed, 3 total", "jest", 0),
        (
            " Test Files  2 passed (2)\n      Tests  1 failed | 10 passed | 2 skipped (13)",
            "vitest",
            10,
        ),
        ("      Tests  5 passed (5)", "vitest", 5),
        ("  10 passing (12ms)\n  1 pending\n  2 failing", "mocha", 10),
        ("# tests 5\n# suites 0\n# pass 4\n# fail 0\n# skipped 1", "node:test or TAP", 4),
        ("ℹ tests 5\nℹ pass 4\nℹ fail 1", "node:test or TAP", 4),
        ("  ✔ 3 tests passed", "ava", 3),
        ("Ran 5 tests in 0.001s\n\nOK", "unittest", 5),
        ("Ran 5 tests in 0.001s\n\nOK (skipped=2, expected failures=1)", "unittest", 2),
        ("Ran 5 tests in 0.001s\n\nFAILED (failures=1, errors=1, skipped=1)", "unittest", 2),
        ("Ran 0 tests in 0.000s\n\nOK", "unittest", 0),
        ("==== 1 failed, 5 passed, 2 warnings in 0.10s ====", "pytest", 5),
        ("5 passed in 0.01s", "pytest", 5),
        ("3 skipped in 0.01s", "pytest", 0),
        (
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
          test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "cargo test",
            7,
        ),
        ("     Summary [   0.010s] 5 tests run: 5 passed, 1 skipped", "nextest", 5),
        ("--- PASS: TestA (0.00s)\n    --- PASS: TestA/x (0.00s)\nPASS", "go test -v", 2),
        (
            "ok  \tm/a\t0.01s\nok  \tm/b\t(cached)\n?   \tm/c\t[no test files]",
            "go test, packages",
            2,
        ),
        ("OK (5 tests, 10 assertions)", "phpunit", 5),
        ("Tests: 5, Assertions: 10, Failures: 1, Skipped: 1.", "phpunit", 3),
        ("5 examples, 1 failure, 1 pending", "rspec", 3),
        (
            "[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 s -- in A\n\
          [INFO] Tests run: 5, Failures: 1, Errors: 0, Skipped: 1",
            "surefire",
            3,
        ),
        ("Passed!  - Failed:     0, Passed:     5, Skipped:     0, Total:     5", "dotnet test", 5),
        ("ok | 5 passed | 0 failed (10ms)", "deno", 5),
    ] {
        assert_eq!(counted(output, runner), passed, "{output}");
    }
}

#[test]
fn failures_of_every_runner_are_counted() {
    for (output, failed) in [
        ("Tests:       1 failed, 2 skipped, 10 passed, 13 total", 1),
        ("      Tests  2 failed | 10 passed (12)", 2),
        ("  10 passing (12ms)\n  2 failing", 2),
        ("# pass 4\n# fail 1", 1),
        ("  ✘ 1 test failed\n  3 tests passed", 1),
        ("Ran 5 tests in 0.001s\n\nFAILED (failures=1, errors=1, skipped=1)", 2),
        ("Ran 5 tests in 0.001s\n\nOK (expected failures=1)", 0),
        ("==== 1 failed, 5 passed, 1 error in 0.10s ====", 2),
        ("test result: FAILED. 5 passed; 1 failed; 1 ignored", 1),
        ("     Summary [   0.010s] 5 tests run: 4 passed, 1 failed, 1 skipped", 1),
        ("--- FAIL: TestA (0.00s)\nFAIL", 1),
        ("FAIL\tm/a\t0.01s", 1),
        ("Tests: 5, Assertions: 10, Failures: 1, Skipped: 1.", 1),
        ("5 examples, 1 failure, 1 pending", 1),
        ("[INFO] Tests run: 5, Failures: 1, Errors: 1, Skipped: 1", 2),
        ("Failed!  - Failed:     1, Passed:     4, Skipped:     0, Total:     5", 1),
        ("FAILED | 5 passed | 1 failed (10ms)", 1),
        ("1..2\nok 1 adds\nnot ok 2 zero\nnot ok 3 later # TODO", 1),
        ("not ok 1 - zero\n# pass 0\n# fail 1", 1),
    ] {
        let failed_of = summary(output).failed;
        assert_eq!(failed_of.values().sum::<u64>(), failed, "{output}: {failed_of:?}");
    }
}

#[test]
fn what_is_no_summary_is_not_counted() {
    for line in [
        "Tests: are good",
        "5 passed the exam in Bonn",
        "passing",
        "ok",
        "# passed",
        "Ran away",
        "OK (then)",
        "Tests are fun (really)",
        "the 3 examples below",
        "",
    ] {
        assert_eq!(read(line), (BTreeMap::new(), false), "{line}");
    }
}

#[test]
fn whether_any_test_ran_is_told_from_how_many_passed() {
    assert!(!read("Ran 0 tests in 0.000s").1);
    assert!(!read("Tests:       2 skipped, 2 total").1);
    assert!(read("Tests:       3 failed, 3 total").1);
}

proptest! {
    #[test]
    fn any_output_is_read(output in "(?s).{0,300}") {
        read(&output);
    }

    #[test]
    fn numbers_of_any_size_are_read(n in any::<u128>(), m in any::<u64>()) {
        read(&format!("Tests: {n} passed, {m} total\nRan {m} tests in 1s\nOK (skipped={n})\n{m} passing"));
    }
}

/// `pnpm -r test` over two packages of node:test, as printed by pnpm 10.
const PNPM: &str = "\n> calc@ test /tmp/calc\n> pnpm --recursive test\n\nScope: 2 of 3 workspace projects\n\
packages/core test$ node --test\npackages/core test: TAP version 13\npackages/core test: 1..0\n\
packages/core test: # tests 0\npackages/core test: # pass 0\npackages/core test: # fail 0\npackages/core test: Done\n\
packages/app test$ node --test\npackages/app test: TAP version 13\npackages/app test: # Subtest: add\n\
packages/app test: ok 1 - add\npackages/app test:   ---\npackages/app test:   duration_ms: 1.8\n\
packages/app test: # Subtest: suite\npackages/app test:     # Subtest: in\npackages/app test:     ok 1 - in\n\
packages/app test:     ok 2 - add\npackages/app test:     ok 3 - later # SKIP\npackages/app test:     ok 4 - td # TODO\n\
packages/app test:     1..4\npackages/app test: ok 2 - suite\npackages/app test:   ---\npackages/app test:   type: 'suite'\n\
packages/app test: # tests 5\npackages/app test: # suites 1\npackages/app test: # pass 3\npackages/app test: # fail 0\n\
packages/app test: Done\n";

fn names(output: &str, label: &str) -> Option<Vec<String>> {
    let summary = summary(output);
    let stream = summary.printed.get(label).unwrap_or_else(|| panic!("{label}: {summary:?}"));
    stream.names.as_ref().map(|names| names.iter().cloned().collect())
}

fn is_named(output: &str, label: &str, expected: &[&str]) {
    let found = names(output, label).unwrap_or_else(|| panic!("{label} has no names: {output}"));
    assert_eq!(found, expected, "{output}");
}

#[test]
fn packages_behind_labels_are_counted_and_named() {
    assert_eq!(counted(PNPM, "node:test or TAP"), 3);
    is_named(PNPM, "packages/app test", &["add", "add (2)", "in"]);
    is_named(PNPM, "packages/core test", &[]);
}

#[test]
fn packages_that_take_turns_by_the_line_are_streams_of_their_own() {
    let output = "@calc/app:test: > vitest run\n@calc/core:test: > vitest run\n\
        @calc/app:test:  ✓ src/a.test.ts > adds 2ms\n@calc/core:test:  ✓ src/c.test.ts > multiplies 1ms\n\
        @calc/core:test:       Tests  1 passed (1)\n@calc/app:test:  ✓ src/a.test.ts > zero 1ms\n\
        @calc/app:test:       Tests  2 passed (2)\n Tasks:    2 successful, 2 total\n";
    assert_eq!(counted(output, "vitest"), 3);
    is_named(output, "@calc/app:test", &["src/a.test.ts > adds", "src/a.test.ts > zero"]);
    is_named(output, "@calc/core:test", &["src/c.test.ts > multiplies"]);
}

#[test]
fn labels_of_every_tool_are_known() {
    for (label, name) in [
        ("[@calc/app]: ", "@calc/app"),
        ("@calc/app: ", "@calc/app"),
        ("app-1  | ", "app-1"),
        ("[test:unit] ", "test:unit"),
        ("app\t", "app"),
        ("\u{1b}[36mapp-1  |\u{1b}[0m ", "app-1"),
    ] {
        let lines = [
            "PASS src/a.test.js",
            "  calc",
            "    ✓ adds (2 ms)",
            "    ○ skipped later",
            "Tests:       1 skipped, 1 passed, 2 total",
        ];
        let output: String = lines.iter().map(|line| format!("{label}{line}\n")).collect();
        let output = console::strip_ansi_codes(&output);
        assert_eq!(counted(&output, "jest"), 1, "{label}");
        is_named(&output, name, &["adds"]);
    }
}

#[test]
fn workspaces_one_after_the_other_add_up_and_are_named_by_their_headings() {
    let one = |package: &str, test: &str| {
        format!("\n> {package}@1.0.0 test\n> mocha\n\n  calc\n    ✔ {test}\n\n  1 passing (3ms)\n")
    };
    let output = format!("{}{}", one("@calc/app", "adds"), one("@calc/core", "multiplies"));
    assert_eq!(counted(&output, "mocha"), 2);
    is_named(&output, "@calc/app test", &["adds"]);
    is_named(&output, "@calc/core test", &["multiplies"]);
}

#[test]
fn runners_of_other_languages_are_named_too() {
    let libtest = "running 2 tests\ntest tests::adds ... ok\ntest tests::later ... ignored\n\
        test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
        test src/lib.rs - add (line 3) ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
    is_named(libtest, "", &["src/lib.rs - add", "tests::adds"]);
    let pytest = "tests/test_a.py::test_x PASSED   [ 50%]\ntests/test_a.py::test_y SKIPPED [100%]\n\
        ==== 1 passed, 1 skipped in 0.10s ====\n";
    is_named(pytest, "", &["tests/test_a.py::test_x"]);
    let unittest = "test_x (t.T.test_x) ... ok\ntest_y (t.T.test_y) ... skipped 'x'\n\
        test_z (t.T.test_z)\nAdds two numbers. ... ok\n\nRan 3 tests in 0.001s\n\nOK (skipped=1)";
    is_named(unittest, "", &["t.T.test_x", "t.T.test_z"]);
    let go = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/x (0.00s)\nPASS\nok  \tm/a\t0.01s\n";
    is_named(go, "", &["TestA", "TestA/x"]);
    let bats = "1..2\nok 1 adds\nok 2 later # skip\n";
    assert_eq!(counted(bats, TAP), 1);
    is_named(bats, "", &["adds"]);
}

#[test]
fn groups_of_node_are_tests_only_where_node_counts_them() {
    let suite = "▶ suite\n  ✔ in (0.2ms)\n✔ suite (1.2ms)\nℹ tests 1\nℹ pass 1\n";
    is_named(suite, "", &["in"]);
    let parent = "▶ parent\n  ✔ child (0.2ms)\n✔ parent (1.2ms)\nℹ tests 2\nℹ pass 2\n";
    is_named(parent, "", &["child", "parent"]);
}

#[test]
fn a_runner_that_prints_some_of_its_tests_names_none() {
    let slow = " ✓ src/a.test.ts (3 tests) 350ms\n   ✓ slow 301ms\n      Tests  3 passed (3)\n";
    assert_eq!((counted(slow, "vitest"), names(slow, "")), (3, None));
}

#[test]
fn a_label_on_a_single_line_is_a_coincidence() {
    assert_eq!(read("the answer: 5 passed in 0.01s"), (BTreeMap::new(), false));
    assert_eq!(read("INFO: 5 passed in 0.01s\nINFO: done"), (BTreeMap::new(), false));
}
