//! Lost tests, for single cases and for arbitrary results.

use std::collections::BTreeMap;

use super::*;
use crate::ci::results::CiOutcome;
use crate::ci::results::TestStatus::{Failed, Passed, Skipped};
use proptest::prelude::*;

/// `a.py::test_x[1]` is in `a.py`, and a case of `a.py::test_x`.
fn results(tests: &[(&str, TestStatus)]) -> TestResults {
    let case = |id: &str, status| {
        let function = id.split_once('[').map(|(function, _)| function.to_owned());
        let file = id.split_once("::").map(|(file, _)| file.to_owned());
        TestCase { function, ..TestCase::new(status, file) }
    };
    let tests: BTreeMap<_, _> =
        tests.iter().map(|(id, status)| ((*id).to_owned(), case(id, *status))).collect();
    TestResults { tests: Some(tests), ..TestResults::of(CiOutcome::Passed) }
}

fn passed(ids: &[&str]) -> TestResults {
    results(&ids.iter().map(|id| (*id, Passed)).collect::<Vec<_>>())
}

fn lost(now: &TestResults, base: &TestResults) -> Vec<String> {
    find_lost_tests(now, base, &Sources::default())
}

#[test]
fn what_does_not_run_any_more_is_lost() {
    let base = passed(&["a.py::x", "a.py::y", "b.py::z"]);
    assert_eq!(lost(&passed(&["a.py::x"]), &base), ["a.py::y", "b.py::z"]);
    assert_eq!(lost(&results(&[("a.py::x", Skipped)]), &base).len(), 3);
    assert_eq!(lost(&TestResults::of(CiOutcome::Passed), &base).len(), 3, "no report at all");
    let red = results(&[("a.py::x", Failed), ("a.py::y", Passed), ("b.py::z", Passed)]);
    assert_eq!(lost(&red, &base), [""; 0], "what is red runs");
}

#[test]
fn cases_with_other_names_make_up_for_those_that_are_gone() {
    let base = passed(&["a.py::x[u1]", "a.py::x[u2]", "a.py::y"]);
    assert_eq!(lost(&passed(&["a.py::x[u3]", "a.py::x[u4]", "a.py::y"]), &base), [""; 0]);
    assert_eq!(lost(&passed(&["a.py::x[u3]", "a.py::y"]), &base), ["a.py::x[u1]", "a.py::x[u2]"]);
    assert_eq!(lost(&passed(&["a.py::x[u1]", "a.py::y"]), &base), ["a.py::x[u2]"]);
    // A skipped case cannot be replaced.
    let now = results(&[
        ("a.py::x[u1]", Skipped),
        ("a.py::x[u2]", Passed),
        ("a.py::x[u3]", Passed),
        ("a.py::y", Passed),
    ]);
    assert_eq!(lost(&now, &base), ["a.py::x[u1]"]);
}

#[test]
fn a_test_that_got_parameters_is_no_loss() {
    let base = passed(&["a.py::x", "a.py::y"]);
    assert_eq!(lost(&passed(&["a.py::x[1]", "a.py::x[2]", "a.py::y"]), &base), [""; 0]);
    let now = results(&[("a.py::x[1]", Skipped), ("a.py::y", Passed)]);
    assert_eq!(lost(&now, &base), ["a.py::x"]);
}

#[test]
fn what_the_base_does_not_do_twice_is_unstable() {
    let base = mark_unstable(
        passed(&["a.py::x[1]", "a.py::x[2]", "a.py::y"]),
        &passed(&["a.py::x[3]", "a.py::y"]),
    );
    // One case is the minimum of the two runs.
    assert_eq!(lost(&passed(&["a.py::x[9]", "a.py::y"]), &base), [""; 0]);
    assert_eq!(lost(&passed(&["a.py::y"]), &base), ["a.py::x[1]", "a.py::x[2]"]);
    assert_eq!(lost(&passed(&["a.py::x[9]"]), &base).len(), 3, "a stable one beside it is missed");
    // Functions with a different name in each run: the number per file must not drop.
    let base = mark_unstable(passed(&["a.py::t1", "a.py::t2"]), &passed(&["a.py::t3", "a.py::t4"]));
    assert_eq!(lost(&passed(&["a.py::t5", "a.py::t6"]), &base), [""; 0]);
    assert_eq!(lost(&passed(&["a.py::t5", "b.py::t6"]), &base), ["a.py::t1", "a.py::t2"]);
}

#[test]
fn what_is_skipped_by_itself_is_unstable_too() {
    let base = mark_unstable(
        passed(&["a.py::x", "a.py::y"]),
        &results(&[("a.py::x", Skipped), ("a.py::y", Passed)]),
    );
    let now = results(&[("a.py::x", Skipped), ("a.py::y", Passed)]);
    assert_eq!(lost(&now, &base), [""; 0]);
}

#[test]
fn a_second_run_that_came_to_nothing_says_nothing() {
    let base = passed(&["a.py::x"]);
    assert_eq!(mark_unstable(base.clone(), &TestResults::of(CiOutcome::Passed)), base);
    let half = TestResults { complete: false, ..passed(&[]) };
    assert_eq!(mark_unstable(base.clone(), &half), base);
}

#[test]
fn of_counts_the_smaller_holds() {
    let counts = |n| [("jest".to_owned(), n)].into_iter().collect();
    let first = TestResults { counts: counts(10), ..TestResults::of(CiOutcome::Passed) };
    let again = TestResults { counts: counts(8), ..TestResults::of(CiOutcome::Passed) };
    assert_eq!(mark_unstable(first, &again).counts, counts(8));
}

