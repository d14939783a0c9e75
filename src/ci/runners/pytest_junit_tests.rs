//! Real and broken JUnit XML.

use super::*;
use proptest::prelude::*;

const REAL: &str = include_str!("../../../tests/fixtures/ci/pytest/broken.xml");

fn find(path: &str, _: Option<&str>) -> Option<String> {
    ["tests/test_calc.py", "tests/test_broken.py"].contains(&path).then(|| path.to_owned())
}

fn real() -> TestReport {
    parse(REAL, &find).unwrap()
}

#[test]
fn a_real_report_is_read_by_node_id() {
    let report = real();
    let lines: Vec<String> =
        report.tests.iter().map(|(id, test)| format!("{:?} {id}", test.status)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    Failed tests/test_broken.py
    Failed tests/test_calc.py::TestGroup::test_wrong
    Failed tests/test_calc.py::TestUnit::test_sub
    Passed tests/test_calc.py::test_adds
    Failed tests/test_calc.py::test_both
    Skipped tests/test_calc.py::test_known
    Skipped tests/test_calc.py::test_later
    Passed tests/test_calc.py::test_param[1]
    Failed tests/test_calc.py::test_param[2]
    Passed tests/test_calc.py::test_param[a b/\xe9::x]
    Failed tests/test_calc.py::test_setup
    Failed tests/test_calc.py::test_slow
    Failed tests/test_calc.py::test_surprise
    Failed tests/test_calc.py::test_teardown
    Failed tests/test_calc.py::test_wrong
    ");
    assert!(!report.partial);
}

#[test]
fn a_module_that_cannot_be_loaded_hides_its_tests() {
    let report = real();
    let module = &report.tests["tests/test_broken.py"];
    assert_eq!(module.hides.as_deref(), Some("tests/test_broken.py::"));
    assert!(module.message.contains("No module named 'does_not_exist'"));
    assert!(report.collection_error);
}

#[test]
fn messages_are_readable() {
    let report = real();
    let wrong = &report.tests["tests/test_calc.py::test_wrong"].message;
    assert!(wrong.contains(r#">   def test_wrong(): assert add(1,2)==4, "sum is off""#), "{wrong}");
    let both = &report.tests["tests/test_calc.py::test_both"].message;
    assert!(both.contains("assert False") && both.contains("failed on teardown with"), "{both}");
    assert_eq!(report.tests["tests/test_calc.py::test_adds"].message, "");
}

#[test]
fn without_the_file_the_dotted_name_stays() {
    let report = parse(REAL, &|_, _| None).unwrap();
    assert_eq!(report.tests["tests.test_calc::test_adds"].file, None);
    assert!(report.tests.contains_key("tests.test_calc.TestGroup::test_wrong"));
    assert!(report.tests["tests.test_broken"].is_red());
}

#[test]
fn no_tests_is_an_empty_report() {
    let xml = include_str!("../../../tests/fixtures/ci/pytest/none.xml");
    let report = parse(xml, &find).unwrap();
    assert!(report.is_empty() && !report.partial);
}

#[test]
fn a_file_that_ends_too_early_gives_what_it_has() {
    let cut = REAL.find("test_later").unwrap();
    let report = parse(&REAL[..cut], &find).unwrap();
    assert!(report.partial);
    assert!(report.tests.contains_key("tests/test_calc.py::test_adds"));
    assert!(!report.tests.contains_key("tests/test_calc.py::test_later"));
}

#[test]
fn what_is_no_junit_is_an_error() {
    for text in ["", "not xml", "<html></html>", "{}", "<a", "<?xml version=\"1.0\"?>"] {
        assert!(parse(text, &find).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(<testsuite>)?(<testcase name=\"a|<error|/>|</testcase>|&#x0;|&lt;|<!\\[CDATA\\[|\\PC{0,5}){0,12}") {
        let _ = parse(&text, &find);
    }

    #[test]
    fn no_cut_makes_it_panic(at in 0..REAL.len()) {
        if REAL.is_char_boundary(at) {
            let _ = parse(&REAL[..at], &find);
        }
    }
}
