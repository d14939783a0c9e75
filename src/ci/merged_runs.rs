//! Merges repeated CI runs of the same commit. Pure.

use std::collections::BTreeSet;

use super::results::{CiOutcome, CiRun, TestCase, TestStatus};

/// Merges a rerun of `failing` into the first run: tests that pass in the rerun become passed and flaky.
pub fn merge_rerun(mut first: CiRun, again: &CiRun, failing: &[String]) -> CiRun {
    if *again.outcome() == CiOutcome::Stopped {
        // The rerun might have passed: no judgement yet.
        first.results.outcome = CiOutcome::Stopped;
        return first;
    }
    let failing: BTreeSet<&String> = failing.iter().collect();
    let Some(tests) = first.results.tests.as_mut() else { return first };
    for (id, test) in tests.iter_mut() {
        let passes = again.results.status(id) == Some(TestStatus::Passed);
        if failing.contains(id) && test.is_red() && passes {
            let function = test.function.take();
            *test = TestCase { function, ..TestCase::new(TestStatus::Passed, test.file.take()) };
            first.flaky.push(id.clone());
        }
    }
    first.duration += again.duration;
    let judged_by_tests =
        matches!(first.results.outcome, CiOutcome::Failed | CiOutcome::CollectionError);
    if judged_by_tests && !first.flaky.is_empty() && first.results.red().next().is_none() {
        first.results.outcome = CiOutcome::Passed;
        first.results.exit_code = Some(0);
    }
    first
}

/// Merges two runs of the same commit: the result contains every test seen in either run.
pub fn merge_runs(mut first: CiRun, again: CiRun) -> CiRun {
    if *again.outcome() != *first.outcome() {
        return again;
    }
    if let (Some(tests), Some(more)) = (first.results.tests.as_mut(), again.results.tests) {
        for (id, test) in more {
            tests.entry(id).or_insert(test);
        }
    }
    first.duration += again.duration;
    first
}