#[test]
fn tests_that_moved_or_were_renamed_are_found_by_their_text() {
    let text = |name: &str, body: &str| format!("def {name}():\n    {body}\n");
    let sources = |before: &[(&str, String)], now: &[(&str, String)]| {
        let map = |files: &[(&str, String)]| {
            files.iter().map(|(file, text)| ((*file).to_owned(), text.clone())).collect()
        };
        Sources { before: map(before), now: map(now) }
    };
    let base = passed(&["a.py::test_x"]);
    let lost = |now: &str, sources: &Sources| find_lost_tests(&passed(&[now]), &base, sources);
    let was = [("a.py", text("test_x", "assert f()"))];
    let moved = sources(&was, &[("b.py", text("test_x", "assert f()"))]);
    assert_eq!(lost("b.py::test_x", &moved), [""; 0]);
    let renamed = sources(&was, &[("a.py", text("test_y", "assert f()"))]);
    assert_eq!(lost("a.py::test_y", &renamed), [""; 0]);
    let emptied = sources(&was, &[("b.py", text("test_x", "pass"))]);
    assert_eq!(lost("b.py::test_x", &emptied), ["a.py::test_x"]);
}

#[test]
fn one_new_test_makes_up_for_one_that_is_gone() {
    let same = "def test_x():\n    assert f()\ndef test_y():\n    assert f()\n";
    let sources = Sources {
        before: [("a.py".to_owned(), same.to_owned())].into(),
        now: [("b.py".to_owned(), "def test_z():\n    assert f()\n".to_owned())].into(),
    };
    let base = passed(&["a.py::test_x", "a.py::test_y"]);
    assert_eq!(find_lost_tests(&passed(&["b.py::test_z"]), &base, &sources), ["a.py::test_y"]);
}

#[test]
fn whole_files_that_moved_bring_tests_that_no_function_stands_for() {
    let made = "for n in range(2): globals()[f'test_{n}'] = lambda: None\n".to_owned();
    let sources = Sources {
        before: [("a.py".to_owned(), made.clone())].into(),
        now: [("b/a.py".to_owned(), made)].into(),
    };
    let base = passed(&["a.py::test_0", "a.py::test_1"]);
    assert_eq!(
        find_lost_tests(&passed(&["b/a.py::test_0", "b/a.py::test_1"]), &base, &sources),
        [""; 0]
    );
    assert_eq!(find_lost_tests(&passed(&["b/a.py::test_0"]), &base, &sources), ["a.py::test_1"]);
}

fn some_results() -> impl Strategy<Value = TestResults> {
    let status = prop_oneof![Just(Passed), Just(Passed), Just(Skipped), Just(Failed)];
    let id = (0..3u8, 0..4u8, prop_oneof![Just(None), (0..4u8).prop_map(Some)]);
    let id = id.prop_map(|(file, name, case)| match case {
        None => format!("f{file}.py::t{name}"),
        Some(case) => format!("f{file}.py::p{name}[{case}]"),
    });
    proptest::collection::btree_map(id, status, 0..20).prop_map(|tests| {
        let tests: Vec<(&str, TestStatus)> =
            tests.iter().map(|(id, status)| (id.as_str(), *status)).collect();
        results(&tests)
    })
}

proptest! {
    #[test]
    fn a_result_compared_with_itself_loses_nothing(base in some_results(), again in some_results()) {
        prop_assert_eq!(lost(&base, &base), [""; 0]);
        let steady = mark_unstable(base.clone(), &again);
        prop_assert_eq!(lost(&base, &steady), [""; 0]);
        // The second run itself loses nothing either, except tests hidden by new failures.
        let stable = again.tests.iter().flatten().all(|(_, test)| test.status != Failed);
        if stable {
            prop_assert_eq!(lost(&again, &steady), [""; 0]);
        }
    }

    #[test]
    fn a_test_that_is_dropped_is_always_missed(base in some_results(), skip in any::<bool>(), at in any::<proptest::sample::Index>()) {
        let tests = base.tests.clone().unwrap_or_default();
        let passed: Vec<&String> =
            tests.iter().filter(|(_, test)| test.status == Passed).map(|(id, _)| id).collect();
        prop_assume!(!passed.is_empty());
        let dropped = passed[at.index(passed.len())].clone();
        let mut now = base.clone();
        let left = now.tests.as_mut().unwrap();
        match skip {
            true => left.get_mut(&dropped).unwrap().status = Skipped,
            false => drop(left.remove(&dropped)),
        }
        prop_assert_eq!(lost(&now, &base), vec![dropped]);
    }

    #[test]
    fn dropping_a_whole_function_is_missed_though_its_ids_are_unstable(n in 1..5usize, m in 1..5usize, others in some_results()) {
        let with = |prefix: &str, n: usize| {
            let mut all = others.clone();
            let ids: Vec<String> = (0..n).map(|case| format!("u.py::u[{prefix}{case}]")).collect();
            let more = results(&ids.iter().map(|id| (id.as_str(), Passed)).collect::<Vec<_>>());
            all.tests.as_mut().unwrap().extend(more.tests.unwrap());
            all
        };
        let base = mark_unstable(with("a", n), &with("b", m));
        prop_assert_eq!(lost(&with("c", n.min(m)), &base), [""; 0]);
        prop_assert_eq!(lost(&others, &base).len(), n);
    }
}
