//! A run against the baseline: what blocks a landing and what was broken before. Pure.

use std::collections::BTreeSet;

use super::failure::list;
use super::results::{CiOutcome, CiRun, TestCase, TestResults, TestStatus};
use crate::phase::verdict::FailingTest;

/// What a run means for the attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub decision: Decision,
    /// Red now and not red at the base.
    pub blocking: Vec<FailingTest>,
    /// Those of `blocking` that passed at the base; the others are new, or there is no baseline.
    pub passed_before: BTreeSet<String>,
    /// Passed at the base; now gone or skipped.
    pub gone: Vec<String>,
    /// Red now, and red at the base.
    pub excused: Vec<String>,
    /// What a person should be told, one line each.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Pass,
    Fail,
    /// CI cannot start here nor at the base: the next phase would meet it too.
    Systemic {
        why: String,
    },
    /// The operator stopped the drain; this says nothing about the phase.
    Stopped,
}

/// Whether the judgement of this run depends on what CI says at the base.
pub fn needs_baseline(now: &CiRun) -> bool {
    use CiOutcome::*;
    matches!(now.outcome(), Failed | CollectionError | NoTests | CouldNotStart { .. })
}

/// `base` is what the same plan said at the attempt's base or at the last landing, where that is known;
/// `is_deliverable` tells for a file whether the phase was asked to produce it.
pub fn compare(
    now: &CiRun,
    base: Option<&TestResults>,
    is_deliverable: &dyn Fn(&str) -> bool,
) -> Judgement {
    let base_outcome = base.map(|base| &base.outcome);
    match now.outcome() {
        CiOutcome::Stopped => Judgement::plain(Decision::Stopped),
        CiOutcome::CouldNotStart { why } => match base_outcome {
            Some(CiOutcome::CouldNotStart { .. }) => {
                Judgement::plain(Decision::Systemic { why: why.clone() })
            }
            _ => Judgement::plain(Decision::Fail),
        },
        CiOutcome::TimedOut { .. } => Judgement::plain(Decision::Fail),
        CiOutcome::NoTests => no_tests(now, base, is_deliverable),
        CiOutcome::Passed | CiOutcome::NotConfigured => {
            let gone = gone(now, base, &[], is_deliverable);
            Judgement::by_tests(Vec::new(), gone, Vec::new())
        }
        CiOutcome::Failed | CiOutcome::CollectionError => red(now, base, is_deliverable),
    }
    .with_flaky(&now.flaky)
}

/// No test at the base either is nothing that the attempt did; the deliverables decide then.
fn no_tests(
    now: &CiRun,
    base: Option<&TestResults>,
    is_deliverable: &dyn Fn(&str) -> bool,
) -> Judgement {
    match base.map(|base| &base.outcome) {
        Some(CiOutcome::NoTests | CiOutcome::NotConfigured) => Judgement {
            notes: vec!["there are no tests yet: the deliverables decide".to_owned()],
            ..Judgement::plain(Decision::Pass)
        },
        _ => Judgement {
            gone: gone(now, base, &[], is_deliverable),
            ..Judgement::plain(Decision::Fail)
        },
    }
}

fn red(
    now: &CiRun,
    base: Option<&TestResults>,
    is_deliverable: &dyn Fn(&str) -> bool,
) -> Judgement {
    if now.results.red().next().is_none() {
        return by_exit_code(base);
    }
    // What stopped halfway may have left out a new failure, so nothing is excused.
    let was_red = |id: &str| now.results.complete && base.is_some_and(|base| base.is_red(id));
    let (old, new): (Vec<_>, Vec<_>) = now.results.red().partition(|(id, _)| was_red(id));
    let red_now: Vec<&TestCase> = now.results.red().map(|(_, test)| test).collect();
    let gone = gone(now, base, &red_now, is_deliverable);
    let passed = |id: &str| base.and_then(|base| base.status(id)) == Some(TestStatus::Passed);
    let passed_before = new.iter().map(|(id, _)| (*id).clone()).filter(|id| passed(id)).collect();
    let blocking = new.into_iter().map(|(id, test)| failing(id, test)).collect();
    let excused = old.into_iter().map(|(id, _)| id.clone()).collect();
    Judgement { passed_before, ..Judgement::by_tests(blocking, gone, excused) }
}

/// Without single results nothing tells an old failure from a new one: it is said, never excused.
fn by_exit_code(base: Option<&TestResults>) -> Judgement {
    let red_before = base
        .is_some_and(|base| matches!(base.outcome, CiOutcome::Failed | CiOutcome::CollectionError));
    let note =
        "ci was red before this attempt too; it reports no single tests, so its exit code decides";
    Judgement {
        notes: if red_before { vec![note.to_owned()] } else { Vec::new() },
        ..Judgement::plain(Decision::Fail)
    }
}

/// Tests that passed at the base and did not run now, for no reason that is named already.
fn gone(
    now: &CiRun,
    base: Option<&TestResults>,
    red_now: &[&TestCase],
    is_deliverable: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let Some(before) = base.and_then(|base| base.tests.as_ref()) else { return Vec::new() };
    // A plan without single results (another command since) says nothing about any test.
    let ran = now.results.tests.is_some();
    let nothing_ran = matches!(now.outcome(), CiOutcome::NotConfigured | CiOutcome::NoTests);
    if !now.results.complete || !(ran || nothing_ran) {
        return Vec::new();
    }
    let hidden = |id: &str| {
        red_now.iter().any(|test| test.hides.as_ref().is_some_and(|start| id.starts_with(start)))
    };
    before
        .iter()
        .filter(|(_, test)| test.status == TestStatus::Passed)
        .filter(|(id, _)| {
            matches!(now.results.status(id), None | Some(TestStatus::Skipped)) && !hidden(id)
        })
        .filter(|(_, test)| !test.file.as_deref().is_some_and(is_deliverable))
        .map(|(id, _)| id.clone())
        .collect()
}

fn failing(id: &str, test: &TestCase) -> FailingTest {
    FailingTest { name: id.to_owned(), message: test.message.clone() }
}

/// The second look at `failing` put into the first run: what passed then is green, and flaky.
pub fn merge_rerun(mut first: CiRun, again: &CiRun, failing: &[String]) -> CiRun {
    if *again.outcome() == CiOutcome::Stopped {
        // It might have been green: nothing is known yet.
        first.results.outcome = CiOutcome::Stopped;
        return first;
    }
    let failing: BTreeSet<&String> = failing.iter().collect();
    let Some(tests) = first.results.tests.as_mut() else { return first };
    for (id, test) in tests.iter_mut() {
        let passes = again.results.status(id) == Some(TestStatus::Passed);
        if failing.contains(id) && test.is_red() && passes {
            *test = TestCase::new(TestStatus::Passed, test.file.take());
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

fn names(ids: &[String]) -> String {
    list(ids.iter().map(String::as_str))
}

impl Judgement {
    /// The tests to run once more before this judgement stands; empty where that cannot change it.
    pub fn to_rerun(&self) -> Vec<String> {
        match self.decision {
            Decision::Fail => self.blocking.iter().map(|test| test.name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    fn plain(decision: Decision) -> Self {
        Self {
            decision,
            blocking: Vec::new(),
            passed_before: BTreeSet::new(),
            gone: Vec::new(),
            excused: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn by_tests(blocking: Vec<FailingTest>, gone: Vec<String>, excused: Vec<String>) -> Self {
        let clean = blocking.is_empty() && gone.is_empty();
        let decision = if clean { Decision::Pass } else { Decision::Fail };
        let notes = match excused.as_slice() {
            [] => Vec::new(),
            ids => vec![format!("red before this attempt too, excused: {}", names(ids))],
        };
        Self { blocking, gone, excused, notes, ..Self::plain(decision) }
    }

    fn with_flaky(mut self, flaky: &[String]) -> Self {
        if !flaky.is_empty() {
            let note = format!("flaky, passed when run once more: {}", names(flaky));
            self.notes.push(note);
        }
        self
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
